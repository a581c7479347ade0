/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SHA-256 (FIPS 180-4), for the thumbprint of a certificate. Our own, because none of the libraries
 * we link has it in its interface (libuuid: SHA-1, MD5; libcurl, libsystemd: not exported), and
 * OpenSSL beside libcurl would be a dependency for 60 lines. Public bytes only: not constant-time.
 */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_SIZE = 32 };

void sha256(const void *bytes, size_t len, uint8_t digest[SHA256_SIZE]);

#endif

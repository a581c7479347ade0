/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * For tests: random VMs as they come (all buses and options, cdroms, firmware and TPM disks, cloud
 * init, passed through devices, unused disks, pending changes, snapshots, every form of boot order,
 * locks, protection, comments, what PVE cannot read), and fingerprints for them. The same dice give
 * the same texts.
 */
#ifndef TESTS_GEN_CONF_H
#define TESTS_GEN_CONF_H

#include <stdbool.h>
#include <stdint.h>

struct gen {
    uint64_t state; /* never 0 */
};

/* Neighbouring seeds give texts that have nothing in common. */
struct gen gen_new(uint64_t seed);
unsigned gen_roll(struct gen *g, unsigned sides);
bool gen_one_in(struct gen *g, unsigned n);
uint64_t gen_bits(struct gen *g); /* 64 of them, never 0 */

/* A whole file, as PVE writes it; the caller's. */
char *gen_config(struct gen *g);
/* The same as somebody left it who edited it by hand: order, blanks, empty lines, comments, a
 * [special:] section, a key or a value that PVE drops. The caller's. */
char *gen_untidy(struct gen *g, const char *config);
/* A fingerprint for it: mostly one that fits, valid always; the caller's. */
char *gen_fingerprint(struct gen *g, const char *config);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The .vmdk files beside a .vmx, for the serial numbers in their descriptors. */
#ifndef CLI_CAPTURE_VMDK_H
#define CLI_CAPTURE_VMDK_H

#include "core/vmx.h"

/*
 * Fills in the serial numbers that can be found in the folder of `vmx_path`, or why one cannot. A
 * .vmx is foreign, so its names are too: only plain names in that folder are opened, no symbolic
 * link is followed. 0 or -ENOMEM.
 */
int vmdk_find_serials(const char *vmx_path, struct vmx_disk_files *files, struct err *err);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What `pve-hwid match` reads: a folder of fingerprints, and the VMs of a whole cluster. */
#ifndef CLI_MATCH_FILES_H
#define CLI_MATCH_FILES_H

#include "base/err.h"
#include "core/match.h"
#include "core/notes.h"

enum { MATCH_FILES_MAX = 20000 }; /* of one kind: more is a wrong folder */

struct match_files {
    /* Fingerprints of the folder, by name. */
    struct match_fingerprint *fingerprints; /* owned, with its texts */
    size_t n_fingerprints, cap_fingerprints;
    struct match_vm *vms; /* owned */
    size_t n_vms, cap_vms;
    struct match_placed *placed; /* owned */
    size_t n_placed, cap_placed;
    struct notes problems; /* files that could not be read or understood */
};

void match_files_fini(struct match_files *files);
/* `dir`/NAME.json. What is no fingerprint becomes a problem. */
int match_files_read_fingerprints(struct match_files *files, const char *dir, struct err *err);
/* `pve_dir`/nodes/NODE/qemu-server/VMID.conf, and `pve_dir`/pve-hwid/VMID.json. */
int match_files_read_cluster(struct match_files *files, const char *pve_dir, struct err *err);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The file that holds a VM (core/hold.h), as root's command line writes it and takes it away, and
 * the word to the daemon that follows. Works without a daemon: then the file alone counts.
 */
#ifndef CLI_HOLD_FILE_H
#define CLI_HOLD_FILE_H

#include <stdint.h>

#include "base/err.h"
#include "cli/cli.h"
#include "cli/where.h"
#include "core/settings.h"

/* The settings tell where fingerprints lie. A missing file means the defaults. */
int hold_file_settings(const char *config, struct settings **ret, struct err *err);

struct hold_file {
    char *path;   /* of the hold that counts now */
    char *what;   /* it in words: "on hold since ..." */
    char *former; /* what it said before, where it was replaced; NULL */
    bool was_there;
};
void hold_file_fini(struct hold_file *file);

/* Is there one, in either place, whatever it says? */
bool hold_file_exists(const struct settings *settings, uint32_t vmid);
/* Beside the VM's fingerprint: in /etc/pve, so that the hold goes where the VM goes; in the local
 * directory where the only fingerprint is there. A hold that is there stays as it is, but for a
 * new reason. */
int hold_file_write(const struct settings *settings, uint32_t vmid, const char *why,
                    struct hold_file *ret, struct err *err);
/* In either place. 0: there was one; 1: there was none; -errno: it is still there. */
int hold_file_remove(const struct settings *settings, uint32_t vmid, struct err *err);

/* Tells the daemon (method "Hold" or "Resume"). False: it does not know yet, which was said as a
 * note together with what that means. One that is not on this node is none of its business: it is
 * said where the VM is. */
bool hold_file_tell(const struct cli *cli, const char *method, uint32_t vmid,
                    const struct where *where, const char *if_not);

#endif

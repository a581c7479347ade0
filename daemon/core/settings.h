/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * /etc/pve-hwid/pve-hwid.conf: `key: value` lines, `#` comments, every key documented in
 * conf/pve-hwid.conf. Strict: an unknown key, a value out of range or a key twice is an error with
 * its line number and the cure.
 */
#ifndef CORE_SETTINGS_H
#define CORE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "core/fingerprint.h"

enum { SETTINGS_MAX = 64 * 1024 };

struct settings {
    char *api_url;         /* https://127.0.0.1:8006 ; https only */
    char *ca_file;         /* /etc/pve/pve-root-ca.pem (from a credential where there is one) */
    char *token_file;      /* /etc/pve-hwid/token */
    char *node;            /* this node's name in PVE; NULL: short host name */
    char *pve_dir;         /* /etc/pve : qemu-server/, pve-hwid/ are below */
    char *fingerprint_dir; /* /etc/pve-hwid/fingerprints */
    char *state_dir;       /* /var/lib/pve-hwid */
    char *lock_dir;        /* /run/lock/qemu-server: PVE's own lock files, only looked at */
    enum fingerprint_drift on_drift;    /* for fingerprints that do not say: restart */
    enum fingerprint_on_error on_error; /* likewise: start */
    bool early;                         /* rewrite stopped VMs early: 1 */
    unsigned rescan_s;                  /* 10: look for changes made on other nodes; 1 to 3600 */
    unsigned connect_timeout_ms;        /* 3000; 100 to 60000 */
    unsigned api_timeout_ms;            /* 20000: longer than PVE's own 10 s wait; 1000 to 120000 */
    unsigned lock_patience_s;           /* 60: how long "got timeout" is tried again; 1 to 600 */
    unsigned start_patience_s;          /* 120: how long our start is watched; 5 to 3600 */
    unsigned max_reads;                 /* 4: parallel reading requests; 1 to 32 */
    unsigned ready_patience_s; /* 30: systemd's "ready" waits for early rewriting; to 600 */
};

int settings_parse(const char *text, size_t len, struct settings **ret, struct err *err);
struct settings *settings_new(void); /* the defaults; NULL: no memory */
void settings_free(struct settings *settings);
DEFINE_CLEANUP(struct settings, settings_free)

#endif

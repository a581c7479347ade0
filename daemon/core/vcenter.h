/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * vCenter's REST API as values (facts/vmware.md 4): what to ask, and what the answers mean. Two
 * dialects: `/api` (7.0 and later: bare values, maps are objects) and `/rest` (6.5 and 6.7: wrapped
 * in {"value": ...}, maps are arrays of {"key", "value"}). Requests differ; answers are read in
 * either form whatever was asked, since some versions mix them. Foreign bytes: any input ends in a
 * value or in a sentence.
 */
#ifndef CORE_VCENTER_H
#define CORE_VCENTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "core/api.h"
#include "core/fingerprint.h"
#include "core/notes.h"

enum {
    VCENTER_VM_MAX = 256 * 1024,        /* bytes of one VM's answer; real ones have 2 to 20 KiB */
    VCENTER_LIST_MAX = 4 * 1024 * 1024, /* bytes of a list; 4000 VMs have 0.5 MiB */
    VCENTER_ID_MAX = 64,                /* "vm-1234", "domain-c8", "group-v12" */
    VCENTER_NAME_MAX = 512,             /* vSphere: 80 characters, some escaped */
    VCENTER_SESSION_SIZE = 513,         /* with the NUL; real ones have 32 characters */
    VCENTER_SENTENCE_SIZE = 320,
};

enum vcenter_dialect { VCENTER_API, VCENTER_REST };

/* What can be listed. */
enum vcenter_kind { VCENTER_VM, VCENTER_HOST, VCENTER_CLUSTER, VCENTER_FOLDER };

/* --- requests; NULL: no memory --- */

struct api_request *vcenter_login(enum vcenter_dialect dialect);
struct api_request *vcenter_logout(enum vcenter_dialect dialect);
struct api_request *vcenter_get_vm(enum vcenter_dialect dialect, const char *id);
struct api_request *vcenter_list(enum vcenter_dialect dialect, enum vcenter_kind kind);
/* "names", "folders", "parent_folders", "clusters", "hosts", "power_states", "type". */
int vcenter_add_filter(struct api_request *list, enum vcenter_dialect dialect, const char *key,
                       const char *value);

/* --- answers --- */

struct vcenter_item {
    char *id;
    char *name; /* one line; "" where there is none */
};

struct vcenter_items {
    struct vcenter_item *items;
    size_t n, cap;
};

void vcenter_items_fini(struct vcenter_items *items);
/* Appends what is listed. -EINVAL: no such list, or an id that is none. */
int vcenter_read_list(const char *text, size_t len, enum vcenter_kind kind,
                      struct vcenter_items *items, struct err *err);

/* The id of a session: printable, no blank, fit for a header line. A secret: the caller wipes it.
 */
int vcenter_read_session(const char *text, size_t len, char session[VCENTER_SESSION_SIZE],
                         struct err *err);

/* What an answer of status 400 and more says. */
struct vcenter_failure {
    bool too_many;                        /* a list longer than vCenter gives at once */
    char sentence[VCENTER_SENTENCE_SIZE]; /* its own words, one line; "" */
};
void vcenter_read_failure(const char *text, size_t len, struct vcenter_failure *ret);

/* The answer about one VM to a fingerprint. `name` (of the list) serves where the answer has none;
 * `captured` (ISO 8601) is put into `source`; both may be NULL. */
int vcenter_capture(const char *text, size_t len, const char *name, const char *captured,
                    struct fingerprint **ret_fp, struct notes *notes, struct err *err);

/* What a fingerprint lacks that vCenter's REST API may not tell. */
enum vcenter_missing {
    VCENTER_MISSING_UUID = 1,   /* smbios.uuid: before vSphere 6.7.1 */
    VCENTER_MISSING_MAC = 2,    /* the MAC of a network card */
    VCENTER_MISSING_SERIAL = 4, /* of a SCSI disk: never told over REST */
};
unsigned vcenter_missing(const struct fingerprint *fp); /* a sum of the above */

/* "NAME.ID.json": of the name what is safe in any file system, so that no name of a VM can lead out
 * of a folder or hide. NULL: no memory. */
char *vcenter_file_name(const struct vcenter_item *vm);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The change journal on disk: <state_dir>/journal/VMID.jsonl, one JSON object a line, append only,
 * fsynced before journal_append() returns (law 8; a new file's directory too). A last line that a
 * crash cut off is ignored on reading, also if only its newline is missing, and closed with a mark
 * by the next append. One writer. And the same told to the systemd journal.
 */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct journal;

enum { JOURNAL_LINE_MAX = 256 * 1024 };

int journal_open(const char *state_dir, struct journal **ret, struct err *err);
void journal_close(struct journal *journal);
DEFINE_CLEANUP(struct journal, journal_close)
/* `record`, an object, is borrowed. 0 only when it is on disk; -EFBIG: JOURNAL_LINE_MAX. */
int journal_append(struct journal *journal, uint32_t vmid, const json_t *record, struct err *err);
/* The whole records of the newest 4 MiB in order; a new array. No file: an empty array. Unreadable
 * lines are skipped and counted in *ret_bad; what a crash cut off is not counted. */
int journal_read(struct journal *journal, uint32_t vmid, json_t **ret_records, size_t *ret_bad,
                 struct err *err);
/* VMIDs that have a journal, ascending; the caller frees. */
int journal_list(struct journal *journal, uint32_t **ret_vmids, size_t *ret_n, struct err *err);

/* Fields of one message to the systemd journal; NULL fields are left out. Ids: message_ids.h. */
struct journal_message {
    int priority;           /* LOG_INFO, ... */
    const char *message_id; /* 32 hex digits */
    uint32_t vmid;          /* 0: none */
    const char *txn, *option, *old, *new;
};
/* In the foreground (no $JOURNAL_STREAM) also "level: message" to stderr. */
void journal_tell(const struct journal_message *fields, const char *format, ...) PRINTF_LIKE(2, 3);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lines of a change journal that somebody damaged: replaying them all is folding them one by one,
 * and a reconciliation that takes the business up from there gets as far as its first request.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/reconcile.h"
#include "core/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth) {
        __builtin_trap();
    }
}

static json_t *read_lines(char *text)
{
    json_t *records = json_array();
    char *state = NULL;

    for (char *line = strtok_r(text, "\n", &state); line != NULL;
         line = strtok_r(NULL, "\n", &state)) {
        json_t *record = json_loads(line, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);

        if (record != NULL) {
            json_array_append_new(records, record);
        }
    }
    return records;
}

static void check_memory(const struct record_memory *m)
{
    must(m->open || (!m->stuck && m->steps == NULL && m->steps_done == 0));
    must(m->open || m->start_owed || m->txn[0] == '\0');
    must(m->start_owed || m->start_asked == 0);
    must(strlen(m->txn) < SMBIOS_UUID_SIZE && strlen(m->held_key) < SMBIOS_UUID_SIZE);
}

static void take_up(const struct record_memory *memory)
{
    const struct reconcile_params params = {.vm = {"n1", 105}, .assess = {.vmid = 105}};
    const struct reconcile_event go = {.type = RECONCILE_EV_GO, .now = "2026-11-23T10:00:00Z"};
    struct reconcile_action action = {0};
    CLEANUP(reconcile_freep) struct reconcile *r = NULL;

    must(reconcile_new(&params, RECONCILE_FOR_RECOVERY, memory, &r, NULL) == 0);
    must(reconcile_is_stuck(r) == memory->stuck);
    must(reconcile_owes_start(r) == memory->start_owed);
    must(reconcile_event(r, &go, &action, NULL) == 0);
    must(action.type == RECONCILE_DO_REQUEST);
    api_request_free(action.request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = str_ndup((const char *)data, size);
    CLEANUP(record_memory_fini) struct record_memory whole = {0};
    CLEANUP(record_memory_fini) struct record_memory folded = {0};
    const json_t *record;
    json_t *records;
    size_t i;

    if (text == NULL) {
        return 0;
    }
    records = read_lines(text);
    must(record_replay(records, &whole) == 0);
    json_array_foreach (records, i, record) {
        must(record_apply(&folded, record) == 0);
        check_memory(&folded);
    }
    must(whole.open == folded.open && whole.stuck == folded.stuck);
    must(whole.start_asked == folded.start_asked);
    must(whole.start_owed == folded.start_owed && whole.changes == folded.changes);
    must(str_equal(whole.txn, folded.txn) && str_equal(whole.settled_why, folded.settled_why));
    take_up(&whole);
    json_decref(records);
    return 0;
}

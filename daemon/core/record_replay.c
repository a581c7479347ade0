/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See record.h: what the records add up to. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "core/record.h"

static const char *text_of(const json_t *record, const char *key)
{
    const char *text = json_string_value(json_object_get(record, key));

    return text == NULL ? "" : text;
}

static void set_id(char at[SMBIOS_UUID_SIZE], const char *text)
{
    /* A longer text is none of ours; cut, it equals nothing we compare it with. */
    (void)snprintf(at, SMBIOS_UUID_SIZE, "%s", text);
}

void record_memory_fini(struct record_memory *memory)
{
    json_decref(memory->steps);
    free(memory->settled_why);
    free(memory->last_time);
    free(memory->held_time);
    free(memory->hold_why);
    *memory = (struct record_memory){0};
}

static void close_open(struct record_memory *memory)
{
    memory->open = false;
    memory->stuck = false;
    json_decref(memory->steps);
    memory->steps = NULL;
    memory->steps_done = 0;
    if (!memory->start_owed) {
        memory->txn[0] = '\0';
    }
}

static int apply_begin(struct record_memory *memory, const json_t *record)
{
    const json_t *ctime = json_object_get(record, "ctime");

    if (json_integer_value(ctime) > 0 && *text_of(record, "machine") != '\0') {
        memory->bound_ctime = json_integer_value(ctime);
        set_id(memory->bound_name, text_of(record, "machine"));
    }
    close_open(memory);
    memory->open = true;
    memory->steps = json_incref(json_object_get(record, "steps"));
    set_id(memory->txn, text_of(record, "txn"));
    set_id(memory->last_txn, text_of(record, "txn"));
    set_id(memory->undoes, text_of(record, "undoes"));
    return str_replace(&memory->last_time, text_of(record, "time"));
}

static int apply_end(struct record_memory *memory, const json_t *record)
{
    const char *outcome = text_of(record, "outcome");
    bool of_undo = memory->undoes[0] != '\0';

    if (!str_equal(outcome, "superseded") && !str_equal(outcome, "interrupted")) {
        memory->undoes[0] = '\0';
    }
    /* Without a begin it only says what could not be changed. */
    if (memory->open && (str_equal(outcome, "done") || str_equal(outcome, "partial"))) {
        memory->changes++;
    }
    close_open(memory);
    memory->settled_key[0] = '\0';
    /* What an undo could not do says nothing about what the fingerprint wants. */
    if (of_undo || (!str_equal(outcome, "partial") && !str_equal(outcome, "failed"))) {
        return str_replace(&memory->settled_why, NULL);
    }
    memory->settled = str_equal(outcome, "partial") ? RECORD_PARTIAL : RECORD_FAILED;
    set_id(memory->settled_key, text_of(record, "key"));
    return str_replace(&memory->settled_why, text_of(record, "message"));
}

/* By its number: the record of a step before it may not have been written. One that was not carried
 * out after all is under way again. */
static void apply_step(struct record_memory *memory, const json_t *record)
{
    json_int_t step = json_integer_value(json_object_get(record, "step"));
    bool applied = json_is_true(json_object_get(record, "applied"));
    size_t n = json_array_size(memory->steps);

    if (!memory->open || step < 0 || (size_t)step >= n) {
        return;
    }
    if (applied && (size_t)step + 1 > memory->steps_done) {
        memory->steps_done = (size_t)step + 1;
    } else if (!applied && (size_t)step < memory->steps_done) {
        memory->steps_done = (size_t)step;
    }
}

static int apply_held(struct record_memory *memory, const json_t *record)
{
    memory->start_owed = true;
    memory->start_asked = 0;
    memory->held_ctime = json_integer_value(json_object_get(record, "ctime"));
    set_id(memory->held_key, text_of(record, "key"));
    if (!memory->open) {
        set_id(memory->txn, text_of(record, "txn"));
    }
    return str_replace(&memory->held_time, text_of(record, "time"));
}

static void apply_no_start_owed(struct record_memory *memory)
{
    memory->start_owed = false;
    memory->start_asked = 0;
    if (!memory->open) {
        memory->txn[0] = '\0';
    }
}

static void apply_start(struct record_memory *memory, const json_t *record)
{
    int64_t when;

    if (memory->start_owed && memory->start_asked == 0 &&
        str_to_seconds(text_of(record, "time"), &when)) {
        memory->start_asked = when;
    }
}

int record_apply(struct record_memory *memory, const json_t *record)
{
    const char *type = text_of(record, "type");

    if (str_equal(type, "held")) {
        return apply_held(memory, record);
    } else if (str_equal(type, "begin")) {
        return apply_begin(memory, record);
    } else if (str_equal(type, "step")) {
        apply_step(memory, record);
    } else if (str_equal(type, "stuck")) {
        memory->stuck = memory->open;
    } else if (str_equal(type, "end")) {
        return apply_end(memory, record);
    } else if (str_equal(type, "start")) {
        apply_start(memory, record);
    } else if (str_equal(type, "started") || str_equal(type, "dropped")) {
        apply_no_start_owed(memory);
    } else if (str_equal(type, "in-sync")) {
        memory->held_key[0] = '\0';
        memory->settled_key[0] = '\0';
        return str_replace(&memory->settled_why, NULL);
    } else if (str_equal(type, "hold") || str_equal(type, "resume")) {
        memory->hold_noted = str_equal(type, "hold");
        return str_replace(&memory->hold_why, memory->hold_noted ? text_of(record, "why") : NULL);
    }
    return 0;
}

int record_replay(const json_t *records, struct record_memory *ret_memory)
{
    struct record_memory memory = {0};
    const json_t *record;
    size_t i;

    json_array_foreach (records, i, record) {
        int rc = record_apply(&memory, record);

        if (rc < 0) {
            record_memory_fini(&memory);
            return rc;
        }
    }
    *ret_memory = memory;
    return 0;
}

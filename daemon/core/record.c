/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See record.h: building records. */
#include "core/record.h"

#include "base/str.h"

static json_t *record_new(struct record_head head, const char *type)
{
    return json_pack("{s:i, s:s, s:s, s:I, s:s}", "v", RECORD_FORMAT, "time", head.time, "type",
                     type, "vmid", (json_int_t)head.vmid, "txn", head.txn);
}

/* JSON is UTF-8, somebody's words may hold anything: bytes that do not fit become '?'. */
static json_t *make_string(const char *text)
{
    CLEANUP_FREE char *ascii = NULL;

    if (str_is_utf8(text)) {
        return json_string(text);
    }
    ascii = str_dup(text);
    for (char *c = ascii; c != NULL && *c != '\0'; c++) {
        *c = ascii_is_print(*c) ? *c : '?';
    }
    return ascii == NULL ? NULL : json_string(ascii);
}

/* Adds text under key; NULL stays out. On failure the record is dropped and NULL returned. */
static json_t *with_text(json_t *record, const char *key, const char *text)
{
    if (record == NULL || text == NULL) {
        return record;
    }
    if (json_object_set_new(record, key, make_string(text)) < 0) {
        json_decref(record);
        return NULL;
    }
    return record;
}

static json_t *with_json(json_t *record, const char *key, json_t *value)
{
    if (record == NULL || json_object_set_new(record, key, value) < 0) {
        json_decref(record == NULL ? value : record);
        return NULL;
    }
    return record;
}

json_t *record_held(struct record_head head, const char *key, const char *why, int64_t ctime)
{
    json_t *record = with_text(with_text(record_new(head, "held"), "key", key), "why", why);

    return ctime == 0 ? record : with_json(record, "ctime", json_integer((json_int_t)ctime));
}

json_t *record_begin(struct record_head head, const char *cause, const char *key,
                     const struct plan *plan)
{
    json_t *record = with_text(with_text(record_new(head, "begin"), "cause", cause), "key", key);
    json_t *plan_json = plan_to_json(plan);
    json_t *changes = json_incref(json_object_get(plan_json, "changes"));
    json_t *notes = json_incref(json_object_get(plan_json, "notes"));

    json_decref(plan_json);
    record = with_json(record, "changes", changes);
    record = with_json(record, "notes", notes);
    return with_json(record, "steps", record_steps_to_json(plan));
}

json_t *record_undoes(json_t *begin, const char *txn)
{
    return with_text(begin, "undoes", txn);
}

json_t *record_bind(json_t *begin, int64_t ctime, const char *name)
{
    if (ctime == 0 || *name == '\0') {
        return begin;
    }
    return with_text(with_json(begin, "ctime", json_integer((json_int_t)ctime)), "machine", name);
}

json_t *record_step(struct record_head head, size_t step, const char *message)
{
    json_t *record = with_json(record_new(head, "step"), "step", json_integer((json_int_t)step));

    record = with_json(record, "applied", json_boolean(message == NULL));
    return with_text(record, "message", message);
}

json_t *record_stuck(struct record_head head, const char *keys, const char *message)
{
    return with_text(with_text(record_new(head, "stuck"), "keys", keys), "message", message);
}

json_t *record_end(struct record_head head, enum record_outcome outcome, const char *key,
                   const char *message)
{
    json_t *record = with_text(record_new(head, "end"), "outcome", record_outcome_name(outcome));

    return with_text(with_text(record, "key", key), "message", message);
}

json_t *record_start(struct record_head head)
{
    return record_new(head, "start");
}

json_t *record_started(struct record_head head, const char *upid)
{
    return with_text(record_new(head, "started"), "upid", upid);
}

json_t *record_dropped(struct record_head head, const char *why)
{
    return with_text(record_new(head, "dropped"), "why", why);
}

json_t *record_in_sync(struct record_head head)
{
    return record_new(head, "in-sync");
}

json_t *record_on_hold(struct record_head head, const char *what)
{
    return with_text(record_new(head, "hold"), "why", what);
}

json_t *record_resume(struct record_head head)
{
    return record_new(head, "resume");
}

const char *record_outcome_name(enum record_outcome outcome)
{
    switch (outcome) {
    case RECORD_DONE:
        return "done";
    case RECORD_PARTIAL:
        return "partial";
    case RECORD_FAILED:
        return "failed";
    case RECORD_SUPERSEDED:
        return "superseded";
    case RECORD_INTERRUPTED:
        return "interrupted";
    }
    return "failed";
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See wire.h, "the hook". Strings go into fixed places and are refused when they do not fit: they
 * come from an environment and from process titles. */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "core/wire.h"

static const char *const phase_names[] = {
    [WIRE_PRE_START] = "pre-start",
    [WIRE_POST_START] = "post-start",
    [WIRE_PRE_STOP] = "pre-stop",
    [WIRE_POST_STOP] = "post-stop",
};

const char *wire_phase_name(enum wire_phase phase)
{
    return phase_names[phase];
}

bool wire_phase_parse(const char *name, enum wire_phase *ret_phase)
{
    for (size_t i = 0; i < ARRAY_SIZE(phase_names); i++) {
        if (str_equal(name, phase_names[i])) {
            *ret_phase = (enum wire_phase)i;
            return true;
        }
    }
    return false;
}

/* 0, or -1 with nothing set. */
static int set_string(json_t *object, const char *key, const char *value)
{
    return value[0] == '\0' ? 0 : json_object_set_new(object, key, json_string(value));
}

static int set_int(json_t *object, const char *key, int64_t value)
{
    return value == 0 ? 0 : json_object_set_new(object, key, json_integer(value));
}

json_t *wire_hook_call_to_json(const struct wire_hook_call *call)
{
    json_t *json = json_object();

    if (json == NULL || call->worker_start > INT64_MAX || set_int(json, "vmid", call->vmid) < 0 ||
        set_string(json, "phase", wire_phase_name(call->phase)) < 0 ||
        set_string(json, "migrated_from", call->migrated_from) < 0 ||
        set_string(json, "worker_type", call->worker_type) < 0 ||
        set_int(json, "worker_pid", call->worker_pid) < 0 ||
        set_int(json, "worker_start", (int64_t)call->worker_start) < 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* An optional string into a place of `size` bytes; too long is bad. */
static void copy_string(struct wire_fields *fields, const char *key, char *place, size_t size)
{
    const char *value = wire_get_string(fields, key, WIRE_OPTIONAL);
    size_t len = value != NULL ? strlen(value) : 0;

    if (len >= size) {
        fields->bad = fields->bad != NULL ? fields->bad : key;
        return;
    }
    memcpy(place, value != NULL ? value : "", len + 1);
}

bool wire_hook_call_from_json(const json_t *json, struct wire_hook_call *ret_call,
                              const char **ret_bad)
{
    struct wire_fields fields = {.object = json};
    struct wire_hook_call call = {0};
    const char *phase;

    call.vmid = (uint32_t)wire_get_int(&fields, "vmid", WIRE_NEEDED, WIRE_VMID_MIN, WIRE_VMID_MAX);
    phase = wire_get_string(&fields, "phase", WIRE_NEEDED);
    if (phase != NULL && !wire_phase_parse(phase, &call.phase) && fields.bad == NULL) {
        fields.bad = "phase";
    }
    copy_string(&fields, "migrated_from", call.migrated_from, sizeof(call.migrated_from));
    copy_string(&fields, "worker_type", call.worker_type, sizeof(call.worker_type));
    call.worker_pid = (int32_t)wire_get_int(&fields, "worker_pid", WIRE_OPTIONAL, 0, INT32_MAX);
    call.worker_start = (uint64_t)wire_get_int(&fields, "worker_start", WIRE_OPTIONAL, 0,
                                               INT64_MAX);
    if (!wire_fields_done(&fields)) {
        *ret_bad = fields.bad;
        return false;
    }
    *ret_call = call;
    return true;
}

json_t *wire_hook_reply_to_json(const struct wire_hook_reply *reply)
{
    json_t *json = json_object();
    json_t *lines = json_array();

    /* _new steals its value in every case, so only what was not given away is dropped here */
    if (json == NULL || lines == NULL ||
        json_object_set_new(json, "exit_code", json_integer((int)reply->exit_code)) < 0) {
        json_decref(lines);
        json_decref(json);
        return NULL;
    }
    if (json_object_set_new(json, "lines", lines) < 0) {
        json_decref(json);
        return NULL;
    }
    for (size_t i = 0; i < reply->lines.n; i++) {
        if (json_array_append_new(lines, json_string(reply->lines.items[i])) < 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

static bool exit_code_parse(int64_t number, enum wire_hook_exit *ret_code)
{
    switch (number) {
    case WIRE_HOOK_GO:
    case WIRE_HOOK_RESTART:
    case WIRE_HOOK_REFUSE:
        *ret_code = (enum wire_hook_exit)number;
        return true;
    default:
        return false;
    }
}

static int copy_lines(const json_t *lines, struct notes *notes, struct err *err)
{
    size_t i;
    json_t *line;

    json_array_foreach (lines, i, line) {
        if (!json_is_string(line)) {
            return err_set(err, -EINVAL, "'lines' has an item that is not a string");
        }
        if (notes_add(notes, "%s", json_string_value(line)) < 0) {
            return err_oom(err);
        }
    }
    return 0;
}

int wire_hook_reply_from_json(const json_t *json, struct wire_hook_reply *ret_reply,
                              struct err *err)
{
    struct wire_fields fields = {.object = json};
    struct wire_hook_reply reply = {0};
    int64_t number = wire_get_int(&fields, "exit_code", WIRE_NEEDED, 0, 255);
    const json_t *lines = wire_get_array(&fields, "lines", WIRE_NEEDED);
    int rc;

    if (!wire_fields_done(&fields) || !exit_code_parse(number, &reply.exit_code)) {
        return err_set(err, -EINVAL, "'%.100s' makes no sense",
                       fields.bad != NULL ? fields.bad : "exit_code");
    }
    rc = copy_lines(lines, &reply.lines, err);
    if (rc < 0) {
        wire_hook_reply_fini(&reply);
        return rc;
    }
    *ret_reply = reply;
    return 0;
}

void wire_hook_reply_fini(struct wire_hook_reply *reply)
{
    notes_fini(&reply->lines);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See wire.h: frames, calls, replies and the reading of parameters. */
#include "core/wire.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/str.h"

int wire_find_frame(const struct buf *in, size_t max, size_t *ret_len)
{
    size_t look = in->len > max ? max + 1 : in->len;
    const char *end = look > 0 ? memchr(in->data, '\0', look) : NULL;

    if (end == NULL) {
        return in->len > max ? -EFBIG : 0;
    }
    *ret_len = (size_t)(end - in->data);
    return 1;
}

/* --- parsing --- */

/* "io.pvehwid.Status": letters, digits, '-', at least two dots, the last part capital. */
static bool is_name(const char *name)
{
    const char *last = strrchr(name, '.');
    size_t len = strlen(name);

    if (len > WIRE_NAME_MAX || last == NULL || last == name || last[1] < 'A' || last[1] > 'Z') {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!ascii_is_alnum(name[i]) && name[i] != '.' && name[i] != '-') {
            return false;
        }
    }
    return true;
}

static int load_object(const char *frame, size_t len, json_t **ret_json, struct err *err)
{
    json_error_t error;
    json_t *json = json_loadb(frame, len, JSON_REJECT_DUPLICATES, &error);

    if (json == NULL) {
        return json_error_code(&error) == json_error_out_of_memory
                   ? err_oom(err)
                   : err_set(err, -EINVAL, "not JSON: %s (byte %d)", error.text, error.position);
    }
    if (!json_is_object(json)) {
        json_decref(json);
        return err_set(err, -EINVAL, "not a JSON object");
    }
    *ret_json = json;
    return 0;
}

/* The `parameters` of a frame as a reference of its own; absent or null counts as {}. */
static int take_parameters(struct wire_fields *fields, json_t **ret_parameters, struct err *err)
{
    json_t *value = json_object_get(fields->object, "parameters");
    json_t *own;

    fields->seen += value != NULL ? 1 : 0;
    if (value != NULL && !json_is_null(value) && !json_is_object(value)) {
        return err_set(err, -EINVAL, "'parameters' is not an object");
    }
    own = json_is_object(value) ? json_incref(value) : json_object();
    if (own == NULL) {
        return err_oom(err);
    }
    *ret_parameters = own;
    return 0;
}

static int check_done(struct wire_fields *fields, struct err *err)
{
    return wire_fields_done(fields)
               ? 0
               : err_set(err, -EINVAL, "'%.100s' is missing, unknown or of a wrong type",
                         fields->bad);
}

static int fill_call(const json_t *json, struct wire_call *call, struct err *err)
{
    struct wire_fields fields = {.object = json};
    const char *method = wire_get_string(&fields, "method", WIRE_NEEDED);
    int rc;

    call->oneway = wire_get_bool(&fields, "oneway", WIRE_OPTIONAL);
    call->more = wire_get_bool(&fields, "more", WIRE_OPTIONAL);
    if (wire_get_bool(&fields, "upgrade", WIRE_OPTIONAL)) {
        return err_set(err, -EINVAL, "'upgrade' is not supported");
    }
    rc = take_parameters(&fields, &call->parameters, err);
    if (rc == 0) {
        rc = check_done(&fields, err);
    }
    if (rc < 0) {
        return rc;
    }
    if (!is_name(method)) {
        return err_set(err, -EINVAL, "'method' is not the name of a method");
    }
    if (call->oneway && call->more) {
        return err_set(err, -EINVAL, "'oneway' and 'more' exclude each other");
    }
    call->method = str_dup(method);
    return call->method == NULL ? err_oom(err) : 0;
}

int wire_parse_call(const char *frame, size_t len, struct wire_call *ret_call, struct err *err)
{
    struct wire_call call = {0};
    json_t *json = NULL;
    int rc;

    rc = load_object(frame, len, &json, err);
    if (rc == 0) {
        rc = fill_call(json, &call, err);
    }
    json_decref(json);
    if (rc < 0) {
        wire_call_fini(&call);
        return rc;
    }
    *ret_call = call;
    return 0;
}

static int fill_reply(const json_t *json, struct wire_reply *reply, struct err *err)
{
    struct wire_fields fields = {.object = json};
    const char *error = wire_get_string(&fields, "error", WIRE_OPTIONAL);
    int rc;

    reply->continues = wire_get_bool(&fields, "continues", WIRE_OPTIONAL);
    rc = take_parameters(&fields, &reply->parameters, err);
    if (rc == 0) {
        rc = check_done(&fields, err);
    }
    if (rc < 0) {
        return rc;
    }
    if (error != NULL && (!is_name(error) || reply->continues)) {
        return err_set(err, -EINVAL, "'error' makes no sense");
    }
    reply->error = str_dup(error);
    return error != NULL && reply->error == NULL ? err_oom(err) : 0;
}

int wire_parse_reply(const char *frame, size_t len, struct wire_reply *ret_reply, struct err *err)
{
    struct wire_reply reply = {0};
    json_t *json = NULL;
    int rc;

    rc = load_object(frame, len, &json, err);
    if (rc == 0) {
        rc = fill_reply(json, &reply, err);
    }
    json_decref(json);
    if (rc < 0) {
        wire_reply_fini(&reply);
        return rc;
    }
    *ret_reply = reply;
    return 0;
}

void wire_call_fini(struct wire_call *call)
{
    free(call->method);
    json_decref(call->parameters);
    *call = (struct wire_call){0};
}

void wire_reply_fini(struct wire_reply *reply)
{
    free(reply->error);
    json_decref(reply->parameters);
    *reply = (struct wire_reply){0};
}

/* --- building --- */

static int dump_to_buf(const char *bytes, size_t len, void *out_buf)
{
    struct buf *out = out_buf;

    buf_add(out, bytes, len);
    return out->error;
}

static void add_json(struct buf *out, const json_t *json)
{
    if (json_dump_callback(json, dump_to_buf, out, JSON_COMPACT) < 0 && out->error == 0) {
        out->error = -ENOMEM; /* jansson's own; ours would be there already */
    }
}

/* {"KEY":"name","parameters":{..}TAIL: written by hand, so that big parameters are neither copied
 * nor, by becoming part of another object, changed. */
static void add_frame(struct buf *out, const char *head, const json_t *parameters, const char *tail)
{
    buf_adds(out, head);
    buf_adds(out, "\"parameters\":");
    if (parameters == NULL) {
        buf_adds(out, "{}");
    } else {
        add_json(out, parameters);
    }
    buf_adds(out, tail);
    buf_addc(out, '\0');
}

static void add_named_frame(struct buf *out, const char *key, const char *name,
                            const json_t *parameters, const char *tail)
{
    CLEANUP_FREE char *head = str_printf("{\"%s\":\"%s\",", key, name);

    if (head == NULL) {
        out->error = out->error != 0 ? out->error : -ENOMEM;
        return;
    }
    add_frame(out, head, parameters, tail);
}

void wire_add_call(struct buf *out, const char *method, const json_t *parameters, bool more)
{
    add_named_frame(out, "method", method, parameters, more ? ",\"more\":true}" : "}");
}

void wire_add_reply(struct buf *out, const json_t *parameters, bool continues)
{
    add_frame(out, "{", parameters, continues ? ",\"continues\":true}" : "}");
}

void wire_add_error(struct buf *out, const char *error, const json_t *parameters)
{
    add_named_frame(out, "error", error, parameters, "}");
}

/* --- reading parameters --- */

/* The field if it is there, of `type` (JSON_TRUE stands for both booleans); else NULL. */
static const json_t *take(struct wire_fields *fields, const char *key, enum wire_need need,
                          json_type type)
{
    const json_t *value = json_object_get(fields->object, key);

    fields->seen += value != NULL ? 1 : 0;
    if (value == NULL || json_is_null(value)) {
        if (need == WIRE_NEEDED && fields->bad == NULL) {
            fields->bad = key;
        }
        return NULL;
    }
    if (json_typeof(value) == type || (type == JSON_TRUE && json_is_false(value))) {
        return value;
    }
    fields->bad = fields->bad != NULL ? fields->bad : key;
    return NULL;
}

int64_t wire_get_int(struct wire_fields *fields, const char *key, enum wire_need need, int64_t min,
                     int64_t max)
{
    const json_t *value = take(fields, key, need, JSON_INTEGER);
    int64_t number;

    if (value == NULL) {
        return 0;
    }
    number = json_integer_value(value);
    if (number < min || number > max) {
        fields->bad = fields->bad != NULL ? fields->bad : key;
        return 0;
    }
    return number;
}

const char *wire_get_string(struct wire_fields *fields, const char *key, enum wire_need need)
{
    return json_string_value(take(fields, key, need, JSON_STRING));
}

bool wire_get_bool(struct wire_fields *fields, const char *key, enum wire_need need)
{
    const json_t *value = take(fields, key, need, JSON_TRUE); /* json_is_true is a macro */

    return json_is_true(value);
}

const json_t *wire_get_array(struct wire_fields *fields, const char *key, enum wire_need need)
{
    return take(fields, key, need, JSON_ARRAY);
}

bool wire_fields_done(struct wire_fields *fields)
{
    if (fields->bad == NULL && !json_is_object(fields->object)) {
        fields->bad = "parameters";
    }
    if (fields->bad == NULL && json_object_size(fields->object) != fields->seen) {
        fields->bad = "unknown parameter";
    }
    return fields->bad == NULL;
}

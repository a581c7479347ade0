/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See vcenter.h: JSON, lists, sessions and failures. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/vcenter_priv.h"

enum {
    VALUES_MAX = 100 * 1000, /* of one answer: 4000 VMs have 24000; about 15 MiB in memory */
    VALUES_SMALL_MAX = 10 * 1000,
    SHOWN_MAX = 64,
};

/* Counts what may be values, strings included: never too low. */
static bool is_modest(const char *text, size_t len, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        n += text[i] == ',' || text[i] == '[' || text[i] == '{';
    }
    return n <= max;
}

/* {"value": X} alone is X: the wrapping of `/rest`. */
static json_t *unwrap(json_t *value)
{
    json_t *inner = json_is_object(value) ? json_object_get(value, "value") : NULL;

    return inner != NULL && json_object_size(value) == 1 ? inner : value;
}

int vcenter_load(const char *text, size_t len, size_t max, json_t **ret, struct err *err)
{
    json_auto_t *value = NULL;
    json_error_t error;

    if (len > max || !is_modest(text, len, max > VCENTER_VM_MAX ? VALUES_MAX : VALUES_SMALL_MAX)) {
        return err_set(err, -EINVAL,
                       "the answer (%zu bytes) is larger than any that vCenter gives here", len);
    }
    value = json_loadb(len > 0 ? text : "", len, JSON_DECODE_ANY, &error);
    if (value == NULL && json_error_code(&error) == json_error_out_of_memory) {
        return err_oom(err);
    }
    if (value == NULL) {
        str_tame(error.text); /* it quotes what it stumbled over */
        return err_set(err, -EINVAL, "the answer is no JSON (line %d, column %d: %s)", error.line,
                       error.column, error.text);
    }
    *ret = json_incref(unwrap(value));
    return 0;
}

const char *vcenter_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

long vcenter_number(const json_t *object, const char *key, long max)
{
    const json_t *value = json_object_get(object, key);
    json_int_t number = json_integer_value(value);

    return json_is_integer(value) && number >= 0 && number <= max ? (long)number : -1;
}

/* --- lists ------------------------------------------------------------------------------------ */

void vcenter_items_fini(struct vcenter_items *items)
{
    for (size_t i = 0; i < items->n; i++) {
        free(items->items[i].id);
        free(items->items[i].name);
    }
    free(items->items);
    *items = (struct vcenter_items){0};
}

/* It becomes part of a URL and of a file's name. */
static bool id_is_sane(const char *id)
{
    size_t len = strlen(id);

    if (len == 0 || len > VCENTER_ID_MAX) {
        return false;
    }
    for (; *id != '\0'; id++) {
        if (!ascii_is_alnum(*id) && *id != '-' && *id != '_') {
            return false;
        }
    }
    return true;
}

static int append(struct vcenter_items *items, const char *id, const char *name, struct err *err)
{
    CLEANUP_FREE char *id_copy = str_dup(id);
    CLEANUP_FREE char *name_copy = str_ndup(name, strnlen(name, VCENTER_NAME_MAX));

    if (id_copy == NULL || name_copy == NULL ||
        vec_reserve(&items->items, items->n, &items->cap, sizeof(items->items[0])) < 0) {
        return err_oom(err);
    }
    str_tame(name_copy);
    items->items[items->n++] = (struct vcenter_item){STEAL(id_copy), STEAL(name_copy)};
    return 0;
}

int vcenter_read_list(const char *text, size_t len, enum vcenter_kind kind,
                      struct vcenter_items *items, struct err *err)
{
    static const char *const keys[] = {[VCENTER_VM] = "vm",
                                       [VCENTER_HOST] = "host",
                                       [VCENTER_CLUSTER] = "cluster",
                                       [VCENTER_FOLDER] = "folder"};
    json_auto_t *list = NULL;
    const json_t *item;
    size_t i;
    int rc = vcenter_load(text, len, VCENTER_LIST_MAX, &list, err);

    if (rc < 0) {
        return rc;
    }
    if (!json_is_array(list)) {
        return err_set(err, -EINVAL, "the answer is no list");
    }
    json_array_foreach (list, i, item) {
        const char *id = vcenter_text(item, keys[kind]);

        if (!id_is_sane(id)) {
            return err_set(err, -EINVAL, "item %zu of the list has no id that can be used (%s)", i,
                           keys[kind]);
        }
        rc = append(items, id, vcenter_text(item, "name"), err);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* --- sessions and failures -------------------------------------------------------------------- */

int vcenter_read_session(const char *text, size_t len, char session[VCENTER_SESSION_SIZE],
                         struct err *err)
{
    json_auto_t *value = NULL;
    int rc = vcenter_load(text, len, VCENTER_VM_MAX, &value, err);
    const char *id = json_string_value(value);
    size_t n = id == NULL ? 0 : strlen(id);

    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < n; i++) {
        if (!ascii_is_print(id[i]) || id[i] == ' ') {
            n = 0;
        }
    }
    if (n == 0 || n >= VCENTER_SESSION_SIZE) {
        return err_set(err, -EINVAL, "the answer to the login holds no session that can be used");
    }
    memcpy(session, id, n + 1);
    explicit_bzero((char *)json_string_value(value), n); /* ours alone, and about to be freed */
    return 0;
}

/* "UNABLE_TO_ALLOCATE_RESOURCE", "com.vmware.vapi.std.errors.unable_to_allocate_resource" */
static bool type_is(const char *type, const char *name)
{
    const char *dot = strrchr(type, '.');

    return str_iequal(dot != NULL ? dot + 1 : type, name);
}

/*
 * /api:  {"error_type": "UNAUTHENTICATED", "messages": [{"default_message": ..}]}
 * /rest: {"type": "com.vmware.vapi.std.errors.unauthenticated", "value": {"messages": [..]}}
 */
void vcenter_read_failure(const char *text, size_t len, struct vcenter_failure *ret)
{
    json_auto_t *value = NULL;
    const json_t *inner, *messages;
    const char *type;

    *ret = (struct vcenter_failure){0};
    if (vcenter_load(text, len, VCENTER_VM_MAX, &value, NULL) < 0) {
        return;
    }
    inner = json_object_get(value, "value");
    inner = json_is_object(inner) ? inner : value;
    type = vcenter_text(inner, "error_type");
    type = *type != '\0' ? type : vcenter_text(value, "type");
    ret->too_many = type_is(type, "unable_to_allocate_resource");
    messages = json_object_get(inner, "messages");
    (void)snprintf(ret->sentence, sizeof(ret->sentence), "%.*s", (int)sizeof(ret->sentence) - 1,
                   vcenter_text(json_array_get(messages, 0), "default_message"));
    if (ret->sentence[0] == '\0') {
        (void)snprintf(ret->sentence, sizeof(ret->sentence), "%.*s", SHOWN_MAX, type);
    }
    str_tame(ret->sentence);
}

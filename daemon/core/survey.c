/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See survey.h. */
#include "core/survey.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

enum { NODE_MAX = 63, VMID_MIN = 100, VMID_MAX = 999999999, NUMBER_SIZE = 24 };

void survey_vms_fini(struct survey_vms *vms)
{
    for (size_t i = 0; i < vms->n; i++) {
        free(vms->items[i].node);
    }
    free(vms->items);
    *vms = (struct survey_vms){0};
}

const struct survey_vm *survey_find(const struct survey_vms *vms, uint32_t vmid)
{
    for (size_t i = 0; i < vms->n; i++) {
        if (vms->items[i].vmid == vmid) {
            return &vms->items[i];
        }
    }
    return NULL;
}

bool survey_is_node_name(const char *name)
{
    size_t len = name == NULL ? 0 : strlen(name);

    for (size_t i = 0; i < len; i++) {
        if (!ascii_is_alnum(name[i]) && (name[i] != '-' || i == 0)) {
            return false;
        }
    }
    return len > 0 && len <= NODE_MAX;
}

static int add_vm(const json_t *item, const char *own, struct survey_vms *vms)
{
    const char *node = json_string_value(json_object_get(item, "node"));
    json_int_t vmid = json_integer_value(json_object_get(item, "vmid"));
    char *copy;

    if (!str_equal(json_string_value(json_object_get(item, "type")), "qemu") || vmid < VMID_MIN ||
        vmid > VMID_MAX || !survey_is_node_name(node) || str_equal(node, own)) {
        return 0;
    }
    if (vec_reserve(&vms->items, vms->n, &vms->cap, sizeof(vms->items[0])) < 0) {
        return -ENOMEM;
    }
    copy = str_dup(node);
    if (copy == NULL) {
        return -ENOMEM;
    }
    vms->items[vms->n++] = (struct survey_vm){(uint32_t)vmid, copy};
    return 0;
}

int survey_read_vms(const json_t *data, const char *node, struct survey_vms *ret)
{
    CLEANUP(survey_vms_fini) struct survey_vms vms = {0};
    const json_t *item;
    size_t i;

    if (!json_is_array(data)) {
        return -EINVAL;
    }
    json_array_foreach (data, i, item) {
        if (add_vm(item, node, &vms) < 0) {
            return -ENOMEM;
        }
    }
    *ret = vms;
    vms = (struct survey_vms){0};
    return 0;
}

/* `template: 1` comes as a number. */
static int add_value(struct identity *id, const char *key, const json_t *value)
{
    char number[NUMBER_SIZE];

    if (json_is_integer(value)) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        return identity_add_option(id, key, number);
    }
    return json_is_string(value) ? identity_add_option(id, key, json_string_value(value)) : 0;
}

int survey_read_pending(const json_t *data, struct identity *now, struct identity *next)
{
    const json_t *item;
    size_t i;

    if (!json_is_array(data)) {
        return -EINVAL;
    }
    json_array_foreach (data, i, item) {
        const char *key = json_string_value(json_object_get(item, "key"));

        if (key != NULL && (add_value(now, key, json_object_get(item, "value")) < 0 ||
                            add_value(next, key, json_object_get(item, "pending")) < 0)) {
            return -ENOMEM;
        }
    }
    return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See vm_state.h. */
#include "cli/vm_state.h"

#include <errno.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/wire.h"

static const struct state {
    const char *name;
    enum cli_exit code;
    enum out_style style;
} states[] = {
    {"in-sync", CLI_OK, OUT_GOOD},
    {"differs", CLI_DIFFERS, OUT_WARN},
    {"held", CLI_BUSY, OUT_WARN}, /* its start was stopped on purpose and is owed */
    {"rewriting", CLI_BUSY, OUT_WARN},
    {"verifying", CLI_BUSY, OUT_WARN},
    {"starting", CLI_BUSY, OUT_WARN},
    {"failed", CLI_ERROR, OUT_BAD},
    {"stuck", CLI_ERROR, OUT_BAD},
    {"no-config", CLI_OK, OUT_DIM},
    {"bad-fingerprint", CLI_ERROR, OUT_BAD},
    {"refused", CLI_REFUSED, OUT_BAD},
    {"on-hold", CLI_OK, OUT_WARN}, /* see vm_state_exit() */
    {"unknown", CLI_ERROR, OUT_DIM},
};

/* A state of a newer daemon that we do not know is nothing to call success. */
static const struct state unknown_state = {"", CLI_ERROR, OUT_BAD};

static const struct state *find_state(const struct vm_state *vm)
{
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        if (str_equal(states[i].name, vm->state)) {
            return &states[i];
        }
    }
    return &unknown_state;
}

enum cli_exit vm_state_exit(const struct vm_state *vm)
{
    /* On hold on purpose, and that is no news; that it differs is. */
    return str_equal(vm->state, "on-hold") && vm->changes > 0 ? CLI_DIFFERS : find_state(vm)->code;
}

enum out_style vm_state_style(const struct vm_state *vm)
{
    return find_state(vm)->style;
}

static bool read_one(const json_t *item, struct vm_state *ret, const char **ret_bad)
{
    struct wire_fields fields = {.object = item};

    *ret = (struct vm_state){
        .vmid = (uint32_t)wire_get_int(&fields, "vmid", WIRE_NEEDED, 1, WIRE_VMID_MAX),
        .name = wire_get_string(&fields, "name", WIRE_OPTIONAL),
        .state = wire_get_string(&fields, "state", WIRE_NEEDED),
        .origin = wire_get_string(&fields, "origin", WIRE_NEEDED),
        .detail = wire_get_string(&fields, "detail", WIRE_NEEDED),
        .changes = wire_get_int(&fields, "changes", WIRE_NEEDED, 0, INT32_MAX),
        .last_change = wire_get_string(&fields, "last_change", WIRE_OPTIONAL),
        .txn = wire_get_string(&fields, "txn", WIRE_OPTIONAL),
    };
    /* Fields that a newer daemon tells in addition do no harm: not wire_fields_done(). */
    *ret_bad = fields.bad;
    return fields.bad == NULL;
}

int vm_state_list_read(const json_t *answer, struct vm_state_list *ret, struct err *err)
{
    CLEANUP(vm_state_list_fini) struct vm_state_list list = {0};
    const json_t *vms = json_object_get(answer, "vms");
    size_t i;
    json_t *item;

    if (!json_is_array(vms)) {
        return err_set(err, -EPROTO, "it has no 'vms'");
    }
    json_array_foreach (vms, i, item) {
        const char *bad = "object";
        struct vm_state vm;

        if (!json_is_object(item) || !read_one(item, &vm, &bad)) {
            return err_set(err, -EPROTO, "'vms' entry %zu has no usable '%s'", i, bad);
        }
        if (vec_reserve(&list.items, list.n, &list.cap, sizeof(list.items[0])) < 0) {
            return err_oom(err);
        }
        list.items[list.n++] = vm;
    }
    *ret = list;
    list = (struct vm_state_list){0};
    return 0;
}

void vm_state_list_fini(struct vm_state_list *list)
{
    free(list->items);
    *list = (struct vm_state_list){0};
}

json_t *vm_state_list_json(const struct vm_state_list *list)
{
    json_t *array = json_array();

    for (size_t i = 0; i < list->n && array != NULL; i++) {
        const struct vm_state *vm = &list->items[i];
        json_t *item = json_pack(
            "{s:I,s:s?,s:s,s:s,s:s,s:I,s:s?,s:s?}", "vmid", (json_int_t)vm->vmid, "name", vm->name,
            "state", vm->state, "origin", vm->origin, "detail", vm->detail, "changes",
            (json_int_t)vm->changes, "last_change", vm->last_change, "txn", vm->txn);

        if (json_array_append_new(array, item) < 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

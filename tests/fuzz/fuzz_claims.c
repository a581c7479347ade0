/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two VMs of anybody's making, in four parts parted by lines of "%%": fingerprint and configuration
 * of VM 105, then of VM 106, whose configuration may also be what PVE's API answers (JSON).
 * Whatever they say, what both fingerprints want is not given to both; and what the other one
 * carries is given to none that does not carry it.
 */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/claims.h"
#include "core/survey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PARTS = 4 };

struct vm {
    struct fingerprint *fp; /* NULL: none */
    struct pveconf *conf;
    struct identity wanted, carried;
};

static void must(bool truth)
{
    if (!truth) {
        __builtin_trap();
    }
}

static void vm_fini(struct vm *vm)
{
    fingerprint_free(vm->fp);
    pveconf_free(vm->conf);
    identity_fini(&vm->wanted);
    identity_fini(&vm->carried);
}

static void split(char *text, const char *parts[PARTS])
{
    static const char parting[] = "\n%%\n";

    for (size_t i = 0; i < PARTS; i++) {
        char *next = text == NULL ? NULL : strstr(text, parting);

        parts[i] = text == NULL ? "" : text;
        if (next != NULL) {
            *next = '\0';
            next += strlen(parting);
        }
        text = next;
    }
}

static void read_answer(const char *text, struct identity *ret)
{
    json_t *answer = json_loads(text, 0, NULL);
    CLEANUP(survey_vms_fini) struct survey_vms vms = {0};
    CLEANUP(identity_fini) struct identity next = {0};

    (void)survey_read_pending(answer, ret, &next); /* what is no list has nothing */
    if (survey_read_vms(answer, "pve1", &vms) == 0) {
        for (size_t i = 0; i < vms.n; i++) {
            must(survey_is_node_name(vms.items[i].node) && vms.items[i].vmid >= 100);
        }
    }
    json_decref(answer);
}

static void read_vm(const char *fp, const char *conf, bool may_be_json, struct vm *vm)
{
    if (fingerprint_parse(fp, strlen(fp), &vm->fp, NULL) == 0) {
        must(identity_of_fingerprint(vm->fp, &vm->wanted) == 0);
    }
    if (may_be_json && conf[0] == '[') {
        read_answer(conf, &vm->carried);
        conf = "";
    }
    must(pveconf_parse(conf, strlen(conf), &vm->conf, NULL) == 0 || vm->conf == NULL);
    if (vm->conf != NULL && vm->carried.serial == NULL && !vm->carried.has_uuid) {
        identity_fini(&vm->carried);
        must(identity_of_config(vm->conf, &vm->carried) == 0);
    }
}

static bool has(const struct identity *id, uint64_t hash)
{
    struct identity_key keys[IDENTITY_KEYS_MAX];
    size_t n = identity_keys(id, keys);

    for (size_t i = 0; i < n; i++) {
        if (keys[i].hash == hash) {
            return true;
        }
    }
    return false;
}

/* Of the other one's claims. */
static bool may(const struct vm *vm, const struct vm *other, uint32_t vmid, uint32_t other_vmid)
{
    CLEANUP(claims_freep) struct claims *claims = NULL;
    CLEANUP(claims_findings_fini) struct claims_findings found = {0};
    struct claims_owner owner = {.vmid = other_vmid, .where = CLAIMS_FINGERPRINT};

    must(claims_new(&claims) == 0);
    must(other->fp == NULL || claims_set(claims, &owner, &other->wanted, 1) == 0);
    owner.where = CLAIMS_CONFIG;
    owner.is_template = other->carried.is_template;
    must(claims_set(claims, &owner, &other->carried, 1) == 0);
    must(claims_judge(claims, vmid, vm->fp, vm->conf, &found) == 0);
    return found.refusals.n == 0;
}

static bool gives_nics(const struct vm *vm, const struct identity_key *key)
{
    return key->kind != IDENTITY_MAC || vm->fp->policy.nics != FINGERPRINT_KEEP;
}

static void check(const struct vm *a, const struct vm *b)
{
    bool a_may = may(a, b, 105, 106), b_may = b->fp == NULL || may(b, a, 106, 105);
    bool lenient = b->carried.is_template || a->fp->vm.moved_from == 106;
    struct identity_key keys[IDENTITY_KEYS_MAX];
    size_t n = identity_keys(&a->wanted, keys);

    for (size_t i = 0; i < n; i++) {
        if (!gives_nics(a, &keys[i])) {
            continue;
        }
        if (b->fp != NULL && gives_nics(b, &keys[i]) && has(&b->wanted, keys[i].hash)) {
            must(!a_may || !b_may);
        }
        if (!has(&a->carried, keys[i].hash) && has(&b->carried, keys[i].hash) && !lenient) {
            must(!a_may);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = str_ndup((const char *)data, size);
    CLEANUP(vm_fini) struct vm a = {0};
    CLEANUP(vm_fini) struct vm b = {0};
    const char *parts[PARTS];

    if (text == NULL || strlen(text) != size) {
        return 0;
    }
    split(text, parts);
    read_vm(parts[0], parts[1], false, &a);
    read_vm(parts[2], parts[3], true, &b);
    if (a.fp != NULL && a.conf != NULL && b.conf != NULL) {
        check(&a, &b);
    }
    return 0;
}

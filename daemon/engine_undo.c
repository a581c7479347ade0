/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Undo as the engine does it: what a change set did is in the VM's journal; the plan that takes it
 * back is carried out by the same machine as any other (core/undo.h, core/reconcile.h).
 */
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "engine_impl.h"
#include "io/clock.h"
#include "message_ids.h"

/* The VM's configuration; *ret NULL: there is none that could be read, which is said elsewhere. */
static int read_conf(struct engine *engine, uint32_t vmid, struct pveconf **ret)
{
    CLEANUP(engine_texts_fini) struct engine_texts texts = {0};
    int rc = engine_read_texts(engine, vmid, &texts, NULL);

    *ret = NULL;
    if (rc == 0 && texts.texts.config != NULL) {
        rc = pveconf_parse(texts.texts.config, texts.texts.config_len, ret, NULL);
    }
    return rc == -ENOMEM ? rc : 0;
}

/* `txn` NULL: the last one that has an effect still. */
static int load(struct engine *engine, uint32_t vmid, const char *txn, struct undo **ret,
                struct err *err)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    json_auto_t *records = NULL;
    size_t bad = 0;
    int rc = engine_read_log(engine, vmid, &records, &bad, err);

    if (rc == 0 && txn == NULL && read_conf(engine, vmid, &conf) < 0) {
        return err_oom(err);
    }
    if (rc < 0 || conf == NULL) {
        return rc < 0 ? rc : undo_find(records, vmid, txn, ret, err);
    }
    return undo_find_effective(records, vmid, conf, ret, err);
}

/* What the journal does not tell any more (it is read back for 4 MiB) cannot be undone: whatever is
 * left of it stays, with its sentence. */
static int close_lost(struct vm *vm, const char *why, struct err *err)
{
    char now[CLOCK_TEXT_SIZE];
    json_t *record;
    int rc;

    if (vm->memory.open) {
        return 0; /* first what may be pending is looked at and the set is closed */
    }
    engine_say(vm->engine, vm->vmid, LOG_ERR, MESSAGE_CHANGE_FAILED,
               "VM %u: an undo was left half done and cannot be ended: %s", vm->vmid, why);
    clock_now_text(now);
    record = record_end((struct record_head){vm->vmid, vm->memory.last_txn, now}, RECORD_FAILED,
                        NULL, why);
    rc = engine_record(vm, record, err);
    json_decref(record);
    return rc;
}

int engine_undo_reload(struct vm *vm, struct err *err)
{
    struct err why = {""};
    int rc;

    undo_free(vm->undo);
    vm->undo = NULL;
    rc = load(vm->engine, vm->vmid, vm->memory.undoes, &vm->undo, &why);
    if (rc == -ENOENT || rc == -EBUSY) {
        return close_lost(vm, why.text, err);
    }
    return rc < 0 ? err_set(err, rc, "%s", why.text) : 0;
}

/* There is no such change set: that is a wrong question, not a missing fingerprint. Of a VM that is
 * not here nothing else is said: mostly its number is the wrong one. */
static int explain(struct engine *engine, uint32_t vmid, int rc)
{
    if (rc != -ENOENT) {
        return rc;
    }
    return engine_is_here(engine, vmid) ? -EINVAL : -ESRCH;
}

int engine_undo_plan(struct engine *engine, uint32_t vmid, const char *txn,
                     char ret_txn[SMBIOS_UUID_SIZE], json_t **ret_plan, struct err *err)
{
    CLEANUP(engine_texts_fini) struct engine_texts texts = {0};
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    CLEANUP(undo_freep) struct undo *undo = NULL;
    struct assess_params params = {.vmid = vmid};
    int rc = load(engine, vmid, txn, &undo, err);

    if (rc < 0) {
        return explain(engine, vmid, rc);
    }
    if (engine->loaded) {
        (void)engine_claims_refresh(engine); /* cannot be read: as last known */
    }
    params.undo = undo;
    params.claims = engine->claims;
    rc = engine_read_texts(engine, vmid, &texts, err);
    rc = rc < 0 ? rc : assess(&texts.texts, &params, NULL, 0, &a, err);
    if (rc < 0) {
        return rc;
    }
    if (a->outcome == ASSESS_NO_CONFIG) {
        return err_set(err, -ESRCH, "VM %u is not on this node", vmid);
    }
    if (a->outcome != ASSESS_PLANNED) {
        return err_set(err, -EINVAL, "%s", a->problem);
    }
    memcpy(ret_txn, undo->txn, SMBIOS_UUID_SIZE);
    *ret_plan = plan_to_json(a->plan);
    return *ret_plan == NULL ? err_oom(err) : 0;
}

int engine_undo(struct engine *engine, uint32_t vmid, const char *txn,
                const struct engine_watcher *watcher, char ret_txn[SMBIOS_UUID_SIZE],
                struct engine_watch **ret_watch, struct err *err)
{
    CLEANUP(undo_freep) struct undo *undo = NULL;
    struct vm *vm;
    int rc = load(engine, vmid, txn, &undo, err);

    rc = rc < 0 ? explain(engine, vmid, rc) : engine_activate(engine, vmid, &vm, err);
    if (rc < 0) {
        return rc;
    }
    vm->busy++;
    memcpy(ret_txn, undo->txn, SMBIOS_UUID_SIZE);
    if (vm->reconcile == NULL) {
        undo_free(vm->undo);
        vm->undo = STEAL(undo);
    }
    rc = engine_reconcile_watched(vm, RECONCILE_FOR_UNDO, watcher, ret_watch, err);
    if (vm->reconcile == NULL) { /* it did not begin */
        undo_free(vm->undo);
        vm->undo = NULL;
    }
    vm->busy--;
    engine_settle(vm);
    return rc;
}

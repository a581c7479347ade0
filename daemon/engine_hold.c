/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hold of a VM (core/hold.h) as the engine sees it. It makes and takes away none: root's
 * command line does, with or without us. Here it is written down that one came or went, whenever
 * that is seen, and answered to those who tell us of it.
 */
#include <errno.h>
#include <syslog.h>

#include "base/str.h"
#include "engine_impl.h"
#include "io/clock.h"
#include "message_ids.h"

static int record_change(struct vm *vm, const char *on_hold, struct err *err)
{
    char now[CLOCK_TEXT_SIZE], id[SMBIOS_UUID_SIZE];
    struct record_head head = {vm->vmid, id, now};
    json_t *record;
    int rc;

    clock_now_text(now);
    engine_fresh_id(id);
    record = on_hold == NULL ? record_resume(head) : record_on_hold(head, on_hold);
    rc = engine_record(vm, record, err);
    json_decref(record);
    if (on_hold == NULL) {
        engine_say(vm->engine, vm->vmid, LOG_NOTICE, MESSAGE_RESUMED,
                   "VM %u is on hold no more: it is looked at again", vm->vmid);
    } else {
        engine_say(vm->engine, vm->vmid, LOG_NOTICE, MESSAGE_ON_HOLD,
                   "VM %u is %s: it is left as it is; to end the hold: pve-hwid resume %u",
                   vm->vmid, on_hold, vm->vmid);
    }
    return rc;
}

/* It came, it went, or somebody gave it another reason: the file forgets the former one. */
static bool is_news(const struct vm *vm, const char *on_hold)
{
    return vm->memory.hold_noted != (on_hold != NULL) ||
           (on_hold != NULL && !str_equal(vm->memory.hold_why, on_hold));
}

/* A look at ten thousand VMs must not read ten thousand journals: only where there is a hold, or
 * was one when this VM was last looked at. */
void engine_note_hold(struct engine *engine, uint32_t vmid, const struct assessment *a)
{
    const struct vm_summary *summary = engine_summary(engine, vmid);
    struct vm *vm;

    if (a->outcome == ASSESS_NO_CONFIG ||
        (a->on_hold == NULL && (summary == NULL || summary->state != VM_ON_HOLD))) {
        return;
    }
    if (engine_activate(engine, vmid, &vm, NULL) < 0) {
        return; /* the next look notices it again */
    }
    if (is_news(vm, a->on_hold)) {
        (void)record_change(vm, a->on_hold, NULL); /* likewise; the failure is told */
    }
    engine_settle(vm);
}

int engine_recover_hold(struct vm *vm, struct err *err)
{
    CLEANUP(engine_texts_fini) struct engine_texts texts = {0};

    if (!vm->memory.hold_noted) {
        return 0;
    }
    /* A VM that is on another node by now is that node's. */
    if (engine_read_texts(vm->engine, vm->vmid, &texts, NULL) < 0 || texts.texts.config == NULL ||
        texts.texts.hold != NULL || texts.texts.hold_problem != NULL) {
        return 0;
    }
    return record_change(vm, NULL, err);
}

char *engine_on_hold(struct engine *engine, uint32_t vmid)
{
    CLEANUP(assessment_freep) struct assessment *a = NULL;

    return engine_assess(engine, vmid, &a, NULL) == 0 ? STEAL(a->on_hold) : NULL;
}

int engine_hold_changed(struct engine *engine, uint32_t vmid, char **ret_on_hold, struct err *err)
{
    CLEANUP(assessment_freep) struct assessment *a = NULL;
    struct vm_summary *summary;
    struct vm *vm;
    int rc = engine_assess(engine, vmid, &a, err);

    if (rc < 0) {
        return rc;
    }
    if (a->outcome == ASSESS_NO_CONFIG) {
        return err_set(err, -ESRCH, "VM %u is not on this node", vmid);
    }
    rc = engine_activate(engine, vmid, &vm, err);
    if (rc < 0) {
        return rc;
    }
    vm->busy++;
    if (is_news(vm, a->on_hold)) {
        rc = record_change(vm, a->on_hold, err);
    }
    if (a->outcome != ASSESS_NO_FINGERPRINT && vm->reconcile == NULL && rc == 0 &&
        engine_summary_add(engine, vmid, &summary) == 0) {
        engine_note_assessment(engine, vmid, a);
        rc = a->on_hold == NULL ? engine_enqueue(engine, vmid, RECONCILE_FOR_FINGERPRINT) : 0;
    }
    vm->busy--;
    engine_settle(vm);
    *ret_on_hold = STEAL(a->on_hold);
    return rc;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lines of a change journal that somebody damaged: replaying them all is folding them one by one,
 * and a reconciliation that takes the business up from there gets as far as its first request.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/disk_place.h"
#include "core/reconcile.h"
#include "core/record.h"
#include "core/record_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
    if (!truth) {
        __builtin_trap();
    }
}

static void check_memory(const struct record_memory *m)
{
    must(m->open || (!m->stuck && m->steps == NULL && m->steps_done == 0));
    must(m->open || m->start_owed || m->txn[0] == '\0');
    must(m->start_owed || m->start_asked == 0);
    must(strlen(m->txn) < SMBIOS_UUID_SIZE && strlen(m->held_key) < SMBIOS_UUID_SIZE);
}

/* What a hook without a daemon asks: with the volumes of the seeds in a slot, and as unused0. */
static void look_for_disk(const struct record_memory *memory)
{
    static const char *const confs[] = {"scsi0: local:105/vm-105-disk-0.qcow2,size=1G\n",
                                        "unused0: local:105/vm-105-disk-0.qcow2\n"};

    for (size_t i = 0; i < ARRAY_SIZE(confs); i++) {
        CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
        CLEANUP(disk_astray_fini) struct disk_astray disk = {0};
        int rc;

        must(pveconf_parse(confs[i], strlen(confs[i]), &conf, NULL) == 0);
        rc = disk_place_look(memory, conf, &disk);
        must(rc == 0 || (rc == 1 && memory->open));
        must((rc == 1) == (disk.slot != NULL) && (i == 1 || rc == 0));
    }
}

static void take_up(const struct record_memory *memory)
{
    const struct reconcile_params params = {.vm = {"n1", 105}, .assess = {.vmid = 105}};
    const struct reconcile_event go = {.type = RECONCILE_EV_GO, .now = "2026-11-23T10:00:00Z"};
    struct reconcile_action action = {0};
    CLEANUP(reconcile_freep) struct reconcile *r = NULL;

    must(reconcile_new(&params, RECONCILE_FOR_RECOVERY, memory, &r, NULL) == 0);
    must(reconcile_is_stuck(r) == memory->stuck);
    must(reconcile_owes_start(r) == memory->start_owed);
    must(reconcile_event(r, &go, &action, NULL) == 0);
    must(action.type == RECONCILE_DO_REQUEST);
    api_request_free(action.request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(record_memory_fini) struct record_memory whole = {0};
    CLEANUP(record_memory_fini) struct record_memory folded = {0};
    const json_t *record;
    json_t *records = json_array();
    size_t bad = 0;
    size_t i;

    must(record_lines_parse((const char *)data, size, records, &bad) == 0);
    must(record_replay(records, &whole) == 0);
    json_array_foreach (records, i, record) {
        must(record_apply(&folded, record) == 0);
        check_memory(&folded);
    }
    must(whole.open == folded.open && whole.stuck == folded.stuck);
    must(whole.start_asked == folded.start_asked);
    must(whole.start_owed == folded.start_owed && whole.changes == folded.changes);
    must(str_equal(whole.txn, folded.txn) && str_equal(whole.settled_why, folded.settled_why));
    look_for_disk(&whole);
    take_up(&whole);
    json_decref(records);
    return 0;
}

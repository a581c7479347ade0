/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A configuration, a NUL, and a journal as a JSON array. Whatever they say: a change set is found
 * or there is a sentence; its undo sets no slot that the plan does not name, touches no unusedN,
 * moves one disk per call, and is refused or made.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "core/record.h"
#include "core/undo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_plan(const struct plan *plan)
{
    assert(plan->refusals.n == 0 || (plan->n_steps == 0 && plan->n_changes == 0));
    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct plan_step *step = &plan->steps[i];
        size_t disks = 0;

        assert((step->probe == NULL) == (step->probe_value == NULL));
        for (size_t j = 0; j < step->n_sets; j++) {
            struct drive_slot slot;
            bool disk = drive_slot_parse(step->sets[j].option, &slot);

            disks += disk;
            assert(!disk || step->sets[j].value != NULL);
            assert(!str_starts(step->sets[j].option, "unused") &&
                   !str_equal(step->sets[j].option, "force"));
        }
        assert(step->probe == NULL ? disks == 0 && step->remove == NULL : disks == 1);
        assert(step->remove == NULL || str_equal(step->remove, step->probe));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size == 0 ? NULL : memchr(data, '\0', size);
    size_t conf_len = nul == NULL ? size : (size_t)(nul - data);
    CLEANUP(pveconf_freep) struct pveconf *raw = NULL;
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(undo_freep) struct undo *undo = NULL;
    CLEANUP(undo_freep) struct undo *effective = NULL;
    CLEANUP(plan_freep) struct plan *plan = NULL;
    json_auto_t *records = NULL;
    struct err err = {""};

    if (nul == NULL || pveconf_parse((const char *)data, conf_len, &raw, NULL) < 0 ||
        pveconf_apply_pending(raw, &conf) < 0) {
        return 0;
    }
    records = json_loadb((const char *)nul + 1, size - conf_len - 1, 0, NULL);
    if (records == NULL) {
        return 0;
    }
    if (undo_find(records, 105, NULL, &undo, &err) < 0) {
        assert(err.text[0] != '\0');
        return 0;
    }
    if (undo_find_effective(records, 105, raw, &effective, &err) == 0) {
        assert(undo_plan(effective, 105, conf, &plan) == 0);
        assert(!plan_is_empty(plan) || plan->refusals.n > 0);
        plan_free(STEAL(plan));
    }
    assert(undo_plan(undo, 105, conf, &plan) == 0);
    check_plan(plan);
    return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A configuration and a fingerprint that somebody wrote, parted by a line of "%%": any plan of them
 * can be shown, names no slot twice, sets no disk that it does not take off elsewhere, and steps
 * and changes tell the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/drive.h"
#include "core/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char parting[] = "\n%%\n";

static void must(bool truth)
{
    if (!truth) {
        __builtin_trap();
    }
}

static const struct plan_change *find_change(const struct plan *plan, const char *option)
{
    for (size_t i = 0; i < plan->n_changes; i++) {
        if (str_equal(plan->changes[i].option, option)) {
            return &plan->changes[i];
        }
    }
    return NULL;
}

static void check_step(const struct plan *plan, const struct plan_step *step,
                       const struct pveconf *conf)
{
    size_t slots = 0;

    must(step->n_sets > 0);
    must(plan_step_is_disk(step) ? str_equal(step->probe_value, pveconf_get(conf, step->probe))
                                 : step == &plan->steps[0] && step->remove == NULL);
    must(step->remove == NULL || str_equal(step->remove, step->probe));
    for (size_t i = 0; i < step->n_sets; i++) {
        struct drive_slot slot;

        must(find_change(plan, step->sets[i].option) != NULL);
        if (drive_slot_parse(step->sets[i].option, &slot)) {
            slots++;
            must(step->remove == NULL ? str_equal(step->sets[i].option, step->probe)
                                      : pveconf_get(conf, step->sets[i].option) == NULL);
        }
    }
    must(slots == (plan_step_is_disk(step) ? 1 : 0));
}

static void check_plan(const struct plan *plan, const struct pveconf *conf)
{
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FREE char *summary = plan_summary(plan);
    json_t *json = plan_to_json(plan);

    must(json != NULL && summary != NULL && strlen(summary) <= PLAN_SUMMARY_MAX);
    must(plan_to_text(plan, &text, NULL) == 0);
    json_decref(json);
    must(plan->refusals.n == 0 || plan->n_changes + plan->n_steps == 0);
    must((plan->n_changes == 0) == (plan->n_steps == 0));
    for (size_t i = 0; i < plan->n_changes; i++) {
        const struct plan_change *change = &plan->changes[i];

        must(find_change(plan, change->option) == change);
        must(str_equal(change->old, pveconf_get(conf, change->option)));
        must(!str_equal(change->old, change->new));
    }
    for (size_t i = 0; i < plan->n_steps; i++) {
        check_step(plan, &plan->steps[i], conf);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = str_ndup((const char *)data, size);
    CLEANUP(pveconf_freep) struct pveconf *raw = NULL;
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(plan_freep) struct plan *plan = NULL;
    char *json = text == NULL ? NULL : strstr(text, parting);

    if (json == NULL) {
        return 0;
    }
    *json = '\0';
    json += strlen(parting);
    if (pveconf_parse(text, strlen(text), &raw, NULL) < 0 ||
        pveconf_apply_pending(raw, &conf) < 0 ||
        fingerprint_parse(json, strlen(json), &fp, NULL) < 0) {
        return 0;
    }
    must(plan_make(&(struct plan_input){.vmid = 105, .conf = conf, .fp = fp}, &plan, NULL) == 0);
    check_plan(plan, conf);
    return 0;
}

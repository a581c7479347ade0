/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Lines of a journal, a line of "%%", and a configuration, all of somebody's making: there is an
 * undo or a sentence; its plan deletes no slot that it does not set elsewhere, and no volume.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/undo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char parting[] = "\n%%\n";

static void must(bool truth)
{
    if (!truth) {
        __builtin_trap();
    }
}

static json_t *read_lines(char *text)
{
    json_t *records = json_array();
    char *state = NULL;

    for (char *line = strtok_r(text, "\n", &state); line != NULL;
         line = strtok_r(NULL, "\n", &state)) {
        json_t *record = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

        if (record != NULL) {
            json_array_append_new(records, record);
        }
    }
    return records;
}

static void check(const struct plan *plan)
{
    json_t *json = plan_to_json(plan);

    must(json != NULL);
    json_decref(json);
    must(plan->refusals.n == 0 || plan->n_steps + plan->n_changes == 0);
    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct plan_step *step = &plan->steps[i];
        struct drive_slot slot;
        bool set = false;

        for (size_t j = 0; j < step->n_sets; j++) {
            set = set || drive_slot_parse(step->sets[j].option, &slot);
            must(!str_starts(step->sets[j].option, "unused"));
            must(step->sets[j].value != NULL || !drive_slot_parse(step->sets[j].option, &slot));
        }
        must(step->remove == NULL || set);
    }
}

static void plan_it(const struct undo *undo, const char *config)
{
    CLEANUP(pveconf_freep) struct pveconf *raw = NULL;
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(plan_freep) struct plan *plan = NULL;

    if (pveconf_parse(config, strlen(config), &raw, NULL) == 0 &&
        pveconf_apply_pending(raw, &conf) == 0) {
        must(undo_plan(undo, 105, conf, &plan) == 0);
        check(plan);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = str_ndup((const char *)data, size);
    CLEANUP(undo_freep) struct undo *undo = NULL;
    char *config = strstr(text, parting);
    struct err err = {""};
    json_t *records;

    if (config == NULL) {
        return 0;
    }
    *config = '\0';
    config += strlen(parting);
    records = read_lines(text);
    if (undo_find(records, 105, NULL, &undo, &err) == 0) {
        plan_it(undo, config);
    } else {
        must(err.text[0] != '\0');
    }
    json_decref(records);
    return 0;
}

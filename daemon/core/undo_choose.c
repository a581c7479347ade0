/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See undo_choose.h. */
#include "core/undo_choose.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

/* Where one before it was undone since, what does not fit any more is that undo's doing. */
static bool has_effect(const struct undo_choice *choice)
{
    const struct assessment *a = choice->assessment;

    if (a->outcome == ASSESS_PLANNED && a->plan->refusals.n > 0) {
        return !choice->undo->passed;
    }
    return a->outcome != ASSESS_PLANNED || !plan_is_empty(a->plan);
}

/* `newest` was walked past, and so were all before it. */
static int nothing_left(uint32_t vmid, const char *newest, const char *time, struct err *err)
{
    return err_set(err, -ENOENT,
                   "VM %u: nothing is left to undo: of change set %s of %s, the last that was not "
                   "undone, and of each earlier one no effect is left",
                   vmid, newest, time);
}

static void take(struct undo_choice *choice, struct undo *undo)
{
    undo_free(choice->undo);
    assessment_free(choice->assessment);
    *choice = (struct undo_choice){.undo = undo};
}

static int walk(const json_t *records, const struct assess_texts *texts,
                struct assess_params *params, struct undo_choice *choice, struct err *err)
{
    char newest[SMBIOS_UUID_SIZE] = "";
    CLEANUP_FREE char *time = NULL;
    struct undo *undo = NULL;
    struct err why = {""};
    int rc;

    while ((rc = undo_find_before(records, params->vmid,
                                  choice->undo == NULL ? NULL : choice->undo->txn, &undo, &why)) ==
           0) {
        take(choice, undo);
        if (newest[0] == '\0') {
            memcpy(newest, undo->txn, sizeof(newest));
            time = str_dup(undo->time);
        }
        params->undo = undo;
        rc = time == NULL ? err_oom(err) : assess(texts, params, NULL, 0, &choice->assessment, err);
        if (rc < 0 || has_effect(choice)) {
            return rc;
        }
    }
    return rc == -ENOENT && newest[0] != '\0' ? nothing_left(params->vmid, newest, time, err)
                                              : err_set(err, rc, "%s", why.text);
}

void undo_choice_fini(struct undo_choice *choice)
{
    undo_free(choice->undo);
    assessment_free(choice->assessment);
    *choice = (struct undo_choice){0};
}

int undo_choose(const json_t *records, const char *txn, const struct assess_texts *texts,
                const struct assess_params *params, struct undo_choice *ret, struct err *err)
{
    CLEANUP(undo_choice_fini) struct undo_choice choice = {0};
    struct assess_params with = *params;
    int rc;

    if (txn == NULL) {
        rc = walk(records, texts, &with, &choice, err);
    } else {
        rc = undo_find(records, params->vmid, txn, &choice.undo, err);
        with.undo = choice.undo;
        rc = rc < 0 ? rc : assess(texts, &with, NULL, 0, &choice.assessment, err);
    }
    if (rc < 0) {
        return rc;
    }
    *ret = choice;
    choice = (struct undo_choice){0};
    return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which change set is undone where nobody names one: the last that was not undone and that has an
 * effect still. What is as it was before already (somebody else took it back, or the same value
 * came twice) is walked past: so an undo after an undo goes back step by step, and never ends at a
 * change set where there is nothing to do.
 */
#ifndef CORE_UNDO_CHOOSE_H
#define CORE_UNDO_CHOOSE_H

#include "core/assess.h"

struct undo_choice {
    struct undo *undo;
    struct assessment *assessment; /* by it */
};

/* `txn` NULL: the one; else that one, whatever its effect. As undo_find(), with -ENOENT also where
 * all have been walked past, and as assess(). params->undo does not matter. */
int undo_choose(const json_t *records, const char *txn, const struct assess_texts *texts,
                const struct assess_params *params, struct undo_choice *ret, struct err *err);
void undo_choice_fini(struct undo_choice *choice);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See setup.h: the plan as a list, and what both plans ask of PVE's answers. */
#include "core/setup.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

static void step_fini(struct setup_step *step)
{
    for (size_t i = 0; i < SETUP_ARGS_MAX; i++) {
        free(step->argv[i]);
    }
    free(step->what);
    free(step->path);
    free(step->remark);
}

void setup_plan_free(struct setup_plan *plan)
{
    if (plan == NULL) {
        return;
    }
    for (size_t i = 0; i < plan->n; i++) {
        step_fini(&plan->steps[i]);
    }
    free(plan->steps);
    free(plan);
}

static char *format_text(const char *format, va_list args) PRINTF_LIKE(1, 0);
static char *format_text(const char *format, va_list args)
{
    char *text = NULL;

    return vasprintf(&text, format, args) < 0 ? NULL : text;
}

struct setup_step *setup_add(struct setup_plan *plan, const char *id, enum setup_state state,
                             const char *format, ...)
{
    struct setup_step *step;
    va_list args;

    if (vec_reserve(&plan->steps, plan->n, &plan->cap, sizeof(plan->steps[0])) < 0) {
        plan->failed = true;
        return NULL;
    }
    step = &plan->steps[plan->n++];
    *step = (struct setup_step){.id = id, .state = state};
    va_start(args, format);
    step->what = format_text(format, args);
    va_end(args);
    return step;
}

void setup_command(struct setup_step *step, enum setup_deed deed, const char *const *words)
{
    if (step == NULL) {
        return;
    }
    step->deed = deed;
    for (size_t i = 0; words[i] != NULL && i < SETUP_ARGS_MAX - 1; i++) {
        step->argv[i] = str_dup(words[i]);
        if (step->argv[i] == NULL) {
            free(step->what);
            step->what = NULL; /* for want of memory */
            return;
        }
    }
}

void setup_file(struct setup_step *step, enum setup_deed deed, const char *path)
{
    if (step == NULL) {
        return;
    }
    step->deed = deed;
    step->path = str_dup(path); /* setup_finish() sees that it is missing */
}

void setup_remark(struct setup_step *step, const char *format, ...)
{
    va_list args;

    if (step == NULL) {
        return;
    }
    va_start(args, format);
    free(step->remark);
    step->remark = format_text(format, args);
    va_end(args);
    if (step->remark == NULL) {
        free(step->what);
        step->what = NULL; /* for want of memory */
    }
}

int setup_finish(struct setup_plan *plan, struct err *err)
{
    bool whole = !plan->failed;

    for (size_t i = 0; i < plan->n; i++) {
        const struct setup_step *step = &plan->steps[i];
        bool needs_path = step->deed == SETUP_DIRECTORY || step->deed == SETUP_HOOK ||
                          step->deed == SETUP_REMEMBER || step->deed == SETUP_REMOVE_FILE ||
                          step->deed == SETUP_REMOVE_DIR;

        whole = whole && step->what != NULL && (!needs_path || step->path != NULL);
    }
    return whole ? 0 : err_oom(err);
}

const json_t *setup_find(const json_t *list, const char *key, const char *value)
{
    size_t i;
    json_t *item;

    json_array_foreach ((json_t *)list, i, item) { /* jansson's iterators: not const */
        if (str_equal(json_string_value(json_object_get(item, key)), value)) {
            return item;
        }
    }
    return NULL;
}

char *setup_token_id(const char *node)
{
    return str_printf(SETUP_TOKEN_PREFIX "%s", node);
}

bool setup_has_word(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = list; at != NULL && *at != '\0';) {
        size_t n;

        at += strspn(at, ", ;");
        n = strcspn(at, ", ;");
        if (n == len && memcmp(at, word, n) == 0) {
            return true;
        }
        at += n;
    }
    return false;
}

const char *setup_state_name(enum setup_state state)
{
    switch (state) {
    case SETUP_ALREADY:
        return "already";
    case SETUP_NEEDED:
        return "needed";
    case SETUP_BLOCKED:
        return "blocked";
    case SETUP_YOURS:
        return "yours";
    }
    return "blocked";
}

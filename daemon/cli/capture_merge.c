/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See capture.h: `capture --merge`. Each source is read as if it were the only one; what their
 * fingerprints make together, and where they contradict each other, is core/merge.h's.
 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "cli/capture.h"
#include "core/merge.h"

enum { SHOWN_CONFLICTS = 2 }; /* in the one sentence of the failure; all are told as notes */

struct gathered {
    struct capture_set sets[MERGE_INPUTS_MAX];
    struct merge_input inputs[MERGE_INPUTS_MAX];
    size_t n;
};

static void gathered_fini(struct gathered *gathered)
{
    for (size_t i = 0; i < gathered->n; i++) {
        capture_set_fini(&gathered->sets[i]);
    }
}

static int read_one(const struct capture_options *options, const char *file,
                    struct gathered *gathered, struct err *err)
{
    struct capture_options one = *options;
    struct capture_set *set = &gathered->sets[gathered->n];
    int rc;

    one.source = file;
    *set = (struct capture_set){0};
    gathered->n++;
    rc = capture_file(&one, set, err);
    if (rc == 0 && set->n > 1 && options->vm != NULL) {
        rc = capture_choose(&one, set, err);
        rc = rc < 0 ? err_prefix(err, rc, "%s", input_name(file)) : 0;
    }
    if (rc == 0 && set->n != 1) {
        return err_set(err, -EINVAL,
                       "%s: there are %zu VMs in it, and a merge is about one; choose it with "
                       "--vm NAME",
                       input_name(file), set->n);
    }
    if (rc == 0) {
        gathered->inputs[gathered->n - 1] = (struct merge_input){
            .fp = set->items[0].fp, .name = input_base_name(input_name(file))};
    }
    return rc;
}

/* "Complete this with ...": that is what is being done. */
static bool asks_for_merge(const char *note)
{
    return strstr(note, "capture --merge") != NULL;
}

/* What each source had to say, with its name; then what they say of each other. */
static int collect_notes(const struct gathered *gathered, const struct merge *merge,
                         struct notes *notes)
{
    int rc = 0;

    for (size_t i = 0; i < gathered->n; i++) {
        const struct notes *from = &gathered->sets[i].items[0].notes;

        for (size_t j = 0; rc == 0 && j < from->n; j++) {
            rc = asks_for_merge(from->items[j])
                     ? 0
                     : notes_add(notes, "%s: %s", gathered->inputs[i].name, from->items[j]);
        }
    }
    for (size_t i = 0; rc == 0 && i < merge->notes.n; i++) {
        rc = notes_add(notes, "%s", merge->notes.items[i]);
    }
    for (size_t i = 0; rc == 0 && i < merge->n; i++) {
        CLEANUP_FREE char *text = merge_conflict_text(&merge->conflicts[i]);

        rc = text == NULL ? -ENOMEM
                          : notes_add(notes, "contradiction: %s; the first was taken", text);
    }
    return rc;
}

static int refuse(const struct merge *merge, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = BUF_INIT(0);
    size_t n = merge_unsettled(merge), shown = 0;

    for (size_t i = 0; i < merge->n && shown < SHOWN_CONFLICTS; i++) {
        const struct merge_conflict *conflict = &merge->conflicts[i];
        CLEANUP_FREE char *line = merge_conflict_text(conflict);

        if (line == NULL) {
            return err_oom(err);
        }
        if (conflict->identity && !conflict->settled) {
            buf_addf(&text, "%s%s", shown++ > 0 ? "; " : "", line);
        }
    }
    if (n > shown) {
        buf_addf(&text, "; and %zu more", n - shown);
    }
    return text.error != 0
               ? err_oom(err)
               : err_set(err, -EINVAL,
                         "the sources contradict each other in the identity: %s. Is one of them "
                         "about another VM? If not, --prefer KIND says which kind of source is "
                         "right",
                         text.data);
}

int capture_merge(const struct capture_options *options, const char *const *files, size_t n,
                  struct capture_set *set, struct err *err)
{
    CLEANUP(gathered_fini) struct gathered gathered = {.n = 0};
    CLEANUP(merge_freep) struct merge *merge = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    int rc = 0;

    if (n > MERGE_INPUTS_MAX) {
        return err_set(err, -E2BIG, "%zu sources are too many for one VM", n);
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = read_one(options, files[i], &gathered, err);
    }
    rc = rc < 0 ? rc
                : merge_fingerprints(gathered.inputs, gathered.n, options->prefer, &merge, err);
    if (rc < 0) {
        return rc;
    }
    if (merge_unsettled(merge) > 0) {
        return refuse(merge, err);
    }
    if (collect_notes(&gathered, merge, &notes) < 0) {
        return err_oom(err);
    }
    return capture_set_add(set, &merge->fp, &notes, err);
}

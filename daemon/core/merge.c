/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See merge.h: who is trusted, what a contradiction is, and the whole; merge_scalars.c has what a
 * VM has one of, merge_devices.c what it has several of.
 */
#include "core/merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/merge_priv.h"

enum {
    RANK_PREFERRED = 100,
    RANK_WRITTEN = 40, /* by hand, or of a kind that is not known here */
    KIND_MAX = 32,     /* bytes of a word in source.parts */
};

static const struct {
    const char *kind;
    int rank;      /* for what the guest sees */
    int structure; /* for how many there are, in which order, in which slots */
} kinds[] = {
    {"windows", 60, 20}, {"dmidecode", 55, 15}, {"slmgr", 50, 10},
    {"vmx", 30, 70},     {"vcenter", 20, 60},   {"ovf", 10, 50},
};

/* --- the value -------------------------------------------------------------------------------- */

void merge_free(struct merge *merge)
{
    if (merge == NULL) {
        return;
    }
    fingerprint_free(merge->fp);
    for (size_t i = 0; i < merge->n; i++) {
        struct merge_conflict *conflict = &merge->conflicts[i];

        free(conflict->attribute);
        free(conflict->kept);
        free(conflict->kept_from);
        free(conflict->other);
        free(conflict->other_from);
        free(conflict->hint);
    }
    free(merge->conflicts);
    notes_fini(&merge->notes);
    free(merge);
}

size_t merge_unsettled(const struct merge *merge)
{
    size_t n = 0;

    for (size_t i = 0; i < merge->n; i++) {
        n += merge->conflicts[i].identity && !merge->conflicts[i].settled;
    }
    return n;
}

char *merge_conflict_text(const struct merge_conflict *conflict)
{
    bool hint = conflict->hint != NULL;

    return str_printf("%s: %s (%s) against %s (%s)%s%s", conflict->attribute, conflict->kept,
                      conflict->kept_from, conflict->other, conflict->other_from, hint ? ": " : "",
                      hint ? conflict->hint : "");
}

/* --- trust ------------------------------------------------------------------------------------ */

/* Is `kind` one of a list "a+b"? */
static bool names_kind(const char *list, const char *kind)
{
    size_t len = strlen(kind);

    while (*list != '\0') {
        size_t item = strcspn(list, "+");

        if (item == len && memcmp(list, kind, len) == 0) {
            return true;
        }
        list += item + (list[item] == '+');
    }
    return false;
}

const char *merge_kind(const struct merger *m, size_t from, enum fingerprint_part part)
{
    const struct fingerprint_source *source = &m->inputs[from].fp->source;

    if (source->parts[part] != NULL) {
        return source->parts[part];
    }
    return source->kind != NULL ? source->kind : "fingerprint";
}

static int rank_of(const struct merger *m, const char *list, bool structure)
{
    int best = 0;

    if (m->prefer != NULL && names_kind(list, m->prefer)) {
        return RANK_PREFERRED;
    }
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        int rank = structure ? kinds[i].structure : kinds[i].rank;

        if (names_kind(list, kinds[i].kind) && rank > best) {
            best = rank;
        }
    }
    return best > 0 ? best : RANK_WRITTEN;
}

int merge_rank(const struct merger *m, size_t from, enum fingerprint_part part)
{
    return rank_of(m, merge_kind(m, from, part), false);
}

int merge_rank_structure(const struct merger *m, size_t from, enum fingerprint_part part)
{
    return rank_of(m, merge_kind(m, from, part), true);
}

/* --- what comes out --------------------------------------------------------------------------- */

void merge_set(struct merger *m, char **at, const char *text)
{
    if (m->error == 0) {
        m->error = str_replace(at, text);
    }
}

void merge_credit(struct merger *m, enum fingerprint_part part, size_t from)
{
    char **at = &m->out->fp->source.parts[part];
    const char *kind = merge_kind(m, from, part);
    CLEANUP_FREE char *both = NULL;

    if (*at == NULL) {
        merge_set(m, at, kind);
        return;
    }
    if (names_kind(*at, kind) || strlen(*at) + 1 + strlen(kind) > KIND_MAX) {
        return; /* a word too long says who did most of it */
    }
    both = str_printf("%s+%s", *at, kind);
    if (both == NULL) {
        m->error = -ENOMEM;
        return;
    }
    merge_set(m, at, both);
}

static char *from_text(const struct merger *m, size_t from, enum fingerprint_part part)
{
    return str_printf("%s, %s", merge_kind(m, from, part), m->inputs[from].name);
}

void merge_contradiction(struct merger *m, const struct merge_about *about, struct merge_value kept,
                         struct merge_value other)
{
    struct merge *out = m->out;
    struct merge_conflict *conflict;

    if (m->error != 0) {
        return;
    }
    m->error = vec_reserve(&out->conflicts, out->n, &out->cap, sizeof(out->conflicts[0]));
    if (m->error != 0) {
        return;
    }
    conflict = &out->conflicts[out->n++];
    *conflict = (struct merge_conflict){
        .attribute = str_dup(about->attribute),
        .kept = str_dup(kept.text),
        .kept_from = from_text(m, kept.from, about->part),
        .other = str_dup(other.text),
        .other_from = from_text(m, other.from, about->part),
        .hint = str_dup(about->hint),
        .identity = about->identity,
        .settled = m->prefer != NULL &&
                   names_kind(merge_kind(m, kept.from, about->part), m->prefer),
    };
    if (conflict->attribute == NULL || conflict->kept == NULL || conflict->kept_from == NULL ||
        conflict->other == NULL || conflict->other_from == NULL ||
        (about->hint != NULL && conflict->hint == NULL)) {
        m->error = -ENOMEM;
    }
}

/* --- the whole -------------------------------------------------------------------------------- */

static int check(const struct merge *merge, struct err *err)
{
    int rc;

    if (merge_unsettled(merge) > 0) {
        return 0; /* nobody is going to use it, and the sentences are there already */
    }
    rc = fingerprint_check(merge->fp, err);
    return rc < 0 ? err_prefix(err, rc, "merged") : 0;
}

int merge_fingerprints(const struct merge_input *inputs, size_t n, const char *prefer,
                       struct merge **ret, struct err *err)
{
    CLEANUP(merge_freep) struct merge *merge = calloc(1, sizeof(*merge));
    struct merger m = {.inputs = inputs, .n = n, .prefer = prefer, .out = merge};
    int rc;

    if (n == 0) {
        return err_set(err, -EINVAL, "there is nothing to merge");
    }
    if (n > MERGE_INPUTS_MAX) {
        return err_set(err, -E2BIG, "%zu sources are too many for one VM; at most %d", n,
                       MERGE_INPUTS_MAX);
    }
    if (merge == NULL || (merge->fp = fingerprint_new()) == NULL) {
        return err_oom(err);
    }
    merge_scalars(&m);
    merge_nics(&m);
    merge_disks(&m);
    if (m.error != 0) {
        return err_oom(err);
    }
    rc = check(merge, err);
    if (rc < 0) {
        return rc;
    }
    *ret = STEAL(merge);
    return 0;
}

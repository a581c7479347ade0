/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What merge.c and merge_devices.c share. The first failure sticks in `error`. */
#ifndef CORE_MERGE_PRIV_H
#define CORE_MERGE_PRIV_H

#include "core/merge.h"

struct merger {
    const struct merge_input *inputs;
    size_t n;
    const char *prefer;
    struct merge *out;
    int error;
};

/* What one value is and where it comes from. */
struct merge_value {
    const char *text;
    size_t from; /* index of the input */
};

/* The kind of source that `part` of an input came from: of a merged one, its part's. */
const char *merge_kind(const struct merger *m, size_t from, enum fingerprint_part part);
/* Higher is trusted more: by the guest's word, or (structure) by who knows the slots. */
int merge_rank(const struct merger *m, size_t from, enum fingerprint_part part);
int merge_rank_structure(const struct merger *m, size_t from, enum fingerprint_part part);

struct merge_about {
    enum fingerprint_part part;
    const char *attribute;
    bool identity;
    const char *hint; /* NULL */
};

/* Notes that `kept` stands against `other`. */
void merge_contradiction(struct merger *m, const struct merge_about *about, struct merge_value kept,
                         struct merge_value other);
/* Adds the kind of input `from` to a list "a+b" in source.parts; each once. */
void merge_credit(struct merger *m, enum fingerprint_part part, size_t from);
void merge_set(struct merger *m, char **at, const char *text);

void merge_scalars(struct merger *m);
void merge_nics(struct merger *m);
void merge_disks(struct merger *m);

#endif

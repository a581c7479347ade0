/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See undo.h: which change set, and what it did. undo_plan.c makes the plan. */
#include "core/undo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/drive.h"
#include "core/netdev.h"
#include "core/record.h"

enum { UNDO_NAMED_MAX = 5 }; /* change sets named in the sentence: the newest */

/* One change set: all records of one txn. It may have several begins, where it was planned anew. */
struct set {
    const char *txn, *time; /* borrowed from the records */
    const char *undoes;     /* NULL: it is no undo */
    bool open, undone;
    bool back;   /* looked at: what it changed is as it was before it */
    bool passed; /* one before it was undone since */
    unsigned applied;
    json_int_t last; /* the step that was recorded last, from 1, if it was applied; else 0 */
};

struct sets {
    struct set *items;
    size_t n, cap;
};

static const char *text_of(const json_t *record, const char *key)
{
    const char *text = json_string_value(json_object_get(record, key));

    return text == NULL ? "" : text;
}

static struct set *find_set(const struct sets *sets, const char *txn)
{
    for (size_t i = 0; i < sets->n; i++) {
        if (str_equal(sets->items[i].txn, txn)) {
            return &sets->items[i];
        }
    }
    return NULL;
}

static int note_begin(struct sets *sets, const json_t *record)
{
    struct set *set = find_set(sets, text_of(record, "txn"));

    if (set == NULL) {
        if (vec_reserve(&sets->items, sets->n, &sets->cap, sizeof(sets->items[0])) < 0) {
            return -ENOMEM;
        }
        set = &sets->items[sets->n++];
        *set = (struct set){.txn = text_of(record, "txn"),
                            .time = text_of(record, "time"),
                            .undoes = json_string_value(json_object_get(record, "undoes"))};
    }
    set->open = true;
    set->last = 0;
    return 0;
}

/* An undo that ended well undoes; undone itself, it has not. */
static void note_undone(const struct sets *sets, const struct set *by)
{
    struct set *set = find_set(sets, by->undoes);
    struct set *other = set == NULL || set->undoes == NULL ? NULL : find_set(sets, set->undoes);

    if (set != NULL) {
        set->undone = true;
        for (struct set *later = set + 1; later < by; later++) {
            later->passed = true;
        }
    }
    if (other != NULL) {
        other->undone = false;
    }
}

static void note_end(const struct sets *sets, struct set *set, const json_t *record)
{
    const char *outcome = text_of(record, "outcome");

    set->open = false;
    if (set->undoes != NULL && str_equal(outcome, "done")) {
        note_undone(sets, set);
    }
}

/* One that turned out not to be done follows right after the record that says it was. */
static void count_step(struct set *set, const json_t *record)
{
    json_int_t step = json_integer_value(json_object_get(record, "step")) + 1;
    bool applied = json_is_true(json_object_get(record, "applied"));

    set->applied += applied;
    set->applied -= !applied && set->last == step;
    set->last = applied ? step : 0;
}

static int read_sets(const json_t *records, struct sets *sets)
{
    const json_t *record;
    size_t i;

    json_array_foreach (records, i, record) {
        const char *type = text_of(record, "type");
        struct set *set;

        if (str_equal(type, "begin") && note_begin(sets, record) < 0) {
            return -ENOMEM;
        }
        set = find_set(sets, text_of(record, "txn"));
        if (set != NULL && str_equal(type, "step")) {
            count_step(set, record);
        } else if (set != NULL && str_equal(type, "end")) {
            note_end(sets, set, record);
        }
    }
    return 0;
}

/* --- which one -------------------------------------------------------------------------------- */

static struct set *last_to_undo(const struct sets *sets)
{
    for (size_t i = sets->n; i-- > 0;) {
        struct set *set = &sets->items[i];

        if (!set->open && !set->undone && !set->back && set->undoes == NULL && set->applied > 0) {
            return set;
        }
    }
    return NULL;
}

static int none_such(const struct sets *sets, uint32_t vmid, const char *txn, struct err *err)
{
    CLEANUP(buf_fini) struct buf list = BUF_INIT(0);
    unsigned named = 0;

    for (size_t i = sets->n; i-- > 0 && named < UNDO_NAMED_MAX;) {
        const struct set *set = &sets->items[i];

        if (set->applied > 0) {
            buf_addf(&list, "%s%s (%s%s)", named++ == 0 ? "" : ", ", set->txn, set->time,
                     set->undone           ? ", undone"
                     : set->undoes != NULL ? ", an undo"
                     : set->back           ? ", of which nothing is there any more"
                                           : "");
        }
    }
    if (list.error != 0) {
        return err_oom(err);
    }
    if (named == 0) {
        return err_set(err, -ENOENT, "VM %u: pve-hwid has changed nothing that could be undone",
                       vmid);
    }
    return txn == NULL
               ? err_set(err, -ENOENT,
                         "VM %u: nothing is left to undo; the change sets, the newest first: %s",
                         vmid, list.data)
               : err_set(err, -ENOENT,
                         "VM %u: the journal has no change set %.40s that did anything; it has, "
                         "the newest first: %s",
                         vmid, txn, list.data);
}

static int choose(const struct sets *sets, uint32_t vmid, const char *txn, const struct set **ret,
                  struct err *err)
{
    const struct set *set = txn == NULL ? last_to_undo(sets) : find_set(sets, txn);

    if (set == NULL || (set->applied == 0 && !set->open)) {
        return none_such(sets, vmid, txn, err);
    }
    if (set->open) {
        return err_set(err, -EBUSY, "VM %u: change set %s has not ended yet", vmid, set->txn);
    }
    *ret = set;
    return 0;
}

/* --- what it did ------------------------------------------------------------------------------ */

/* The steps of one begin, with what the records up to its end say of them. */
struct part {
    struct plan_step *steps;
    bool *done, *never;
    size_t n;
};

static void part_fini(struct part *part)
{
    record_steps_free(part->steps, part->n);
    free(part->done);
    free(part->never);
    *part = (struct part){0};
}

/* Steps as we make them, and no others: whatever else stands in a journal is never sent to PVE. */
static bool is_option_of_ours(const char *option)
{
    static const char *const options[] = {"smbios1", "machine", "scsihw", "boot", "bootdisk"};
    struct drive_slot slot;
    int index;

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (str_equal(option, options[i])) {
            return true;
        }
    }
    return drive_slot_parse(option, &slot) || netdev_key_index(option, &index);
}

static bool is_step_of_ours(const struct plan_step *step)
{
    struct drive_slot slot;
    size_t disks = 0;

    for (size_t i = 0; i < step->n_sets; i++) {
        bool disk = drive_slot_parse(step->sets[i].option, &slot);

        disks += disk;
        if (!is_option_of_ours(step->sets[i].option) || (disk && step->sets[i].value == NULL)) {
            return false;
        }
    }
    if (step->probe == NULL) {
        return disks == 0 && step->remove == NULL;
    }
    return disks == 1 && drive_slot_parse(step->probe, &slot) &&
           (step->remove == NULL || str_equal(step->remove, step->probe));
}

static int open_part(struct part *part, const json_t *record)
{
    int rc = record_steps_from_json(json_object_get(record, "steps"), &part->steps, &part->n);

    for (size_t i = 0; rc == 0 && i < part->n; i++) {
        rc = is_step_of_ours(&part->steps[i]) ? 0 : -EINVAL;
    }
    if (rc < 0) {
        return rc;
    }
    part->done = calloc(part->n + 1, sizeof(bool));
    part->never = calloc(part->n + 1, sizeof(bool));
    return part->done == NULL || part->never == NULL ? -ENOMEM : 0;
}

static void note_step(struct part *part, const json_t *record)
{
    json_int_t step = json_integer_value(json_object_get(record, "step"));
    bool applied = json_is_true(json_object_get(record, "applied"));

    if (step >= 0 && (size_t)step < part->n) {
        part->done[step] = applied; /* the last word counts */
        part->never[step] = !applied;
    }
}

/* Moves the steps that were carried out, or of which nobody knows, behind those before. */
static int close_part(struct undo *undo, struct part *part)
{
    struct plan_step *steps = reallocarray(undo->steps, undo->n + part->n + 1, sizeof(*steps));
    bool *certain = reallocarray(undo->certain, undo->n + part->n + 1, sizeof(*certain));

    undo->steps = steps == NULL ? undo->steps : steps;
    undo->certain = certain == NULL ? undo->certain : certain;
    if (steps == NULL || certain == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < part->n; i++) {
        if (part->done[i] || !part->never[i]) {
            undo->steps[undo->n] = part->steps[i];
            undo->certain[undo->n++] = part->done[i];
            part->steps[i] = (struct plan_step){0};
        }
    }
    part_fini(part);
    return 0;
}

static int note_bootdisk(struct undo *undo, const json_t *record)
{
    const json_t *change;
    size_t i;

    json_array_foreach (json_object_get(record, "changes"), i, change) {
        if (str_equal(text_of(change, "option"), "bootdisk") &&
            json_is_null(json_object_get(change, "new"))) {
            return str_replace(&undo->bootdisk, json_string_value(json_object_get(change, "old")));
        }
    }
    return 0;
}

static int read_steps(const json_t *records, struct undo *undo)
{
    CLEANUP(part_fini) struct part part = {0};
    const json_t *record;
    size_t i;
    int rc = 0;

    json_array_foreach (records, i, record) {
        const char *type = text_of(record, "type");

        if (rc < 0 || !str_equal(text_of(record, "txn"), undo->txn)) {
            continue;
        }
        if (str_equal(type, "begin")) {
            rc = close_part(undo, &part);
            rc = rc < 0 ? rc : open_part(&part, record);
            rc = rc < 0 ? rc : note_bootdisk(undo, record);
        } else if (str_equal(type, "step")) {
            note_step(&part, record);
        }
    }
    return rc < 0 ? rc : close_part(undo, &part);
}

void undo_free(struct undo *undo)
{
    if (undo == NULL) {
        return;
    }
    record_steps_free(undo->steps, undo->n);
    free(undo->certain);
    free(undo->time);
    free(undo->bootdisk);
    free(undo);
}

static int load(const json_t *records, uint32_t vmid, const struct set *set, struct undo **ret,
                struct err *err)
{
    CLEANUP(undo_freep) struct undo *undo = calloc(1, sizeof(*undo));
    int rc;

    if (undo == NULL || str_replace(&undo->time, set->time) < 0) {
        return err_oom(err);
    }
    /* A longer text is none of ours, and find_set() has compared it whole. */
    (void)snprintf(undo->txn, sizeof(undo->txn), "%s", set->txn);
    rc = read_steps(records, undo);
    if (rc < 0) {
        return rc == -ENOMEM ? err_oom(err)
                             : err_set(err, -ENOENT,
                                       "VM %u: the journal's steps of change set %s cannot be read",
                                       vmid, undo->txn);
    }
    *ret = STEAL(undo);
    return 0;
}

int undo_find(const json_t *records, uint32_t vmid, const char *txn, struct undo **ret,
              struct err *err)
{
    struct sets sets = {0};
    const struct set *set = NULL;
    int rc = read_sets(records, &sets) < 0 ? err_oom(err) : 0;

    rc = rc < 0 ? rc : choose(&sets, vmid, txn, &set, err);
    rc = rc < 0 ? rc : load(records, vmid, set, ret, err);
    free(sets.items);
    return rc;
}

/* 1: all that it changed is back already, whoever did it; 0; -ENOMEM. Where one before it was
 * undone since, what does not fit any more is that undo's doing. */
static int is_back(const struct undo *undo, bool passed, uint32_t vmid, const struct pveconf *conf)
{
    CLEANUP(plan_freep) struct plan *plan = NULL;
    int rc = undo_plan(undo, vmid, conf, &plan);

    return rc < 0 ? rc : plan->refusals.n > 0 ? passed : plan_is_empty(plan);
}

static int find_effective(const json_t *records, uint32_t vmid, const struct pveconf *conf,
                          const struct sets *sets, struct undo **ret, struct err *err)
{
    struct set *set;

    while ((set = last_to_undo(sets)) != NULL) {
        CLEANUP(undo_freep) struct undo *undo = NULL;
        int rc = load(records, vmid, set, &undo, err);

        if (rc < 0) {
            return rc;
        }
        rc = is_back(undo, set->passed, vmid, conf);
        if (rc < 0) {
            return err_oom(err);
        }
        if (rc == 0) {
            *ret = STEAL(undo);
            return 0;
        }
        set->back = true;
    }
    return none_such(sets, vmid, NULL, err);
}

int undo_find_effective(const json_t *records, uint32_t vmid, const struct pveconf *conf,
                        struct undo **ret, struct err *err)
{
    CLEANUP(pveconf_freep) struct pveconf *next = NULL;
    struct sets sets = {0};
    int rc = pveconf_apply_pending(conf, &next) < 0 || read_sets(records, &sets) < 0 ? err_oom(err)
                                                                                     : 0;

    rc = rc < 0 ? rc : find_effective(records, vmid, next, &sets, ret, err);
    free(sets.items);
    return rc;
}

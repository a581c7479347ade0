/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See match.h. What identifies is taken out of the texts once; then each is compared with each.
 * Sure evidence is settled first, so that a name never takes a VM from whoever has its uuid.
 */
#include "core/match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/match_keys.h"

enum { NOBODY = -1, SURE = MATCH_UUID | MATCH_UUID_SWAPPED | MATCH_SERIAL | MATCH_MAC };

struct matcher {
    const struct match_input *in;
    struct match_keys *fps, *vms, *placed; /* as many as `in` has */
    bool *taken;                           /* VMs that are certain */
    struct match *out;
};

const char *match_sure_name(enum match_sure sure)
{
    static const char *const names[] = {"certain", "likely", "ambiguous", "none"};

    return names[sure];
}

char *match_by_text(unsigned by)
{
    static const char *const names[] = {"uuid", "uuid (swapped)", "serial",
                                        "MAC",  "some MACs",      "name"};
    CLEANUP(buf_fini) struct buf text = BUF_INIT(0);

    buf_adds(&text, "");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if ((by & (1U << i)) != 0) {
            buf_addf(&text, "%s%s", text.len > 0 ? ", " : "", names[i]);
        }
    }
    return buf_steal(&text);
}

void match_free(struct match *match)
{
    if (match == NULL) {
        return;
    }
    for (size_t i = 0; i < match->n; i++) {
        free(match->pairs[i].why);
    }
    free(match->pairs);
    notes_fini(&match->conflicts);
    free(match);
}

static void matcher_fini(struct matcher *m)
{
    match_keys_free(m->fps, m->in->n_fingerprints);
    match_keys_free(m->vms, m->in->n_vms);
    match_keys_free(m->placed, m->in->n_placed);
    free(m->taken);
}

/* --- evidence --------------------------------------------------------------------------------- */

static unsigned uuid_evidence(const struct match_keys *fp, const struct match_keys *vm)
{
    struct smbios_uuid swapped;

    if (!fp->id.has_uuid || !vm->id.has_uuid) {
        return 0;
    }
    if (smbios_uuid_equal(&fp->id.uuid, &vm->id.uuid)) {
        return MATCH_UUID;
    }
    swapped = smbios_uuid_swap(vm->id.uuid);
    return smbios_uuid_equal(&fp->id.uuid, &swapped) ? MATCH_UUID_SWAPPED : 0;
}

static unsigned mac_evidence(const struct match_keys *fp, const struct match_keys *vm)
{
    size_t n = match_keys_common_macs(fp, vm);

    if (n == 0) {
        return 0;
    }
    return n == fp->id.n_macs ? MATCH_MAC : MATCH_SOME_MACS;
}

static unsigned evidence(const struct match_keys *fp, const struct match_keys *vm)
{
    unsigned by = uuid_evidence(fp, vm) | mac_evidence(fp, vm);

    by |= fp->id.serial != NULL && str_equal(fp->id.serial, vm->id.serial) ? MATCH_SERIAL : 0;
    by |= fp->name != NULL && str_equal(fp->name, vm->name) ? MATCH_NAME : 0;
    return by;
}

/* MACs say more than a name. */
static int weight(unsigned by)
{
    return ((by & MATCH_SOME_MACS) != 0 ? 2 : 0) + ((by & MATCH_NAME) != 0 ? 1 : 0);
}

/* --- who fits whom ---------------------------------------------------------------------------- */

static int say_two_vms(struct matcher *m, size_t fp, size_t a, size_t b, bool sure)
{
    const struct match_vm *one = &m->in->vms[a], *other = &m->in->vms[b];
    CLEANUP_FREE char *by_one = match_by_text(evidence(&m->fps[fp], &m->vms[a]));
    CLEANUP_FREE char *by_other = match_by_text(evidence(&m->fps[fp], &m->vms[b]));
    char *why;

    if (by_one == NULL || by_other == NULL) {
        return -ENOMEM;
    }
    why = str_printf("fits VM %u on %s (%s) and VM %u on %s (%s)", (unsigned)one->vmid, one->node,
                     by_one, (unsigned)other->vmid, other->node, by_other);
    m->out->pairs[fp].sure = MATCH_AMBIGUOUS;
    free(m->out->pairs[fp].why);
    m->out->pairs[fp].why = why;
    if (why == NULL) {
        return -ENOMEM;
    }
    return sure ? notes_add(&m->out->conflicts,
                            "%s %s: one identity cannot be that of two VMs; give one of them "
                            "another uuid and other MACs, or write its fingerprint by hand",
                            m->in->fingerprints[fp].file, why)
                : 0;
}

/* Does `a` carry all that `b` does and more, the uuid first of all? Then b is a clone of it: a full
 * clone keeps the serial number and gets a uuid and MACs of its own. */
static bool is_original(unsigned a, unsigned b)
{
    return (a & MATCH_UUID) != 0 && (a & b) == b && a != b;
}

/* Sure evidence for one VM and no other. */
static int find_certain(struct matcher *m, size_t fp)
{
    struct match_pair *pair = &m->out->pairs[fp];
    int found = NOBODY;

    for (size_t i = 0; i < m->in->n_vms; i++) {
        unsigned by = evidence(&m->fps[fp], &m->vms[i]);

        if (m->vms[i].id.is_template || (by & SURE) == 0) {
            continue;
        }
        if (found != NOBODY && is_original(pair->by & SURE, by & SURE)) {
            continue;
        }
        if (found != NOBODY && !is_original(by & SURE, pair->by & SURE)) {
            return say_two_vms(m, fp, (size_t)found, i, true);
        }
        found = (int)i;
        *pair = (struct match_pair){.sure = MATCH_CERTAIN, .vm = i, .by = by};
    }
    return 0;
}

/* Of what is left, the best; two that are as good are none. */
static int find_likely(struct matcher *m, size_t fp)
{
    struct match_pair *pair = &m->out->pairs[fp];
    int best = 0, rival = NOBODY;

    for (size_t i = 0; i < m->in->n_vms; i++) {
        unsigned by = m->vms[i].id.is_template || m->taken[i] ? 0
                                                              : evidence(&m->fps[fp], &m->vms[i]);

        if (weight(by) > best) {
            *pair = (struct match_pair){.sure = MATCH_LIKELY, .vm = i, .by = by};
            best = weight(by);
            rival = NOBODY;
        } else if (best > 0 && weight(by) == best) {
            rival = (int)i;
        }
    }
    return rival == NOBODY ? 0 : say_two_vms(m, fp, pair->vm, (size_t)rival, false);
}

/* Two fingerprints for one VM: neither is proposed. */
static int part_rivals(struct matcher *m, enum match_sure sure)
{
    for (size_t a = 0; a < m->out->n; a++) {
        for (size_t b = a + 1; b < m->out->n; b++) {
            struct match_pair *one = &m->out->pairs[a], *other = &m->out->pairs[b];

            if (one->sure != sure || other->sure != sure || one->vm != other->vm) {
                continue;
            }
            other->sure = MATCH_AMBIGUOUS;
            other->why = str_printf("VM %u is that of %s, too",
                                    (unsigned)m->in->vms[other->vm].vmid,
                                    m->in->fingerprints[a].file);
            free(one->why);
            one->why = str_printf("VM %u is that of %s, too", (unsigned)m->in->vms[one->vm].vmid,
                                  m->in->fingerprints[b].file);
            if (one->why == NULL || other->why == NULL) {
                return -ENOMEM;
            }
        }
        if (m->out->pairs[a].why != NULL && m->out->pairs[a].sure == sure) {
            m->out->pairs[a].sure = MATCH_AMBIGUOUS;
        }
    }
    return 0;
}

static int pair_all(struct matcher *m)
{
    int rc = 0;

    for (size_t i = 0; i < m->out->n && rc == 0; i++) {
        rc = find_certain(m, i);
    }
    for (size_t i = 0; i < m->out->n && rc == 0; i++) {
        if (m->out->pairs[i].sure == MATCH_CERTAIN) {
            m->taken[m->out->pairs[i].vm] = true;
        }
    }
    rc = rc < 0 ? rc : part_rivals(m, MATCH_CERTAIN);
    for (size_t i = 0; i < m->out->n && rc == 0; i++) {
        if (m->out->pairs[i].sure == MATCH_NONE) {
            rc = find_likely(m, i);
        }
    }
    return rc < 0 ? rc : part_rivals(m, MATCH_LIKELY);
}

/* --- no identity twice ------------------------------------------------------------------------ */

/* What the two have in common that only one machine may have; "" nothing. NULL: no memory. */
static char *shared_identity(const struct match_keys *a, const struct match_keys *b)
{
    unsigned uuid = uuid_evidence(a, b);
    char text[SMBIOS_UUID_SIZE];

    if (uuid != 0) {
        smbios_uuid_format(&a->id.uuid, text);
        return str_printf("uuid %s%s", text, uuid == MATCH_UUID ? "" : ", one of them swapped");
    }
    if (a->id.serial != NULL && str_equal(a->id.serial, b->id.serial)) {
        return str_printf("serial %s", a->id.serial);
    }
    for (size_t i = 0; i < a->id.n_macs; i++) {
        for (size_t j = 0; j < b->id.n_macs; j++) {
            if (str_equal(a->id.macs[i], b->id.macs[j])) {
                return str_printf("MAC %s", a->id.macs[i]);
            }
        }
    }
    return str_dup("");
}

static int check_twins(struct matcher *m)
{
    for (size_t a = 0; a < m->in->n_fingerprints; a++) {
        for (size_t b = a + 1; b < m->in->n_fingerprints; b++) {
            CLEANUP_FREE char *shared = shared_identity(&m->fps[a], &m->fps[b]);

            if (shared == NULL ||
                (*shared != '\0' &&
                 notes_add(&m->out->conflicts,
                           "%s and %s are of one identity (%s): two VMs cannot both have it; take "
                           "one of the files away",
                           m->in->fingerprints[a].file, m->in->fingerprints[b].file, shared) < 0)) {
                return -ENOMEM;
            }
        }
    }
    return 0;
}

/* Against what lies in place for another VM already. */
static int check_placed(struct matcher *m)
{
    for (size_t i = 0; i < m->out->n; i++) {
        const struct match_pair *pair = &m->out->pairs[i];
        bool assigned = pair->sure == MATCH_CERTAIN || pair->sure == MATCH_LIKELY;

        for (size_t j = 0; assigned && j < m->in->n_placed; j++) {
            CLEANUP_FREE char *shared = shared_identity(&m->fps[i], &m->placed[j]);

            if (shared == NULL) {
                return -ENOMEM;
            }
            if (*shared != '\0' && m->in->placed[j].vmid != m->in->vms[pair->vm].vmid &&
                notes_add(&m->out->conflicts,
                          "%s would be that of VM %u, but the fingerprint in place for VM %u is of "
                          "the same identity (%s): take that one away first",
                          m->in->fingerprints[i].file, (unsigned)m->in->vms[pair->vm].vmid,
                          (unsigned)m->in->placed[j].vmid, shared) < 0) {
                return -ENOMEM;
            }
        }
    }
    return 0;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int read_keys(struct matcher *m)
{
    const struct match_input *in = m->in;
    int rc = 0;

    m->fps = calloc(in->n_fingerprints + 1, sizeof(*m->fps));
    m->vms = calloc(in->n_vms + 1, sizeof(*m->vms));
    m->placed = calloc(in->n_placed + 1, sizeof(*m->placed));
    m->taken = calloc(in->n_vms + 1, sizeof(*m->taken));
    m->out->pairs = calloc(in->n_fingerprints + 1, sizeof(*m->out->pairs));
    if (m->fps == NULL || m->vms == NULL || m->placed == NULL || m->taken == NULL ||
        m->out->pairs == NULL) {
        return -ENOMEM;
    }
    m->out->n = in->n_fingerprints;
    for (size_t i = 0; i < in->n_fingerprints && rc == 0; i++) {
        m->out->pairs[i].sure = MATCH_NONE;
        rc = match_keys_of_fingerprint(in->fingerprints[i].fp, &m->fps[i]);
    }
    for (size_t i = 0; i < in->n_placed && rc == 0; i++) {
        rc = match_keys_of_fingerprint(in->placed[i].fp, &m->placed[i]);
    }
    for (size_t i = 0; i < in->n_vms && rc == 0; i++) {
        rc = match_keys_of_config(in->vms[i].conf, &m->vms[i]);
    }
    return rc;
}

int match_make(const struct match_input *input, struct match **ret, struct err *err)
{
    CLEANUP(match_freep) struct match *match = calloc(1, sizeof(*match));
    struct matcher m = {.in = input, .out = match};
    int rc = match == NULL ? -ENOMEM : read_keys(&m);

    rc = rc < 0 ? rc : check_twins(&m);
    rc = rc < 0 ? rc : pair_all(&m);
    rc = rc < 0 ? rc : check_placed(&m);
    matcher_fini(&m);
    if (rc < 0) {
        return err_oom(err);
    }
    *ret = STEAL(match);
    return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See claims.h: the judgement. Key by key, because a VM may carry its uuid and lack its MAC; then
 * one sentence for each other VM and each reason, with all the keys that it is about.
 *
 *   another VM's fingerprint names the key     this VM carries it, that one does not: told
 *                                              else (neither, both, that one): refused
 *   another VM's configuration has it          this VM carries it: told; a template, or the VM
 *                                              that it was moved from: told; else refused
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/claims_index.h"

enum {
    OTHERS_MAX = 8, /* told; nobody reads more, and a serial may be that of a hundred clones */
    KEYS_TOLD_MAX = 4,
};

enum reason {
    REASON_NEITHER,  /* two fingerprints, no VM has it yet */
    REASON_BOTH,     /* two fingerprints, both VMs have it */
    REASON_OTHER,    /* two fingerprints, the other VM has it */
    REASON_COPY,     /* another VM has it, and no fingerprint for it */
    REASON_MINE,     /* two fingerprints, this VM has it: told from here on */
    REASON_TWIN,     /* another VM has it, too */
    REASON_TEMPLATE, /* a template has it */
    REASON_MOVED,    /* the VM it was moved from still has it */
};

/* About one other VM. */
struct other {
    uint32_t vmid;
    enum reason reason;
    struct buf keys; /* "uuid 9b1a.., MAC 00:50:.." */
    size_t n_keys;
    bool smbios, mac; /* which kinds */
};

struct judge {
    const struct claims *claims;
    uint32_t vmid;
    const struct fingerprint *fp;
    struct identity wanted, now;
    struct identity_key now_keys[IDENTITY_KEYS_MAX];
    size_t n_now;
    struct other others[OTHERS_MAX];
    size_t n_others;
    size_t more_refused, more_told; /* that did not fit */
    struct claims_findings *out;
};

static void judge_fini(struct judge *j)
{
    for (size_t i = 0; i < j->n_others; i++) {
        buf_fini(&j->others[i].keys);
    }
    identity_fini(&j->wanted);
    identity_fini(&j->now);
}

void claims_findings_fini(struct claims_findings *findings)
{
    notes_fini(&findings->refusals);
    notes_fini(&findings->notes);
    *findings = (struct claims_findings){0};
}

static bool is_refusal(enum reason reason)
{
    return reason < REASON_MINE;
}

/* --- key by key ------------------------------------------------------------------------------- */

static bool carries(const struct judge *j, uint64_t hash)
{
    for (size_t i = 0; i < j->n_now; i++) {
        if (j->now_keys[i].hash == hash) {
            return true;
        }
    }
    return false;
}

static struct other *find_other(struct judge *j, uint32_t vmid, enum reason reason)
{
    struct other *other;

    for (size_t i = 0; i < j->n_others; i++) {
        if (j->others[i].vmid == vmid && j->others[i].reason == reason) {
            return &j->others[i];
        }
    }
    if (j->n_others == OTHERS_MAX) {
        j->more_refused += is_refusal(reason);
        j->more_told += !is_refusal(reason);
        return NULL;
    }
    other = &j->others[j->n_others++];
    *other = (struct other){.vmid = vmid, .reason = reason, .keys = BUF_INIT(0)};
    return other;
}

static int add(struct judge *j, const struct identity_key *key, uint32_t vmid, enum reason reason)
{
    struct other *other = find_other(j, vmid, reason);
    CLEANUP_FREE char *text = NULL;

    if (other == NULL) {
        return 0;
    }
    other->smbios = other->smbios || key->kind != IDENTITY_MAC;
    other->mac = other->mac || key->kind == IDENTITY_MAC;
    /* VMware's serial shows the same bytes as the uuid: once is enough. */
    if (++other->n_keys > KEYS_TOLD_MAX || (key->kind == IDENTITY_SERIAL && other->keys.len > 0 &&
                                            str_starts(j->wanted.serial, "VMware-"))) {
        return 0;
    }
    text = identity_key_text(&j->wanted, key);
    if (text == NULL) {
        return -ENOMEM;
    }
    buf_addf(&other->keys, "%s%s", other->keys.len > 0 ? ", " : "", text);
    return other->keys.error;
}

static enum reason twin_reason(const struct judge *j, uint32_t other, uint64_t hash)
{
    bool mine = carries(j, hash);
    bool theirs = claims_has(j->claims, other, CLAIMS_CONFIG, hash);

    if (mine) {
        return theirs ? REASON_BOTH : REASON_MINE;
    }
    return theirs ? REASON_OTHER : REASON_NEITHER;
}

static enum reason copy_reason(const struct judge *j, const struct claims_slot *slot, uint64_t hash)
{
    if (slot->is_template) {
        return REASON_TEMPLATE;
    }
    if (j->fp->vm.moved_from > 0 && slot->vmid == (uint32_t)j->fp->vm.moved_from) {
        return REASON_MOVED;
    }
    return carries(j, hash) ? REASON_TWIN : REASON_COPY;
}

static int judge_key(struct judge *j, const struct identity_key *key)
{
    uint32_t at = claims_chain(j->claims, key->hash);
    int rc = 0;

    for (; at != CLAIMS_NONE && rc == 0; at = j->claims->entries[at].next) {
        const struct claims_entry *entry = &j->claims->entries[at];
        const struct claims_slot *slot = &j->claims->slots[entry->owner];

        if (entry->hash != key->hash || slot->vmid == j->vmid) {
            continue;
        }
        if (slot->where == CLAIMS_FINGERPRINT) {
            rc = add(j, key, slot->vmid, twin_reason(j, slot->vmid, key->hash));
        } else if (!claims_has(j->claims, slot->vmid, CLAIMS_FINGERPRINT, key->hash)) {
            rc = add(j, key, slot->vmid, copy_reason(j, slot, key->hash));
        }
    }
    return rc;
}

/* --- sentences -------------------------------------------------------------------------------- */

/* " on node pve2", or "" */
static int where_text(const struct judge *j, uint32_t vmid, struct buf *text)
{
    struct claims_owner owner;

    buf_adds(text, "");
    if (claims_find(j->claims, vmid, CLAIMS_CONFIG, &owner) && owner.node != NULL) {
        buf_addf(text, " on node %s", owner.node);
    }
    return text->error;
}

static int tell_copy(struct judge *j, const struct other *other, const char *where)
{
    CLEANUP(buf_fini) struct buf cure = BUF_INIT(0);
    struct claims_owner owner;

    if (other->smbios) {
        buf_addf(&cure, "qm set %u --smbios1 uuid=$(uuidgen)", other->vmid);
    }
    if (other->mac) {
        buf_addf(&cure, "%sqm set %u --netN with another MAC address", cure.len > 0 ? " and " : "",
                 other->vmid);
    }
    if (cure.error != 0) {
        return cure.error;
    }

    if (claims_find(j->claims, other->vmid, CLAIMS_CONFIG, &owner) && owner.node != NULL) {
        j->out->elsewhere = true;
    }
    return notes_add(
        &j->out->refusals,
        "VM %u%s carries %s already, and no identity is given out twice. If VM %u is a copy, "
        "destroy it, or give it an identity of its own%s (%s); if VM %u is that machine now: "
        "pve-hwid move %u %u",
        other->vmid, where, other->keys.data, other->vmid, *where != '\0' ? " there" : "",
        cure.data, j->vmid, other->vmid, j->vmid);
}

static int tell(struct judge *j, const struct other *other)
{
    CLEANUP(buf_fini) struct buf place = BUF_INIT(0);
    const char *keys = other->keys.data;
    const char *where;
    int rc = where_text(j, other->vmid, &place);

    if (rc < 0) {
        return rc;
    }
    where = place.data;
    switch (other->reason) {
    case REASON_NEITHER:
        return notes_add(&j->out->refusals,
                         "VM %u%s has a fingerprint with the same %s, and only one VM can be that "
                         "machine: neither is changed before one of the two fingerprints is taken "
                         "away",
                         other->vmid, where, keys);
    case REASON_BOTH:
        return notes_add(&j->out->refusals,
                         "VM %u%s has a fingerprint with the same %s, and both VMs carry it: "
                         "neither is changed before one of the two fingerprints is taken away",
                         other->vmid, where, keys);
    case REASON_OTHER:
        return notes_add(&j->out->refusals,
                         "VM %u%s carries %s and has a fingerprint that says so: no identity is "
                         "given out twice; take away the fingerprint of the VM that is not that "
                         "machine",
                         other->vmid, where, keys);
    case REASON_COPY:
        return tell_copy(j, other, where);
    case REASON_MINE:
        return notes_add(&j->out->notes,
                         "VM %u%s has a fingerprint with the same %s; this VM carries it, so VM %u "
                         "does not get it: take that fingerprint away",
                         other->vmid, where, keys, other->vmid);
    case REASON_TWIN:
        return notes_add(&j->out->notes, "VM %u%s carries the same %s: never run both at once%s",
                         other->vmid, where, keys,
                         other->smbios && !other->mac && other->n_keys == 1
                             ? " if licences hang on it (a full clone keeps the serial number)"
                             : "");
    case REASON_TEMPLATE:
        return notes_add(&j->out->notes,
                         "the template %u%s carries the same %s; its full clones get a uuid and "
                         "MACs of their own, and keep the serial number",
                         other->vmid, where, keys);
    case REASON_MOVED:
        return notes_add(&j->out->notes,
                         "VM %u%s still carries the same %s, which was moved from there to this "
                         "VM: never run both at once",
                         other->vmid, where, keys);
    }
    return 0;
}

static int tell_more(struct notes *notes, size_t n)
{
    return n == 0 ? 0 : notes_add(notes, "and %zu more of the kind", n);
}

static int tell_all(struct judge *j)
{
    int rc = 0;

    for (size_t i = 0; i < j->n_others && rc == 0; i++) {
        rc = tell(j, &j->others[i]);
    }
    rc = rc < 0 ? rc : tell_more(&j->out->refusals, j->more_refused);
    return rc < 0 ? rc : tell_more(&j->out->notes, j->more_told);
}

/* --- the same number, another VM -------------------------------------------------------------- */

enum { DAY_S = 24 * 60 * 60, TIME_TEXT_SIZE = 64 };

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* By hand: core has no clock, and <time.h> is where one would come from. In UTC, up to 2106. */
static void format_time(int64_t seconds, char text[TIME_TEXT_SIZE])
{
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned days = (unsigned)(seconds / DAY_S), rest = (unsigned)(seconds % DAY_S);
    unsigned year = 1970, month = 0;

    while (days >= 365U + is_leap(year)) {
        days -= 365U + is_leap(year++);
    }
    while (days >= lengths[month] + (month == 1 && is_leap(year))) {
        days -= lengths[month] + (month == 1 && is_leap(year));
        month++;
    }
    (void)snprintf(text, TIME_TEXT_SIZE, "%04u-%02u-%02u %02u:%02u:%02u UTC", year, month + 1,
                   days + 1, rest / 3600, rest / 60 % 60, rest % 60); /* 23 characters */
}

/* What the fingerprint says counts; else what was bound when this machine was last made here. */
static int bound_ctime(const struct judge *j, int64_t *ret)
{
    const struct claims_bound *bound;
    char name[SMBIOS_UUID_SIZE];

    *ret = j->fp->vm.ctime;
    bound = j->claims == NULL ? NULL : claims_bound(j->claims, j->vmid);
    if (*ret > 0 || bound == NULL) {
        return 0;
    }
    if (identity_name(&j->wanted, name) < 0) {
        return -ENOMEM;
    }
    *ret = str_equal(bound->name, name) ? bound->ctime : 0;
    return 0;
}

static int judge_creation(struct judge *j)
{
    char then[TIME_TEXT_SIZE], now[TIME_TEXT_SIZE];
    int64_t bound = 0;

    if (bound_ctime(j, &bound) < 0) {
        return -ENOMEM;
    }
    if (bound <= 0 || bound > FINGERPRINT_CTIME_MAX || j->now.ctime == 0 || j->now.ctime == bound) {
        return 0;
    }
    format_time(bound, then);
    format_time(j->now.ctime, now);
    return notes_add(&j->out->refusals,
                     "VM %u was created at %s, and its fingerprint was given to a VM %u that was "
                     "created at %s: the number was used again. If this is that machine: pve-hwid "
                     "adopt %u; else take the fingerprint away",
                     j->vmid, now, j->vmid, then, j->vmid);
}

/* --- the whole -------------------------------------------------------------------------------- */

static int judge_others(struct judge *j)
{
    struct identity_key keys[IDENTITY_KEYS_MAX];
    size_t n = identity_keys(&j->wanted, keys);
    bool gives = false;
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        gives = gives || !carries(j, keys[i].hash);
        rc = judge_key(j, &keys[i]);
    }
    if (rc == 0 && gives && j->claims->gap != NULL) {
        rc = notes_add(&j->out->notes, "%s", j->claims->gap);
    }
    return rc < 0 ? rc : tell_all(j);
}

int claims_judge(const struct claims *claims, uint32_t vmid, const struct fingerprint *fp,
                 const struct pveconf *conf, struct claims_findings *ret)
{
    struct claims_findings findings = {0};
    CLEANUP(judge_fini)
    struct judge j = {.claims = claims, .vmid = vmid, .fp = fp, .out = &findings};
    int rc = identity_of_fingerprint(fp, &j.wanted);

    rc = rc < 0 ? rc : identity_of_config(conf, &j.now);
    if (rc == 0) {
        if (fp->policy.nics == FINGERPRINT_KEEP) {
            j.wanted.n_macs = 0; /* they are not given */
        }
        j.n_now = identity_keys(&j.now, j.now_keys);
        rc = judge_creation(&j);
    }
    if (rc == 0 && claims != NULL) {
        rc = judge_others(&j);
    }
    if (rc < 0) {
        claims_findings_fini(&findings);
        return rc;
    }
    *ret = findings;
    return 0;
}

static int judge_return(struct judge *j)
{
    struct identity_key keys[IDENTITY_KEYS_MAX];
    size_t n = identity_keys(&j->wanted, keys);
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        if (keys[i].kind != IDENTITY_SERIAL && !carries(j, keys[i].hash)) {
            rc = judge_key(j, &keys[i]);
        }
    }
    return rc < 0 ? rc : tell_all(j);
}

int claims_judge_return(const struct claims *claims, uint32_t vmid, const struct pveconf *conf,
                        const struct pveconf *after, struct claims_findings *ret)
{
    static const struct fingerprint nothing = {0}; /* it is not asked in an undo */
    struct claims_findings findings = {0};
    CLEANUP(judge_fini)
    struct judge j = {.claims = claims, .vmid = vmid, .fp = &nothing, .out = &findings};
    int rc = claims == NULL ? 0 : identity_of_config(after, &j.wanted);

    rc = rc < 0 || claims == NULL ? rc : identity_of_config(conf, &j.now);
    if (rc == 0 && claims != NULL) {
        j.n_now = identity_keys(&j.now, j.now_keys);
        rc = judge_return(&j);
    }
    if (rc < 0) {
        claims_findings_fini(&findings);
        return rc;
    }
    *ret = findings;
    return 0;
}

static bool contains(const uint32_t *vmids, size_t n, uint32_t vmid)
{
    for (size_t i = 0; i < n; i++) {
        if (vmids[i] == vmid) {
            return true;
        }
    }
    return false;
}

static int rivals_of_key(const struct claims *claims, uint32_t vmid, enum claims_where where,
                         uint64_t hash, struct claims_rivals *rivals)
{
    for (uint32_t at = claims_chain(claims, hash); at != CLAIMS_NONE;
         at = claims->entries[at].next) {
        const struct claims_entry *entry = &claims->entries[at];
        const struct claims_slot *slot = &claims->slots[entry->owner];

        if (entry->hash != hash || slot->vmid == vmid || slot->where != (uint8_t)where ||
            contains(rivals->vmids, rivals->n, slot->vmid)) {
            continue;
        }
        if (vec_reserve(&rivals->vmids, rivals->n, &rivals->cap, sizeof(uint32_t)) < 0) {
            return -ENOMEM;
        }
        rivals->vmids[rivals->n++] = slot->vmid;
    }
    return 0;
}

void claims_rivals_fini(struct claims_rivals *rivals)
{
    free(rivals->vmids);
    *rivals = (struct claims_rivals){0};
}

int claims_rivals(const struct claims *claims, uint32_t vmid, const struct fingerprint *fp,
                  enum claims_where where, struct claims_rivals *ret)
{
    CLEANUP(identity_fini) struct identity wanted = {0};
    struct identity_key keys[IDENTITY_KEYS_MAX];
    int rc = identity_of_fingerprint(fp, &wanted);
    size_t n = rc < 0 ? 0 : identity_keys(&wanted, keys);

    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = rivals_of_key(claims, vmid, where, keys[i].hash, ret);
    }
    return rc;
}

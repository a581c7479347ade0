/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * machine: a q35 new enough, pinned to the least version that will do, because a newer one changes
 * more of what the guest sees. What already satisfies the fingerprint is not touched, be it newer
 * or a bare `q35` that PVE turns into something new enough.
 */
#include "core/plan_builder.h"

#include <errno.h>

#include "base/buf.h"
#include "base/str.h"

/* The type PVE starts, for what depends on it: set before and after the change. */
static void remember(struct plan_builder *b, const struct machine *m)
{
    b->q35 = m->kind == MACHINE_Q35;
    b->version = m->pinned ? m->version
                           : machine_effective(m, pveconf_get(b->in->conf, "ostype"),
                                               pveconf_get(b->in->conf, "meta"), b->in->machines);
}

static bool satisfies(const struct plan_builder *b, const struct machine *m,
                      struct machine_version least)
{
    if (m->kind != MACHINE_Q35) {
        return false;
    }
    if (!m->pinned && b->version.major == 0) {
        return true; /* the newest of a node whose list is not known: surely new enough */
    }
    return machine_version_compare(b->version, least) >= 0;
}

/* The least version that this node has and that is allowed: false where there is none. */
static bool choose_version(const struct machine_list *list, struct machine_version least,
                           struct machine_version *ret)
{
    bool found = false;

    if (list == NULL || list->n == 0) {
        *ret = least; /* on trust: PVE would take any version, and the start would tell */
        return true;
    }
    for (size_t i = 0; i < list->n; i++) {
        struct machine_version v = list->items[i];

        if (machine_version_compare(v, least) >= 0 &&
            (!found || machine_version_compare(v, *ret) < 0)) {
            *ret = v;
            found = true;
        }
    }
    return found;
}

static char *explain(const struct plan_builder *b, const struct machine *m,
                     struct machine_version least)
{
    CLEANUP(buf_fini) struct buf why = BUF_INIT(0);

    buf_addf(&why, "q35 of at least %d.%d is wanted", least.major, least.minor);
    if (!b->ovmf && b->in->fp->machine_major < least.major) {
        buf_adds(&why, ": with 8.1 and 8.2 Windows under SeaBIOS finds no SMBIOS data");
    }
    if (m->kind == MACHINE_PC) {
        buf_adds(&why, "; from pc to q35 every PCI device gets a new place, which a guest detects "
                       "anew at its next start");
    } else if (!m->pinned) {
        buf_addf(&why, "; PVE starts the bare q35 of this Windows VM as %d.%d", b->version.major,
                 b->version.minor);
    }
    if (m->rest[0] != '\0') {
        buf_addf(&why, "; \"%s\" belongs to the old version and goes", m->rest);
    }
    return buf_steal(&why);
}

static int edit_machine(struct plan_builder *b, struct machine *m, struct machine_version version,
                        struct machine_version least)
{
    CLEANUP_FREE char *why = explain(b, m, least);
    CLEANUP_FREE char *value = NULL;

    /* PVE's revisions (+pveN) and .pxe are counted per version: what they meant for the old one
     * they do not mean for the new one. viommu and the like are keys of their own and stay. */
    if (str_replace(&m->rest, "") < 0) {
        return -ENOMEM;
    }
    m->kind = MACHINE_Q35;
    m->pinned = true;
    m->version = version;
    value = machine_format(m);
    if (why == NULL || value == NULL) {
        return -ENOMEM;
    }
    remember(b, m);
    return plan_edit_first(b->plan,
                           &(struct plan_edit){"machine", pveconf_get(b->in->conf, "machine"),
                                               value, why, PLAN_EXACT});
}

static int match_machine(struct plan_builder *b, struct machine *m)
{
    const struct fingerprint *fp = b->in->fp;
    struct machine_version min = {fp->machine_major, fp->machine_minor};
    struct machine_version least = machine_least(min, b->ovmf);
    struct machine_version version = {0, 0};
    const char *arch = pveconf_get(b->in->conf, "arch");

    if (satisfies(b, m, least)) {
        return 0;
    }
    if (m->kind == MACHINE_VIRT || (arch != NULL && !str_equal(arch, "x86_64"))) {
        return notes_add(&b->plan->notes, "machine stays: this is no x86 VM and q35 is x86 only");
    }
    if (!choose_version(b->in->machines, least, &version)) {
        return notes_add(&b->plan->notes,
                         "machine stays: this node's QEMU has no pc-q35-%d.%d or later",
                         least.major, least.minor);
    }
    return edit_machine(b, m, version, least);
}

int plan_machine(struct plan_builder *b)
{
    const char *old = pveconf_get(b->in->conf, "machine");
    CLEANUP(machine_fini) struct machine m = {0};
    struct err err = {""};
    int rc = machine_parse(old, &m, &err);

    if (rc == -ENOMEM) {
        return rc;
    }
    if (rc < 0) {
        return plan_unreadable(b, b->in->fp->has_machine, err.text);
    }
    remember(b, &m);
    return b->in->fp->has_machine ? match_machine(b, &m) : 0;
}

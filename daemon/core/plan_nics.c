/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * netN: model and MAC of the fingerprint's NICs; what hangs on the host's side (bridge, tag,
 * firewall, ...) stays.
 *
 * Which is which: a MAC that is already there says so itself, whatever the order; only then the
 * i-th of the rest is the i-th of the rest. Where the numbers differ nothing but an equal MAC may
 * decide: a MAC on the wrong NIC puts a server on the wrong network (law 2).
 */
#include "core/plan_builder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/netdev.h"

enum { NIC_NONE = -1 };

struct nic {
    char key[DRIVE_SLOT_SIZE]; /* "net31" */
    struct netdev now;
    int want; /* index into fp->nics; NIC_NONE */
};

struct nics {
    struct nic items[NETDEV_MAX]; /* PVE knows no more */
    size_t n;
};

static void nics_fini(struct nics *nics)
{
    for (size_t i = 0; i < nics->n; i++) {
        netdev_fini(&nics->items[i].now);
    }
}

/* All netN, ascending. 0, 1: one cannot be read (told), -ENOMEM. */
static int read_nics(struct plan_builder *b, struct nics *nics)
{
    const struct fingerprint *fp = b->in->fp;
    bool needed = fp->has_nics && fp->policy.nics == FINGERPRINT_MATCH;
    int unreadable = 0;

    for (int i = 0; i < NETDEV_MAX; i++) {
        struct nic *nic = &nics->items[nics->n];
        struct err err = {""};
        const char *value;
        int rc;

        *nic = (struct nic){.want = NIC_NONE};
        (void)snprintf(nic->key, sizeof(nic->key), "net%d", i); /* two digits always fit */
        value = pveconf_get(b->in->conf, nic->key);
        if (value == NULL) {
            continue;
        }
        rc = netdev_parse(value, &nic->now, &err);
        if (rc == 0) {
            nics->n++;
        } else if (rc == -ENOMEM) {
            return rc;
        } else {
            unreadable = 1;
            (void)err_prefix(&err, rc, "%s", nic->key); /* the code is not passed on */
            rc = plan_unreadable(b, needed, err.text);
            if (rc < 0) {
                return rc;
            }
        }
    }
    return unreadable;
}

static struct nic *find_by_mac(struct nics *nics, const char *mac)
{
    for (size_t i = 0; i < nics->n; i++) {
        if (nics->items[i].want == NIC_NONE && mac[0] != '\0' &&
            str_iequal(nics->items[i].now.mac, mac)) {
            return &nics->items[i];
        }
    }
    return NULL;
}

/* How many fingerprint NICs found their MAC; `found` says which. */
static size_t match_by_mac(const struct fingerprint *fp, struct nics *nics, bool *found)
{
    size_t n = 0;

    for (size_t i = 0; i < fp->n_nics; i++) {
        struct nic *nic = find_by_mac(nics, fp->nics[i].mac);

        found[i] = nic != NULL;
        if (nic != NULL) {
            nic->want = (int)i;
            n++;
        }
    }
    return n;
}

static void match_by_order(const struct fingerprint *fp, struct nics *nics, const bool *found)
{
    size_t next = 0;

    for (size_t i = 0; i < fp->n_nics; i++) {
        if (found[i]) {
            continue;
        }
        while (next < nics->n && nics->items[next].want != NIC_NONE) {
            next++;
        }
        if (next < nics->n) {
            nics->items[next].want = (int)i;
        }
    }
}

static int match_nics(struct plan_builder *b, struct nics *nics)
{
    const struct fingerprint *fp = b->in->fp;
    bool found[FINGERPRINT_NICS_MAX] = {false};
    size_t by_mac;

    if (fp->n_nics > FINGERPRINT_NICS_MAX) {
        return notes_add(&b->plan->notes,
                         "NICs stay: the fingerprint names more than PVE can have");
    }
    by_mac = match_by_mac(fp, nics, found);
    if (fp->n_nics == nics->n) {
        match_by_order(fp, nics, found);
        return 0;
    }
    return notes_add(&b->plan->notes,
                     "%s: the fingerprint names %zu, this VM has %zu, and nothing tells which is "
                     "which; add or remove NICs, or give them the MACs of the fingerprint",
                     by_mac > 0 ? "NICs without a MAC of the fingerprint stay" : "NICs stay",
                     fp->n_nics, nics->n);
}

/* May this MAC be set? 0 yes, 1 no (told), -ENOMEM. */
static int check_mac(struct plan_builder *b, const struct nics *nics, const struct nic *nic,
                     const char *mac)
{
    const char *why = NULL;
    int high = ascii_hex(mac[0]), low = ascii_hex(mac[0] == '\0' ? '\0' : mac[1]);
    int rc;

    if (str_equal(mac, "00:00:00:00:00:00")) {
        why = "it is no address at all";
    } else if (high < 0 || low < 0 || (low & 1) != 0) {
        why = "PVE refuses an address that is not unicast";
    }
    for (size_t i = 0; i < nics->n && why == NULL; i++) {
        if (&nics->items[i] != nic && str_iequal(nics->items[i].now.mac, mac)) {
            why = "another NIC of this VM has it";
        }
    }
    if (why == NULL) {
        return 0;
    }
    rc = notes_add(&b->plan->notes, "%s: its MAC stays, the fingerprint's %s cannot be set: %s",
                   nic->key, mac, why);
    return rc < 0 ? rc : 1;
}

static void copy_mac_upper(char to[MAC_SIZE], const char *from)
{
    size_t i = 0;

    for (; i + 1 < MAC_SIZE && from[i] != '\0'; i++) {
        to[i] = (char)(from[i] >= 'a' && from[i] <= 'z' ? from[i] - 'a' + 'A' : from[i]);
    }
    to[i] = '\0';
}

/* Drops what the new model does not know and names it in `why`. */
static void drop_unknown_options(struct netdev *net, struct buf *why)
{
    for (size_t i = 0; i < net->rest.n;) {
        const char *key = net->rest.items[i].key;

        if (key == NULL || netdev_model_knows(net->model, key)) {
            i++;
            continue;
        }
        buf_addf(why, "; %s goes, %s does not know it", key, net->model);
        propstr_remove(&net->rest, key);
    }
}

/* Model: 0, 1 changed, -ENOMEM. */
static int change_model(struct plan_builder *b, struct nic *nic, struct buf *why,
                        enum plan_match *match)
{
    enum fingerprint_nic_model wanted = b->in->fp->nics[nic->want].model;
    bool exact = true;
    const char *model = netdev_model_for(wanted, &exact);

    *match = exact || model == NULL ? PLAN_EXACT : PLAN_SUBSTITUTE;
    if (model != NULL && !exact) {
        int rc = notes_add(&b->plan->notes,
                           "%s: PVE has no %s, %s stands in for it: the guest needs its driver",
                           nic->key, fingerprint_nic_name(wanted), model);

        if (rc < 0) {
            return rc;
        }
    }
    if (model == NULL || str_equal(model, nic->now.model)) {
        return 0;
    }
    if (plan_args_name(b, nic->key)) {
        return notes_add(&b->plan->notes,
                         "%s: its model stays: `args` speaks of this device, and QEMU might not "
                         "start with another; only root@pam may change `args`",
                         nic->key);
    }
    if (str_replace(&nic->now.model, model) < 0) {
        return -ENOMEM;
    }
    buf_addf(why, "the guest saw %s on VMware", fingerprint_nic_name(wanted));
    if (!exact) {
        buf_addf(why, ", for which %s stands in", model);
    }
    drop_unknown_options(&nic->now, why);
    return 1;
}

/* MAC: 0, 1 changed, -ENOMEM. */
static int change_mac(struct plan_builder *b, const struct nics *nics, struct nic *nic,
                      struct buf *why)
{
    const char *mac = b->in->fp->nics[nic->want].mac;
    int rc;

    if (mac[0] == '\0' || str_iequal(mac, nic->now.mac)) {
        return 0;
    }
    rc = check_mac(b, nics, nic, mac);
    if (rc != 0) {
        return rc < 0 ? rc : 0;
    }
    copy_mac_upper(nic->now.mac, mac);
    buf_addf(why, "%sits MAC on VMware was %s", why->len > 0 ? "; " : "", mac);
    return 1;
}

static int plan_nic(struct plan_builder *b, const struct nics *nics, struct nic *nic)
{
    CLEANUP(buf_fini) struct buf why = BUF_INIT(0);
    CLEANUP_FREE char *value = NULL;
    enum plan_match match = PLAN_EXACT;
    int model, mac;

    model = change_model(b, nic, &why, &match);
    if (model < 0) {
        return model;
    }
    mac = change_mac(b, nics, nic, &why);
    if (mac < 0) {
        return mac;
    }
    if (model == 0 && mac == 0) {
        return 0;
    }
    value = netdev_format(&nic->now);
    if (value == NULL || why.error != 0) {
        return -ENOMEM;
    }
    return plan_edit_first(
        b->plan,
        &(struct plan_edit){nic->key, pveconf_get(b->in->conf, nic->key), value, why.data, match});
}

int plan_nics(struct plan_builder *b)
{
    const struct fingerprint *fp = b->in->fp;
    CLEANUP(nics_fini) struct nics nics = {.n = 0};
    int rc = read_nics(b, &nics);

    if (rc != 0) {
        return rc < 0 ? rc : 0;
    }
    if (!fp->has_nics || fp->policy.nics == FINGERPRINT_KEEP) {
        return 0;
    }
    rc = match_nics(b, &nics);
    for (size_t i = 0; i < nics.n && rc == 0; i++) {
        if (nics.items[i].want != NIC_NONE) {
            rc = plan_nic(b, &nics, &nics.items[i]);
        }
    }
    return rc;
}

int plan_pair_nics(struct plan_builder *b, struct plan_pairs *pairs)
{
    CLEANUP(nics_fini) struct nics nics = {.n = 0};
    int rc = read_nics(b, &nics);

    if (rc == 0) {
        rc = match_nics(b, &nics);
    }
    for (size_t i = 0; i < nics.n && rc == 0; i++) {
        if (nics.items[i].want != NIC_NONE) {
            memcpy(pairs->nics[nics.items[i].want], nics.items[i].key, sizeof(nics.items[i].key));
        }
    }
    return rc < 0 ? rc : 0;
}

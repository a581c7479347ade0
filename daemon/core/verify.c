/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See verify.h. */
#include "core/verify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/drive.h"
#include "core/jsonwrite.h"
#include "core/machine.h"
#include "core/netdev.h"
#include "core/qemu_args.h"
#include "core/smbios1.h"

struct verifying {
    const struct verify_input *in;
    const struct pveconf *conf; /* as the next start sees it */
    struct verify *v;
};

void verify_fini(struct verify *v)
{
    for (size_t i = 0; i < v->n; i++) {
        free(v->checks[i].detail);
    }
    *v = (struct verify){0};
}

/* Takes `detail` over; NULL: no memory. */
static int add(struct verifying *w, const char *what, enum verify_result result, char *detail)
{
    if (detail == NULL) {
        return -ENOMEM;
    }
    w->v->checks[w->v->n++] = (struct verify_check){what, result, detail};
    return 0;
}

/* What differs, as a list of clauses: none is fine. */
static int add_found(struct verifying *w, const char *what, const struct buf *found,
                     const char *fine)
{
    if (found->error != 0) {
        return -ENOMEM;
    }
    return add(w, what, found->len > 0 ? VERIFY_DIFFERS : VERIFY_OK,
               str_dup(found->len > 0 ? found->data : fine));
}

static void find(struct buf *found, const char *what, const char *has, const char *should)
{
    buf_addf(found, "%s%s is %s and should be %s", found->len > 0 ? "; " : "", what,
             has == NULL || *has == '\0' ? "not there" : has, should);
}

static int check_configuration(struct verifying *w)
{
    const struct plan *plan = w->in->assessment->plan;
    CLEANUP_FREE char *summary = plan_summary(plan);

    if (summary == NULL) {
        return -ENOMEM;
    }
    return plan_is_empty(plan)
               ? add(w, "configuration", VERIFY_OK, str_dup("as the fingerprint says"))
               : add(w, "configuration", VERIFY_DIFFERS,
                     str_printf("%s%s", plan->refusals.n > 0 ? "" : "differs in ", summary));
}

/* --- the machine that runs ---------------------------------------------------------------------
 */

/* What the guest identifies itself by; memory or a description may be pending as they like. */
static bool is_hardware(const char *key)
{
    static const char *const options[] = {"smbios1", "machine",  "scsihw",
                                          "boot",    "bootdisk", "bios"};
    struct drive_slot slot;
    int index;

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (str_equal(key, options[i])) {
            return true;
        }
    }
    return drive_slot_parse(key, &slot) || netdev_key_index(key, &index);
}

static int check_pending(struct verifying *w)
{
    CLEANUP(buf_fini) struct buf found = BUF_INIT(0);
    const json_t *item;
    size_t i;

    json_array_foreach (w->in->pending, i, item) {
        const char *key = json_string_value(json_object_get(item, "key"));

        if (key != NULL && is_hardware(key) &&
            (json_object_get(item, "pending") != NULL || json_object_get(item, "delete") != NULL)) {
            buf_addf(&found, "%s%s",
                     found.len > 0 ? ", " : "waits for the next stop and start: ", key);
        }
    }
    return add_found(w, "pending", &found, "nothing waits for the next start");
}

static int check_smbios(struct verifying *w)
{
    CLEANUP(smbios1_fini) struct smbios1 wanted = {0};
    CLEANUP(buf_fini) struct buf found = BUF_INIT(0);
    const char *value = pveconf_get(w->conf, "smbios1");
    int rc = value == NULL ? 0 : smbios1_parse(value, &wanted, NULL);

    if (w->in->argv == NULL) {
        return add(w, "smbios", VERIFY_UNKNOWN, str_dup("QEMU's command line cannot be read"));
    }
    for (unsigned i = 0; i < SMBIOS1_FIELDS && rc != -ENOMEM; i++) {
        const char *name = smbios1_field_name((enum smbios1_field)i);
        CLEANUP_FREE char *has = NULL;

        if (wanted.fields[i] == NULL) {
            continue;
        }
        rc = qemu_argv_smbios(w->in->argv, w->in->argv_len, 1, name, &has);
        if (rc == 0 && !smbios1_field_equal((enum smbios1_field)i, has, wanted.fields[i])) {
            find(&found, name, has, wanted.fields[i]);
        }
    }
    return rc == -ENOMEM ? rc : add_found(w, "smbios", &found, "as the configuration says");
}

static int check_machine(struct verifying *w)
{
    const char *running = json_string_value(json_object_get(w->in->status, "running-machine"));
    const char *value = pveconf_get(w->conf, "machine");
    CLEANUP(machine_fini) struct machine wanted = {0};
    CLEANUP(machine_fini) struct machine is = {0};
    int rc = running == NULL ? -EINVAL : machine_parse(running, &is, NULL);
    bool same;

    rc = rc < 0 ? rc : machine_parse(value, &wanted, NULL);
    if (rc == -ENOMEM) {
        return rc;
    }
    if (rc < 0) {
        return add(w, "machine", VERIFY_UNKNOWN, str_dup("PVE does not tell the running machine"));
    }
    same = is.kind == wanted.kind &&
           (!wanted.pinned || machine_version_compare(is.version, wanted.version) == 0);
    return same ? add(w, "machine", VERIFY_OK, str_dup(running))
                : add(w, "machine", VERIFY_DIFFERS,
                      str_printf("%s runs and %s is configured", running,
                                 value == NULL ? "PVE's default" : value));
}

static int check_nic(struct verifying *w, const struct pveconf_key *key, struct buf *found)
{
    CLEANUP(netdev_fini) struct netdev net = {0};
    CLEANUP_FREE char *model = NULL;
    CLEANUP_FREE char *mac = NULL;
    const char *wanted;
    int rc = netdev_parse(key->value, &net, NULL);

    if (rc < 0) {
        return rc == -ENOMEM ? rc : 0; /* PVE ignores such a line */
    }
    rc = qemu_argv_device(w->in->argv, w->in->argv_len, key->key, NULL, &model);
    rc = rc < 0 ? rc : qemu_argv_device(w->in->argv, w->in->argv_len, key->key, "mac", &mac);
    wanted = str_equal(net.model, "virtio") ? "virtio-net-pci" : net.model;
    if (rc == 0 && !str_equal(model, wanted)) {
        find(found, key->key, model, wanted);
    } else if (rc == 0 && *net.mac != '\0' && (mac == NULL || strcasecmp(mac, net.mac) != 0)) {
        find(found, key->key, mac, net.mac);
    }
    return rc;
}

static int check_nics(struct verifying *w)
{
    const struct pveconf_section *keys = &w->conf->sections[0];
    CLEANUP(buf_fini) struct buf found = BUF_INIT(0);
    int rc = 0;

    if (w->in->argv == NULL) {
        return add(w, "nics", VERIFY_UNKNOWN, str_dup("QEMU's command line cannot be read"));
    }
    for (size_t i = 0; i < keys->n && rc == 0; i++) {
        int index;

        if (netdev_key_index(keys->keys[i].key, &index)) {
            rc = check_nic(w, &keys->keys[i], &found);
        }
    }
    return rc < 0 ? rc : add_found(w, "nics", &found, "as the configuration says");
}

static int check_slot(struct verifying *w, struct drive_slot slot, struct buf *found)
{
    CLEANUP_FREE char *model = NULL;
    char name[DRIVE_SLOT_SIZE];
    const char *value;
    int rc;

    drive_slot_format(slot, name);
    value = pveconf_get(w->conf, name);
    rc = qemu_argv_device(w->in->argv, w->in->argv_len, name, NULL, &model);
    if (rc == 0 && value != NULL && model == NULL) {
        find(found, name, NULL, value);
    } else if (rc == 0 && value == NULL && model != NULL) {
        find(found, name, model, "empty");
    }
    return rc;
}

/* By slot: a disk that moved has another one. Not by PVE's blockstat, which names cdroms or not as
 * it likes. */
static int check_disks(struct verifying *w)
{
    CLEANUP(buf_fini) struct buf found = BUF_INIT(0);
    int rc = 0;

    if (w->in->argv == NULL) {
        return add(w, "disks", VERIFY_UNKNOWN, str_dup("QEMU's command line cannot be read"));
    }
    for (int bus = 0; bus < DRIVE_BUSES; bus++) {
        for (int i = 0; i < drive_bus_slots((enum drive_bus)bus) && rc == 0; i++) {
            rc = check_slot(w, (struct drive_slot){(enum drive_bus)bus, i}, &found);
        }
    }
    return rc < 0 ? rc : add_found(w, "disks", &found, "in the slots that the configuration says");
}

int verify_make(const struct verify_input *in, struct verify *ret)
{
    static int (*const of_running[])(struct verifying *) = {check_pending, check_smbios,
                                                            check_machine, check_nics, check_disks};
    CLEANUP(pveconf_freep) struct pveconf *next = NULL;
    CLEANUP(verify_fini) struct verify v = {0};
    struct verifying w = {.in = in, .v = &v};
    int rc = pveconf_apply_pending(in->assessment->conf, &next);

    w.conf = next;
    v.running = str_equal(json_string_value(json_object_get(in->status, "status")), "running");
    rc = rc < 0 ? rc : check_configuration(&w);
    for (size_t i = 0; v.running && i < ARRAY_SIZE(of_running) && rc == 0; i++) {
        rc = of_running[i](&w);
    }
    if (rc < 0) {
        return rc;
    }
    *ret = v;
    v = (struct verify){0};
    return 0;
}

enum verify_result verify_result(const struct verify *v)
{
    enum verify_result worst = VERIFY_OK;

    for (size_t i = 0; i < v->n; i++) {
        if (v->checks[i].result == VERIFY_DIFFERS) {
            return VERIFY_DIFFERS;
        }
        worst = v->checks[i].result == VERIFY_UNKNOWN ? VERIFY_UNKNOWN : worst;
    }
    return worst;
}

const char *verify_result_name(enum verify_result result)
{
    switch (result) {
    case VERIFY_OK:
        return "ok";
    case VERIFY_DIFFERS:
        return "differs";
    case VERIFY_UNKNOWN:
        return "unknown";
    }
    return "unknown";
}

json_t *verify_checks_to_json(const struct verify *v)
{
    json_t *array = json_array();

    for (size_t i = 0; i < v->n && array != NULL; i++) {
        const struct verify_check *check = &v->checks[i];

        if (json_array_append_new(array, json_pack("{s:s, s:s, s:o}", "what", check->what, "result",
                                                   verify_result_name(check->result), "detail",
                                                   jsonwrite_text(check->detail))) < 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

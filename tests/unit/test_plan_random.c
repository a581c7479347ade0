/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Properties of plans over random configurations and fingerprints: each plan is carried out step by
 * step, and from every state in between a new plan must lead to the same end. PLAN_SEED=n repeats a
 * run, PLAN_VERBOSE=1 shows each case.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/drive.h"
#include "core/plan.h"
#include "pve_apply.h"

static struct fingerprint *read_fp(const char *json)
{
    struct fingerprint *fp = NULL;
    struct err err = {""};

    if (fingerprint_parse(json, strlen(json), &fp, &err) < 0) {
        fail_msg("%s: %s", json, err.text);
    }
    return fp;
}

static struct plan *make(const char *text, const struct fingerprint *fp)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    struct plan *plan = NULL;
    struct err err = {""};

    assert_int_equal(pveconf_parse(text, strlen(text), &conf, &err), 0);
    if (plan_make(&(struct plan_input){.vmid = 105, .conf = conf, .fp = fp}, &plan, &err) < 0) {
        fail_msg("%s: %s", text, err.text);
    }
    return plan;
}

static struct plan *make_json(const char *text, const char *json)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = read_fp(json);

    return make(text, fp);
}

static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text != '\n' && !ascii_is_print(*text)) {
            return false;
        }
    }
    return true;
}

enum { RUNS = 4000 };

struct dice {
    uint64_t state;
};

static uint64_t roll_raw(struct dice *dice) /* xorshift64 */
{
    dice->state ^= dice->state << 13;
    dice->state ^= dice->state >> 7;
    dice->state ^= dice->state << 17;
    return dice->state;
}

static int roll(struct dice *dice, int sides)
{
    return (int)(roll_raw(dice) % (uint64_t)sides);
}

static bool one_in(struct dice *dice, int n)
{
    return roll(dice, n) == 0;
}

static const char *pick(struct dice *dice, const char *const *words, size_t n)
{
    return words[roll(dice, (int)n)];
}
#define PICK(dice, words) pick(dice, words, ARRAY_SIZE(words))

static void add_random_drive(struct dice *dice, struct buf *conf, enum drive_bus bus, int index,
                             int *n_disks)
{
    const char *name = drive_bus_name(bus);

    if (one_in(dice, 5)) {
        buf_addf(conf, "%s%d: none,media=cdrom\n", name, index);
        return;
    }
    buf_addf(conf, "%s%d: local:105/vm-105-disk-%s%d.raw", name, index, name, index);
    if (one_in(dice, 3) && drive_bus_knows(bus, "iothread")) {
        buf_adds(conf, ",iothread=1");
    }
    if (one_in(dice, 4)) {
        buf_addf(conf, ",serial=S%d", roll(dice, 4));
    }
    buf_addf(conf, ",size=%dG%s\n", 1 + roll(dice, 9),
             one_in(dice, 3) && drive_bus_knows(bus, "ssd") ? ",ssd=1" : "");
    (*n_disks)++;
}

/* All names of drives and NICs in random order, now and then one that is not there. */
static void add_random_boot(struct dice *dice, struct buf *conf, char (*names)[16], int n)
{
    if (one_in(dice, 6)) {
        return;
    }
    if (one_in(dice, 6)) {
        static const char *const legacy[] = {"cdn", "dcn", "n", "ca"};

        buf_addf(conf, "boot: %s\n", PICK(dice, legacy));
    } else {
        buf_adds(conf, "boot: order=");
        for (int i = n - 1; i > 0; i--) {
            char swap[16];
            int j = roll(dice, i + 1);

            memcpy(swap, names[i], 16);
            memcpy(names[i], names[j], 16);
            memcpy(names[j], swap, 16);
        }
        n = n > 0 ? 1 + roll(dice, n) : 0;
        for (int i = 0; i < n; i++) {
            buf_addf(conf, "%s;", names[i]);
        }
        buf_addf(conf, "%s\n", one_in(dice, 4) ? "net9" : "net0");
    }
    if (n > 0 && one_in(dice, 3)) {
        buf_addf(conf, "bootdisk: %s\n", strncmp(names[0], "net", 3) == 0 ? "scsi30" : names[0]);
    }
}

static char *random_conf(struct dice *dice, int *ret_disks)
{
    static const char *const machines[] = {"",
                                           "",
                                           "machine: q35\n",
                                           "machine: pc-q35-8.1+pve1\n",
                                           "machine: pc-q35-10.0\n",
                                           "machine: pc-i440fx-9.0,viommu=virtio\n"};
    static const char *const hws[] = {"", "scsihw: virtio-scsi-single\n",
                                      "scsihw: virtio-scsi-pci\n", "scsihw: pvscsi\n"};
    static const char *const models[] = {"virtio", "e1000", "vmxnet3", "rtl8139"};
    static const char *const smbios[] = {
        "", "smbios1: uuid=11111111-2222-3333-4444-555555555555,family=Zg==,base64=1\n"};
    static const char *const states[] = {
        "", "", "", "", "", "", "", "lock: backup\n", "protection: 1\n"};
    struct buf conf = BUF_INIT(0);
    char names[DRIVE_BUSES * 4 + 4][16];
    int n = 0;

    *ret_disks = 0;
    buf_addf(&conf, "name: x\nunknown-key: kept\n%s%s%s%s%s", PICK(dice, machines), PICK(dice, hws),
             PICK(dice, smbios), PICK(dice, states),
             one_in(dice, 2) ? "bios: ovmf\nefidisk0: local:105/efi.raw,size=4M\n" : "");
    for (int bus = 0; bus < DRIVE_BUSES; bus++) {
        for (int i = 0; i < 3; i++) {
            int index = roll(dice, 2) * 2 + i % 2;

            if (!one_in(dice, 3) || (i == 2 && true)) {
                continue;
            }
            (void)snprintf(names[n], 16, "%s%d", drive_bus_name((enum drive_bus)bus), index);
            if (strstr(conf.data, names[n]) != NULL) {
                continue;
            }
            n++;
            add_random_drive(dice, &conf, (enum drive_bus)bus, index, ret_disks);
        }
    }
    for (int i = 0; i < roll(dice, 4); i++) {
        buf_addf(&conf, "net%d: %s=BC:24:11:9A:A3:C%d,bridge=vmbr0%s\n", i, PICK(dice, models), i,
                 one_in(dice, 3) ? ",queues=4" : "");
        (void)snprintf(names[n++], 16, "net%d", i);
    }
    add_random_boot(dice, &conf, names, n);
    return buf_steal(&conf);
}

static void add_random_disks(struct dice *dice, struct buf *json, int n)
{
    static const char *const kinds[] = {"sata", "ide", "pvscsi", "nvme", "lsisas1068"};
    const char *all = one_in(dice, 2) ? PICK(dice, kinds) : NULL;
    int n_ide = 0;
    bool scsi = !one_in(dice, 4); /* pvscsi with another SCSI controller: then all disks stay */

    for (int i = 0; i < n; i++) {
        const char *kind = all != NULL ? all : pick(dice, kinds, scsi ? 4 : ARRAY_SIZE(kinds));
        bool ide = str_equal(kind, "ide") && n_ide < 4; /* VMware has four at most */

        kind = ide || !str_equal(kind, "ide") ? kind : "sata";
        buf_addf(json, "%s{\"controller\":\"%s\",\"bus\":%d,\"unit\":%d", i > 0 ? "," : "", kind,
                 ide                             ? n_ide / 2
                 : str_equal(kind, "pvscsi")     ? 0
                 : str_equal(kind, "lsisas1068") ? 1
                                                 : i % 4,
                 ide                      ? n_ide % 2
                 : str_ends(kind, "scsi") ? i + (i >= 7 ? 1 : 0)
                 : str_ends(kind, "1068") ? i + (i >= 7 ? 1 : 0)
                                          : i / 4);
        n_ide += ide ? 1 : 0;
        if (one_in(dice, 3)) {
            buf_addf(json, ",\"serial\":\"S%d\"", roll(dice, 4));
        }
        if (one_in(dice, 4)) {
            buf_adds(json, ",\"vendor\":\"VMware\",\"model\":\"VMware IDE\"");
        }
        buf_addc(json, '}');
    }
}

static char *random_fp(struct dice *dice, int n_disks)
{
    static const char *const models[] = {"vmxnet3", "e1000", "vlance", "unknown"};
    struct buf json = BUF_INIT(0);
    int n_nics = roll(dice, 4);

    buf_adds(&json, "{\"format\":1,\"machine\":{\"type\":\"q35\",\"min_version\":\"8.2\"}");
    if (one_in(dice, 2)) {
        buf_adds(&json, ",\"smbios\":{\"uuid\":\"9b1a4d56-1100-3322-4455-66778899aabb\","
                        "\"manufacturer\":\"VMware, Inc.\"}");
    }
    if (n_nics > 0) {
        buf_adds(&json, ",\"nics\":[");
        for (int i = 0; i < n_nics; i++) {
            buf_addf(&json, "%s{\"model\":\"%s\",\"mac\":\"%s:c%d\"}", i > 0 ? "," : "",
                     PICK(dice, models), one_in(dice, 2) ? "bc:24:11:9a:a3" : "00:50:56:8a:01", i);
        }
        buf_addc(&json, ']');
    }
    n_disks += one_in(dice, 8) ? 1 : 0;
    if (n_disks > 0) {
        buf_adds(&json, ",\"disks\":[");
        add_random_disks(dice, &json, n_disks);
        buf_addc(&json, ']');
    }
    buf_addc(&json, '}');
    return buf_steal(&json);
}

/* What must not change whatever is planned. */
static void check_kept(const char *before, const char *after)
{
    CLEANUP(pveconf_freep) struct pveconf *old = NULL;
    CLEANUP(pveconf_freep) struct pveconf *new = NULL;

    assert_int_equal(pveconf_parse(before, strlen(before), &old, NULL), 0);
    assert_int_equal(pveconf_parse(after, strlen(after), &new, NULL), 0);
    for (size_t i = 0; i < old->sections[0].n; i++) {
        const struct pveconf_key *key = &old->sections[0].keys[i];
        struct drive_slot slot;
        bool disk = drive_slot_parse(key->key, &slot) && strstr(key->value, "cdrom") == NULL;

        if (!disk && !str_starts(key->key, "net") && !str_equal(key->key, "boot") &&
            !str_equal(key->key, "bootdisk") && !str_equal(key->key, "machine") &&
            !str_equal(key->key, "smbios1") && !str_equal(key->key, "scsihw")) {
            assert_string_equal(key->value, pveconf_get(new, key->key));
        }
    }
}

/* The volume that the boot order (or bootdisk) names first; NULL: none. The caller's. */
static char *boot_volume(const char *text)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(boot_order_fini) struct boot_order boot = {0};
    const char *slot = NULL;

    assert_int_equal(pveconf_parse(text, strlen(text), &conf, NULL), 0);
    assert_int_equal(boot_order_parse(conf, &boot, NULL), 0);
    if (boot.legacy != NULL || !boot.explicit_order) {
        slot = boot.bootdisk;
    }
    for (size_t i = 0; i < boot.n && slot == NULL; i++) {
        const char *value = pveconf_get(conf, boot.devices[i]);
        struct drive_slot parsed;

        if (value != NULL && strstr(value, "cdrom") == NULL &&
            drive_slot_parse(boot.devices[i], &parsed)) {
            slot = boot.devices[i];
        }
    }
    slot = slot == NULL ? NULL : pveconf_get(conf, slot);
    /* A cdrom as bootdisk is without effect in PVE. */
    return slot == NULL || strstr(slot, "cdrom") != NULL ? NULL
                                                         : str_ndup(slot, strcspn(slot, ","));
}

static void check_boot_kept(const char *before, const char *after)
{
    CLEANUP_FREE char *old = boot_volume(before);
    CLEANUP_FREE char *new = boot_volume(after);

    if (old != NULL && !str_equal(old, new)) {
        fail_msg("the boot disk was %s and is %s:\n%s\n---\n%s", old, new, before, after);
    }
}

static void check_changes(const struct plan *plan, const char *before, const char *after)
{
    CLEANUP(pveconf_freep) struct pveconf *old = NULL;
    CLEANUP(pveconf_freep) struct pveconf *new = NULL;

    assert_int_equal(pveconf_parse(before, strlen(before), &old, NULL), 0);
    assert_int_equal(pveconf_parse(after, strlen(after), &new, NULL), 0);
    for (size_t i = 0; i < plan->n_changes; i++) {
        const struct plan_change *change = &plan->changes[i];

        assert_true(str_equal(change->old, pveconf_get(old, change->option)));
        assert_true(str_equal(change->new, pveconf_get(new, change->option)));
        assert_false(str_starts(change->option, "virtio") && change->new != NULL &&
                     change->old == NULL);
        assert_true(change->why[0] != '\0');
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(plan->changes[j].option, change->option);
        }
    }
}

static void check_rendering(const struct plan *plan)
{
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FREE char *summary = plan_summary(plan);
    json_t *json = plan_to_json(plan);

    assert_non_null(json);
    json_decref(json);
    assert_int_equal(plan_to_text(plan, &text, NULL), 0);
    assert_true(is_plain(text));
    assert_true(is_plain(summary) && strchr(summary, '\n') == NULL);
    assert_true(strlen(summary) <= PLAN_SUMMARY_MAX);
}

/* Plans from `text`, carries it out: the end; a third plan finds nothing to do. */
static char *run_to_the_end(const char *text, const struct fingerprint *fp)
{
    CLEANUP(plan_freep) struct plan *plan = make(text, fp);
    CLEANUP(plan_freep) struct plan *second = NULL;
    CLEANUP_FREE char *after = NULL;
    struct err err = {""};

    if (pve_apply_plan(text, plan, &after, &err) < 0) {
        fail_msg("%s\n%s", err.text, text);
    }
    second = make(after, fp);
    if (second->n_changes > 0) {
        CLEANUP_FREE char *why = plan_summary(second);

        fail_msg("a second plan wants %s:\n%s\n---\n%s", why, text, after);
    }
    return STEAL(after);
}

/* volume -> bus, as text, in the order of the buses' names. */
static char *buses_of_volumes(const char *text)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(drive_list_fini) struct drive_list list = {0};
    struct buf out = BUF_INIT(0);

    assert_int_equal(pveconf_parse(text, strlen(text), &conf, NULL), 0);
    assert_int_equal(drive_list_read(conf, &list, NULL), 0);
    for (int bus = 0; bus < DRIVE_BUSES; bus++) {
        size_t n = 0;

        for (size_t i = 0; i < list.n; i++) {
            n += list.items[i].slot.bus == (enum drive_bus)bus ? 1 : 0;
        }
        buf_addf(&out, "%s:%zu ", drive_bus_name((enum drive_bus)bus), n);
    }
    return buf_steal(&out);
}

static void check_one(const char *conf, const char *json)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = read_fp(json);
    CLEANUP(plan_freep) struct plan *plan = make(conf, fp);
    CLEANUP_FREE char *end = NULL;
    CLEANUP_FREE char *end_buses = NULL;
    CLEANUP_FREE char *now = str_dup(conf);
    struct err err = {""};

    check_rendering(plan);
    if (plan->refusals.n > 0) {
        assert_int_equal(plan->n_changes + plan->n_steps, 0);
        return;
    }
    assert_true((plan->n_changes == 0) == (plan->n_steps == 0));
    end = run_to_the_end(conf, fp);
    end_buses = buses_of_volumes(end);
    check_changes(plan, conf, end);
    for (size_t i = 0; i < plan->n_steps; i++) {
        CLEANUP_FREE char *resumed = NULL;
        CLEANUP_FREE char *buses = NULL;
        char *next = NULL;

        assert_true(i == 0 || plan_step_is_disk(&plan->steps[i]));
        assert_int_equal(pve_apply_step(now, &plan->steps[i], &next, &err), 0);
        free(now);
        now = next;
        assert_int_equal(pve_check_volumes(now, &err), 0);
        check_kept(conf, now);
        check_boot_kept(conf, now);
        resumed = run_to_the_end(now, fp); /* as after a crash */
        buses = buses_of_volumes(resumed);
        if (!str_equal(buses, end_buses)) {
            fail_msg("resumed after step %zu it ends with %s, else %s:\n%s\n%s", i, buses,
                     end_buses, conf, json);
        }
    }
}

static void any_plan_can_be_carried_out_and_resumed(void **state)
{
    const char *seed_text = getenv("PLAN_SEED");
    uint64_t seed = 0x9e3779b97f4a7c15U;
    size_t moved = 0;

    (void)state;
    if (seed_text != NULL) {
        seed = strtoull(seed_text, NULL, 0);
    }
    for (int i = 0; i < RUNS; i++) {
        struct dice dice = {seed + (uint64_t)i * 0x2545f4914f6cdd1dU};
        CLEANUP_FREE char *conf = NULL;
        CLEANUP_FREE char *json = NULL;
        int n_disks;

        dice.state += dice.state == 0 ? 1 : 0;
        for (int j = 0; j < 4; j++) {
            (void)roll_raw(&dice); /* neighbouring seeds begin alike */
        }
        conf = random_conf(&dice, &n_disks);
        json = random_fp(&dice, n_disks);
        if (getenv("PLAN_VERBOSE") != NULL) {
            print_message("run %d, PLAN_SEED=0x%llx\n%s%s\n", i,
                          (unsigned long long)(seed + (uint64_t)i * 0x2545f4914f6cdd1dU), conf,
                          json);
        }
        check_one(conf, json);
        {
            CLEANUP(plan_freep) struct plan *plan = make_json(conf, json);

            for (size_t j = 0; j < plan->n_steps; j++) {
                moved += plan->steps[j].remove != NULL ? 1 : 0;
            }
        }
    }
    print_message("%d random plans, %zu disks moved, PLAN_SEED=0x%llx\n", RUNS, moved,
                  (unsigned long long)seed);
    assert_true(moved > RUNS / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_plan_can_be_carried_out_and_resumed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

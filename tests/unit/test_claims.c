/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The identity guard: who may be given what, as a table; and the index under a storm of changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "core/claims.h"

#define UUID      "9b1a4d56-1100-3322-4455-66778899aabb"
#define OTHER     "11111111-2222-3333-4444-555555555555"
#define SERIAL    "VMware-56 4d 1a 9b 00 11 22 33-44 55 66 77 88 99 aa bb"
#define SERIAL_64 "Vk13YXJlLTU2IDRkIDFhIDliIDAwIDExIDIyIDMzLTQ0IDU1IDY2IDc3IDg4IDk5IGFhIGJi"
#define MAC       "00:50:56:8a:01:02"

#define FP_UUID   "{\"format\":1,\"smbios\":{\"uuid\":\"" UUID "\"}}"
#define FP_OTHER  "{\"format\":1,\"smbios\":{\"uuid\":\"" OTHER "\"}}"
#define FP_SERIAL "{\"format\":1,\"smbios\":{\"uuid\":\"" UUID "\",\"serial\":\"" SERIAL "\"}}"
#define FP_MAC    "{\"format\":1,\"nics\":[{\"model\":\"e1000\",\"mac\":\"" MAC "\"}]}"
#define FP_KEEP                                                                                    \
    "{\"format\":1,\"nics\":[{\"model\":\"e1000\",\"mac\":\"" MAC "\"}],"                          \
    "\"policy\":{\"nics\":\"keep\"}}"
#define FP_MOVED "{\"format\":1,\"smbios\":{\"uuid\":\"" UUID "\"},\"vm\":{\"moved_from\":106}}"
#define FP_BOUND "{\"format\":1,\"smbios\":{\"uuid\":\"" UUID "\"},\"vm\":{\"ctime\":1000}}"

#define C_UUID   "smbios1: uuid=" UUID "\n"
#define C_OTHER  "smbios1: uuid=" OTHER "\n"
#define C_CLONE  "smbios1: base64=1,serial=" SERIAL_64 ",uuid=" OTHER "\n"
#define C_SERIAL "smbios1: uuid=" UUID ",serial=" SERIAL_64 ",base64=1\n"
#define C_MAC    "net0: virtio=00:50:56:8A:01:02,bridge=vmbr0\n"
#define C_TIME   "meta: creation-qemu=10.0.2,ctime=1000\n"
#define C_LATER  "meta: creation-qemu=10.0.2,ctime=2000\n"
#define C_ZERO   "smbios1: uuid=00000000-0000-0000-0000-000000000000\n"

static struct fingerprint *fingerprint(const char *text)
{
    struct fingerprint *fp = NULL;

    assert_int_equal(fingerprint_parse(text, strlen(text), &fp, NULL), 0);
    return fp;
}

static void claim_fingerprint(struct claims *claims, uint32_t vmid, const char *text)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = fingerprint(text);
    CLEANUP(identity_fini) struct identity id = {0};

    assert_int_equal(identity_of_fingerprint(fp, &id), 0);
    assert_int_equal(claims_set(claims,
                                &(struct claims_owner){.vmid = vmid, .where = CLAIMS_FINGERPRINT},
                                &id, 1),
                     0);
}

static void claim_config(struct claims *claims, uint32_t vmid, const char *node, const char *text)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(identity_fini) struct identity id = {0};
    struct claims_owner owner = {.vmid = vmid, .where = CLAIMS_CONFIG, .node = node};

    assert_int_equal(pveconf_parse(text, strlen(text), &conf, NULL), 0);
    assert_int_equal(identity_of_config(conf, &id), 0);
    owner.is_template = id.is_template;
    assert_int_equal(claims_set(claims, &owner, &id, 1), 0);
}

static struct claims_findings judge(const struct claims *claims, const char *fp_text,
                                    const char *conf_text)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = fingerprint(fp_text);
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    struct claims_findings findings = {0};

    assert_int_equal(pveconf_parse(conf_text, strlen(conf_text), &conf, NULL), 0);
    assert_int_equal(claims_judge(claims, 105, fp, conf, &findings), 0);
    return findings;
}

/* --- the rules -------------------------------------------------------------------------------- */

static const struct rule {
    const char *name;
    const char *fp, *conf;             /* of VM 105 */
    const char *other_fp, *other_conf; /* of VM 106; NULL: none */
    const char *node;                  /* of VM 106; NULL: this one */
    const char *refused, *noted;       /* a part of the one sentence; NULL: none */
} rules[] = {
    {"alone", FP_UUID, "", NULL, NULL, NULL, NULL, NULL},
    {"two strangers", FP_UUID, "", FP_OTHER, C_OTHER, NULL, NULL, NULL},
    /* (a) two fingerprints */
    {"neither has it", FP_UUID, "", FP_UUID, "", NULL,
     "VM 106 has a fingerprint with the same uuid " UUID ", and only one VM", NULL},
    {"neither is there", FP_UUID, "", FP_UUID, NULL, NULL, "neither is changed", NULL},
    {"both have it", FP_UUID, C_UUID, FP_UUID, C_UUID, NULL, "both VMs carry it", NULL},
    {"the other has it", FP_UUID, "", FP_UUID, C_UUID, "pve2",
     "VM 106 on node pve2 carries uuid " UUID " and has a fingerprint that says so", NULL},
    {"this one has it", FP_UUID, C_UUID, FP_UUID, "", NULL, NULL, "VM 106 does not get it"},
    {"only the MAC", FP_MAC, "", FP_MAC, "", NULL, "same MAC " MAC, NULL},
    {"a serial of VMware names the uuid", FP_UUID, "",
     "{\"format\":1,\"smbios\":{\"serial\":\"" SERIAL "\"}}", "", NULL, "same uuid " UUID, NULL},
    /* (b), (c) a configuration carries it and no fingerprint says so */
    {"a copy", FP_UUID, "", NULL, C_UUID, NULL, "VM 106 carries uuid " UUID " already", NULL},
    {"a copy elsewhere", FP_UUID, "", NULL, C_UUID, "pve2",
     "VM 106 on node pve2 carries uuid " UUID " already", NULL},
    {"its fingerprint is of another", FP_UUID, "", FP_OTHER, C_UUID, NULL, "already", NULL},
    {"a restored copy of what is in sync", FP_UUID, C_UUID, NULL, C_UUID, NULL, NULL,
     "VM 106 carries the same uuid " UUID ": never run both"},
    {"a full clone", FP_SERIAL, C_SERIAL, NULL, C_CLONE, NULL, NULL, "keeps the serial number"},
    {"a full clone of what was set back", FP_SERIAL, C_OTHER, NULL, C_CLONE, NULL,
     "VM 106 carries serial " SERIAL " already", NULL},
    {"a MAC", FP_MAC, "", NULL, C_MAC, NULL, "--netN with another MAC address", NULL},
    {"a MAC that is not given", FP_KEEP, "", NULL, C_MAC, NULL, NULL, NULL},
    {"a template", FP_UUID, "", NULL, C_UUID "template: 1\n", NULL, NULL, "the template 106"},
    {"moved away from there", FP_MOVED, "", NULL, C_UUID, "pve2", NULL, "moved from there"},
    {"moved, and the old fingerprint left", FP_MOVED, "", FP_UUID, C_UUID, NULL, "carries", NULL},
    {"all zeros are nobody", FP_UUID, C_ZERO, NULL, C_ZERO, NULL, NULL, NULL},
    /* (d) the number, used again */
    {"the same VM", FP_BOUND, C_TIME, NULL, NULL, NULL, NULL, NULL},
    {"another VM", FP_BOUND, C_LATER, NULL, NULL, NULL,
     "created at 1970-01-01 00:33:20 UTC, and its fingerprint was given to a VM 105 that was "
     "created at 1970-01-01 00:16:40 UTC",
     NULL},
    {"a VM of which nobody knows", FP_BOUND, C_OTHER, NULL, NULL, NULL, NULL, NULL},
    {"a fingerprint that does not say", FP_UUID, C_LATER, NULL, NULL, NULL, NULL, NULL},
};

static void expect(const char *rule, const char *what, const struct notes *notes, const char *part)
{
    if (notes->n != (part != NULL) || (part != NULL && strstr(notes->items[0], part) == NULL)) {
        fail_msg("%s: %s: %zu: %s", rule, what, notes->n, notes->n > 0 ? notes->items[0] : "");
    }
}

static void each_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        const struct rule *rule = &rules[i];
        CLEANUP(claims_freep) struct claims *claims = NULL;
        struct claims_findings found;

        assert_int_equal(claims_new(&claims), 0);
        claim_fingerprint(claims, 105, rule->fp); /* one's own claims are no obstacle */
        claim_config(claims, 105, NULL, rule->conf);
        if (rule->other_fp != NULL) {
            claim_fingerprint(claims, 106, rule->other_fp);
        }
        if (rule->other_conf != NULL) {
            claim_config(claims, 106, rule->node, rule->other_conf);
        }
        found = judge(claims, rule->fp, rule->conf);
        expect(rule->name, "refusals", &found.refusals, rule->refused);
        expect(rule->name, "notes", &found.notes, rule->noted);
        assert_int_equal(found.elsewhere, rule->node != NULL && rule->refused != NULL &&
                                              strstr(rule->refused, "already") != NULL);
        claims_findings_fini(&found);
    }
}

/* Whatever two VMs with one fingerprint carry: never may both be given it. */
static void at_most_one_is_given_it(void **state)
{
    static const char *const confs[] = {"", C_UUID, C_OTHER, C_CLONE, C_SERIAL};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(confs) * ARRAY_SIZE(confs); i++) {
        const char *mine = confs[i % ARRAY_SIZE(confs)], *theirs = confs[i / ARRAY_SIZE(confs)];
        struct claims *of[2];
        size_t may = 0;

        for (size_t side = 0; side < 2; side++) {
            struct claims_findings found;

            assert_int_equal(claims_new(&of[side]), 0);
            claim_fingerprint(of[side], 106, FP_SERIAL);
            claim_config(of[side], 106, NULL, side == 0 ? theirs : mine);
            found = judge(of[side], FP_SERIAL, side == 0 ? mine : theirs);
            may += found.refusals.n == 0;
            claims_findings_fini(&found);
            claims_free(of[side]);
        }
        assert_in_range(may, 0, 1);
    }
}

static void a_vm_is_bound_by_its_first_change(void **state)
{
    CLEANUP(claims_freep) struct claims *claims = NULL;
    CLEANUP(fingerprint_freep) struct fingerprint *fp = fingerprint(FP_UUID);
    CLEANUP(identity_fini) struct identity id = {0};
    char name[SMBIOS_UUID_SIZE];
    struct claims_findings found;

    (void)state;
    assert_int_equal(claims_new(&claims), 0);
    assert_int_equal(identity_of_fingerprint(fp, &id), 0);
    assert_int_equal(identity_name(&id, name), 0);
    assert_int_equal(claims_bind(claims, 105, 1000, name), 0);
    found = judge(claims, FP_UUID, C_LATER);
    expect("bound", "refusals", &found.refusals, "pve-hwid adopt 105");
    claims_findings_fini(&found);
    /* Another machine under this number, by a fingerprint of its own: nobody's business. */
    found = judge(claims, FP_OTHER, C_LATER);
    expect("another machine", "refusals", &found.refusals, NULL);
    claims_findings_fini(&found);
    /* What the fingerprint says counts more: that is what `adopt` writes. */
    found = judge(claims, FP_BOUND, C_TIME);
    expect("adopted", "refusals", &found.refusals, NULL);
    claims_findings_fini(&found);
    assert_int_equal(claims_bind(claims, 105, 2000, name), 0);
    found = judge(claims, FP_UUID, C_LATER);
    expect("bound anew", "refusals", &found.refusals, NULL);
    claims_findings_fini(&found);
}

static void creation_times_are_those_of_the_calendar(void **state)
{
    static const struct {
        long ctime;
        const char *text;
    } times[] = {
        {1, "1970-01-01 00:00:01 UTC"},          {951782399, "2000-02-28 23:59:59 UTC"},
        {951782400, "2000-02-29 00:00:00 UTC"},  {951868800, "2000-03-01 00:00:00 UTC"},
        {1795397075, "2026-11-23 01:24:35 UTC"}, {FINGERPRINT_CTIME_MAX, "2106-02-07 06:28:15 UTC"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        CLEANUP_FREE char *fp = str_printf("{\"format\":1,\"smbios\":{\"uuid\":\"" UUID
                                           "\"},\"vm\":{\"ctime\":%ld}}",
                                           times[i].ctime);
        struct claims_findings found = judge(NULL, fp, C_LATER);

        expect(times[i].text, "refusals", &found.refusals, times[i].text);
        claims_findings_fini(&found);
    }
}

static void a_gap_is_told_where_something_is_given(void **state)
{
    CLEANUP(claims_freep) struct claims *claims = NULL;
    struct claims_findings found;

    (void)state;
    assert_int_equal(claims_new(&claims), 0);
    assert_int_equal(claims_set_gap(claims, "pve2 does not answer"), 0);
    found = judge(claims, FP_UUID, "");
    expect("given", "notes", &found.notes, "pve2 does not answer");
    claims_findings_fini(&found);
    found = judge(claims, FP_UUID, C_UUID);
    expect("carried", "notes", &found.notes, NULL);
    claims_findings_fini(&found);
}

static void a_hundred_clones_are_told_in_short(void **state)
{
    CLEANUP(claims_freep) struct claims *claims = NULL;
    struct claims_findings found;

    (void)state;
    assert_int_equal(claims_new(&claims), 0);
    for (uint32_t vmid = 200; vmid < 300; vmid++) {
        claim_config(claims, vmid, NULL, C_CLONE);
    }
    found = judge(claims, FP_SERIAL, C_SERIAL);
    assert_int_equal(found.notes.n, 9);
    assert_string_equal(found.notes.items[8], "and 92 more of the kind");
    assert_int_equal(found.refusals.n, 0);
    claims_findings_fini(&found);
}

static void a_serial_that_says_nothing_is_nobodys(void **state)
{
    static const char *const serials[] = {"0", "None", "To Be Filled By O.E.M.", "........"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(serials); i++) {
        CLEANUP(claims_freep) struct claims *claims = NULL;
        CLEANUP_FREE char *fp = str_printf("{\"format\":1,\"smbios\":{\"serial\":\"%s\"}}",
                                           serials[i]);
        struct claims_findings found;

        assert_int_equal(claims_new(&claims), 0);
        claim_fingerprint(claims, 106, fp);
        found = judge(claims, fp, "");
        expect(serials[i], "refusals", &found.refusals, NULL);
        claims_findings_fini(&found);
    }
}

/* An undo: what the VM has now, what it would have again, and who else has that. */
static void what_another_has_by_now_does_not_come_back(void **state)
{
    static const struct {
        const char *now, *after, *other;
        bool refused;
    } rows[] = {
        {C_OTHER, C_UUID, C_UUID, true},
        {C_OTHER, C_UUID C_MAC, C_MAC, true},
        {C_UUID, C_UUID, C_UUID, false},    /* it carries it already */
        {C_UUID, C_OTHER, C_UUID, false},   /* it gives it up */
        {C_UUID, C_CLONE, C_SERIAL, false}, /* a serial stays with clones */
        {C_OTHER, C_UUID, C_UUID "template: 1\n", false},
        {C_OTHER, C_UUID, "", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(claims_freep) struct claims *claims = NULL;
        CLEANUP(pveconf_freep) struct pveconf *now = NULL, *after = NULL;
        CLEANUP(claims_findings_fini) struct claims_findings found = {0};

        assert_int_equal(claims_new(&claims), 0);
        claim_config(claims, 106, NULL, rows[i].other);
        assert_int_equal(pveconf_parse(rows[i].now, strlen(rows[i].now), &now, NULL), 0);
        assert_int_equal(pveconf_parse(rows[i].after, strlen(rows[i].after), &after, NULL), 0);
        assert_int_equal(claims_judge_return(claims, 105, now, after, &found), 0);
        if ((found.refusals.n > 0) != rows[i].refused) {
            fail_msg("row %zu: %zu refusals", i, found.refusals.n);
        }
        claims_findings_fini(&found);
        assert_int_equal(claims_judge_return(NULL, 105, now, after, &found), 0);
        assert_int_equal(found.refusals.n, 0);
    }
}

static void rivals_are_found_once(void **state)
{
    CLEANUP(claims_freep) struct claims *claims = NULL;
    CLEANUP(fingerprint_freep) struct fingerprint *fp = fingerprint(FP_SERIAL);
    CLEANUP(claims_rivals_fini) struct claims_rivals rivals = {0};

    (void)state;
    assert_int_equal(claims_new(&claims), 0);
    claim_fingerprint(claims, 105, FP_SERIAL);
    claim_config(claims, 106, NULL, C_SERIAL); /* by two keys */
    claim_fingerprint(claims, 107, FP_SERIAL);
    claim_config(claims, 108, NULL, C_OTHER);
    assert_int_equal(claims_rivals(claims, 105, fp, CLAIMS_CONFIG, &rivals), 0);
    assert_int_equal(rivals.n, 1);
    assert_int_equal(rivals.vmids[0], 106);
}

/* --- the index -------------------------------------------------------------------------------- */

/* Ten thousand, changed and dropped in a wild order: the index is what a list would be. */
static void the_index_holds(void **state)
{
    enum { VMS = 500, STEPS = 20000 };
    CLEANUP(claims_freep) struct claims *claims = NULL;
    static uint8_t holds[VMS]; /* 1 + the number of the MAC; 0: not known */
    uint32_t seed = 12345;
    size_t at = 0, known = 0, seen = 0;
    struct claims_owner owner;

    (void)state;
    assert_int_equal(claims_new(&claims), 0);
    for (size_t i = 0; i < STEPS; i++) {
        struct identity id = {.n_macs = 1};
        uint32_t vm = (seed = seed * 1664525 + 1013904223) >> 16;
        uint8_t mac = (uint8_t)((seed >> 8) % 200);

        vm %= VMS;
        if (seed % 3 == 0) {
            claims_drop(claims, 100 + vm, CLAIMS_CONFIG);
            holds[vm] = 0;
            continue;
        }
        (void)snprintf(id.macs[0], MAC_SIZE, "00:50:56:00:00:%02x", mac);
        owner = (struct claims_owner){.vmid = 100 + vm, .where = CLAIMS_CONFIG, .stamp = mac};
        assert_int_equal(claims_set(claims, &owner, &id, 1), 0);
        holds[vm] = (uint8_t)(1 + mac);
    }
    for (size_t vm = 0; vm < VMS; vm++) {
        known += holds[vm] != 0;
    }
    assert_int_equal(claims_size(claims), known);
    while (claims_next(claims, &at, &owner)) {
        seen++;
        assert_int_equal(owner.stamp + 1, holds[owner.vmid - 100]);
    }
    assert_int_equal(seen, known);
    for (unsigned mac = 0; mac < 200; mac++) {
        CLEANUP(claims_rivals_fini) struct claims_rivals rivals = {0};
        CLEANUP_FREE char *text = str_printf("{\"format\":1,\"nics\":[{\"model\":\"e1000\",\"mac\":"
                                             "\"00:50:56:00:00:%02x\"}]}",
                                             mac);
        CLEANUP(fingerprint_freep) struct fingerprint *fp = fingerprint(text);
        size_t n = 0;

        for (size_t vm = 0; vm < VMS; vm++) {
            n += holds[vm] == 1 + mac;
        }
        assert_int_equal(claims_rivals(claims, 99, fp, CLAIMS_CONFIG, &rivals), 0);
        assert_int_equal(rivals.n, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule),
        cmocka_unit_test(at_most_one_is_given_it),
        cmocka_unit_test(a_vm_is_bound_by_its_first_change),
        cmocka_unit_test(creation_times_are_those_of_the_calendar),
        cmocka_unit_test(a_gap_is_told_where_something_is_given),
        cmocka_unit_test(a_hundred_clones_are_told_in_short),
        cmocka_unit_test(a_serial_that_says_nothing_is_nobodys),
        cmocka_unit_test(what_another_has_by_now_does_not_come_back),
        cmocka_unit_test(rivals_are_found_once),
        cmocka_unit_test(the_index_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

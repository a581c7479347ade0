/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The plan: what golden cases cannot show: values that no file can hold, and the rendering. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/plan.h"

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

static const char *const uuid_wanted =
    "{\"format\":1,\"smbios\":{\"uuid\":\"9b1a4d56-1100-3322-4455-66778899aabb\"}}";

static void pending_changes_are_the_callers_business(void **state)
{
    static const char text[] = "name: x\n\n[PENDING]\nname: y\n";
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(fingerprint_freep) struct fingerprint *fp = read_fp(uuid_wanted);
    struct plan *plan = NULL;
    struct err err = {""};

    (void)state;
    assert_int_equal(pveconf_parse(text, strlen(text), &conf, &err), 0);
    assert_int_equal(plan_make(&(struct plan_input){.conf = conf, .fp = fp}, &plan, &err), -EINVAL);
    assert_null(plan);
}

static void fingerprint_that_says_nothing_is_refused(void **state)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = fingerprint_new();
    CLEANUP(plan_freep) struct plan *plan = NULL;

    (void)state;
    assert_non_null(fp);
    plan = make("name: x\n", fp);
    assert_int_equal(plan->refusals.n, 1);
    assert_false(plan_is_empty(plan));
}

/* No parser of ours lets these pass, but plan_make() takes any struct fingerprint. */
static void impossible_macs_are_not_set(void **state)
{
    static const char *const macs[] = {"00:00:00:00:00:00", "01:50:56:8a:01:02", "zz"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(macs); i++) {
        CLEANUP(fingerprint_freep)
        struct fingerprint *fp = read_fp("{\"format\":1,\"nics\":[{\"model\":\"vmxnet3\","
                                         "\"mac\":\"00:50:56:8a:01:02\"}]}");
        CLEANUP(plan_freep) struct plan *plan = NULL;

        (void)snprintf(fp->nics[0].mac, MAC_SIZE, "%s", macs[i]);
        plan = make("net0: vmxnet3=BC:24:11:9A:A3:C1,bridge=vmbr0\n", fp);
        assert_int_equal(plan->n_changes, 0);
        assert_int_equal(plan->notes.n, 1);
    }
}

static void one_mac_is_never_given_to_two_nics(void **state)
{
    CLEANUP(fingerprint_freep)
    struct fingerprint *fp = read_fp("{\"format\":1,\"nics\":["
                                     "{\"model\":\"vmxnet3\",\"mac\":\"00:50:56:8a:01:02\"},"
                                     "{\"model\":\"vmxnet3\",\"mac\":\"00:50:56:8a:01:03\"}]}");
    CLEANUP(plan_freep) struct plan *plan = NULL;

    (void)state;
    memcpy(fp->nics[1].mac, fp->nics[0].mac, MAC_SIZE);
    plan = make("net0: vmxnet3=BC:24:11:9A:A3:C1,bridge=vmbr0\n"
                "net1: vmxnet3=BC:24:11:9A:A3:C2,bridge=vmbr0\n",
                fp);
    assert_int_equal(plan->n_changes, 1);
    assert_string_equal(plan->changes[0].option, "net0");
    assert_int_equal(plan->notes.n, 1);
}

static void disk_steps_are_told_by_their_probe(void **state)
{
    CLEANUP(plan_freep)
    struct plan *plan = make_json("boot: order=scsi0\nscsi0: local:105/a.raw,size=1G\n",
                                  "{\"format\":1,\"machine\":{\"type\":\"q35\"},"
                                  "\"disks\":[{\"controller\":\"sata\",\"bus\":0,\"unit\":0}]}");

    (void)state;
    assert_int_equal(plan->n_steps, 2);
    assert_false(plan_step_is_disk(&plan->steps[0]));
    assert_true(plan_step_is_disk(&plan->steps[1]));
    assert_string_equal(plan->steps[1].probe, "scsi0");
    assert_string_equal(plan->steps[1].probe_value, "local:105/a.raw,size=1G");
}

static void summary_is_one_line_and_short(void **state)
{
    struct buf conf = BUF_INIT(0), json = BUF_INIT(0);
    CLEANUP_FREE char *conf_text = NULL;
    CLEANUP_FREE char *json_line = NULL;
    CLEANUP_FREE char *summary = NULL;
    CLEANUP(plan_freep) struct plan *plan = NULL;

    (void)state;
    buf_adds(&json, "{\"format\":1,\"disks\":[");
    for (int i = 0; i < 16; i++) {
        buf_addf(&conf, "virtio%d: local:105/%d.raw,size=1G\n", i, i);
        buf_addf(&json, "%s{\"controller\":\"pvscsi\",\"bus\":0,\"unit\":%d}", i > 0 ? "," : "",
                 i + (i >= 7 ? 1 : 0));
    }
    buf_adds(&json, "]}");
    conf_text = buf_steal(&conf);
    json_line = buf_steal(&json);
    plan = make_json(conf_text, json_line);
    summary = plan_summary(plan);
    assert_true(str_starts(summary, "scsihw, virtio0 -> scsi0, virtio1 -> scsi1, "));
    assert_true(str_ends(summary, ", and more"));
    assert_true(strlen(summary) <= PLAN_SUMMARY_MAX);
}

static void summary_tells_refusals_and_peace(void **state)
{
    CLEANUP(plan_freep) struct plan *refused = make_json("lock: backup\n", uuid_wanted);
    CLEANUP(plan_freep)
    struct plan *empty = make_json("smbios1: uuid=9b1a4d56-1100-3322-4455-66778899aabb\n",
                                   uuid_wanted);
    CLEANUP_FREE char *why = plan_summary(refused);
    CLEANUP_FREE char *peace = plan_summary(empty);

    (void)state;
    assert_true(str_starts(why, "refused: VM is locked (backup)"));
    assert_string_equal(peace, "nothing to do");
    assert_true(plan_is_empty(empty));
    assert_false(plan_is_empty(refused));
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

static void foreign_bytes_never_reach_a_terminal(void **state)
{
    CLEANUP(plan_freep)
    struct plan *plan = make_json("net0: virtio=BC:24:11:9A:A3:C1,bridge=\xff\xfe\n",
                                  "{\"format\":1,\"smbios\":{\"family\":\"\xc3\xa4\\u2028\"},"
                                  "\"nics\":[{\"model\":\"vmxnet3\"}]}");
    CLEANUP_FREE char *text = NULL;
    json_t *json = plan_to_json(plan);

    (void)state;
    assert_int_equal(plan_to_text(plan, &text, NULL), 0);
    assert_true(is_plain(text));
    assert_non_null(strstr(text, "bridge=??"));
    assert_non_null(json);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pending_changes_are_the_callers_business),
        cmocka_unit_test(fingerprint_that_says_nothing_is_refused),
        cmocka_unit_test(impossible_macs_are_not_set),
        cmocka_unit_test(one_mac_is_never_given_to_two_nics),
        cmocka_unit_test(disk_steps_are_told_by_their_probe),
        cmocka_unit_test(summary_is_one_line_and_short),
        cmocka_unit_test(summary_tells_refusals_and_peace),
        cmocka_unit_test(foreign_bytes_never_reach_a_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

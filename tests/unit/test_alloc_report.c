/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every allocation of merging, of matching and of reporting fails in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "alloc_fail.h"
#include "core/match.h"
#include "core/merge.h"
#include "core/report.h"

static const char conf_text[] =
    "args: -smbios 'type=0,vendor=VMware,, Inc.' -set device.net1.subsys_ven=0x15ad\n"
    "bios: ovmf\ncpu: x86-64-v2-AES\nide2: none,media=cdrom\nlock: \nmachine: pc-q35-9.0\n"
    "name: web1\nnet0: virtio=BC:24:11:9A:A3:C1,bridge=vmbr0\n"
    "net1: e1000e=00:50:56:8A:01:03,bridge=vmbr0\nnet2: rtl8139,bridge=vmbr0\nscsihw: lsi\n"
    "scsi0: local:105/a.raw,iothread=1,serial=A%20B,size=1G\nvirtio0: local:105/c.raw,size=1G\n"
    "smbios1: uuid=11111111-2222-3333-4444-555555555555,family=Zg==,base64=1\n";

static const char vmx_text[] =
    "{\"format\":1,\"source\":{\"kind\":\"vmx\",\"name\":\"Web 1\",\"hardware_version\":19,"
    "\"captured\":\"2026\"},\"firmware\":\"efi\",\"machine\":{\"type\":\"q35\"},"
    "\"smbios\":{\"uuid\":\"9b1a4d56-1100-3322-4455-66778899aabb\",\"manufacturer\":\"VMware, "
    "Inc.\",\"product\":\"p\"},\"memory_mib\":8192,\"cpu\":{\"sockets\":2,\"cores\":2},"
    "\"nics\":[{\"model\":\"vmxnet3\",\"mac\":\"00:50:56:8a:01:02\"},{\"model\":\"unknown\"}],"
    "\"disks\":[{\"controller\":\"pvscsi\",\"vendor\":\"VMware\",\"product\":\"Virtual disk\"},"
    "{\"controller\":\"sata\",\"model\":\"m\"}],\"cdroms\":[{\"controller\":\"ide\",\"vendor\":"
    "\"N\",\"product\":\"C\"}],\"policy\":{\"on_drift\":\"refuse\"}}";

static const char guest_text_[] =
    "{\"format\":1,\"source\":{\"kind\":\"windows\",\"name\":\"WEB1\",\"captured\":\"2027\"},"
    "\"smbios\":{\"uuid\":\"9b1a4d56-1100-3322-4455-66778899aabc\",\"serial\":\"VMware-56 4d 1a 9b "
    "00 11 22 33-44 55 66 77 88 99 aa bc\",\"product\":\"q\"},\"bios\":{\"vendor\":\"Phoenix\"},"
    "\"memory_mib\":4096,\"cpu\":{\"sockets\":1,\"cores\":2},\"display\":\"vmware-svga\","
    "\"nics\":[{\"model\":\"e1000\",\"mac\":\"00:50:56:8a:01:02\"},{\"model\":\"e1000e\",\"mac\":"
    "\"00:50:56:8a:01:03\"},{\"model\":\"vmxnet3\",\"mac\":\"00:50:56:8a:01:04\"}],"
    "\"disks\":[{\"controller\":\"lsisas1068\",\"serial\":\"s\"},{\"controller\":\"sata\"},"
    "{\"controller\":\"nvme\"}],\"license\":{\"channel\":\"Volume:GVLK\",\"status\":"
    "\"notification\","
    "\"product\":\"w\",\"partial_key\":\"12345\",\"kms_host\":\"k\",\"remaining_rearms\":1,"
    "\"grace_minutes\":4320}}";

struct texts {
    struct pveconf *conf;
    struct fingerprint *vmx, *guest;
    struct plan *plan;
};

static int setup(void **state)
{
    static struct texts texts;
    struct plan_input input;

    assert_int_equal(pveconf_parse(conf_text, strlen(conf_text), &texts.conf, NULL), 0);
    assert_int_equal(fingerprint_parse(vmx_text, strlen(vmx_text), &texts.vmx, NULL), 0);
    assert_int_equal(fingerprint_parse(guest_text_, strlen(guest_text_), &texts.guest, NULL), 0);
    input = (struct plan_input){.vmid = 105, .conf = texts.conf, .fp = texts.vmx};
    assert_int_equal(plan_make(&input, &texts.plan, NULL), 0);
    *state = &texts;
    return 0;
}

static int teardown(void **state)
{
    struct texts *texts = *state;

    pveconf_free(texts->conf);
    fingerprint_free(texts->vmx);
    fingerprint_free(texts->guest);
    plan_free(texts->plan);
    return 0;
}

static int run_merge(void *data)
{
    const struct texts *texts = data;
    const struct merge_input inputs[] = {{texts->vmx, "a.vmx"}, {texts->guest, "b.json"}};
    CLEANUP(merge_freep) struct merge *merge = NULL;
    int rc = merge_fingerprints(inputs, 2, "windows", &merge, NULL);

    for (size_t i = 0; rc == 0 && i < merge->n; i++) {
        CLEANUP_FREE char *text = merge_conflict_text(&merge->conflicts[i]);

        rc = text == NULL ? -ENOMEM : 0;
    }
    return rc;
}

static int report(const struct texts *texts, const struct fingerprint *fp)
{
    const struct report_input input = {105, texts->conf, fp, texts->plan};
    CLEANUP(report_freep) struct report *report = NULL;
    int rc = report_make(&input, &report, NULL);
    json_t *json;

    if (rc < 0) {
        return rc;
    }
    json = report_to_json(report);
    json_decref(json);
    return json == NULL ? -ENOMEM : 0;
}

static int run_report(void *data)
{
    const struct texts *texts = data;

    return report(texts, texts->vmx);
}

static int run_other_report(void *data)
{
    const struct texts *texts = data;

    return report(texts, texts->guest);
}

static int run_match(void *data)
{
    const struct texts *texts = data;
    const struct match_fingerprint fps[] = {
        {"a", texts->vmx}, {"b", texts->guest}, {"c", texts->vmx}};
    const struct match_vm vms[] = {{105, "n1", texts->conf}, {106, "n2", texts->conf}};
    const struct match_placed placed[] = {{107, texts->guest}};
    const struct match_input input = {fps, 3, vms, 2, placed, 1};
    CLEANUP(match_freep) struct match *match = NULL;

    return match_make(&input, &match, NULL);
}

static void merging_survives_each_failure(void **state)
{
    assert_true(alloc_fail_each(run_merge, *state, ALLOC_FAIL_OWN) > 80);
}

static void reporting_survives_each_failure(void **state)
{
    assert_true(alloc_fail_each(run_report, *state, ALLOC_FAIL_OWN | ALLOC_FAIL_JANSSON) > 200);
    assert_true(alloc_fail_each(run_other_report, *state, ALLOC_FAIL_OWN | ALLOC_FAIL_JANSSON) >
                200);
}

static void matching_survives_each_failure(void **state)
{
    assert_true(alloc_fail_each(run_match, *state, ALLOC_FAIL_OWN) > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_survives_each_failure),
        cmocka_unit_test(reporting_survives_each_failure),
        cmocka_unit_test(matching_survives_each_failure),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

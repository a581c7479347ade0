/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every allocation of planning and of showing a plan fails in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "alloc_fail.h"
#include "core/plan.h"

/* Everything changes; a boot disk is guessed; something is noted in every part. */
static const char rich[] =
    "args: -set device.net1.subsys=1\nbios: seabios\nide2: none,media=cdrom\n"
    "machine: pc-i440fx-9.0+pve1,viommu=virtio\n"
    "net0: virtio=BC:24:11:9A:A3:C1,bridge=vmbr0,queues=4\n"
    "net1: virtio=BC:24:11:9A:A3:C2,bridge=vmbr0\nscsihw: virtio-scsi-single\n"
    "scsi0: local:105/a.raw,iothread=1,serial=A%20B,size=1G\nscsi1: /dev/sdx,size=1G\n"
    "virtio0: local:105/c.raw,iothread=1,size=1G\n"
    "smbios1: uuid=11111111-2222-3333-4444-555555555555,family=0\n";
/* An explicit boot order with a name too many. */
static const char ordered[] =
    "boot: order=scsi0;ide3\nbootdisk: scsi0\nmachine: pc-q35-9.0\n"
    "scsi0: local:105/a.raw,size=1G\nscsi1: local:105/b.raw,size=1G\n"
    "virtio0: local:105/c.raw,size=1G\nnet0: vmxnet3=00:50:56:8A:01:02,bridge=vmbr0\n"
    "net1: e1000e=00:50:56:8A:01:03,bridge=vmbr0\n";
static const char refused[] = "lock: backup\ntemplate: 1\nbad line\nnet0: nosuch\n"
                              "scsi0: local:105/a.raw\nsata0: local:105/a.raw\nmachine: x\n";

/* Four of these twice are more than an smbios1 can hold. */
#define LONG "0123456789012345678901234567890123456789012345"

static const char wanted[] =
    "{\"format\":1,\"firmware\":\"efi\",\"machine\":{\"type\":\"q35\"},"
    "\"smbios\":{\"uuid\":\"9b1a4d56-1100-3322-4455-66778899aabb\",\"manufacturer\":\"VMware, "
    "Inc.\",\"sku\":\"" LONG LONG LONG LONG "\",\"family\":\"" LONG LONG LONG LONG "\"},"
    "\"nics\":[{\"model\":\"vmxnet2\",\"mac\":\"00:50:56:8a:01:02\"},{\"model\":\"e1000e\"}],"
    "\"disks\":[{\"controller\":\"sata\",\"bus\":0,\"unit\":0,\"serial\":\"1\"},"
    "{\"controller\":\"sata\",\"bus\":0,\"unit\":1},"
    "{\"controller\":\"sata\",\"bus\":0,\"unit\":2,\"serial\":\"0123456789012345678901\"}]}";

struct run {
    struct pveconf *conf;
    struct fingerprint *fp;
};

static int plan_and_show(void *data)
{
    const struct run *run = data;
    const struct plan_input input = {.vmid = 105, .conf = run->conf, .fp = run->fp};
    CLEANUP(plan_freep) struct plan *plan = NULL;
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FREE char *summary = NULL;
    int rc = plan_make(&input, &plan, NULL);

    if (rc == 0) {
        rc = plan_to_text(plan, &text, NULL);
    }
    if (rc == 0) {
        summary = plan_summary(plan);
        rc = summary == NULL ? -ENOMEM : 0;
    }
    if (rc == 0) {
        json_t *json = plan_to_json(plan);

        rc = json == NULL ? -ENOMEM : 0;
        json_decref(json);
    }
    return rc;
}

static void fail_each(const char *conf, const char *fp, size_t least)
{
    struct run run = {0};
    size_t n;

    assert_int_equal(pveconf_parse(conf, strlen(conf), &run.conf, NULL), 0);
    assert_int_equal(fingerprint_parse(fp, strlen(fp), &run.fp, NULL), 0);
    n = alloc_fail_each(plan_and_show, &run, ALLOC_FAIL_OWN | ALLOC_FAIL_JANSSON);
    assert_true(n >= least);
    pveconf_free(run.conf);
    fingerprint_free(run.fp);
}

static void a_plan_of_everything_survives_any_lack_of_memory(void **state)
{
    (void)state;
    fail_each(rich, wanted, 200);
}

static void a_plan_with_an_order_survives_any_lack_of_memory(void **state)
{
    (void)state;
    fail_each(ordered, wanted, 200);
}

static void pvscsi_survives_any_lack_of_memory(void **state)
{
    (void)state;
    fail_each(ordered,
              "{\"format\":1,\"disks\":["
              "{\"controller\":\"pvscsi\",\"bus\":0,\"unit\":0,\"vendor\":\"VMware\"},"
              "{\"controller\":\"pvscsi\",\"bus\":0,\"unit\":1},"
              "{\"controller\":\"pvscsi\",\"bus\":0,\"unit\":2}]}",
              100);
}

static void a_refusal_survives_any_lack_of_memory(void **state)
{
    (void)state;
    fail_each(refused, wanted, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_of_everything_survives_any_lack_of_memory),
        cmocka_unit_test(a_plan_with_an_order_survives_any_lack_of_memory),
        cmocka_unit_test(pvscsi_survives_any_lack_of_memory),
        cmocka_unit_test(a_refusal_survives_any_lack_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

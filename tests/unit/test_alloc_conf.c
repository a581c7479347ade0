/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every allocation of reading and writing configurations, settings and answers fails in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "alloc_fail.h"
#include "base/str.h"
#include "core/api.h"
#include "core/drive.h"
#include "core/former.h"
#include "core/machine.h"
#include "core/netdev.h"
#include "core/settings.h"
#include "core/smbios1.h"
#include "core/storagecfg.h"

static int enomem_if(bool failed)
{
    return failed ? -ENOMEM : 0;
}

static int read_configuration(void *data)
{
    static const char text[] =
        "#a%41\ncores: 1\ncores: 2\nbad line\nbad : line\ncdrom: none\n"
        "net0: x\nboot:\n[PENDING]\n#new\ndelete: cores,net0\nmemory: 5\n"
        "[special:cloudinit]\na: b\n[s1]\n#snap\ncores: 3\n[s1]\n[?]\nx: y\n";
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(pveconf_freep) struct pveconf *applied = NULL;
    int rc = pveconf_parse(text, strlen(text), &conf, NULL);

    (void)data;
    return rc < 0 ? rc : pveconf_apply_pending(conf, &applied);
}

static int read_storages(void *data)
{
    static const char text[] = "dir: a\n\tpath /a\n\tcontent x\n\tcontent-dirs snippets=h\n"
                               "nfs: local\n";
    CLEANUP(storagecfg_freep) struct storagecfg *cfg = NULL;
    CLEANUP_FREE char *path = NULL;
    CLEANUP_FREE char *volid = NULL;
    int rc = storagecfg_parse(text, strlen(text), &cfg, NULL);

    (void)data;
    rc = rc < 0 ? rc : storagecfg_snippet_path(cfg, "a:snippets/x", &path, NULL);
    return rc < 0 ? rc : former_parse("a:snippets/x\n", 13, &volid, NULL);
}

static int read_drives(void *data)
{
    static const char text[] = "boot: order=scsi0;net0\nbootdisk: scsi0\nide2: none,media=cdrom\n"
                               "scsi0: local:1/a,iothread=1,serial=A%20B\nsata0: file=local:1/b\n"
                               "virtio3: a:b\nscsi4: volume=a:b\nscsi5: a:c\n";
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(drive_list_fini) struct drive_list list = {0};
    CLEANUP(drive_fini) struct drive copy = {0};
    CLEANUP(boot_order_fini) struct boot_order boot = {0};
    CLEANUP_FREE char *drive_text = NULL;
    CLEANUP_FREE char *boot_text = NULL;
    CLEANUP_FREE char *encoded = drive_url_encode("a b");
    CLEANUP_FREE char *decoded = drive_url_decode("a%20b");
    int rc = pveconf_parse(text, strlen(text), &conf, NULL);

    (void)data;
    rc = rc < 0 ? rc : drive_list_read(conf, &list, NULL);
    rc = rc < 0 ? rc : boot_order_parse(conf, &boot, NULL);
    rc = rc < 0 ? rc : drive_copy(&list.items[0], &copy);
    if (rc < 0) {
        return rc;
    }
    rc = boot_order_replace(&boot, "scsi0", "sata1");
    drive_text = drive_format(&copy);
    boot_text = boot_order_format(&boot);
    return enomem_if(rc < 0 || drive_text == NULL || boot_text == NULL || encoded == NULL ||
                     decoded == NULL);
}

static int read_legacy_boot(void *data)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(boot_order_fini) struct boot_order boot = {0};
    int rc = pveconf_parse("boot: legacy=cdn\n", 17, &conf, NULL);

    (void)data;
    return rc < 0 ? rc : boot_order_parse(conf, &boot, NULL);
}

static int round_trip_smbios1(void *data)
{
    CLEANUP(smbios1_fini) struct smbios1 s = {0};
    CLEANUP(smbios1_fini) struct smbios1 plain = {0};
    CLEANUP_FREE char *text = NULL;
    int rc = smbios1_parse("uuid=9b1a4d56-1100-3322-4455-66778899aabb,serial=QUJD,sku=MA==,"
                           "family=Q,product=QUJDRA==,base64=1",
                           &s, NULL);

    (void)data;
    rc = rc < 0 ? rc : smbios1_parse("serial=ABC", &plain, NULL);
    return rc < 0 ? rc : smbios1_format(&s, &text, NULL);
}

static int round_trip_machine(void *data)
{
    CLEANUP(machine_fini) struct machine m = {0};
    CLEANUP(machine_list_fini) struct machine_list list = {0};
    CLEANUP_FREE char *text = NULL;
    int rc = machine_parse("type=pc-q35-9.0+pve1,viommu=intel", &m, NULL);

    (void)data;
    rc = rc < 0 ? rc : machine_list_add(&list, m.version);
    if (rc < 0) {
        return rc;
    }
    text = machine_format(&m);
    return enomem_if(text == NULL);
}

static int round_trip_netdev(void *data)
{
    CLEANUP(netdev_fini) struct netdev net = {0};
    CLEANUP(propstr_fini) struct propstr copy = {0};
    CLEANUP_FREE char *text = NULL;
    int rc = netdev_parse("model=e1000e,macaddr=BC:24:11:9A:A3:C1,bridge=vmbr0,tag=5,rate=1,"
                          "firewall=1,mtu=1",
                          &net, NULL);

    (void)data;
    rc = rc < 0 ? rc : propstr_copy(&net.rest, &copy);
    rc = rc < 0 ? rc : propstr_set(&copy, "tag", "6");
    rc = rc < 0 ? rc : propstr_set(&copy, "queues", "2");
    if (rc < 0) {
        return rc;
    }
    text = netdev_format(&net);
    return enomem_if(text == NULL);
}

static int read_settings(void *data)
{
    static const char text[] = "node: pve1\nearly: 0\nstate_dir: /x\napi_url: https://a\n";
    CLEANUP(settings_freep) struct settings *settings = NULL;

    (void)data;
    return settings_parse(text, strlen(text), &settings, NULL);
}

static int make_request(void *data)
{
    CLEANUP(api_request_freep) struct api_request *request = api_request_new(API_PUT, "/x");

    (void)data;
    for (int i = 0; request != NULL && i < 6; i++) {
        int rc = api_request_add(request, "key", "value");

        if (rc < 0) {
            return rc;
        }
    }
    return enomem_if(request == NULL);
}

static int read_answer(void *data)
{
    const char *body = data;
    CLEANUP(api_reply_fini) struct api_reply reply = {0};

    return api_reply_parse(500, "reason", body, strlen(body), &reply);
}

static void each_allocation_may_fail(void **state)
{
    static int (*const runs[])(void *) = {
        read_configuration, read_storages,     read_drives,   read_legacy_boot, round_trip_smbios1,
        round_trip_machine, round_trip_netdev, read_settings, make_request,
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
        assert_true(alloc_fail_each(runs[i], NULL, ALLOC_FAIL_OWN) > 0);
    }
}

static void answers_survive_every_failure(void **state)
{
    char errors[] = "{\"message\":\"m\",\"errors\":{\"sata0\":\"invalid\\n\",\"b\":\"\"}}";
    char text[] = "gr\xfc\xdf and more";

    (void)state;
    assert_true(alloc_fail_each(read_answer, errors, ALLOC_FAIL_OWN) > 0);
    assert_true(alloc_fail_each(read_answer, text, ALLOC_FAIL_OWN) > 0);
    (void)alloc_fail_each(read_answer, errors,
                          ALLOC_FAIL_OWN + ALLOC_FAIL_JANSSON + ALLOC_FAIL_ANY_RESULT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(answers_survive_every_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* core/netdev, against what PVE accepted in recording 05. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/str.h"
#include "core/netdev.h"

#define MAC "BC:24:11:9A:A3:C1"

/* stored NULL: refused. Else what netdev_format() makes of it: PVE keeps the case of a MAC address,
 * we write capitals. */
static const struct {
    const char *value;
    const char *stored;
} recorded[] = {
    {"nosuch=" MAC ",bridge=vmbr0", NULL},
    {"model=e1000e,macaddr=" MAC ",bridge=vmbr0", "e1000e=" MAC ",bridge=vmbr0"},
    {"e1000e,bridge=vmbr0", "e1000e,bridge=vmbr0"}, /* PVE makes an address */
    {"e1000e=01:24:11:9A:A3:C1,bridge=vmbr0", NULL},
    {"e1000e=BC-24-11-9A-A3-C1,bridge=vmbr0", NULL},
    {"e1000e=bc:24:11:9a:a3:c1,bridge=vmbr0", "e1000e=" MAC ",bridge=vmbr0"},
    {"e1000e=BC:24:11:9A:A3,bridge=vmbr0", NULL},
    {"e1000e=" MAC, "e1000e=" MAC},
    {"e1000e=00:00:00:00:00:00,bridge=vmbr0", "e1000e=00:00:00:00:00:00,bridge=vmbr0"},
    {"e1000e=FF:FF:FF:FF:FF:FF,bridge=vmbr0", NULL},
    {"e1000e=" MAC ",bridge=vmbr0,nosuch=1", NULL},
    {"e1000e=" MAC ",bridge=vmbr0,firewall=1", "e1000e=" MAC ",bridge=vmbr0,firewall=1"},
    {"e1000e=" MAC ",bridge=vmbr0,tag=5", "e1000e=" MAC ",bridge=vmbr0,tag=5"},
    {"vmxnet3=" MAC ",bridge=vmbr0,queues=4", "vmxnet3=" MAC ",bridge=vmbr0,queues=4"},
    {"rtl8139=" MAC ",bridge=vmbr0", "rtl8139=" MAC ",bridge=vmbr0"},
    {"bridge=vmbr0", NULL},
    {"e1000-82545em=" MAC ",bridge=vmbr0", "e1000-82545em=" MAC ",bridge=vmbr0"},
    {"e1000e=52:54:00:12:34:56,bridge=vmbr0", "e1000e=52:54:00:12:34:56,bridge=vmbr0"},
    {"vmxnet3=00:50:56:12:34:56,bridge=vmbr0", "vmxnet3=00:50:56:12:34:56,bridge=vmbr0"},
    {"e1000e=00:0C:29:12:34:56,bridge=vmbr0", "e1000e=00:0C:29:12:34:56,bridge=vmbr0"},
    /* Not recorded: */
    {"virtio,macaddr=" MAC, "virtio=" MAC},
    {"virtio=" MAC ",model=e1000", NULL},
    {"virtio=" MAC ",macaddr=" MAC, NULL},
    {"virtio=" MAC ",e1000=" MAC, NULL},
    {"virtio=BC:24:11:9A:A3:CG", NULL},
    {"virtio=BC:24:11:9A:A3:C1:", NULL},
    {"", NULL},
};

static void accepts_what_pve_accepts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(recorded); i++) {
        CLEANUP(netdev_fini) struct netdev net = {0};
        CLEANUP(netdev_fini) struct netdev again = {0};
        CLEANUP_FREE char *text = NULL;
        CLEANUP_FREE char *twice = NULL;
        struct err err = {""};
        int rc = netdev_parse(recorded[i].value, &net, &err);

        if (rc != (recorded[i].stored != NULL ? 0 : -EINVAL)) {
            fail_msg("%s: %d %s", recorded[i].value, rc, err.text);
        }
        if (rc == 0) {
            text = netdev_format(&net);
            assert_string_equal(text, recorded[i].stored);
            assert_int_equal(netdev_parse(text, &again, NULL), 0);
            twice = netdev_format(&again);
            assert_string_equal(text, twice);
        }
    }
}

static void vmware_models_have_pve_counterparts(void **state)
{
    static const struct {
        enum fingerprint_nic_model model;
        const char *name;
        bool exact;
    } cases[] = {
        {FINGERPRINT_NIC_VMXNET3, "vmxnet3", true}, {FINGERPRINT_NIC_VMXNET2, "vmxnet3", false},
        {FINGERPRINT_NIC_VMXNET, "vmxnet3", false}, {FINGERPRINT_NIC_E1000, "e1000-82545em", true},
        {FINGERPRINT_NIC_E1000E, "e1000e", true},   {FINGERPRINT_NIC_VLANCE, "pcnet", true},
        {FINGERPRINT_NIC_FLEXIBLE, "pcnet", true},  {FINGERPRINT_NIC_UNKNOWN, NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bool exact = !cases[i].exact;

        assert_true(str_equal(netdev_model_for(cases[i].model, &exact), cases[i].name));
        assert_int_equal(exact, cases[i].exact);
    }
}

static void queues_and_mtu_are_for_virtio(void **state)
{
    (void)state;
    assert_true(netdev_model_knows("virtio", "queues"));
    assert_true(netdev_model_knows("virtio", "mtu"));
    assert_false(netdev_model_knows("vmxnet3", "queues"));
    assert_false(netdev_model_knows("e1000e", "mtu"));
    assert_true(netdev_model_knows("e1000e", "rate"));
}

static void keys_are_net0_to_net31(void **state)
{
    static const char *const wrong[] = {"net", "net32", "net-1", "net01", "net1x", "ne0", "xnet0"};
    int index = -1;

    (void)state;
    assert_true(netdev_key_index("net0", &index) && index == 0);
    assert_true(netdev_key_index("net31", &index) && index == 31);
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_false(netdev_key_index(wrong[i], &index));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_pve_accepts),
        cmocka_unit_test(vmware_models_have_pve_counterparts),
        cmocka_unit_test(queues_and_mtu_are_for_virtio),
        cmocka_unit_test(keys_are_net0_to_net31),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The `boot:` option (core/boot_order.c), with the spellings of recordings 06b to 06l. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/str.h"
#include "core/drive.h"

static int parse(const char *text, struct boot_order *boot, struct err *err)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;

    assert_int_equal(pveconf_parse(text, strlen(text), &conf, NULL), 0);
    return boot_order_parse(conf, boot, err);
}

static void an_explicit_order_survives_a_round_trip(void **state)
{
    static const char *const orders[] = {"order=scsi0;net0", "order=net0", "order=scsi0;ide2;net0",
                                         "order=usb1;hostpci0;virtio15", "order="};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
        CLEANUP(boot_order_fini) struct boot_order boot = {0};
        CLEANUP_FREE char *line = str_printf("boot: %s\n", orders[i]);
        CLEANUP_FREE char *text = NULL;

        assert_int_equal(parse(line, &boot, NULL), 0);
        assert_true(boot.explicit_order);
        text = boot_order_format(&boot);
        assert_string_equal(text, orders[i]);
    }
}

static void one_blank_is_an_order_of_nothing(void **state)
{
    CLEANUP(boot_order_fini) struct boot_order boot = {0};

    (void)state;
    assert_int_equal(parse("boot:  \n", &boot, NULL), 0);
    assert_true(boot.explicit_order);
    assert_int_equal(boot.n, 0);
}

static void the_old_forms_are_told_apart(void **state)
{
    CLEANUP(boot_order_fini) struct boot_order letters = {0};
    CLEANUP(boot_order_fini) struct boot_order keyed = {0};
    CLEANUP(boot_order_fini) struct boot_order absent = {0};

    (void)state;
    assert_int_equal(parse("boot: cdn\nbootdisk: scsi0\n", &letters, NULL), 0);
    assert_false(letters.explicit_order);
    assert_string_equal(letters.legacy, "cdn");
    assert_string_equal(letters.bootdisk, "scsi0");
    assert_int_equal(parse("boot: legacy=n\n", &keyed, NULL), 0);
    assert_string_equal(keyed.legacy, "n");
    assert_int_equal(parse("bootdisk: scsi0\n", &absent, NULL), 0);
    assert_false(absent.explicit_order);
    assert_null(absent.legacy);
}

static void what_pve_refuses_is_refused(void **state)
{
    static const char *const lines[] = {
        "boot: order=sata6;net0\n",
        "boot: order=scsi0;floppy0\n",
        "boot: cdx\n",
        "boot: cdnac\n",
        "boot: nosuch=1\n",
        "boot: c,legacy=d\n",
        "boot: order\n",
        "boot: order=net32\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        struct boot_order boot = {0};
        struct err err = {""};

        assert_int_equal(parse(lines[i], &boot, &err), -EINVAL);
        assert_true(str_starts(err.text, "boot: "));
    }
}

static void a_device_is_replaced_where_it_stood(void **state)
{
    CLEANUP(boot_order_fini) struct boot_order boot = {0};
    CLEANUP_FREE char *text = NULL;

    (void)state;
    assert_int_equal(parse("boot: order=ide2;scsi0;net0\n", &boot, NULL), 0);
    assert_int_equal(boot_order_replace(&boot, "scsi0", "sata0"), 1);
    assert_int_equal(boot_order_replace(&boot, "scsi0", "sata1"), 0);
    text = boot_order_format(&boot);
    assert_string_equal(text, "order=ide2;sata0;net0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_explicit_order_survives_a_round_trip),
        cmocka_unit_test(one_blank_is_an_order_of_nothing),
        cmocka_unit_test(the_old_forms_are_told_apart),
        cmocka_unit_test(what_pve_refuses_is_refused),
        cmocka_unit_test(a_device_is_replaced_where_it_stood),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

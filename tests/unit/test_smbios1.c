/* SPDX-License-Identifier: GPL-3.0-or-later */
/* core/smbios1, against what PVE accepted in recordings 05, 03d and 12b. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/str.h"
#include "core/smbios1.h"

#define UUID   "uuid=9b1a4d56-1100-3322-4455-66778899aabb"
#define A16    "QUFBQUFBQUFBQUFB"
#define A64    A16 A16 A16 A16
#define SERIAL "VMware-56 4d 1a 9b 00 11 22 33-44 55 66 77 88 99 aa bb"

static const struct {
    const char *value;
    bool accepted;
} recorded[] = {
    {UUID ",serial=ABC", true},
    {UUID ",serial=AB C", false},
    {UUID ",serial=VMware-56 4d", false},
    {UUID ",serial=a!b", false},
    {UUID ",type=1", false},
    {"type=1," UUID ",serial=QUJD,base64=1", false},
    {"uuid=123", false},
    {"uuid=9b1a4d56110033224455667788 99aabb", false},
    {"uuid={9b1a4d56-1100-3322-4455-66778899aabb}", false},
    {UUID ",serial=QUJD,base64=2", false},
    {UUID ",serial=QUI=,base64=1", true},
    {UUID ",serial=Q,base64=1", true},
    {UUID ",serial=QU-D,base64=1", false},
    {UUID ",asset=QUJD,base64=1", false},
    {UUID ",serial=QUJD,serial=QUJE,base64=1", false},
    {"", true},
    {" ", true}, /* how PVE stores the empty one */
    {"9b1a4d56-1100-3322-4455-66778899aabb", false},
    {UUID ",serial=QUJD, base64=1", false},
    {UUID "\n", false},
    {UUID ",manufacturer=Vk13YXJlLCBJbmMu,product=Vk13YXJlNywx,version=Tm9uZQ==,"
          "serial=Vk13YXJlLTU2IDRkIDFhIDliIDAwIDExIDIyIDMz,base64=1",
     true},
    {"base64=1,serial=QUJD," UUID, true},
    {"manufacturer=Vk13YXJlLCBJbmMu,base64=1", true},
    {UUID ",manufacturer=Plain", true},
    {UUID ",manufacturer=With Space", false},
    {UUID ",manufacturer=,base64=1", false},
    {"uuid=9B1A4D56-1100-3322-4455-66778899AABB", true},
    {UUID ",manufacturer=not*base64,base64=1", false},
    {UUID ",manufacturer=QUJD,base64=0", true},
    {UUID ",manufacturer=QUJD,base64=on", true},
    {UUID ",serial=" A64 A64 A16 ",base64=1", true},
    {UUID ",serial=" A64 A64 A64 A64 A64 A64 A64 A64 ",base64=1", false},
    {"uuid=zzz,foo=1", false},
};

static void accepts_what_pve_accepts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(recorded); i++) {
        CLEANUP(smbios1_fini) struct smbios1 s = {0};
        struct err err = {""};
        int rc = smbios1_parse(recorded[i].value, &s, &err);

        if (rc != (recorded[i].accepted ? 0 : -EINVAL)) {
            fail_msg("%s: %d %s", recorded[i].value, rc, err.text);
        }
        assert_int_equal(err.text[0] != '\0', rc != 0);
    }
}

static void assert_same(const struct smbios1 *a, const struct smbios1 *b)
{
    for (unsigned i = 0; i < SMBIOS1_FIELDS; i++) {
        assert_true(smbios1_field_equal((enum smbios1_field)i, a->fields[i], b->fields[i]));
    }
}

static void what_is_accepted_survives_a_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(recorded); i++) {
        CLEANUP(smbios1_fini) struct smbios1 s = {0};
        CLEANUP(smbios1_fini) struct smbios1 again = {0};
        CLEANUP_FREE char *text = NULL;
        CLEANUP_FREE char *twice = NULL;

        if (recorded[i].accepted) {
            assert_int_equal(smbios1_parse(recorded[i].value, &s, NULL), 0);
            assert_int_equal(smbios1_format(&s, &text, NULL), 0);
            assert_int_equal(smbios1_parse(text, &again, NULL), 0);
            assert_same(&s, &again);
            assert_int_equal(smbios1_format(&again, &twice, NULL), 0);
            assert_string_equal(text, twice);
        }
    }
}

static void vmware_values_are_written_in_base64(void **state)
{
    CLEANUP(smbios1_fini) struct smbios1 s = {0};
    CLEANUP_FREE char *text = NULL;

    (void)state;
    s.fields[SMBIOS1_UUID] = str_dup("9b1a4d56-1100-3322-4455-66778899aabb");
    s.fields[SMBIOS1_MANUFACTURER] = str_dup("VMware, Inc.");
    s.fields[SMBIOS1_PRODUCT] = str_dup("VMware7,1");
    s.fields[SMBIOS1_VERSION] = str_dup("None");
    s.fields[SMBIOS1_SERIAL] = str_dup(SERIAL);
    assert_int_equal(smbios1_format(&s, &text, NULL), 0);
    assert_string_equal(text, UUID ",manufacturer=Vk13YXJlLCBJbmMu,product=Vk13YXJlNywx,"
                                   "version=Tm9uZQ==,serial=Vk13YXJlLTU2IDRkIDFhIDliIDAwIDExIDIyIDM"
                                   "zLTQ0IDU1IDY2IDc3IDg4IDk5IGFhIGJi,base64=1");
}

static void every_length_and_byte_decodes_to_itself(void **state)
{
    char bytes[256];

    (void)state;
    for (size_t len = 2; len <= 255; len++) {
        CLEANUP(smbios1_fini) struct smbios1 s = {0};
        CLEANUP(smbios1_fini) struct smbios1 again = {0};
        CLEANUP_FREE char *text = NULL;

        for (size_t i = 0; i < len; i++) {
            bytes[i] = (char)(1 + (i * 7 + len) % 255);
        }
        s.fields[SMBIOS1_SKU] = str_ndup(bytes, len);
        assert_int_equal(smbios1_format(&s, &text, NULL), 0);
        assert_int_equal(smbios1_parse(text, &again, NULL), 0);
        assert_string_equal(again.fields[SMBIOS1_SKU], s.fields[SMBIOS1_SKU]);
    }
}

static void unpadded_and_odd_base64_decodes_as_in_perl(void **state)
{
    static const struct {
        const char *value;
        const char *decoded;
    } cases[] = {{"QUI", "AB"},     {"QU", "A"}, {"QUJDRA", "ABCD"}, {"QUJDR", "ABC"},
                 {"QUJD==", "ABC"}, {"Q", NULL}, {"Q==", NULL}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(smbios1_fini) struct smbios1 s = {0};
        CLEANUP_FREE char *value = str_printf("family=%s,base64=1", cases[i].value);

        assert_int_equal(smbios1_parse(value, &s, NULL), 0);
        assert_true(str_equal(s.fields[SMBIOS1_FAMILY], cases[i].decoded));
    }
}

static void zero_never_reaches_the_guest_through_base64(void **state)
{
    CLEANUP(smbios1_fini) struct smbios1 s = {0};
    CLEANUP(smbios1_fini) struct smbios1 plain = {0};
    struct err err = {""};
    char *text = NULL;

    (void)state;
    assert_int_equal(smbios1_parse("serial=MA==,base64=1", &s, NULL), 0);
    assert_null(s.fields[SMBIOS1_SERIAL]);
    assert_int_equal(smbios1_parse("serial=0", &plain, NULL), 0);
    assert_string_equal(plain.fields[SMBIOS1_SERIAL], "0");
    assert_int_equal(smbios1_format(&plain, &text, &err), -EINVAL);
    assert_non_null(strstr(err.text, "serial"));
    assert_int_equal(str_replace(&plain.fields[SMBIOS1_SERIAL], ""), 0);
    assert_int_equal(smbios1_format(&plain, &text, &err), -EINVAL);
    assert_null(text);
}

static void nul_bytes_are_refused(void **state)
{
    struct smbios1 s = {0};
    struct err err = {""};

    (void)state;
    assert_int_equal(smbios1_parse("serial=QQBC,base64=1", &s, &err), -EINVAL);
    assert_non_null(strstr(err.text, "NUL"));
}

static void the_limit_is_512_characters(void **state)
{
    char bytes[400];
    bool was_too_long = false;

    (void)state;
    for (size_t len = 300; len < 390; len++) {
        CLEANUP(smbios1_fini) struct smbios1 s = {0};
        CLEANUP_FREE char *text = NULL;
        struct err err = {""};
        int rc;

        memset(bytes, 'x', len);
        s.fields[SMBIOS1_SERIAL] = str_ndup(bytes, len);
        rc = smbios1_format(&s, &text, &err);
        if (rc == 0) {
            assert_false(was_too_long);
            assert_true(strlen(text) <= SMBIOS1_MAX);
        } else {
            assert_int_equal(rc, -EFBIG);
            assert_non_null(strstr(err.text, "512"));
            was_too_long = true;
        }
    }
    assert_true(was_too_long);
}

static void a_bad_uuid_is_not_written(void **state)
{
    CLEANUP(smbios1_fini) struct smbios1 s = {0};
    char *text = NULL;

    (void)state;
    s.fields[SMBIOS1_UUID] = str_dup("56 4d");
    assert_int_equal(smbios1_format(&s, &text, NULL), -EINVAL);
}

static void absent_differs_from_empty_and_uuids_know_no_case(void **state)
{
    (void)state;
    assert_true(smbios1_field_equal(SMBIOS1_UUID, "AB", "ab"));
    assert_false(smbios1_field_equal(SMBIOS1_SERIAL, "AB", "ab"));
    assert_false(smbios1_field_equal(SMBIOS1_SERIAL, NULL, ""));
    assert_true(smbios1_field_equal(SMBIOS1_SERIAL, NULL, NULL));
    assert_string_equal(smbios1_field_name(SMBIOS1_SKU), "sku");
}

static void nothing_parses_to_nothing(void **state)
{
    CLEANUP(smbios1_fini) struct smbios1 s = {0};

    (void)state;
    assert_int_equal(smbios1_parse(NULL, &s, NULL), 0);
    assert_null(s.fields[SMBIOS1_UUID]);
    assert_false(s.base64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_pve_accepts),
        cmocka_unit_test(what_is_accepted_survives_a_round_trip),
        cmocka_unit_test(vmware_values_are_written_in_base64),
        cmocka_unit_test(every_length_and_byte_decodes_to_itself),
        cmocka_unit_test(unpadded_and_odd_base64_decodes_as_in_perl),
        cmocka_unit_test(zero_never_reaches_the_guest_through_base64),
        cmocka_unit_test(nul_bytes_are_refused),
        cmocka_unit_test(the_limit_is_512_characters),
        cmocka_unit_test(a_bad_uuid_is_not_written),
        cmocka_unit_test(absent_differs_from_empty_and_uuids_know_no_case),
        cmocka_unit_test(nothing_parses_to_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

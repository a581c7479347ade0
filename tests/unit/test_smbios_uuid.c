/* SPDX-License-Identifier: GPL-3.0-or-later */
/* smbios_uuid: the ten published vectors of facts/vmware.md 2, in both directions, and the edges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/macros.h"
#include "core/smbios_uuid.h"

static const struct vector {
    const char *vmware; /* uuid.bios, and the serial behind "VMware-" */
    const char *qemu;   /* what PVE must be told */
} vectors[] = {
    {"42 1f 24 5c 7f a8 60 fa-6a f6 a4 63 51 ce d0 eb", "5c241f42-a87f-fa60-6af6-a46351ced0eb"},
    {"42 28 13 f5 d4 20 71 61-5d b0 7b 96 44 0c cf 54", "f5132842-20d4-6171-5db0-7b96440ccf54"},
    {"42 0e 3f 74 ea 84 f9 a2-77 36 61 06 bb 5d bf 6b", "743f0e42-84ea-a2f9-7736-6106bb5dbf6b"},
    {"42 1a ee 9a 8e 13 ee e5-fc ec 82 3d cd 74 76 94", "9aee1a42-138e-e5ee-fcec-823dcd747694"},
    {"56 4d 17 83 79 92 52 5d-7e 16 32 9b 20 a5 b2 43", "83174d56-9279-5d52-7e16-329b20a5b243"},
    {"56 4d a6 d2 17 06 63 43-dc 2d 99 59 b5 33 a7 b3", "d2a64d56-0617-4363-dc2d-9959b533a7b3"},
    {"42 1c 82 7e 09 15 aa f2-b1 54 1f ad 4a 62 97 fb", "7e821c42-1509-f2aa-b154-1fad4a6297fb"},
    {"56 4d 82 f6 bf c4 d8 1a-82 ad 59 35 a9 a7 15 04", "f6824d56-c4bf-1ad8-82ad-5935a9a71504"},
    {"56 4d 73 35 ba 04 b8 e7-7d df 32 f2 03 d8 dc 46", "35734d56-04ba-e7b8-7ddf-32f203d8dc46"},
    {"42 30 a8 27 f9 a3 cf 54-e2 a3 10 1d fd b8 21 d0", "27a83042-a3f9-54cf-e2a3-101dfdb821d0"},
};

static void published_vectors_hold_from_vmware_to_qemu(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct smbios_uuid bytes, told;
        char text[SMBIOS_UUID_SIZE];

        assert_int_equal(smbios_uuid_parse_vmware(vectors[i].vmware, &bytes, NULL), 0);
        told = smbios_uuid_swap(bytes);
        smbios_uuid_format(&told, text);
        assert_string_equal(text, vectors[i].qemu);
    }
}

static void published_vectors_hold_from_qemu_to_vmware(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct smbios_uuid told, bytes;
        char text[SMBIOS_UUID_VMWARE_SIZE];

        assert_int_equal(smbios_uuid_parse(vectors[i].qemu, &told, NULL), 0);
        bytes = smbios_uuid_swap(told);
        smbios_uuid_format_vmware(&bytes, text);
        assert_string_equal(text, vectors[i].vmware);
    }
}

static void either_case_and_either_middle_is_read(void **state)
{
    struct smbios_uuid a, b;

    (void)state;
    assert_int_equal(smbios_uuid_parse("5C241F42-A87F-FA60-6AF6-A46351CED0EB", &a, NULL), 0);
    assert_int_equal(smbios_uuid_parse("5c241f42-a87f-fa60-6af6-a46351ced0eb", &b, NULL), 0);
    assert_true(smbios_uuid_equal(&a, &b));
    assert_int_equal(
        smbios_uuid_parse_vmware(" 42 1F 24 5C 7F A8 60 FA 6A F6 A4 63 51 CE D0 EB\t", &a, NULL),
        0);
    b = smbios_uuid_swap(b);
    assert_true(smbios_uuid_equal(&a, &b));
    b.bytes[15] ^= 1;
    assert_false(smbios_uuid_equal(&a, &b));
}

static void wrong_spellings_are_shown_in_the_sentence(void **state)
{
    static const char *const rfc[] = {"",
                                      "5c241f42-a87f-fa60-6af6-a46351ced0e",
                                      "nonsense",
                                      "5c241f42-a87f-fa60-6af6-a46351ced0ebb",
                                      "5c241f42a87f-fa60-6af6-a46351ced0eb--",
                                      "5c241f42-a87f-fa60-6af6-a46351ced0eg"};
    static const char *const vmware[] = {"",
                                         "42 1f 24 5c 7f a8 60 fa-6a f6 a4 63 51 ce d0",
                                         "42 1f 24 5c 7f a8 60 fa-6a f6 a4 63 51 ce d0 eb 00",
                                         "42-1f 24 5c 7f a8 60 fa-6a f6 a4 63 51 ce d0 eb",
                                         "42 1f 24 5c 7f a8 60 fa--6a f6 a4 63 51 ce d0 eb",
                                         "42 1f 24 5c 7f a8 60 fa 6a f6 a4 63 51 ce d0 e",
                                         "421f245c7fa860fa6af6a46351ced0eb",
                                         "42 1g 24 5c 7f a8 60 fa-6a f6 a4 63 51 ce d0 eb"};
    struct smbios_uuid uuid;
    struct err err = {""};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rfc); i++) {
        assert_int_equal(smbios_uuid_parse(rfc[i], &uuid, &err), -EINVAL);
        assert_non_null(strstr(err.text, rfc[i]));
    }
    for (size_t i = 0; i < ARRAY_SIZE(vmware); i++) {
        assert_int_equal(smbios_uuid_parse_vmware(vmware[i], &uuid, &err), -EINVAL);
        assert_non_null(strstr(err.text, vmware[i]));
    }
}

static void digest_is_stable_and_tells_texts_apart(void **state)
{
    char a[SMBIOS_UUID_SIZE], b[SMBIOS_UUID_SIZE];

    (void)state;
    smbios_uuid_digest("abc", 3, a);
    smbios_uuid_digest("abc", 3, b);
    assert_string_equal(a, b);
    assert_int_equal(a[14], '5'); /* version 5 */
    smbios_uuid_digest("abd", 3, b);
    assert_string_not_equal(a, b);
    smbios_uuid_digest(NULL, 0, b);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors_hold_from_vmware_to_qemu),
        cmocka_unit_test(published_vectors_hold_from_qemu_to_vmware),
        cmocka_unit_test(either_case_and_either_middle_is_read),
        cmocka_unit_test(wrong_spellings_are_shown_in_the_sentence),
        cmocka_unit_test(digest_is_stable_and_tells_texts_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

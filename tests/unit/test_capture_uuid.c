/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The ten vectors of facts/vmware.md 2 (law 6): one machine, told in every form that there is, has
 * one UUID. `b` is uuid.bios, `told` what QEMU must be told, which a guest with SMBIOS 2.6 or
 * later prints, and Windows at any version; one with SMBIOS 2.4 prints b as a UUID.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "core/dmidecode.h"
#include "core/ovf.h"
#include "core/vmx.h"
#include "core/winguest.h"

static const struct vector {
    const char *b, *rfc, *told;
} vectors[] = {
    {"42 1f 24 5c 7f a8 60 fa-6a f6 a4 63 51 ce d0 eb", "421f245c-7fa8-60fa-6af6-a46351ced0eb",
     "5c241f42-a87f-fa60-6af6-a46351ced0eb"},
    {"42 28 13 f5 d4 20 71 61-5d b0 7b 96 44 0c cf 54", "422813f5-d420-7161-5db0-7b96440ccf54",
     "f5132842-20d4-6171-5db0-7b96440ccf54"},
    {"42 0e 3f 74 ea 84 f9 a2-77 36 61 06 bb 5d bf 6b", "420e3f74-ea84-f9a2-7736-6106bb5dbf6b",
     "743f0e42-84ea-a2f9-7736-6106bb5dbf6b"},
    {"42 1a ee 9a 8e 13 ee e5-fc ec 82 3d cd 74 76 94", "421aee9a-8e13-eee5-fcec-823dcd747694",
     "9aee1a42-138e-e5ee-fcec-823dcd747694"},
    {"56 4d 17 83 79 92 52 5d-7e 16 32 9b 20 a5 b2 43", "564d1783-7992-525d-7e16-329b20a5b243",
     "83174d56-9279-5d52-7e16-329b20a5b243"},
    {"56 4d a6 d2 17 06 63 43-dc 2d 99 59 b5 33 a7 b3", "564da6d2-1706-6343-dc2d-9959b533a7b3",
     "d2a64d56-0617-4363-dc2d-9959b533a7b3"},
    {"42 1c 82 7e 09 15 aa f2-b1 54 1f ad 4a 62 97 fb", "421c827e-0915-aaf2-b154-1fad4a6297fb",
     "7e821c42-1509-f2aa-b154-1fad4a6297fb"},
    {"56 4d 82 f6 bf c4 d8 1a-82 ad 59 35 a9 a7 15 04", "564d82f6-bfc4-d81a-82ad-5935a9a71504",
     "f6824d56-c4bf-1ad8-82ad-5935a9a71504"},
    {"56 4d 73 35 ba 04 b8 e7-7d df 32 f2 03 d8 dc 46", "564d7335-ba04-b8e7-7ddf-32f203d8dc46",
     "35734d56-04ba-e7b8-7ddf-32f203d8dc46"},
    {"42 30 a8 27 f9 a3 cf 54-e2 a3 10 1d fd b8 21 d0", "4230a827-f9a3-cf54-e2a3-101dfdb821d0",
     "27a83042-a3f9-54cf-e2a3-101dfdb821d0"},
};

typedef int (*parse_fn)(const char *text, size_t len, const char *captured,
                        struct fingerprint **ret_fp, struct notes *notes, struct err *err);

static int parse_ovf(const char *text, size_t len, const char *captured,
                     struct fingerprint **ret_fp, struct notes *notes, struct err *err)
{
    CLEANUP(ovf_vms_fini) struct ovf_vms vms = {0};
    int rc = ovf_capture(text, len, captured, &vms, err);

    if (rc == 0) {
        *ret_fp = STEAL(vms.items[0].fp);
        *notes = vms.items[0].notes;
        vms.items[0].notes = (struct notes){0};
    }
    return rc;
}

static bool says(const struct notes *notes, const char *word)
{
    for (size_t i = 0; i < notes->n; i++) {
        if (strstr(notes->items[i], word) != NULL) {
            return true;
        }
    }
    return false;
}

/* `text` must be captured with the vector's UUID, and without a contradiction. */
static void must_agree(const struct vector *v, parse_fn parse, char *text)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    struct err err = {""};

    assert_non_null(text);
    if (parse(text, strlen(text), NULL, &fp, &notes, &err) < 0) {
        fail_msg("%s: %s\n%s", v->b, err.text, text);
    }
    if (!str_equal(fp->smbios.uuid, v->told)) {
        fail_msg("%s: %s and not %s\n%s", v->b, fp->smbios.uuid, v->told, text);
    }
    assert_false(says(&notes, "contradict"));
    assert_false(says(&notes, "counts"));
    free(text);
}

static void every_form_gives_the_same_uuid(void **state)
{
    static const char dmi[] =
        "SMBIOS %s present.\nHandle 0x0001, DMI type 1, 27 bytes\n"
        "System Information\n\tManufacturer: VMware, Inc.\n%s%s%s\tUUID: %s\n";
    static const char serial[] = "\tSerial Number: VMware-";
    static const char windows[] = "{\"schema\":\"pve-hwid-windows-1\",\"system\":{\"vendor\":"
                                  "\"VMware, Inc.\",\"uuid\":\"%s\"%s%s%s}}";

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        const struct vector *v = &vectors[i];

        must_agree(v, vmx_capture, str_printf("uuid.bios = \"%s\"\n", v->b));
        must_agree(
            v, parse_ovf,
            str_printf("<Envelope><VirtualSystem><VirtualHardwareSection><Config key=\"uuid\" "
                       "value=\"%s\"/></VirtualHardwareSection></VirtualSystem></Envelope>",
                       v->rfc));
        must_agree(v, dmidecode_capture, str_printf(dmi, "2.4", "", "", "", v->rfc));
        must_agree(v, dmidecode_capture, str_printf(dmi, "2.7", "", "", "", v->told));
        must_agree(v, dmidecode_capture, str_printf(dmi, "2.4", serial, v->b, "\n", v->rfc));
        must_agree(v, dmidecode_capture, str_printf(dmi, "2.7", serial, v->b, "\n", v->told));
        must_agree(v, winguest_capture, str_printf(windows, v->told, "", "", ""));
        must_agree(v, winguest_capture,
                   str_printf(windows, v->told, ",\"serial\":\"VMware-", v->b, "\""));
    }
}

/* The serial number alone: from inside the guest, whatever was done to the UUID. */
static void the_serial_number_is_enough(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        const struct vector *v = &vectors[i];

        must_agree(v, dmidecode_capture,
                   str_printf("Handle 0x0001, DMI type 1, 27 bytes\nSystem Information\n"
                              "\tSerial Number: VMware-%s\n",
                              v->b));
        must_agree(v, winguest_capture,
                   str_printf("{\"schema\":\"pve-hwid-windows-1\",\"system\":{\"serial\":"
                              "\"VMware-%s\"}}",
                              v->b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_gives_the_same_uuid),
        cmocka_unit_test(the_serial_number_is_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

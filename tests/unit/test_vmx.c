/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vmx: the line reader, the texts, and limits. What a whole file gives is in test_vmx_golden.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/vmx.h"
#include "core/vmx_dict.h"
#include "core/vmx_text.h"

static const char uuid_line[] = "uuid.bios = \"42 17 9c 03 5e d1 48 b6-0a 73 e2 9f 64 1c 85 3d\"\n";

/* One line, and the value of `name` in it; NULL: malformed, or not there. */
static const struct line {
    const char *text, *name, *value;
} lines[] = {
    {"a = \"b\"", "a", "b"},
    {"a=b", "a", "b"},
    {" \t a \t = \t b \t ", "a", "b"},
    {"A.Bc = \"X y\"", "a.bc", "X y"},
    {"a = \"\"", "a", ""},
    {"a =", "a", ""},
    {"a = # nothing", "a", ""},
    {"a = \"b\" # c", "a", "b"},
    {"a = b# c", "a", "b"},
    {"a = \"b # c\"", "a", "b # c"},
    {"a = \"b\"\r", "a", "b"},
    {"a = \"|22|7C|23\"", "a", "\"|#"},
    {"a = |41|42", "a", "AB"},
    {"a = \"|4\"", "a", "|4"},
    {"a = \"|zz|\"", "a", "|zz|"},
    {"a = \"|00b\"", "a", "|00b"},
    {"a = \"|fF\"", "a", "\xff"},
    {"a = \"\xc3\xbc\"", "a", "\xc3\xbc"},
    {".encoding = \"UTF-8\"", ".encoding", "UTF-8"},
    {"scsi0:0.present = \"TRUE\"", "scsi0:0.present", "TRUE"},
    /* malformed */
    {"a", "a", NULL},
    {"a \"b\"", "a", NULL},
    {"a b = c", "a", NULL},
    {"= b", "", NULL},
    {"a = \"b", "a", NULL},
    {"a = \"b\" c", "a", NULL},
    {"a = b c", "a", NULL},
    {"a = b\"", "a", NULL},
    {"# a = b", "a", NULL},
    {"", "a", NULL},
};

static void lines_follow_vmwares_grammar(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        CLEANUP_FREE char *text = str_printf("%s\nz = z", lines[i].text);
        CLEANUP(vmx_dict_fini) struct vmx_dict dict = {0};
        struct err err = {""};

        assert_int_equal(vmx_dict_parse(text, strlen(text), &dict, NULL, &err), 0);
        if (!str_equal(vmx_dict_get(&dict, lines[i].name), lines[i].value)) {
            fail_msg("[%s] gave %s = [%s]", lines[i].text, lines[i].name,
                     vmx_dict_get(&dict, lines[i].name));
        }
        assert_string_equal(vmx_dict_get(&dict, "z"), "z");
    }
}

static void encodings_become_utf_8(void **state)
{
    static const struct {
        const char *bytes, *encoding, *text;
        bool lossy;
    } texts[] = {
        {"plain", NULL, "plain", false},
        {"\xc3\xbc", "utf-8", "\xc3\xbc", false},
        {"\xfc", "UTF-8", "?", true},
        {"a\xc3", NULL, "a?", true},
        {"\xed\xa0\x80", NULL, "???", true},
        {"\xf5\x98\x8a\x97", NULL, "????", true}, /* beyond U+10FFFF; glibc's iconv takes it */
        {"\xf4\x8f\xbf\xbf\xf0\x90\x80\x80", NULL, "\xf4\x8f\xbf\xbf\xf0\x90\x80\x80", false},
        {"\xc0\x80\xe0\x80\x80", NULL, "?????", true},
        {"\xfc\x80", "Windows-1252", "\xc3\xbc\xe2\x82\xac", false},
        {"\xcf\xf0\xe8", "windows-1251", "\xd0\x9f\xd1\x80\xd0\xb8", false},
        {"\xb2\xe2", "GBK", "\xe6\xb5\x8b", false},
        {"\xb2", "GBK", "?", true},
        {"\xa4\xa4", "Big5", "\xe4\xb8\xad", false},
        {"\x93\xfa", "Shift_JIS", "\xe6\x97\xa5", false},
        {"\xfc", "no-such", "?", true},
        {" \t a\tb \t", NULL, "a b", false},
        {"a\x1b[2J", NULL, "a?[2J", true},
        {"1234567890", NULL, "12345678", true},
        {"1234567\xc3\xbc", NULL, "1234567", true},
        {"", NULL, "", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP_FREE char *text = NULL;
        bool lossy = false;

        assert_int_equal(vmx_text_decode(texts[i].bytes, texts[i].encoding, 8, &text, &lossy), 0);
        assert_string_equal(text, texts[i].text);
        assert_int_equal(lossy, texts[i].lossy);
    }
}

static void only_names_of_the_table_reach_iconv(void **state)
{
    (void)state;
    assert_true(vmx_text_knows(NULL));
    assert_true(vmx_text_knows("gbk"));
    assert_false(vmx_text_knows(""));
    assert_false(vmx_text_knows("UTF-8//TRANSLIT"));
    assert_false(vmx_text_knows("/tmp/evil"));
}

static int capture(const char *text, size_t len, struct notes *notes, struct fingerprint **ret,
                   struct err *err)
{
    return vmx_capture(text, len, NULL, ret, notes, err);
}

static void nothing_and_too_much_are_refused(void **state)
{
    CLEANUP_FREE char *text = malloc(VMX_MAX + 1);
    struct fingerprint *fp = NULL;
    struct err err = {""};

    (void)state;
    assert_non_null(text);
    assert_int_equal(capture(NULL, 0, NULL, &fp, &err), -EINVAL);
    memset(text, '\n', VMX_MAX + 1);
    assert_int_equal(capture(text, VMX_MAX + 1, NULL, &fp, &err), -EFBIG);
    assert_non_null(strstr(err.text, "1048576"));
    memcpy(text, uuid_line, strlen(uuid_line));
    assert_int_equal(capture(text, VMX_MAX, NULL, &fp, &err), 0);
    fingerprint_free(fp);
}

/* The largest number of drives and cards, and more, in every slot a name can spell. */
static void more_devices_than_fit_are_left_out_and_told(void **state)
{
    static const char *const buses[] = {"scsi", "sata", "nvme", "ide"};
    CLEANUP(buf_fini) struct buf buf = BUF_INIT(0);
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    CLEANUP_FREE char *json = NULL;
    struct err err = {""};

    (void)state;
    buf_adds(&buf, uuid_line);
    for (size_t kind = 0; kind < ARRAY_SIZE(buses); kind++) {
        for (int bus = 0; bus < 4; bus++) {
            buf_addf(&buf, "%s%d.present = TRUE\nscsi%d.virtualDev = pvscsi\n", buses[kind], bus,
                     bus);
            for (int unit = 0; unit < 100; unit++) {
                buf_addf(&buf, "%s%d:%d.present = TRUE\n%s%d:%d.deviceType = %s\n", buses[kind],
                         bus, unit, buses[kind], bus, unit, unit % 2 == 0 ? "disk" : "cdrom-image");
            }
        }
    }
    for (int i = 0; i < 100; i++) {
        buf_addf(&buf, "ethernet%d.present = TRUE\nethernet%d.address = 00:50:56:00:00:%02d\n", i,
                 i, i);
        buf_addf(&buf, "ethernet%d.addressType = static\n", i);
    }
    assert_int_equal(capture(buf.data, buf.len, &notes, &fp, &err), 0);
    assert_int_equal(fp->n_disks, FINGERPRINT_DISKS_MAX);
    assert_int_equal(fp->n_cdroms, FINGERPRINT_DISKS_MAX);
    assert_int_equal(fp->n_nics, FINGERPRINT_NICS_MAX);
    assert_true(notes.n > 100 && notes.n < 130);
    assert_int_equal(fingerprint_format(fp, &json, &err), 0);
    assert_true(strlen(json) < FINGERPRINT_MAX);
}

static void captured_is_carried_over_and_notes_may_be_unwanted(void **state)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;

    (void)state;
    assert_int_equal(
        vmx_capture(uuid_line, strlen(uuid_line), "2026-11-23T10:00:00Z", &fp, NULL, NULL), 0);
    assert_string_equal(fp->source.captured, "2026-11-23T10:00:00Z");
    assert_string_equal(fp->source.kind, "vmx");
    assert_null(fp->source.name);
    assert_int_equal(fp->source.hardware_version, 0);
    assert_string_equal(fp->smbios.uuid, "039c1742-d15e-b648-0a73-e29f641c853d");
}

static void notes_are_one_line_each_whatever_the_file_holds(void **state)
{
    CLEANUP(buf_fini) struct buf buf = BUF_INIT(0);
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};

    (void)state;
    buf_adds(&buf, uuid_line);
    buf_adds(&buf, "firmware = \"a|0ab|1b[2J\"\nfirm\x1bware = \"1\"\nfirm\x1bware = \"2\"\n");
    buf_adds(&buf, "ethernet0.present = TRUE\nethernet0.virtualDev = \"|0a|0d\"\n");
    assert_int_equal(capture(buf.data, buf.len, &notes, &fp, NULL), 0);
    assert_int_equal(notes.n, 4); /* line, firmware, virtualDev, generatedAddress */
    for (size_t i = 0; i < notes.n; i++) {
        assert_null(strpbrk(notes.items[i], "\n\r\x1b"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_follow_vmwares_grammar),
        cmocka_unit_test(encodings_become_utf_8),
        cmocka_unit_test(only_names_of_the_table_reach_iconv),
        cmocka_unit_test(nothing_and_too_much_are_refused),
        cmocka_unit_test(more_devices_than_fit_are_left_out_and_told),
        cmocka_unit_test(captured_is_carried_over_and_notes_may_be_unwanted),
        cmocka_unit_test(notes_are_one_line_each_whatever_the_file_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

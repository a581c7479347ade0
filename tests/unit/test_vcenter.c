/* SPDX-License-Identifier: GPL-3.0-or-later */
/* vCenter's answers and requests; what trusting its certificate needs (SHA-256, thumbprints). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "base/base64.h"
#include "base/str.h"
#include "core/certificate.h"
#include "core/vcenter.h"
#include "golden.h"

static void capture(const char *text, size_t len, struct outcome *ret)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    struct err err = {""};

    if (vcenter_capture(text, len, NULL, NULL, &fp, &notes, &err) < 0) {
        outcome_error(ret, err.text);
    }
    outcome_add(ret, fp, &notes, NULL);
}

static void golden_directories_agree(void **state)
{
    (void)state;
    golden_check_all("vcenter", "input.json", capture);
}

static void a_real_answer_agrees(void **state)
{
    (void)state;
    golden_check_fixtures("vcenter", capture);
}

/* --- lists, sessions, failures --- */

static int read_list(const char *text, struct vcenter_items *items, struct err *err)
{
    return vcenter_read_list(text, strlen(text), VCENTER_VM, items, err);
}

static void lists_of_both_dialects_are_read(void **state)
{
    static const char *const texts[] = {
        "[{\"vm\":\"vm-1\",\"name\":\"a\"},{\"vm\":\"vm-2\"}]",
        "{\"value\":[{\"vm\":\"vm-1\",\"name\":\"a\",\"cpu_count\":2},{\"vm\":\"vm-2\"}]}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP(vcenter_items_fini) struct vcenter_items items = {0};

        assert_int_equal(read_list(texts[i], &items, NULL), 0);
        assert_int_equal(items.n, 2);
        assert_string_equal(items.items[0].id, "vm-1");
        assert_string_equal(items.items[0].name, "a");
        assert_string_equal(items.items[1].name, "");
    }
}

/* An id becomes part of a URL and of a file's name. */
static void ids_that_are_none_are_refused(void **state)
{
    static const char *const texts[] = {
        "[{\"vm\":\"../x\"}]",
        "[{\"vm\":\"\"}]",
        "[{\"name\":\"a\"}]",
        "[{\"vm\":\"vm 1\"}]",
        "[{\"vm\":\"a?b\"}]",
        "[{\"vm\":null}]",
        "[1]",
        "{}",
        "{\"value\":3}",
        "",
        "[",
        "[{\"vm\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP(vcenter_items_fini) struct vcenter_items items = {0};
        struct err err = {""};

        assert_int_equal(read_list(texts[i], &items, &err), -EINVAL);
        assert_string_not_equal(err.text, "");
    }
}

static void a_session_fits_into_a_header_line(void **state)
{
    static const char *const good[] = {"\"abc\"", "{\"value\":\"abc\"}"};
    static const char *const bad[] = {"\"a b\"", "\"a\\r\\nX: y\"", "\"\"", "null", "{}", "3", ""};
    char session[VCENTER_SESSION_SIZE];

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        assert_int_equal(vcenter_read_session(good[i], strlen(good[i]), session, NULL), 0);
        assert_string_equal(session, "abc");
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(vcenter_read_session(bad[i], strlen(bad[i]), session, NULL), -EINVAL);
    }
}

static struct vcenter_failure read_failure(const char *text)
{
    struct vcenter_failure failure;

    vcenter_read_failure(text, strlen(text), &failure);
    return failure;
}

static void failures_of_both_dialects_are_read(void **state)
{
    struct vcenter_failure f = read_failure(
        "{\"error_type\":\"UNABLE_TO_ALLOCATE_RESOURCE\",\"messages\":[{\"default_message\":\"Too "
        "many\\nvirtual machines.\"}]}");

    (void)state;
    assert_true(f.too_many);
    assert_string_equal(f.sentence, "Too many?virtual machines.");
    f = read_failure("{\"type\":\"com.vmware.vapi.std.errors.unable_to_allocate_resource\","
                     "\"value\":{\"messages\":[]}}");
    assert_true(f.too_many);
    assert_string_equal(f.sentence, "com.vmware.vapi.std.errors.unable_to_allocate_resource");
    f = read_failure("{\"error_type\":\"UNAUTHENTICATED\",\"messages\":[]}");
    assert_false(f.too_many);
    f = read_failure("<html>");
    assert_false(f.too_many);
    assert_string_equal(f.sentence, "");
}

/* --- requests and names --- */

static void requests_speak_their_dialect(void **state)
{
    CLEANUP(api_request_freep) struct api_request *a = vcenter_list(VCENTER_API, VCENTER_VM);
    CLEANUP(api_request_freep) struct api_request *b = vcenter_list(VCENTER_REST, VCENTER_FOLDER);
    CLEANUP(api_request_freep) struct api_request *c = vcenter_login(VCENTER_REST);
    CLEANUP(api_request_freep) struct api_request *d = vcenter_logout(VCENTER_API);
    CLEANUP(api_request_freep) struct api_request *e = vcenter_get_vm(VCENTER_API, "vm-1");

    (void)state;
    assert_string_equal(a->path, "/api/vcenter/vm");
    assert_int_equal(vcenter_add_filter(a, VCENTER_API, "names", "x"), 0);
    assert_string_equal(a->params[0].key, "names");
    assert_string_equal(b->path, "/rest/vcenter/folder");
    assert_int_equal(vcenter_add_filter(b, VCENTER_REST, "names", "x"), 0);
    assert_string_equal(b->params[0].key, "filter.names");
    assert_string_equal(c->path, "/rest/com/vmware/cis/session");
    assert_int_equal(c->method, API_POST);
    assert_string_equal(d->path, "/api/session");
    assert_int_equal(d->method, API_DELETE);
    assert_string_equal(e->path, "/api/vcenter/vm/vm-1");
}

static void names_of_files_are_safe(void **state)
{
    static const struct {
        const char *name, *file;
    } rows[] = {
        {"web1", "web1.vm-1.json"},
        {"web 1.example", "web_1.example.vm-1.json"},
        {"../../etc/passwd", "_._.._etc_passwd.vm-1.json"},
        {".hidden", "_hidden.vm-1.json"},
        {"", "vm-1.json"},
        {"\xc3\xa4\n", "___.vm-1.json"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char id[] = "vm-1";
        CLEANUP_FREE char *name = str_dup(rows[i].name);
        const struct vcenter_item vm = {.id = id, .name = name};
        CLEANUP_FREE char *file = vcenter_file_name(&vm);

        assert_string_equal(file, rows[i].file);
        assert_null(strchr(file, '/'));
        assert_int_not_equal(file[0], '.');
    }
}

static void what_is_missing_is_told(void **state)
{
    static const char text[] =
        "{\"format\":1,\"nics\":[{\"model\":\"e1000\"}],\"disks\":[{\"controller\":\"pvscsi\"}]}";
    static const char whole[] =
        "{\"format\":1,\"smbios\":{\"uuid\":\"5c241f42-a87f-fa60-6af6-a46351ced0eb\"},\"disks\":"
        "[{\"controller\":\"nvme\"},{\"controller\":\"pvscsi\",\"serial\":\"6000c29\"}]}";
    struct fingerprint *fp = NULL;

    (void)state;
    assert_int_equal(fingerprint_parse(text, strlen(text), &fp, NULL), 0);
    assert_int_equal(vcenter_missing(fp),
                     VCENTER_MISSING_UUID | VCENTER_MISSING_MAC | VCENTER_MISSING_SERIAL);
    fingerprint_free(fp);
    assert_int_equal(fingerprint_parse(whole, strlen(whole), &fp, NULL), 0);
    assert_int_equal(vcenter_missing(fp), 0);
    fingerprint_free(fp);
}

/* --- certificates --- */

static void assert_sha256(const void *bytes, size_t len, const char *want)
{
    uint8_t digest[SHA256_SIZE];
    char text[2 * SHA256_SIZE + 1];

    sha256(bytes, len, digest);
    for (size_t i = 0; i < SHA256_SIZE; i++) {
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]); /* fits */
    }
    assert_string_equal(text, want);
}

/* FIPS 180-2 appendix B, NIST's long message, and every length around the padding's edge against
 * what coreutils' sha256sum says. */
static void sha256_agrees_with_nist(void **state)
{
    static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    static char million[1000000];
    static const char *const around[] = {
        /* 'a' repeated 55, 56, 63, 64, 65 times */
        "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318",
        "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a",
        "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34",
        "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb",
        "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0",
    };
    static const size_t lengths[] = {55, 56, 63, 64, 65};

    (void)state;
    memset(million, 'a', sizeof(million));
    assert_sha256("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_sha256("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_sha256(two_blocks, strlen(two_blocks),
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    assert_sha256(million, sizeof(million),
                  "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        assert_sha256(million, lengths[i], around[i]);
    }
}

static void base64_agrees_with_rfc_4648(void **state)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(buf_fini) struct buf out = BUF_INIT(0);
        CLEANUP(buf_fini) struct buf back = BUF_INIT(0);
        char text[BASE64_SIZE(6)];

        buf_adds(&out, "");
        buf_adds(&back, "");
        base64_encode(rows[i][0], strlen(rows[i][0]), &out);
        assert_string_equal(out.data, rows[i][1]);
        base64_encode_text(rows[i][0], strlen(rows[i][0]), text);
        assert_string_equal(text, rows[i][1]);
        base64_decode(text, &back);
        assert_string_equal(back.data, rows[i][0]);
    }
}

static void thumbprints_are_read_in_every_spelling(void **state)
{
    static const char text[] = "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:"
                               "7A:9C:B4:10:FF:61:F2:00:15:AD";
    static const char *const bad[] = {
        "",
        "BA:78",
        "x",
        "SHA1:00",
        ":",
        "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:"
        "15:AD:00",
        "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:"
        "15:A"};
    char plain[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    char shown[CERTIFICATE_THUMBPRINT_SIZE];
    struct certificate_thumbprint a, b;
    struct err err = {""};

    (void)state;
    assert_int_equal(certificate_parse(text, &a, NULL), 0);
    assert_int_equal(certificate_parse(plain, &b, NULL), 0);
    assert_memory_equal(a.bytes, b.bytes, sizeof(a.bytes));
    certificate_format(&a, shown);
    assert_string_equal(shown, text);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(certificate_parse(bad[i], &a, &err), -EINVAL);
    }
    plain[40] = '\0';
    assert_int_equal(certificate_parse(plain, &a, &err), -EINVAL);
    assert_non_null(strstr(err.text, "SHA-1"));
}

static void a_thumbprint_is_that_of_the_first_certificate(void **state)
{
    /* "abc" is no certificate, but its thumbprint is known. */
    static const char pem[] = "Subject: x\n-----BEGIN CERTIFICATE-----\nYW\nJj\n-----END "
                              "CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nZm9v\n";
    struct certificate_thumbprint thumbprint;
    char shown[CERTIFICATE_THUMBPRINT_SIZE];

    (void)state;
    assert_int_equal(certificate_thumbprint(pem, &thumbprint, NULL), 0);
    certificate_format(&thumbprint, shown);
    assert_true(str_starts(shown, "BA:78:16:BF:"));
    assert_int_equal(certificate_thumbprint("", &thumbprint, NULL), -EINVAL);
    assert_int_equal(certificate_thumbprint("-----BEGIN CERTIFICATE-----", &thumbprint, NULL),
                     -EINVAL);
}

/* Made by openssl, and its pin by `openssl x509 -pubkey | openssl pkey -pubin -outform der`,
 * SHA-256, base64. */
static const char real_pem[] = "-----BEGIN CERTIFICATE-----\n"
                               "MIIBcjCCARegAwIBAgIUY7SUcYjlS5+Cu83E3Vzj1ofPcmwwCgYIKoZIzj0EAwIw\n"
                               "DjEMMAoGA1UEAwwDdmMxMB4XDTI2MTEyNjIyMTgwM1oXDTM2MTEyMzIyMTgwM1ow\n"
                               "DjEMMAoGA1UEAwwDdmMxMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeXwIzWj/\n"
                               "29UNFIWZvaGwBwo3oOY6VMCX733VKOz/s+OiImCXo2jhc0YherKI/pG/zdEsZxWe\n"
                               "GE4HkXB4LlAlc6NTMFEwHQYDVR0OBBYEFJQWzn63LzXesOsXUfZ6KY1TDbejMB8G\n"
                               "A1UdIwQYMBaAFJQWzn63LzXesOsXUfZ6KY1TDbejMA8GA1UdEwEB/wQFMAMBAf8w\n"
                               "CgYIKoZIzj0EAwIDSQAwRgIhAPibkhAscCuekfBGFpaRgqOzOmjS/jF7y1L2hS+7\n"
                               "uQvlAiEA71B4LTkRWYk0D35JpNu0hYf5Ij3tI8ZmNNXONYO6NyA=\n"
                               "-----END CERTIFICATE-----\n";
static const char real_pin[] = "sha256//e1x0+W2KrRJg6RyTgXXo1EqffOX+PIt91YxgHWZ0WDA=";
enum { REAL_DER = 374, REAL_KEY_BEGINS = 111, REAL_KEY_ENDS = 202 }; /* openssl asn1parse */

static void a_pin_is_that_of_the_key_in_a_certificate(void **state)
{
    char pin[CERTIFICATE_PIN_SIZE];

    (void)state;
    assert_int_equal(certificate_key_pin(real_pem, pin, NULL), 0);
    assert_string_equal(pin, real_pin);
    assert_int_equal(certificate_key_pin("", pin, NULL), -EINVAL);
    assert_int_equal(certificate_key_pin("-----BEGIN CERTIFICATE-----\nYWJj\n", pin, NULL),
                     -EINVAL);
}

/* A pin comes from the whole thing or not at all; what is turned round is another key or none. */
static void a_certificate_that_is_cut_off_or_bent_gives_no_pin(void **state)
{
    CLEANUP(buf_fini) struct buf der = BUF_INIT(0);
    char pin[CERTIFICATE_PIN_SIZE];

    (void)state;
    base64_decode(real_pem + strlen("-----BEGIN CERTIFICATE-----"), &der);
    assert_int_equal(der.len, REAL_DER);
    for (size_t len = 0; len < der.len; len++) {
        CLEANUP(buf_fini) struct buf pem = BUF_INIT(0);

        buf_adds(&pem, "-----BEGIN CERTIFICATE-----\n");
        base64_encode(der.data, len, &pem);
        assert_int_equal(certificate_key_pin(pem.data, pin, NULL), -EINVAL);
    }
    for (size_t i = 0; i < der.len; i++) {
        CLEANUP(buf_fini) struct buf pem = BUF_INIT(0);
        int rc;

        der.data[i] = (char)(der.data[i] ^ 0x55);
        buf_adds(&pem, "-----BEGIN CERTIFICATE-----\n");
        base64_encode(der.data, der.len, &pem);
        rc = certificate_key_pin(pem.data, pin, NULL);
        assert_true(rc == -EINVAL || rc == 0);
        if (rc == 0 && i >= REAL_KEY_BEGINS && i < REAL_KEY_ENDS) {
            assert_string_not_equal(pin, real_pin);
        }
        der.data[i] = (char)(der.data[i] ^ 0x55);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_directories_agree),
        cmocka_unit_test(a_real_answer_agrees),
        cmocka_unit_test(lists_of_both_dialects_are_read),
        cmocka_unit_test(ids_that_are_none_are_refused),
        cmocka_unit_test(a_session_fits_into_a_header_line),
        cmocka_unit_test(failures_of_both_dialects_are_read),
        cmocka_unit_test(requests_speak_their_dialect),
        cmocka_unit_test(names_of_files_are_safe),
        cmocka_unit_test(what_is_missing_is_told),
        cmocka_unit_test(sha256_agrees_with_nist),
        cmocka_unit_test(base64_agrees_with_rfc_4648),
        cmocka_unit_test(thumbprints_are_read_in_every_spelling),
        cmocka_unit_test(a_thumbprint_is_that_of_the_first_certificate),
        cmocka_unit_test(a_pin_is_that_of_the_key_in_a_certificate),
        cmocka_unit_test(a_certificate_that_is_cut_off_or_bent_gives_no_pin),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a QEMU was started with against what the configuration says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/qemu_args.h"
#include "core/verify.h"

#define UUID "9b1a4d56-1100-3322-4455-66778899aabb"
#define WORDS                                                                                      \
    "/usr/bin/kvm\n-id\n105\n-smbios\ntype=1,manufacturer=VMware,, Inc.,uuid=" UUID                \
    "\n-device\nvmxnet3,mac=00:50:56:8A:01:02,netdev=net0,bus=pci.0,addr=0x12,id=net0\n"           \
    "-device\nide-hd,bus=ahci0.0,drive=drive-sata0,id=sata0,bootindex=100\n-machine\ntype=pc-q35-" \
    "9.0\n"

static const char config[] =
    "boot: order=sata0\nmachine: pc-q35-9.0\n"
    "net0: vmxnet3=00:50:56:8A:01:02,bridge=vmbr0\nsata0: local:105/a.raw\n"
    "smbios1: uuid=" UUID ",manufacturer=Vk13YXJlLCBJbmMu,base64=1\n";
static const char wanted[] = "{\"format\":1,\"smbios\":{\"uuid\":\"" UUID "\"}}";

static struct assessment *look(const char *text)
{
    const struct assess_texts texts = {.config = text,
                                       .config_len = strlen(text),
                                       .config_path = "c",
                                       .fingerprint = wanted,
                                       .fingerprint_len = strlen(wanted),
                                       .fingerprint_path = "f"};
    const struct assess_params params = {.vmid = 105};
    struct assessment *a = NULL;

    assert_int_equal(assess(&texts, &params, NULL, 0, &a, NULL), 0);
    assert_int_equal(a->outcome, ASSESS_PLANNED);
    return a;
}

/* Words as lines; the caller's. */
static char *argv_of(const char *words)
{
    char *argv = str_dup(words);

    for (char *c = argv; *c != '\0'; c++) {
        *c = *c == '\n' ? '\0' : *c;
    }
    return argv;
}

static struct verify compare(const char *text, const char *words, const char *status,
                             const char *pending)
{
    CLEANUP(assessment_freep) struct assessment *a = look(text);
    CLEANUP_FREE char *argv = words == NULL ? NULL : argv_of(words);
    json_t *status_json = json_loads(status, 0, NULL);
    json_t *pending_json = json_loads(pending, 0, NULL);
    const struct verify_input in = {.assessment = a,
                                    .status = status_json,
                                    .pending = pending_json,
                                    .argv = argv,
                                    .argv_len = words == NULL ? 0 : strlen(words)};
    struct verify v = {0};

    assert_int_equal(verify_make(&in, &v), 0);
    json_decref(status_json);
    json_decref(pending_json);
    return v;
}

static const struct verify_check *check_of(const struct verify *v, const char *what)
{
    for (size_t i = 0; i < v->n; i++) {
        if (str_equal(v->checks[i].what, what)) {
            return &v->checks[i];
        }
    }
    return NULL;
}

#define RUNS "{\"status\":\"running\",\"running-machine\":\"pc-q35-9.0+pve0\"}"

static void each_part_is_compared(void **state)
{
    static const struct {
        const char *name, *conf, *words, *status, *pending, *what, *says;
        enum verify_result result;
    } rows[] = {
        {"all well", config, WORDS, RUNS, "[]", "smbios", "as the configuration says", VERIFY_OK},
        {"the last smbios counts", config,
         WORDS "-smbios\ntype=1,uuid=11111111-2222-3333-4444-555555555555\n", RUNS, "[]", "smbios",
         "uuid is 11111111", VERIFY_DIFFERS},
        {"another type is another table", config, WORDS "-smbios\ntype=2,uuid=x\n", RUNS, "[]",
         "smbios", "as the configuration says", VERIFY_OK},
        {"no argv", config, NULL, RUNS, "[]", "smbios", "cannot be read", VERIFY_UNKNOWN},
        {"an argv that is cut off", config, "/usr/bin/kvm\n-smbios\ntype=1,uuid=" UUID, RUNS, "[]",
         "smbios", "uuid is not there", VERIFY_DIFFERS},
        {"another machine", config, WORDS,
         "{\"status\":\"running\",\"running-machine\":\"pc-i440fx-9.0\"}", "[]", "machine",
         "pc-i440fx-9.0 runs and pc-q35-9.0 is configured", VERIFY_DIFFERS},
        {"another version", config, WORDS,
         "{\"status\":\"running\",\"running-machine\":\"pc-q35-8.2+pve0\"}", "[]", "machine",
         "pc-q35-8.2+pve0 runs", VERIFY_DIFFERS},
        {"an old PVE", config, WORDS, "{\"status\":\"running\"}", "[]", "machine", "does not tell",
         VERIFY_UNKNOWN},
        {"another MAC", "net0: vmxnet3=00:50:56:8A:01:03\nsmbios1: uuid=" UUID "\n", WORDS, RUNS,
         "[]", "nics", "net0 is 00:50:56:8A:01:02 and should be 00:50:56:8A:01:03", VERIFY_DIFFERS},
        {"a card more", "net1: e1000=00:50:56:8A:01:03\nsmbios1: uuid=" UUID "\n", WORDS, RUNS,
         "[]", "nics", "net1 is not there and should be e1000", VERIFY_DIFFERS},
        {"a disk elsewhere", "scsi0: local:105/a.raw\nsmbios1: uuid=" UUID "\n", WORDS, RUNS, "[]",
         "disks", "sata0 is ide-hd and should be empty; scsi0 is not there", VERIFY_DIFFERS},
        {"pending hardware", config, WORDS, RUNS,
         "[{\"key\":\"memory\",\"pending\":\"1\"},{\"key\":\"net0\",\"pending\":\"x\"},"
         "{\"key\":\"scsi0\",\"delete\":1},{\"key\":\"machine\",\"value\":\"q35\"}]",
         "pending", "start: net0, scsi0", VERIFY_DIFFERS},
        {"pending memory", config, WORDS, RUNS, "[{\"key\":\"memory\",\"pending\":\"1\"}]",
         "pending", "nothing waits", VERIFY_OK},
        {"answers of another shape", config, WORDS, "[]", "{\"a\":[]}", "configuration",
         "as the fingerprint says", VERIFY_OK},
        {"stopped and different", "cores: 1\n", WORDS, "{\"status\":\"stopped\"}", "[]",
         "configuration", "differs in smbios1", VERIFY_DIFFERS},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(verify_fini)
        struct verify v = compare(rows[i].conf, rows[i].words, rows[i].status, rows[i].pending);
        const struct verify_check *check = check_of(&v, rows[i].what);
        json_t *json = verify_checks_to_json(&v);

        assert_int_equal(json_array_size(json), v.n);
        json_decref(json);
        if (check == NULL || check->result != rows[i].result ||
            strstr(check->detail, rows[i].says) == NULL) {
            fail_msg("%s: %s", rows[i].name, check == NULL ? "(no check)" : check->detail);
        }
        assert_int_equal(v.n, v.running ? VERIFY_CHECKS_MAX : 1);
    }
}

static void the_worst_check_is_the_result(void **state)
{
    CLEANUP(verify_fini) struct verify good = compare(config, WORDS, RUNS, "[]");
    CLEANUP(verify_fini) struct verify unknown = compare(config, NULL, RUNS, "[]");
    CLEANUP(verify_fini)
    struct verify bad = compare(config, NULL, RUNS, "[{\"key\":\"net0\",\"pending\":\"x\"}]");

    (void)state;
    assert_int_equal(verify_result(&good), VERIFY_OK);
    assert_int_equal(verify_result(&unknown), VERIFY_UNKNOWN);
    assert_int_equal(verify_result(&bad), VERIFY_DIFFERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_is_compared),
        cmocka_unit_test(the_worst_check_is_the_result),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

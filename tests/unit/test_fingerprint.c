/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fingerprint: what is refused and how it is said, what is read, and the canonical text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/fingerprint.h"

/* Everything the format knows, in canonical form. */
static const char everything[] = "{\n"
                                 "  \"format\": 1,\n"
                                 "  \"source\": {\n"
                                 "    \"kind\": \"vmx\",\n"
                                 "    \"name\": \"B\xc3\xbcro\",\n"
                                 "    \"hardware_version\": 19,\n"
                                 "    \"captured\": \"2026-11-23T10:00:00Z\",\n"
                                 "    \"parts\": {\n"
                                 "      \"smbios.uuid\": \"vmx+windows\",\n"
                                 "      \"nics.mac\": \"windows\"\n"
                                 "    }\n"
                                 "  },\n"
                                 "  \"smbios\": {\n"
                                 "    \"uuid\": \"5c241f42-a87f-fa60-6af6-a46351ced0eb\",\n"
                                 "    \"manufacturer\": \"VMware, Inc.\",\n"
                                 "    \"product\": \"VMware7,1\",\n"
                                 "    \"version\": \"None\",\n"
                                 "    \"serial\": \"VMware-42 1f 24 5c 7f a8 60 fa-6a f6 a4 63 51 "
                                 "ce d0 eb\",\n"
                                 "    \"sku\": \"s\",\n"
                                 "    \"family\": \"f\"\n"
                                 "  },\n"
                                 "  \"bios\": {\n"
                                 "    \"vendor\": \"VMware, Inc.\",\n"
                                 "    \"version\": \"VMW71.00V\",\n"
                                 "    \"date\": \"11/12/2020\"\n"
                                 "  },\n"
                                 "  \"firmware\": \"efi\",\n"
                                 "  \"machine\": {\n"
                                 "    \"type\": \"q35\",\n"
                                 "    \"min_version\": \"9.0\"\n"
                                 "  },\n"
                                 "  \"nics\": [\n"
                                 "    {\n"
                                 "      \"model\": \"vmxnet3\",\n"
                                 "      \"mac\": \"00:50:56:8a:01:02\"\n"
                                 "    },\n"
                                 "    {\n"
                                 "      \"model\": \"unknown\"\n"
                                 "    }\n"
                                 "  ],\n"
                                 "  \"disks\": [\n"
                                 "    {\n"
                                 "      \"controller\": \"pvscsi\",\n"
                                 "      \"bus\": 0,\n"
                                 "      \"unit\": 1,\n"
                                 "      \"serial\": \"6000c29c9f4f2e0c794e36b137fda25f\",\n"
                                 "      \"vendor\": \"VMware\",\n"
                                 "      \"product\": \"Virtual disk\",\n"
                                 "      \"volume\": \"local-lvm:vm-105-disk-0\"\n"
                                 "    },\n"
                                 "    {\n"
                                 "      \"controller\": \"sata\",\n"
                                 "      \"bus\": 0,\n"
                                 "      \"unit\": 0,\n"
                                 "      \"model\": \"VMware Virtual SATA Hard Drive\"\n"
                                 "    }\n"
                                 "  ],\n"
                                 "  \"cdroms\": [\n"
                                 "    {\n"
                                 "      \"controller\": \"ide\",\n"
                                 "      \"bus\": 1,\n"
                                 "      \"unit\": 0\n"
                                 "    }\n"
                                 "  ],\n"
                                 "  \"cpu\": {\n"
                                 "    \"sockets\": 2,\n"
                                 "    \"cores\": 4\n"
                                 "  },\n"
                                 "  \"memory_mib\": 8192,\n"
                                 "  \"display\": \"vmware-svga\",\n"
                                 "  \"vmgenid\": \"eb219c71-ed70-3191-9bed-7fb23f377824\",\n"
                                 "  \"license\": {\n"
                                 "    \"channel\": \"MAK\",\n"
                                 "    \"status\": \"licensed\",\n"
                                 "    \"product\": \"Windows Server\",\n"
                                 "    \"partial_key\": \"AB12C\",\n"
                                 "    \"kms_host\": \"kms.example.com:1688\",\n"
                                 "    \"remaining_rearms\": 0,\n"
                                 "    \"grace_minutes\": 259200\n"
                                 "  },\n"
                                 "  \"policy\": {\n"
                                 "    \"on_drift\": \"refuse\",\n"
                                 "    \"on_error\": \"start\",\n"
                                 "    \"disks\": \"keep\",\n"
                                 "    \"nics\": \"match\"\n"
                                 "  },\n"
                                 "  \"vm\": {\n"
                                 "    \"ctime\": 1795397075,\n"
                                 "    \"moved_from\": 104\n"
                                 "  }\n"
                                 "}\n";

static int parse(const char *text, struct fingerprint **ret, struct err *err)
{
    return fingerprint_parse(text, strlen(text), ret, err);
}

static void everything_is_read(void **state)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    struct err err = {""};

    (void)state;
    assert_int_equal(parse(everything, &fp, &err), 0);
    assert_string_equal(fp->source.kind, "vmx");
    assert_int_equal(fp->source.hardware_version, 19);
    assert_true(fp->has_smbios);
    assert_string_equal(fp->smbios.uuid, "5c241f42-a87f-fa60-6af6-a46351ced0eb");
    assert_string_equal(fp->smbios.family, "f");
    assert_string_equal(fp->firmware, "efi");
    assert_true(fp->has_machine && fp->has_nics && fp->has_disks);
    assert_int_equal(fp->machine_major, 9);
    assert_int_equal(fp->machine_minor, 0);
    assert_int_equal(fp->n_nics, 2);
    assert_int_equal(fp->nics[1].model, FINGERPRINT_NIC_UNKNOWN);
    assert_string_equal(fp->nics[1].mac, "");
    assert_int_equal(fp->n_disks, 2);
    assert_int_equal(fp->disks[0].unit, 1);
    assert_string_equal(fp->disks[0].volume, "local-lvm:vm-105-disk-0");
    assert_int_equal(fp->cdroms[0].controller, FINGERPRINT_IDE);
    assert_int_equal(fp->cores, 4);
    assert_int_equal(fp->memory_mib, 8192);
    assert_string_equal(fp->license_partial_key, "AB12C");
    assert_string_equal(fp->license_kms_host, "kms.example.com:1688");
    assert_true(fp->has_license_rearms && fp->has_license_grace);
    assert_int_equal(fp->license_remaining_rearms, 0);
    assert_int_equal(fp->license_grace_minutes, 259200);
    assert_string_equal(fp->source.parts[FINGERPRINT_PART_NICS_MAC], "windows");
    assert_null(fp->source.parts[FINGERPRINT_PART_NAME]);
    assert_true(fp->has_bios);
    assert_string_equal(fp->bios.date, "11/12/2020");
    assert_string_equal(fp->display, "vmware-svga");
    assert_int_equal(fp->policy.on_drift, FINGERPRINT_DRIFT_REFUSE);
    assert_int_equal(fp->policy.disks, FINGERPRINT_KEEP);
    assert_true(fp->policy.has_nics);
    assert_int_equal(fp->vm.ctime, 1795397075);
    assert_int_equal(fp->vm.moved_from, 104);
}

static void canonical_text_comes_back_unchanged(void **state)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP_FREE char *text = NULL;

    (void)state;
    assert_int_equal(parse(everything, &fp, NULL), 0);
    assert_int_equal(fingerprint_format(fp, &text, NULL), 0);
    assert_string_equal(text, everything);
}

static void what_is_not_said_has_its_default(void **state)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP_FREE char *text = NULL;

    (void)state;
    assert_int_equal(parse("{\"machine\":{\"type\":\"q35\"},\"format\":1}", &fp, NULL), 0);
    assert_int_equal(fp->machine_major, 8);
    assert_int_equal(fp->machine_minor, 2);
    assert_null(fp->smbios.uuid);
    assert_false(fp->has_smbios || fp->has_nics || fp->has_disks || fp->policy.has_on_drift);
    assert_int_equal(fp->policy.on_drift, FINGERPRINT_DRIFT_RESTART);
    assert_int_equal(fp->policy.on_error, FINGERPRINT_ERROR_START);
    assert_int_equal(fingerprint_format(fp, &text, NULL), 0);
    assert_string_equal(text, "{\n  \"format\": 1,\n  \"machine\": {\n    \"type\": \"q35\",\n"
                              "    \"min_version\": \"8.2\"\n  }\n}\n");
}

static void spellings_are_made_one(void **state)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;

    (void)state;
    assert_int_equal(
        parse("{\"format\":1,\"smbios\":{\"uuid\":\"5C241F42-A87F-FA60-6AF6-A46351CED0EB\"},"
              "\"nics\":[{\"model\":\"e1000\",\"mac\":\"00:0C:29:AB:CD:EF\"}],"
              "\"disks\":[{\"controller\":\"ahci\"}]}",
              &fp, NULL),
        0);
    assert_string_equal(fp->smbios.uuid, "5c241f42-a87f-fa60-6af6-a46351ced0eb");
    assert_string_equal(fp->nics[0].mac, "00:0c:29:ab:cd:ef");
    assert_int_equal(fp->disks[0].controller, FINGERPRINT_SATA);
}

/* `text` inside {"format":1, ... }; what the sentence must begin with, and hold. */
struct refusal {
    const char *text, *path, *holds;
};

/* conf/fingerprint.schema.json refuses these too (tests/test_schema). */
static const struct refusal refusals[] = {
    /* the whole */
    {"\"machine\":{\"type\":\"q35\"},\"colour\":1", "unknown key \"colour\"", "smbios"},
    {"\"firmware\":\"efi\"", "the fingerprint asks for nothing", "smbios, machine, nics"},
    {"\"cdroms\":[{\"controller\":\"ide\"}]", "the fingerprint asks for nothing", "disks"},
    {"\"firmware\":\"coreboot\"", "firmware: ", "bios or efi"},
    {"\"firmware\":1", "firmware: ", "bios or efi"},
    {"\"memory_mib\":0", "memory_mib: ", "from 1 to"},
    {"\"memory_mib\":1.5", "memory_mib: ", "whole number"},
    {"\"memory_mib\":\"8\"", "memory_mib: ", "whole number"},
    {"\"vmgenid\":\"x\"", "vmgenid: ", "8-4-4-4-12"},
    /* source */
    {"\"source\":[]", "source: ", "object"},
    {"\"source\":{\"host\":\"a\"}", "source: ", "unknown key \"host\""},
    {"\"source\":{\"kind\":7}", "source.kind: ", "text in quotes"},
    {"\"source\":{\"name\":\"a\\u0007\"}", "source.name: ", "control characters"},
    {"\"source\":{\"captured\":\"\"}", "source.captured: ", "leave the key out"},
    {"\"source\":{\"hardware_version\":100}", "source.hardware_version: ", "from 1 to 99"},
    {"\"source\":{\"kind\":\"a kind with many more than 32 bytes in it\"}",
     "source.kind: ", "at most 32"},
    /* smbios */
    {"\"smbios\":null", "smbios: ", "object"},
    {"\"smbios\":{}", "smbios: ", "leave the key out"},
    {"\"smbios\":{\"sn\":\"1\"}", "smbios: ", "unknown key \"sn\""},
    {"\"smbios\":{\"uuid\":\"42 1f 24 5c 7f a8 60 fa-6a f6 a4 63 51 ce d0 eb\"}",
     "smbios.uuid: ", "8-4-4-4-12"},
    {"\"smbios\":{\"uuid\":\"00000000-0000-0000-0000-000000000000\"}", "smbios.uuid: ", "no UUID"},
    {"\"smbios\":{\"uuid\":\"FFFFFFFF-ffff-ffff-ffff-ffffffffffff\"}", "smbios.uuid: ", "no UUID"},
    {"\"smbios\":{\"serial\":false}", "smbios.serial: ", "text in quotes"},
    {"\"smbios\":{\"manufacturer\":\"\"}", "smbios.manufacturer: ", "leave the key out"},
    {"\"smbios\":{\"product\":\"a\\nb\"}", "smbios.product: ", "control characters"},
    {"\"smbios\":{\"version\":[]}", "smbios.version: ", "text in quotes"},
    {"\"smbios\":{\"sku\":1}", "smbios.sku: ", "text in quotes"},
    {"\"smbios\":{\"family\":{}}", "smbios.family: ", "text in quotes"},
    /* machine */
    {"\"machine\":\"q35\"", "machine: ", "object"},
    {"\"machine\":{}", "machine.type: ", "q35"},
    {"\"machine\":{\"type\":\"pc\"}", "machine.type: ", "q35"},
    {"\"machine\":{\"type\":\"q35\",\"version\":\"8\"}", "machine: ", "min_version"},
    {"\"machine\":{\"type\":\"q35\",\"min_version\":8.2}", "machine.min_version: ", "text"},
    {"\"machine\":{\"type\":\"q35\",\"min_version\":\"8\"}", "machine.min_version: ", "8.2"},
    {"\"machine\":{\"type\":\"q35\",\"min_version\":\".2\"}", "machine.min_version: ", "8.2"},
    {"\"machine\":{\"type\":\"q35\",\"min_version\":\"8.\"}", "machine.min_version: ", "8.2"},
    {"\"machine\":{\"type\":\"q35\",\"min_version\":\"8.2.1\"}", "machine.min_version: ", "8.2"},
    {"\"machine\":{\"type\":\"q35\",\"min_version\":\"8888.2\"}", "machine.min_version: ", "8.2"},
    /* nics */
    {"\"nics\":{}", "nics: ", "array"},
    {"\"nics\":[]", "nics: ", "leave the key out"},
    {"\"nics\":[1]", "nics[0]: ", "object"},
    {"\"nics\":[{\"model\":\"e1000\"},{\"mac\":\"00:50:56:00:00:01\"}]",
     "nics[1].model: ", "unknown"},
    {"\"nics\":[{\"model\":\"virtio\"}]", "nics[0].model: ", "vmxnet3"},
    {"\"nics\":[{\"model\":\"e1000\",\"bridge\":\"vmbr0\"}]", "nics[0]: ", "bridge"},
    {"\"nics\":[{\"model\":\"e1000\",\"mac\":5}]", "nics[0].mac: ", "text"},
    {"\"nics\":[{\"model\":\"e1000\",\"mac\":\"0050568a0102\"}]", "nics[0].mac: ", "MAC address"},
    {"\"nics\":[{\"model\":\"e1000\",\"mac\":\"00-50-56-8a-01-02\"}]", "nics[0].mac: ", "MAC"},
    {"\"nics\":[{\"model\":\"e1000\",\"mac\":\"01:50:56:8a:01:02\"}]",
     "nics[0].mac: ", "cannot be"},
    {"\"nics\":[{\"model\":\"e1000\",\"mac\":\"00:00:00:00:00:00\"}]",
     "nics[0].mac: ", "cannot be"},
    /* disks */
    {"\"disks\":1", "disks: ", "array"},
    {"\"disks\":[]", "disks: ", "leave the key out"},
    {"\"disks\":[{}]", "disks[0].controller: ", "missing"},
    {"\"disks\":[{\"controller\":\"virtio\"}]", "disks[0].controller: ", "lsisas1068"},
    {"\"disks\":[{\"controller\":\"ide\",\"bus\":2}]", "disks[0].bus: ", "from 0 to 1"},
    {"\"disks\":[{\"controller\":\"pvscsi\",\"bus\":4}]", "disks[0].bus: ", "from 0 to 3"},
    {"\"disks\":[{\"controller\":\"pvscsi\",\"unit\":7}]", "disks[0].unit: ", "the controller"},
    {"\"disks\":[{\"controller\":\"lsilogic\",\"unit\":16}]", "disks[0].unit: ", "from 0 to 15"},
    {"\"disks\":[{\"controller\":\"pvscsi\",\"unit\":65}]", "disks[0].unit: ", "from 0 to 64"},
    {"\"disks\":[{\"controller\":\"sata\",\"unit\":-1}]", "disks[0].unit: ", "from 0 to 29"},
    {"\"disks\":[{\"controller\":\"nvme\",\"unit\":64}]", "disks[0].unit: ", "from 0 to 63"},
    {"\"disks\":[{\"controller\":\"pvscsi\",\"vendor\":\"123456789\"}]", "disks[0].vendor: ", "8"},
    {"\"disks\":[{\"controller\":\"pvscsi\",\"product\":\"12345678901234567\"}]",
     "disks[0].product: ", "16"},
    {"\"disks\":[{\"controller\":\"ide\",\"model\":\"12345678901234567890123456789012345678901\"}]",
     "disks[0].model: ", "40"},
    {"\"disks\":[{\"controller\":\"ide\",\"serial\":1}]", "disks[0].serial: ", "text"},
    {"\"disks\":[{\"controller\":\"ide\",\"size\":\"1G\"}]", "disks[0]: ", "unknown key \"size\""},
    {"\"disks\":[{\"controller\":\"ide\",\"volume\":\"disk0\"}]", "disks[0].volume: ", "local-lvm"},
    {"\"disks\":[{\"controller\":\"ide\",\"volume\":\"a:b,size=1G\"}]", "disks[0].volume: ", "PVE"},
    /* cdroms */
    {"\"cdroms\":[]", "cdroms: ", "leave the key out"},
    {"\"cdroms\":[{\"controller\":\"ide\",\"volume\":\"a:b\"}]", "cdroms[0]: ", "volume"},
    /* cpu, license, policy, vm */
    {"\"cpu\":2", "cpu: ", "object"},
    {"\"cpu\":{\"threads\":2}", "cpu: ", "threads"},
    {"\"cpu\":{\"sockets\":0}", "cpu.sockets: ", "from 1 to 1024"},
    {"\"cpu\":{\"cores\":99999999999999999999}", "line 1", "no JSON"},
    {"\"cpu\":{\"cores\":4294967298}", "cpu.cores: ", "from 1 to 1024"},
    {"\"license\":\"MAK\"", "license: ", "object"},
    {"\"license\":{\"key\":\"x\"}", "license: ", "partial_key"},
    {"\"license\":{\"channel\":1}", "license.channel: ", "text"},
    {"\"license\":{\"remaining_rearms\":-1}", "license.remaining_rearms: ", "0"},
    {"\"license\":{\"grace_minutes\":\"1\"}", "license.grace_minutes: ", "number"},
    {"\"license\":{\"kms_host\":1}", "license.kms_host: ", "text"},
    {"\"bios\":{}", "bios: ", "empty"},
    {"\"bios\":{\"vendor\":1}", "bios.vendor: ", "text"},
    {"\"bios\":{\"release\":\"x\"}", "bios: ", "vendor"},
    {"\"display\":\"cirrus\"", "display: ", "vmware-svga"},
    {"\"source\":{\"parts\":{\"uuid\":\"vmx\"}}", "source.parts: ", "smbios.uuid"},
    {"\"source\":{\"parts\":{\"nics\":1}}", "source.parts.nics: ", "text"},
    {"\"source\":{\"parts\":[]}", "source.parts: ", "object"},
    {"\"license\":{\"status\":1}", "license.status: ", "text"},
    {"\"license\":{\"product\":1}", "license.product: ", "text"},
    {"\"license\":{\"partial_key\":\"AAAAA-BBBBB\"}", "license.partial_key: ", "at most 5"},
    {"\"policy\":[]", "policy: ", "object"},
    {"\"policy\":{\"on_start\":\"x\"}", "policy: ", "on_drift"},
    {"\"policy\":{\"on_drift\":\"stop\"}", "policy.on_drift: ", "restart, refuse or start"},
    {"\"policy\":{\"on_error\":\"restart\"}", "policy.on_error: ", "start or refuse"},
    {"\"policy\":{\"disks\":true}", "policy.disks: ", "match or keep"},
    {"\"policy\":{\"nics\":\"MATCH\"}", "policy.nics: ", "match or keep"},
    {"\"vm\":[]", "vm: ", "object"},
    {"\"vm\":{}", "vm: ", "empty"},
    {"\"vm\":{\"vmid\":105}", "vm: ", "ctime"},
    {"\"vm\":{\"ctime\":0}", "vm.ctime: ", "from 1 to 4294967295"},
    {"\"vm\":{\"ctime\":4294967296}", "vm.ctime: ", "from 1 to 4294967295"},
    {"\"vm\":{\"ctime\":\"1795397075\"}", "vm.ctime: ", "number"},
    {"\"vm\":{\"moved_from\":99}", "vm.moved_from: ", "from 100 to 999999999"},
    /* JSON itself */
    {"\"cpu\":{},\"cpu\":{}", "line 1, column", "duplicate"},
    {"\"cpu\":{\"sockets\":1,\"sockets\":2}", "line 1, column", "duplicate"},
    {"\"source\":{\"name\":\"\\u0000\"}", "line 1, column", "no JSON"},
    {"\"source\":{\"name\":\"\xff\"}", "line 1, column", "no JSON"},
    {"\"cpu\":{},", "line 1, column", "no JSON"},
};

/* Contradictions are beyond what a schema can say. */
static const struct refusal contradictions[] = {
    {"\"smbios\":{\"uuid\":\"421f245c-7fa8-60fa-6af6-a46351ced0eb\",\"serial\":"
     "\"VMware-42 1f 24 5c 7f a8 60 fa-6a f6 a4 63 51 ce d0 eb\"}",
     "smbios.uuid: 421f245c-", "5c241f42-a87f-fa60-6af6-a46351ced0eb"},
    {"\"smbios\":{\"uuid\":\"12345678-7fa8-60fa-6af6-a46351ced0eb\",\"serial\":"
     "\"vmware-42 1f 24 5c 7f a8 60 fa-6a f6 a4 63 51 ce d0 eb\"}",
     "smbios.uuid: 12345678-", "contradicts smbios.serial"},
    {"\"disks\":[{\"controller\":\"ide\"},{\"controller\":\"ide\"}]", "disks[1]: ", "disks[0]"},
    {"\"disks\":[{\"controller\":\"pvscsi\"},{\"controller\":\"lsilogic\",\"unit\":1}]",
     "disks[1].controller: ", "pvscsi in disks[0]"},
    {"\"disks\":[{\"controller\":\"ide\",\"volume\":\"a:b\"},"
     "{\"controller\":\"sata\",\"volume\":\"a:b\"}]",
     "disks[1].volume: ", "disks[0]"},
    {"\"disks\":[{\"controller\":\"ide\"}],\"cdroms\":[{\"controller\":\"ide\"}]",
     "cdroms[0]: ", "disks[0]"},
};

static void must_refuse(const struct refusal *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        CLEANUP_FREE char *text = str_printf("{\"format\":1,%s}", list[i].text);
        struct fingerprint *fp = NULL;
        struct err err = {""};
        int rc = parse(text, &fp, &err);

        if (rc != -EINVAL || !str_starts(err.text, list[i].path) ||
            strstr(err.text, list[i].holds) == NULL) {
            fail_msg("%s\n    gave %d \"%s\"\n    and not \"%s...%s\"", text, rc, err.text,
                     list[i].path, list[i].holds);
        }
        assert_null(fp);
    }
}

static void each_refusal_names_path_and_cure(void **state)
{
    (void)state;
    must_refuse(refusals, ARRAY_SIZE(refusals));
}

static void each_contradiction_names_both_sides(void **state)
{
    (void)state;
    must_refuse(contradictions, ARRAY_SIZE(contradictions));
}

static void format_must_be_said_and_be_one(void **state)
{
    static const struct {
        const char *text, *path;
    } wrong[] = {
        {"{\"machine\":{\"type\":\"q35\"}}", "format: is missing"},
        {"{\"format\":2,\"machine\":{\"type\":\"q35\"}}", "format: "},
        {"{\"format\":\"1\",\"machine\":{\"type\":\"q35\"}}", "format: "},
        {"[]", "an object"},
        {"7", "line 1"},
        {"{\"format\":1,\"machine\":{\"type\":\"q35\"}} x", "line 1"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct fingerprint *fp = NULL;
        struct err err = {""};

        assert_int_equal(parse(wrong[i].text, &fp, &err), -EINVAL);
        if (!str_starts(err.text, wrong[i].path)) {
            fail_msg("%s gave \"%s\"", wrong[i].text, err.text);
        }
    }
}

static void every_beginning_of_a_text_is_still_being_written(void **state)
{
    size_t len = strlen(everything);

    (void)state;
    /* Behind the last brace there is only the newline: that much is complete. */
    for (size_t i = 0; i < len - 1; i++) {
        struct fingerprint *fp = NULL;
        struct err err = {""};
        int rc = fingerprint_parse(everything, i, &fp, &err);

        if (rc != -EAGAIN) {
            fail_msg("the first %zu bytes gave %d \"%s\"", i, rc, err.text);
        }
    }
    assert_int_equal(fingerprint_parse(NULL, 0, &(struct fingerprint *){NULL}, NULL), -EAGAIN);
    assert_int_equal(fingerprint_parse(" \n\t", 3, &(struct fingerprint *){NULL}, NULL), -EAGAIN);
}

static void more_than_the_limit_is_refused_unread(void **state)
{
    CLEANUP_FREE char *text = malloc(FINGERPRINT_MAX + 2);
    struct fingerprint *fp = NULL;
    struct err err = {""};

    (void)state;
    assert_non_null(text);
    memset(text, ' ', FINGERPRINT_MAX + 1);
    text[FINGERPRINT_MAX + 1] = '\0';
    assert_int_equal(fingerprint_parse(text, FINGERPRINT_MAX + 1, &fp, &err), -EFBIG);
    assert_non_null(strstr(err.text, "65536"));
    memcpy(text, everything, strlen(everything));
    assert_int_equal(fingerprint_parse(text, FINGERPRINT_MAX, &fp, &err), 0);
    fingerprint_free(fp);
}

static void deep_nesting_is_refused(void **state)
{
    CLEANUP(buf_fini) struct buf buf = BUF_INIT(0);
    struct fingerprint *fp = NULL;
    struct err err = {""};

    (void)state;
    buf_adds(&buf, "{\"format\":1,\"machine\":");
    for (int i = 0; i < 30000; i++) {
        buf_addc(&buf, '[');
    }
    for (int i = 0; i < 30000; i++) {
        buf_addc(&buf, ']');
    }
    buf_addc(&buf, '}');
    assert_int_equal(fingerprint_parse(buf.data, buf.len, &fp, &err), -EINVAL);
}

/* An array of `n` items that differ by their number. */
static char *many(const char *key, const char *format, int n)
{
    struct buf buf = BUF_INIT(0);

    buf_addf(&buf, "{\"format\":1,\"%s\":[", key);
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *number = str_printf("%d", i);

        buf_adds(&buf, i > 0 ? "," : "");
        for (const char *c = format; *c != '\0'; c++) {
            buf_adds(&buf, *c == '#' ? number : (const char[]){*c, '\0'});
        }
    }
    buf_adds(&buf, "]}");
    return buf_steal(&buf);
}

static void arrays_have_their_limits(void **state)
{
    static const char nic[] = "{\"model\":\"e1000\"}";
    static const char disk[] = "{\"controller\":\"nvme\",\"unit\":#}";
    CLEANUP_FREE char *nics = many("nics", nic, FINGERPRINT_NICS_MAX);
    CLEANUP_FREE char *too_many_nics = many("nics", nic, FINGERPRINT_NICS_MAX + 1);
    CLEANUP_FREE char *disks = many("disks", disk, FINGERPRINT_DISKS_MAX);
    CLEANUP_FREE char *too_many_disks = many("disks", disk, FINGERPRINT_DISKS_MAX + 1);
    struct fingerprint *fp = NULL;
    struct err err = {""};

    (void)state;
    assert_int_equal(parse(nics, &fp, &err), 0);
    fingerprint_free(fp);
    assert_int_equal(parse(too_many_nics, &fp, &err), -EINVAL);
    assert_non_null(strstr(err.text, "nics: 33 items"));
    assert_int_equal(parse(disks, &fp, &err), 0);
    fingerprint_free(fp);
    assert_int_equal(parse(too_many_disks, &fp, &err), -EINVAL);
    assert_non_null(strstr(err.text, "disks: 65 items"));
}

static void sentences_never_carry_control_characters(void **state)
{
    struct fingerprint *fp = NULL;
    struct err err = {""};

    (void)state;
    assert_int_equal(parse("{\"format\":1,\"a\\u001b[2J\\nb\":1}", &fp, &err), -EINVAL);
    assert_null(strpbrk(err.text, "\x1b\n"));
    assert_int_equal(parse("{\"format\":1,\"source\":{\"name\":\"a\\u00\n7\"}}", &fp, &err),
                     -EINVAL);
    assert_null(strpbrk(err.text, "\x1b\n"));
}

static void serial_in_another_form_says_nothing_about_the_uuid(void **state)
{
    struct fingerprint *fp = NULL;

    (void)state;
    assert_int_equal(parse("{\"format\":1,\"smbios\":{\"uuid\":"
                           "\"12345678-7fa8-60fa-6af6-a46351ced0eb\",\"serial\":\"VMware-12\"}}",
                           &fp, NULL),
                     0);
    fingerprint_free(fp);
    fingerprint_free(NULL);
}

static void names_are_those_of_the_format(void **state)
{
    (void)state;
    assert_string_equal(fingerprint_nic_name(FINGERPRINT_NIC_FLEXIBLE), "flexible");
    assert_string_equal(fingerprint_nic_name(FINGERPRINT_NIC_UNKNOWN), "unknown");
    assert_string_equal(fingerprint_controller_name(FINGERPRINT_SATA), "sata");
    assert_string_equal(fingerprint_drift_name(FINGERPRINT_DRIFT_RESTART), "restart");
    assert_string_equal(fingerprint_on_error_name(FINGERPRINT_ERROR_REFUSE), "refuse");
}

/* One refused text per line, for tests/test_schema. */
static int print_refusals(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        printf("{\"format\":1,%s}\n", refusals[i].text);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_read),
        cmocka_unit_test(canonical_text_comes_back_unchanged),
        cmocka_unit_test(what_is_not_said_has_its_default),
        cmocka_unit_test(spellings_are_made_one),
        cmocka_unit_test(each_refusal_names_path_and_cure),
        cmocka_unit_test(each_contradiction_names_both_sides),
        cmocka_unit_test(format_must_be_said_and_be_one),
        cmocka_unit_test(every_beginning_of_a_text_is_still_being_written),
        cmocka_unit_test(more_than_the_limit_is_refused_unread),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(arrays_have_their_limits),
        cmocka_unit_test(sentences_never_carry_control_characters),
        cmocka_unit_test(serial_in_another_form_says_nothing_about_the_uuid),
        cmocka_unit_test(names_are_those_of_the_format),
    };

    if (argc > 1 && strcmp(argv[1], "--refusals") == 0) {
        return print_refusals();
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

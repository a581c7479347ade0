/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A fingerprint out of its JSON text. One function per object of the format; each states its keys
 * once, and jsonread.h refuses the rest. conf/fingerprint.schema.json says the same to editors:
 * change both (tests/unit/test_fingerprint.c and tests/test_schema compare them).
 */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/str.h"
#include "core/fingerprint.h"
#include "core/fingerprint_priv.h"
#include "core/jsonread.h"

enum {
    WORD_MAX = 32,       /* bytes of a short word: kind, captured, ... */
    PARTIAL_KEY_MAX = 5, /* a whole product key has no business here */
};

static int read_source_parts(const struct jsonread *source, char *parts[FINGERPRINT_PARTS],
                             struct err *err)
{
    struct jsonread at;
    int rc;

    if (!jsonread_enter(source, "parts", &at)) {
        return 0;
    }
    rc = jsonread_object(&at, fingerprint_part_names, FINGERPRINT_PARTS, err);
    for (size_t i = 0; rc == 0 && i < FINGERPRINT_PARTS; i++) {
        rc = jsonread_text(&at, fingerprint_part_names[i], WORD_MAX, &parts[i], err);
    }
    return rc;
}

static int read_source(const struct jsonread *at, struct fingerprint_source *source,
                       struct err *err)
{
    static const char *const keys[] = {"kind", "name", "hardware_version", "captured", "parts"};
    int rc = jsonread_object(at, keys, ARRAY_SIZE(keys), err);

    rc = rc < 0 ? rc : jsonread_text(at, "kind", WORD_MAX, &source->kind, err);
    rc = rc < 0 ? rc : jsonread_text(at, "name", FINGERPRINT_STRING_MAX, &source->name, err);
    rc = rc < 0 ? rc
                : jsonread_int(at, "hardware_version", 1, FINGERPRINT_HARDWARE_MAX,
                               &source->hardware_version, err);
    rc = rc < 0 ? rc : jsonread_text(at, "captured", WORD_MAX, &source->captured, err);
    return rc < 0 ? rc : read_source_parts(at, source->parts, err);
}

/* A UUID, kept in lower case. `real`: all bits 0 or 1 mean "none" in SMBIOS and are refused. */
static int read_uuid(const struct jsonread *at, const char *key, bool real, char **ret,
                     struct err *err)
{
    struct smbios_uuid uuid;
    struct err why = {""};
    bool none = true;
    int rc = jsonread_text(at, key, FINGERPRINT_STRING_MAX, ret, err);

    if (rc < 0 || *ret == NULL) {
        return rc;
    }
    if (smbios_uuid_parse(*ret, &uuid, &why) < 0) {
        return jsonread_wrong(at, key, err, "%s", why.text);
    }
    for (size_t i = 1; i < sizeof(uuid.bytes); i++) {
        none = none && uuid.bytes[i] == uuid.bytes[0];
    }
    if (real && none && (uuid.bytes[0] == 0x00 || uuid.bytes[0] == 0xff)) {
        return jsonread_wrong(at, key, err, "%s means \"no UUID\"; leave the key out", *ret);
    }
    smbios_uuid_format(&uuid, *ret);
    return 0;
}

static int read_smbios(const struct jsonread *at, struct fingerprint_smbios *smbios,
                       struct err *err)
{
    static const char *const keys[] = {"uuid",   "manufacturer", "product", "version",
                                       "serial", "sku",          "family"};
    char **const texts[] = {
        NULL,         &smbios->manufacturer, &smbios->product, &smbios->version, &smbios->serial,
        &smbios->sku, &smbios->family};
    int rc = jsonread_object(at, keys, ARRAY_SIZE(keys), err);

    if (rc == 0 && json_object_size(at->value) == 0) {
        return jsonread_wrong(at, NULL, err, "an empty object says nothing; leave the key out");
    }
    rc = rc < 0 ? rc : read_uuid(at, "uuid", true, &smbios->uuid, err);
    for (size_t i = 1; rc == 0 && i < ARRAY_SIZE(keys); i++) {
        rc = jsonread_text(at, keys[i], FINGERPRINT_STRING_MAX, texts[i], err);
    }
    return rc;
}

static int read_bios(const struct jsonread *at, struct fingerprint *fp, struct err *err)
{
    static const char *const keys[] = {"vendor", "version", "date"};
    char **const texts[] = {&fp->bios.vendor, &fp->bios.version, &fp->bios.date};
    int rc = jsonread_object(at, keys, ARRAY_SIZE(keys), err);

    if (rc == 0 && json_object_size(at->value) == 0) {
        return jsonread_wrong(at, NULL, err, "an empty object says nothing; leave the key out");
    }
    fp->has_bios = true;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(keys); i++) {
        rc = jsonread_text(at, keys[i], FINGERPRINT_STRING_MAX, texts[i], err);
    }
    return rc;
}

/* "8.2" */
static bool parse_version(const char *text, int *ret_major, int *ret_minor)
{
    enum { PART_MAX = 999 };
    const char *dot = strchr(text, '.');
    char major[4] = "";
    uint64_t a, b;

    if (dot == NULL || dot == text || (size_t)(dot - text) >= sizeof(major)) {
        return false;
    }
    memcpy(major, text, (size_t)(dot - text));
    if (!str_to_u64(major, PART_MAX, &a) || strlen(dot + 1) >= sizeof(major) ||
        !str_to_u64(dot + 1, PART_MAX, &b)) {
        return false;
    }
    *ret_major = (int)a;
    *ret_minor = (int)b;
    return true;
}

static int read_machine(const struct jsonread *at, struct fingerprint *fp, struct err *err)
{
    static const char *const keys[] = {"type", "min_version"};
    static const char *const types[] = {"q35"};
    CLEANUP_FREE char *version = NULL;
    int type = -1;
    int rc = jsonread_object(at, keys, ARRAY_SIZE(keys), err);

    rc = rc < 0 ? rc : jsonread_choice(at, "type", types, ARRAY_SIZE(types), &type, err);
    if (rc == 0 && type < 0) {
        return jsonread_wrong(at, "type", err, "is missing; \"q35\" is the one that is known");
    }
    rc = rc < 0 ? rc : jsonread_text(at, "min_version", WORD_MAX, &version, err);
    if (rc < 0) {
        return rc;
    }
    if (version != NULL && !parse_version(version, &fp->machine_major, &fp->machine_minor)) {
        return jsonread_wrong(at, "min_version", err, "\"%s\" is no version such as \"8.2\"",
                              version);
    }
    return str_replace(&fp->machine_type, types[type]) < 0 ? err_oom(err) : 0;
}

static int read_cpu(const struct jsonread *at, struct fingerprint *fp, struct err *err)
{
    static const char *const keys[] = {"sockets", "cores"};
    int rc = jsonread_object(at, keys, ARRAY_SIZE(keys), err);

    rc = rc < 0 ? rc : jsonread_int(at, "sockets", 1, FINGERPRINT_CPU_MAX, &fp->sockets, err);
    return rc < 0 ? rc : jsonread_int(at, "cores", 1, FINGERPRINT_CPU_MAX, &fp->cores, err);
}

static int read_license(const struct jsonread *at, struct fingerprint *fp, struct err *err)
{
    static const char *const keys[] = {"channel",      "status",      "product",
                                       "kms_host",     "partial_key", "remaining_rearms",
                                       "grace_minutes"};
    char **const texts[] = {&fp->license_channel, &fp->license_status, &fp->license_product,
                            &fp->license_kms_host};
    int rc = jsonread_object(at, keys, ARRAY_SIZE(keys), err);

    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(texts); i++) {
        rc = jsonread_text(at, keys[i], FINGERPRINT_STRING_MAX, texts[i], err);
    }
    rc = rc < 0 ? rc
                : jsonread_text(at, "partial_key", PARTIAL_KEY_MAX, &fp->license_partial_key, err);
    rc = rc < 0 ? rc
                : jsonread_int(at, "remaining_rearms", 0, FINGERPRINT_REARMS_MAX,
                               &fp->license_remaining_rearms, err);
    rc = rc < 0 ? rc
                : jsonread_long(at, "grace_minutes", 0, FINGERPRINT_GRACE_MINUTES_MAX,
                                &fp->license_grace_minutes, err);
    if (rc == 0) {
        fp->has_license_rearms = json_object_get(at->value, "remaining_rearms") != NULL;
        fp->has_license_grace = json_object_get(at->value, "grace_minutes") != NULL;
    }
    return rc;
}

static int read_policy(const struct jsonread *at, struct fingerprint_policy *policy,
                       struct err *err)
{
    static const char *const keys[] = {"on_drift", "on_error", "disks", "nics"};
    int drift = -1, on_error = -1, disks = -1, nics = -1;
    int rc = jsonread_object(at, keys, ARRAY_SIZE(keys), err);

    rc = rc < 0 ? rc
                : jsonread_choice(at, "on_drift", fingerprint_drift_names,
                                  ARRAY_SIZE(fingerprint_drift_names), &drift, err);
    rc = rc < 0 ? rc
                : jsonread_choice(at, "on_error", fingerprint_on_error_names,
                                  ARRAY_SIZE(fingerprint_on_error_names), &on_error, err);
    rc = rc < 0 ? rc
                : jsonread_choice(at, "disks", fingerprint_match_names,
                                  ARRAY_SIZE(fingerprint_match_names), &disks, err);
    rc = rc < 0 ? rc
                : jsonread_choice(at, "nics", fingerprint_match_names,
                                  ARRAY_SIZE(fingerprint_match_names), &nics, err);
    if (rc < 0) {
        return rc;
    }
    *policy = (struct fingerprint_policy){
        .has_on_drift = drift >= 0,
        .has_on_error = on_error >= 0,
        .has_disks = disks >= 0,
        .has_nics = nics >= 0,
        .on_drift = drift < 0 ? policy->on_drift : (enum fingerprint_drift)drift,
        .on_error = on_error < 0 ? policy->on_error : (enum fingerprint_on_error)on_error,
        .disks = disks < 0 ? policy->disks : (enum fingerprint_match)disks,
        .nics = nics < 0 ? policy->nics : (enum fingerprint_match)nics,
    };
    return 0;
}

static int read_vm(const struct jsonread *at, struct fingerprint *fp, struct err *err)
{
    static const char *const keys[] = {"ctime", "moved_from"};
    int rc = jsonread_object(at, keys, ARRAY_SIZE(keys), err);

    if (rc == 0 && json_object_size(at->value) == 0) {
        return jsonread_wrong(at, NULL, err, "an empty object says nothing; leave the key out");
    }
    rc = rc < 0 ? rc : jsonread_long(at, "ctime", 1, FINGERPRINT_CTIME_MAX, &fp->vm.ctime, err);
    return rc < 0 ? rc
                  : jsonread_int(at, "moved_from", FINGERPRINT_VMID_MIN, FINGERPRINT_VMID_MAX,
                                 &fp->vm.moved_from, err);
}

/* Objects that have the whole fingerprint as their target are read through one signature. */
static int read_smbios_part(const struct jsonread *at, struct fingerprint *fp, struct err *err)
{
    fp->has_smbios = true;
    return read_smbios(at, &fp->smbios, err);
}

static int read_machine_part(const struct jsonread *at, struct fingerprint *fp, struct err *err)
{
    fp->has_machine = true;
    return read_machine(at, fp, err);
}

static int read_source_part(const struct jsonread *at, struct fingerprint *fp, struct err *err)
{
    return read_source(at, &fp->source, err);
}

static int read_policy_part(const struct jsonread *at, struct fingerprint *fp, struct err *err)
{
    return read_policy(at, &fp->policy, err);
}

static int read_parts(const struct jsonread *root, struct fingerprint *fp, struct err *err)
{
    static const struct {
        const char *key;
        int (*read)(const struct jsonread *at, struct fingerprint *fp, struct err *err);
    } parts[] = {
        {"source", read_source_part},
        {"smbios", read_smbios_part},
        {"bios", read_bios},
        {"machine", read_machine_part},
        {"nics", fingerprint_read_nics},
        {"disks", fingerprint_read_disks},
        {"cdroms", fingerprint_read_cdroms},
        {"cpu", read_cpu},
        {"license", read_license},
        {"policy", read_policy_part},
        {"vm", read_vm},
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(parts); i++) {
        struct jsonread part;

        if (jsonread_enter(root, parts[i].key, &part)) {
            rc = parts[i].read(&part, fp, err);
        }
    }
    return rc;
}

static int read_root(const struct jsonread *root, struct fingerprint *fp, struct err *err)
{
    static const char *const keys[] = {
        "format", "source",     "smbios",  "firmware", "machine", "nics", "disks",   "cdroms",
        "cpu",    "memory_mib", "vmgenid", "license",  "policy",  "bios", "display", "vm"};
    static const char *const firmwares[] = {"bios", "efi"};
    int format = 0, firmware = -1, display = -1;
    int rc = jsonread_object(root, keys, ARRAY_SIZE(keys), err);

    rc = rc < 0
             ? rc
             : jsonread_int(root, "format", FINGERPRINT_FORMAT, FINGERPRINT_FORMAT, &format, err);
    if (rc == 0 && format == 0) {
        return jsonread_wrong(root, "format", err, "is missing; write \"format\": %d",
                              FINGERPRINT_FORMAT);
    }
    rc = rc < 0 ? rc : read_parts(root, fp, err);
    rc = rc < 0
             ? rc
             : jsonread_choice(root, "firmware", firmwares, ARRAY_SIZE(firmwares), &firmware, err);
    rc = rc < 0 ? rc
                : jsonread_long(root, "memory_mib", 1, FINGERPRINT_MEMORY_MIB_MAX, &fp->memory_mib,
                                err);
    rc = rc < 0 ? rc
                : jsonread_choice(root, "display", fingerprint_display_names, FINGERPRINT_DISPLAYS,
                                  &display, err);
    rc = rc < 0 ? rc : read_uuid(root, "vmgenid", false, &fp->vmgenid, err);
    if (rc == 0 && firmware >= 0 && str_replace(&fp->firmware, firmwares[firmware]) < 0) {
        return err_oom(err);
    }
    if (rc == 0 && display >= 0 &&
        str_replace(&fp->display, fingerprint_display_names[display]) < 0) {
        return err_oom(err);
    }
    return rc;
}

/*
 * Was the text cut off? jansson says so where a token is missing at the end; a cut word ("tru"),
 * number or UTF-8 sequence is a syntax error there for it, but a finished object ends with '}'.
 */
static bool is_cut_off(const json_error_t *error, const char *text, size_t len)
{
    enum { LONGEST_UTF8 = 4 };
    enum json_error_code code = json_error_code(error);
    bool at_end = error->position >= 0 && (size_t)error->position + LONGEST_UTF8 > len;
    const char *first = text, *end = text + len;

    for (; first < end && ascii_is_space(*first); first++) {
    }
    for (; end > first && ascii_is_space(end[-1]); end--) {
    }
    if (first == end || code == json_error_premature_end_of_input) {
        return true;
    }
    return at_end && *first == '{' && end[-1] != '}' &&
           (code == json_error_invalid_syntax || code == json_error_invalid_utf8);
}

static int load(const char *text, size_t len, json_t **ret_root, struct err *err)
{
    json_error_t error;

    if (len > FINGERPRINT_MAX) {
        return err_set(err, -EFBIG, "%zu bytes are too many for a fingerprint; at most %d", len,
                       FINGERPRINT_MAX);
    }
    *ret_root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (*ret_root != NULL) {
        return 0;
    }
    if (json_error_code(&error) == json_error_out_of_memory || error.text[0] == '\0') {
        return err_oom(err); /* out of memory, jansson mostly says nothing at all */
    }
    if (is_cut_off(&error, text, len)) {
        return err_set(err, -EAGAIN,
                       "the text is empty or ends too early (line %d); perhaps it is still being "
                       "written",
                       error.line);
    }
    str_tame(error.text); /* it quotes what it stumbled over */
    return err_set(err, -EINVAL, "line %d, column %d: no JSON: %s", error.line, error.column,
                   error.text);
}

/* What capture reads lies beside what it writes, and both are JSON. */
static int refuse_dump(const json_t *value, struct err *err)
{
    const char *schema = json_string_value(json_object_get(value, "schema"));

    return schema != NULL && str_starts(schema, "pve-hwid-windows")
               ? err_set(
                     err, -EINVAL,
                     "this was written by capture-windows.ps1 and is no fingerprint yet; make one "
                     "of it: pve-hwid capture FILE -o VMID.json (or with the .vmx: capture "
                     "--merge)")
               : 0;
}

int fingerprint_parse(const char *text, size_t len, struct fingerprint **ret_fp, struct err *err)
{
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    json_auto_t *value = NULL;
    struct jsonread root = {0};
    int rc = load(len > 0 ? text : "", len, &value, err); /* an empty buffer may be NULL */

    if (rc < 0) {
        return rc;
    }
    fp = fingerprint_new();
    if (fp == NULL) {
        return err_oom(err);
    }
    root.value = value;
    rc = refuse_dump(value, err);
    rc = rc < 0 ? rc : read_root(&root, fp, err);
    rc = rc < 0 ? rc : fingerprint_check(fp, err);
    if (rc < 0) {
        return rc;
    }
    *ret_fp = STEAL(fp);
    return 0;
}

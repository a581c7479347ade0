/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See winguest.h: identity and licence. The devices are in winguest_devices.c. */
#include "core/winguest.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/str.h"
#include "core/fingerprint_priv.h"
#include "core/license.h"
#include "core/utext.h"
#include "core/vmware.h"
#include "core/winguest_priv.h"

static const char schema[] = "pve-hwid-windows-1";

/* --- reading ---------------------------------------------------------------------------------- */

const char *winguest_text(struct winguest *w, const struct jsonread *at, const char *key)
{
    const json_t *value = json_object_get(at->value, key);

    if (w->rc != 0 || value == NULL || json_is_null(value)) {
        return NULL;
    }
    if (!json_is_string(value)) {
        w->rc = jsonread_wrong(at, key, w->err, "a text in quotes is needed");
        return NULL;
    }
    return *json_string_value(value) != '\0' ? json_string_value(value) : NULL;
}

bool winguest_number(struct winguest *w, const struct jsonread *at, const char *key, long max,
                     long *ret)
{
    const json_t *value = json_object_get(at->value, key);
    double number = json_number_value(value);

    if (w->rc != 0 || value == NULL || json_is_null(value)) {
        return false;
    }
    /* PowerShell writes a sum as 8589934592.0. */
    if (!json_is_number(value) || number < 0 || number > (double)max ||
        number != (double)(long)number) {
        w->rc = jsonread_wrong(at, key, w->err, "a whole number from 0 to %ld is needed", max);
        return false;
    }
    *ret = (long)number;
    return true;
}

bool winguest_enter(struct winguest *w, const struct jsonread *at, const char *key,
                    struct jsonread *ret)
{
    if (w->rc != 0 || !jsonread_enter(at, key, ret) || json_is_null(ret->value)) {
        return false;
    }
    if (!json_is_object(ret->value)) {
        w->rc = jsonread_wrong(ret, NULL, w->err, "an object { ... } is needed here");
        return false;
    }
    return true;
}

/* --- identity --------------------------------------------------------------------------------- */

static int refuse(struct winguest *w, const struct jsonread *system, struct err *err)
{
    const char *vendor = winguest_text(w, system, "vendor");
    const char *serial = winguest_text(w, system, "serial");

    if (w->rc != 0 || (vendor != NULL && str_istarts(vendor, "VMware")) ||
        (serial != NULL && str_istarts(serial, VMWARE_SERIAL_PREFIX))) {
        return w->rc;
    }
    return err_set(err, -EINVAL,
                   "this is not of a VMware guest: its manufacturer is \"%.64s\". Run the script "
                   "inside the guest, while it still is on VMware",
                   vendor != NULL ? vendor : "not told");
}

/* Windows shows LE(b), which is what QEMU must be told; the serial, b, must agree. */
static void capture_uuid(struct winguest *w, const char *text, const char *serial)
{
    struct smbios_uuid said, raw;
    bool has_raw = serial != NULL && str_istarts(serial, VMWARE_SERIAL_PREFIX) &&
                   smbios_uuid_parse_vmware(serial + strlen(VMWARE_SERIAL_PREFIX), &raw, NULL) == 0;
    bool has_said = text != NULL && smbios_uuid_parse(text, &said, NULL) == 0;

    if (has_said) {
        said = smbios_uuid_swap(said);
    }
    if (has_raw && has_said && !smbios_uuid_equal(&raw, &said)) {
        builder_note(&w->b,
                     "serial number \"%s\" and UUID %s contradict each other: the serial number "
                     "counts. Was the file altered?",
                     serial, text);
    }
    if ((!has_raw && !has_said) || !builder_uuid(&w->b, has_raw ? &raw : &said)) {
        builder_note(&w->b,
                     "neither VMware's serial number nor a UUID is in it: was the script run "
                     "as administrator?");
    }
    builder_set(&w->b, &w->b.fp->smbios.serial, NULL); /* the guest's own spelling follows */
}

static void capture_system(struct winguest *w, const struct jsonread *system)
{
    struct fingerprint_smbios *smbios = &w->b.fp->smbios;
    const size_t max = FINGERPRINT_STRING_MAX;
    const char *serial = winguest_text(w, system, "serial");

    w->b.fp->has_smbios = true;
    capture_uuid(w, winguest_text(w, system, "uuid"), serial);
    builder_text(&w->b, &smbios->serial, serial, max, "the serial number");
    builder_text(&w->b, &smbios->manufacturer, winguest_text(w, system, "vendor"), max,
                 "the manufacturer");
    builder_text(&w->b, &smbios->product, winguest_text(w, system, "product"), max, "the product");
    builder_text(&w->b, &smbios->version, winguest_text(w, system, "version"), max, "the version");
    builder_text(&w->b, &smbios->sku, winguest_text(w, system, "sku"), max, "the SKU");
}

static void capture_bios(struct winguest *w, const struct jsonread *root)
{
    struct fingerprint_bios *bios = &w->b.fp->bios;
    struct jsonread at;

    if (!winguest_enter(w, root, "bios", &at)) {
        return;
    }
    builder_text(&w->b, &bios->vendor, winguest_text(w, &at, "vendor"), FINGERPRINT_STRING_MAX,
                 "the BIOS vendor");
    builder_text(&w->b, &bios->version, winguest_text(w, &at, "version"), FINGERPRINT_STRING_MAX,
                 "the BIOS version");
    builder_text(&w->b, &bios->date, winguest_text(w, &at, "date"), FINGERPRINT_STRING_MAX,
                 "the BIOS date");
    w->b.fp->has_bios = bios->vendor != NULL || bios->version != NULL || bios->date != NULL;
}

/* --- licence ---------------------------------------------------------------------------------- */

static void capture_license(struct winguest *w, const struct jsonread *root)
{
    struct fingerprint *fp = w->b.fp;
    struct jsonread at;
    long status, number;

    if (!winguest_enter(w, root, "license", &at)) {
        return;
    }
    license_channel(&w->b, winguest_text(w, &at, "channel"), winguest_text(w, &at, "description"));
    if (winguest_number(w, &at, "status", 1000, &status)) {
        if (license_status_name(status) != NULL) {
            builder_set(&w->b, &fp->license_status, license_status_name(status));
        } else {
            builder_note(&w->b, "the licence status %ld is not known here and was left out",
                         status);
        }
    }
    builder_text(&w->b, &fp->license_product, winguest_text(w, &at, "name"), FINGERPRINT_STRING_MAX,
                 "the product's name");
    license_partial_key(&w->b, winguest_text(w, &at, "partial_key"));
    builder_text(&w->b, &fp->license_kms_host, winguest_text(w, &at, "kms_host"),
                 FINGERPRINT_STRING_MAX, "the KMS host");
    /* 4294967295 stands for "does not apply". */
    if (winguest_number(w, &at, "rearms", UINT32_MAX, &number) &&
        number <= FINGERPRINT_REARMS_MAX) {
        fp->license_remaining_rearms = (int)number;
        fp->has_license_rearms = true;
    }
    if (winguest_number(w, &at, "grace_minutes", UINT32_MAX, &number) &&
        number <= FINGERPRINT_GRACE_MINUTES_MAX) {
        fp->license_grace_minutes = number;
        fp->has_license_grace = true;
    }
    if (fp->license_channel == NULL && fp->license_status == NULL) {
        builder_note(&w->b, "the file tells nothing of a Windows licence");
    }
}

/* --- the whole -------------------------------------------------------------------------------- */

static int check_schema(struct winguest *w, const struct jsonread *root, struct err *err)
{
    const char *said;

    if (!json_is_object(root->value) || json_object_get(root->value, "schema") == NULL) {
        bool fingerprint = json_object_get(root->value, "format") != NULL;

        return err_set(err, -EINVAL, "%s",
                       fingerprint ? "this is a fingerprint already; there is nothing to capture"
                                   : "this JSON was not written by capture-windows.ps1 (it has no "
                                     "\"schema\")");
    }
    said = winguest_text(w, root, "schema");
    if (w->rc != 0 || str_equal(said, schema)) {
        return w->rc;
    }
    return err_set(err, -EINVAL,
                   "its schema is \"%.48s\", and %s is known here: use the script of this version",
                   said != NULL ? said : "", schema);
}

static int capture(struct winguest *w, const struct jsonread *root, struct fingerprint **ret_fp,
                   struct err *err)
{
    struct jsonread system;
    int rc = check_schema(w, root, err);

    if (rc < 0) {
        return rc;
    }
    if (!winguest_enter(w, root, "system", &system)) {
        return w->rc != 0 ? w->rc
                          : jsonread_wrong(root, "system", err, "is missing; run the script again");
    }
    rc = refuse(w, &system, err);
    if (rc < 0) {
        return rc;
    }
    builder_text(&w->b, &w->b.fp->source.name, winguest_text(w, root, "computer"),
                 FINGERPRINT_STRING_MAX, "the computer's name");
    capture_system(w, &system);
    capture_bios(w, root);
    if (w->b.fp->smbios.product != NULL) {
        builder_firmware(&w->b, w->b.fp->smbios.product, w->b.fp->bios.vendor);
    }
    builder_machine(&w->b);
    winguest_capture_devices(w, root);
    capture_license(w, root);
    return w->rc != 0 ? w->rc : builder_finish(&w->b, ret_fp, err);
}

static int load(const char *text, size_t len, json_t **ret, struct err *err)
{
    CLEANUP_FREE char *utf8 = NULL;
    size_t utf8_len;
    json_error_t error;
    int rc = utext_decode(text, len, &utf8, &utf8_len, err);

    if (rc < 0) {
        return rc;
    }
    *ret = json_loadb(utf8, utf8_len, JSON_REJECT_DUPLICATES, &error);
    if (*ret != NULL) {
        return 0;
    }
    if (json_error_code(&error) == json_error_out_of_memory || error.text[0] == '\0') {
        return err_oom(err); /* out of memory, jansson mostly says nothing at all */
    }
    str_tame(error.text); /* it quotes what it stumbled over */
    return err_set(err, -EINVAL, "line %d, column %d: no JSON: %s", error.line, error.column,
                   error.text);
}

int winguest_capture(const char *text, size_t len, const char *captured,
                     struct fingerprint **ret_fp, struct notes *notes, struct err *err)
{
    json_auto_t *value = NULL;
    struct winguest w = {.err = err};
    struct jsonread root = {0};
    int rc = load(text, len, &value, err);

    if (rc < 0) {
        return rc;
    }
    root.value = value;
    rc = builder_init(&w.b, "windows", captured, notes);
    rc = rc < 0 ? err_oom(err) : capture(&w, &root, ret_fp, err);
    builder_fini(&w.b);
    return rc;
}

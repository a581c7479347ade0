/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See smbios1.h. What is decoded here is what the guest is told: PVE hands QEMU the decoded bytes
 * and leaves out a value that decodes to nothing or to "0", so those two read as absent. Where
 * base64 is off PVE passes the option's text on as it is, a "0" included.
 */
#include "core/smbios1.h"

#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/str.h"
#include "core/propstr.h"

static const char *const field_names[SMBIOS1_FIELDS] = {
    [SMBIOS1_UUID] = "uuid",       [SMBIOS1_VERSION] = "version",
    [SMBIOS1_SERIAL] = "serial",   [SMBIOS1_MANUFACTURER] = "manufacturer",
    [SMBIOS1_PRODUCT] = "product", [SMBIOS1_SKU] = "sku",
    [SMBIOS1_FAMILY] = "family",
};

/* As PVE's web interface writes them. PVE keeps any order. */
static const enum smbios1_field format_order[] = {
    SMBIOS1_MANUFACTURER, SMBIOS1_PRODUCT, SMBIOS1_VERSION,
    SMBIOS1_SERIAL,       SMBIOS1_SKU,     SMBIOS1_FAMILY,
};

const char *smbios1_field_name(enum smbios1_field field)
{
    return field_names[field];
}

bool smbios1_field_equal(enum smbios1_field field, const char *a, const char *b)
{
    return field == SMBIOS1_UUID ? str_iequal(a, b) : str_equal(a, b);
}

void smbios1_fini(struct smbios1 *s)
{
    for (size_t i = 0; i < SMBIOS1_FIELDS; i++) {
        free(s->fields[i]);
    }
    *s = (struct smbios1){0};
}

static bool field_find(const char *name, enum smbios1_field *ret_field)
{
    for (unsigned i = 0; i < SMBIOS1_FIELDS; i++) {
        if (str_equal(field_names[i], name)) {
            *ret_field = (enum smbios1_field)i;
            return true;
        }
    }
    return false;
}

/* PVE's pattern, whether base64=1 is there or not: base64 digits, then at most two '='. */
static bool is_base64_text(const char *value)
{
    size_t digits = 0;
    size_t padding;

    while (base64_value(value[digits]) >= 0) {
        digits++;
    }
    padding = strspn(value + digits, "=");
    return digits > 0 && padding <= 2 && value[digits + padding] == '\0';
}

/* PVE leaves such a value out when it calls QEMU. */
static bool is_dropped(const char *decoded)
{
    return *decoded == '\0' || str_equal(decoded, "0");
}

static int field_decode(const char *name, const char *value, char **ret_decoded, struct err *err)
{
    struct buf bytes = BUF_INIT(0);
    CLEANUP_FREE char *decoded = NULL;
    size_t len;

    base64_decode(value, &bytes);
    len = bytes.len;
    decoded = buf_steal(&bytes);
    if (decoded == NULL) {
        return err_oom(err);
    }
    if (strlen(decoded) != len) {
        return err_set(err, -EINVAL,
                       "smbios1: %s decodes to a NUL byte, which QEMU's command line cannot hold: "
                       "set it anew",
                       name);
    }
    *ret_decoded = is_dropped(decoded) ? NULL : STEAL(decoded);
    return 0;
}

/* PVE's pattern: 8-4-4-4-12 hex digits, any case, nothing around. */
static bool uuid_is_valid(const char *value)
{
    static const char shape[] = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";
    size_t i = 0;

    while (shape[i] != '\0' && (shape[i] == 'h' ? ascii_hex(value[i]) >= 0 : value[i] == '-')) {
        i++;
    }
    return shape[i] == '\0' && value[i] == '\0';
}

static int field_parse(struct smbios1 *s, const struct prop *prop, struct err *err)
{
    enum smbios1_field field;

    if (prop->key == NULL) {
        return err_set(err, -EINVAL, "smbios1: '%s' has no key", prop->value);
    }
    if (str_equal(prop->key, "base64")) {
        return 0;
    }
    if (!field_find(prop->key, &field)) {
        return err_set(err, -EINVAL, "smbios1: PVE knows no key '%s'", prop->key);
    }
    if (field == SMBIOS1_UUID ? !uuid_is_valid(prop->value) : !is_base64_text(prop->value)) {
        return err_set(err, -EINVAL, "smbios1: PVE does not accept %s=%s (it wants %s)", prop->key,
                       prop->value, field == SMBIOS1_UUID ? "8-4-4-4-12 hex digits" : "base64");
    }
    if (field != SMBIOS1_UUID && s->base64) {
        return field_decode(prop->key, prop->value, &s->fields[field], err);
    }
    s->fields[field] = str_dup(prop->value);
    return s->fields[field] == NULL ? err_oom(err) : 0;
}

int smbios1_parse(const char *value, struct smbios1 *ret, struct err *err)
{
    CLEANUP(smbios1_fini) struct smbios1 s = {0};
    CLEANUP(propstr_fini) struct propstr props = {0};
    const char *base64;
    int rc;

    if (value != NULL && strlen(value) > SMBIOS1_MAX) {
        return err_set(err, -EINVAL, "smbios1: longer than PVE's limit of %d characters",
                       SMBIOS1_MAX);
    }
    rc = propstr_parse(value == NULL ? "" : value, &props, err);
    if (rc < 0) {
        return err_prefix(err, rc, "smbios1");
    }
    base64 = propstr_get(&props, "base64");
    if (base64 != NULL && !propstr_bool(base64, &s.base64)) {
        return err_set(err, -EINVAL, "smbios1: base64=%s is neither 0 nor 1", base64);
    }
    for (size_t i = 0; i < props.n; i++) {
        rc = field_parse(&s, &props.items[i], err);
        if (rc < 0) {
            return rc;
        }
    }
    *ret = s;
    s = (struct smbios1){0};
    return 0;
}

static int field_format(struct buf *out, enum smbios1_field field, const char *text,
                        struct err *err)
{
    if (is_dropped(text)) {
        return err_set(err, -EINVAL, "smbios1: PVE drops a %s of \"%s\": leave it out instead",
                       field_names[field], text);
    }
    buf_addf(out, "%s=", field_names[field]);
    base64_encode(text, strlen(text), out);
    buf_addc(out, ',');
    return 0;
}

int smbios1_format(const struct smbios1 *s, char **ret_value, struct err *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(SMBIOS1_MAX);
    const char *uuid = s->fields[SMBIOS1_UUID];

    if (uuid != NULL && !uuid_is_valid(uuid)) {
        return err_set(err, -EINVAL, "smbios1: uuid '%s' is not 8-4-4-4-12 hex digits", uuid);
    }
    if (uuid != NULL) {
        buf_addf(&out, "uuid=%s,", uuid);
    }
    for (size_t i = 0; i < ARRAY_SIZE(format_order); i++) {
        const char *text = s->fields[format_order[i]];
        int rc = text == NULL ? 0 : field_format(&out, format_order[i], text, err);

        if (rc < 0) {
            return rc;
        }
    }
    buf_adds(&out, "base64=1");
    if (out.error == -EFBIG) {
        return err_set(err, -EFBIG,
                       "smbios1: the values need more than PVE's %d characters (base64 adds a "
                       "third): shorten one",
                       SMBIOS1_MAX);
    }
    if (out.error != 0) {
        return err_oom(err);
    }
    *ret_value = buf_steal(&out);
    return 0;
}

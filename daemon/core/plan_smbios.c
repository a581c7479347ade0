/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * smbios1: the fields that the fingerprint names, over those the VM has. Each field is taken only
 * if the whole still is something PVE keeps (facts/pve.md 5), in the order of what licences hang on
 * most, so that one impossible value never costs the UUID.
 */
#include "core/plan_builder.h"

#include <errno.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/smbios1.h"

/* Most wanted first: Windows hashes uuid, manufacturer, product and serial (facts/vmware.md 6). */
static const enum smbios1_field by_worth[] = {
    SMBIOS1_UUID,    SMBIOS1_SERIAL, SMBIOS1_MANUFACTURER, SMBIOS1_PRODUCT,
    SMBIOS1_VERSION, SMBIOS1_SKU,    SMBIOS1_FAMILY,
};

static const char *fingerprint_field(const struct fingerprint_smbios *smbios,
                                     enum smbios1_field field)
{
    switch (field) {
    case SMBIOS1_UUID:
        return smbios->uuid;
    case SMBIOS1_VERSION:
        return smbios->version;
    case SMBIOS1_SERIAL:
        return smbios->serial;
    case SMBIOS1_MANUFACTURER:
        return smbios->manufacturer;
    case SMBIOS1_PRODUCT:
        return smbios->product;
    case SMBIOS1_SKU:
        return smbios->sku;
    case SMBIOS1_FAMILY:
        return smbios->family;
    case SMBIOS1_FIELDS:
        break;
    }
    return NULL;
}

/* Can PVE keep it, as far as it goes? 0, 1 no (`err` says why), -ENOMEM. */
static int try_format(const struct smbios1 *s, struct err *err)
{
    CLEANUP_FREE char *value = NULL;
    int rc = smbios1_format(s, &value, err);

    return rc == 0 || rc == -ENOMEM ? rc : 1;
}

/* A field that PVE would drop at the start anyway must not keep the others from being written. */
static int drop_unkeepable(struct smbios1 *s, struct notes *notes)
{
    for (size_t i = 0; i < ARRAY_SIZE(by_worth); i++) {
        enum smbios1_field field = by_worth[i];
        struct smbios1 alone = {.base64 = true};
        struct err err = {""};
        int rc;

        if (s->fields[field] == NULL) {
            continue;
        }
        alone.fields[field] = s->fields[field];
        rc = try_format(&alone, &err);
        if (rc > 0) {
            rc = notes_add(notes, "%s: the present one goes", err.text);
            free(s->fields[field]);
            s->fields[field] = NULL;
        }
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

/* Puts `value` into `s` if the whole can still be kept: 0, 1 put, -ENOMEM. */
static int take_field(struct plan_builder *b, struct smbios1 *s, enum smbios1_field field,
                      const char *value)
{
    CLEANUP_FREE char *before = STEAL(s->fields[field]);
    struct err err = {""};
    int rc;

    s->fields[field] = str_dup(value);
    if (s->fields[field] == NULL) {
        return -ENOMEM;
    }
    rc = try_format(s, &err);
    if (rc == 0) {
        return 1;
    }
    free(s->fields[field]);
    s->fields[field] = STEAL(before);
    if (rc < 0) {
        return rc;
    }
    return notes_add(&b->plan->notes, "%s; its %s stays as it is", err.text,
                     smbios1_field_name(field));
}

static int take_fields(struct plan_builder *b, struct smbios1 *s, struct buf *ret_names)
{
    for (size_t i = 0; i < ARRAY_SIZE(by_worth); i++) {
        enum smbios1_field field = by_worth[i];
        const char *value = fingerprint_field(&b->in->fp->smbios, field);
        int rc;

        if (value == NULL ||
            (s->fields[field] != NULL && smbios1_field_equal(field, s->fields[field], value))) {
            continue;
        }
        rc = take_field(b, s, field, value);
        if (rc < 0) {
            return rc;
        }
        if (rc > 0) {
            buf_addf(ret_names, "%s%s", ret_names->len > 0 ? ", " : "", smbios1_field_name(field));
        }
    }
    return ret_names->error;
}

static int edit_smbios(struct plan_builder *b, struct smbios1 *s, const char *old)
{
    CLEANUP(buf_fini) struct buf names = BUF_INIT(0);
    CLEANUP_FREE char *value = NULL;
    CLEANUP_FREE char *why = NULL;
    CLEANUP(notes_fini) struct notes dropped = {0};
    int rc;

    rc = drop_unkeepable(s, &dropped);
    if (rc == 0) {
        rc = take_fields(b, s, &names);
    }
    if (rc < 0 || names.len == 0) {
        return rc; /* nothing gets better: then nothing is dropped either */
    }
    for (size_t i = 0; i < dropped.n; i++) {
        rc = notes_add(&b->plan->notes, "%s", dropped.items[i]);
        if (rc < 0) {
            return rc;
        }
    }
    s->base64 = true;
    rc = smbios1_format(s, &value, NULL);
    if (rc < 0) {
        return rc == -ENOMEM ? rc : 0; /* every part was tried above */
    }
    why = str_printf("the guest saw another %s on VMware", names.data);
    if (why == NULL) {
        return -ENOMEM;
    }
    return plan_edit_first(b->plan, &(struct plan_edit){"smbios1", old, value, why, PLAN_EXACT});
}

int plan_smbios(struct plan_builder *b)
{
    const char *old = pveconf_get(b->in->conf, "smbios1");
    CLEANUP(smbios1_fini) struct smbios1 s = {0};
    struct err err = {""};
    int rc = smbios1_parse(old, &s, &err);

    if (rc == -ENOMEM) {
        return rc;
    }
    if (rc < 0) {
        return plan_unreadable(b, b->in->fp->has_smbios, err.text);
    }
    return b->in->fp->has_smbios ? edit_smbios(b, &s, old) : 0;
}

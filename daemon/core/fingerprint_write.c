/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A fingerprint to its canonical JSON text: the order of the keys is the order of the lines here,
 * and what is not said is not written. The JSON is built whole and dumped once; the first failure
 * sticks in `struct writer`, so that the lines need no checks of their own.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/fingerprint.h"
#include "core/fingerprint_priv.h"

enum { INDENT = 2 };

struct writer {
    bool failed;
};

/* Takes `value` over, as jansson's "_new" functions do. */
static void put(struct writer *w, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) < 0) {
        w->failed = true;
    }
}

static void put_text(struct writer *w, json_t *object, const char *key, const char *text)
{
    if (text != NULL && *text != '\0') {
        put(w, object, key, json_string(text));
    }
}

/* Only what is not empty gets in. */
static void put_part(struct writer *w, json_t *root, const char *key, json_t *part)
{
    if (part == NULL) {
        w->failed = true;
    } else if (json_object_size(part) > 0 || json_array_size(part) > 0) {
        put(w, root, key, part);
    } else {
        json_decref(part);
    }
}

static json_t *parts_json(struct writer *w, char *const parts[FINGERPRINT_PARTS])
{
    json_t *object = json_object();

    for (size_t i = 0; i < FINGERPRINT_PARTS; i++) {
        put_text(w, object, fingerprint_part_names[i], parts[i]);
    }
    return object;
}

static json_t *source_json(struct writer *w, const struct fingerprint_source *source)
{
    json_t *part = json_object();

    put_text(w, part, "kind", source->kind);
    put_text(w, part, "name", source->name);
    if (source->hardware_version > 0) {
        put(w, part, "hardware_version", json_integer(source->hardware_version));
    }
    put_text(w, part, "captured", source->captured);
    put_part(w, part, "parts", parts_json(w, source->parts));
    return part;
}

static json_t *smbios_json(struct writer *w, const struct fingerprint_smbios *smbios)
{
    json_t *part = json_object();

    put_text(w, part, "uuid", smbios->uuid);
    put_text(w, part, "manufacturer", smbios->manufacturer);
    put_text(w, part, "product", smbios->product);
    put_text(w, part, "version", smbios->version);
    put_text(w, part, "serial", smbios->serial);
    put_text(w, part, "sku", smbios->sku);
    put_text(w, part, "family", smbios->family);
    return part;
}

static json_t *bios_json(struct writer *w, const struct fingerprint_bios *bios)
{
    json_t *part = json_object();

    put_text(w, part, "vendor", bios->vendor);
    put_text(w, part, "version", bios->version);
    put_text(w, part, "date", bios->date);
    return part;
}

static json_t *machine_json(struct writer *w, const struct fingerprint *fp)
{
    json_t *part = json_object();

    put_text(w, part, "type", fp->machine_type);
    put(w, part, "min_version", json_sprintf("%d.%d", fp->machine_major, fp->machine_minor));
    return part;
}

static json_t *nics_json(struct writer *w, const struct fingerprint *fp)
{
    json_t *list = json_array();

    for (size_t i = 0; i < fp->n_nics; i++) {
        json_t *nic = json_object();

        put_text(w, nic, "model", fingerprint_nic_name(fp->nics[i].model));
        put_text(w, nic, "mac", fp->nics[i].mac);
        if (json_array_append_new(list, nic) < 0) {
            w->failed = true;
        }
    }
    return list;
}

static json_t *disks_json(struct writer *w, const struct fingerprint_disk *disks, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++) {
        json_t *disk = json_object();

        put_text(w, disk, "controller", fingerprint_controller_name(disks[i].controller));
        put(w, disk, "bus", json_integer(disks[i].bus));
        put(w, disk, "unit", json_integer(disks[i].unit));
        put_text(w, disk, "serial", disks[i].serial);
        put_text(w, disk, "vendor", disks[i].vendor);
        put_text(w, disk, "product", disks[i].product);
        put_text(w, disk, "model", disks[i].model);
        put_text(w, disk, "volume", disks[i].volume);
        if (json_array_append_new(list, disk) < 0) {
            w->failed = true;
        }
    }
    return list;
}

static json_t *cpu_json(struct writer *w, const struct fingerprint *fp)
{
    json_t *part = json_object();

    if (fp->sockets > 0) {
        put(w, part, "sockets", json_integer(fp->sockets));
    }
    if (fp->cores > 0) {
        put(w, part, "cores", json_integer(fp->cores));
    }
    return part;
}

static json_t *license_json(struct writer *w, const struct fingerprint *fp)
{
    json_t *part = json_object();

    put_text(w, part, "channel", fp->license_channel);
    put_text(w, part, "status", fp->license_status);
    put_text(w, part, "product", fp->license_product);
    put_text(w, part, "partial_key", fp->license_partial_key);
    put_text(w, part, "kms_host", fp->license_kms_host);
    if (fp->has_license_rearms) {
        put(w, part, "remaining_rearms", json_integer(fp->license_remaining_rearms));
    }
    if (fp->has_license_grace) {
        put(w, part, "grace_minutes", json_integer(fp->license_grace_minutes));
    }
    return part;
}

static json_t *policy_json(struct writer *w, const struct fingerprint_policy *policy)
{
    json_t *part = json_object();

    if (policy->has_on_drift) {
        put_text(w, part, "on_drift", fingerprint_drift_name(policy->on_drift));
    }
    if (policy->has_on_error) {
        put_text(w, part, "on_error", fingerprint_on_error_name(policy->on_error));
    }
    if (policy->has_disks) {
        put_text(w, part, "disks", fingerprint_match_names[policy->disks]);
    }
    if (policy->has_nics) {
        put_text(w, part, "nics", fingerprint_match_names[policy->nics]);
    }
    return part;
}

static json_t *vm_json(struct writer *w, const struct fingerprint_vm *vm)
{
    json_t *part = json_object();

    if (vm->ctime > 0) {
        put(w, part, "ctime", json_integer(vm->ctime));
    }
    if (vm->moved_from > 0) {
        put(w, part, "moved_from", json_integer(vm->moved_from));
    }
    return part;
}

static void fill(struct writer *w, json_t *root, const struct fingerprint *fp)
{
    put(w, root, "format", json_integer(FINGERPRINT_FORMAT));
    put_part(w, root, "source", source_json(w, &fp->source));
    put_part(w, root, "smbios", smbios_json(w, &fp->smbios));
    put_part(w, root, "bios", bios_json(w, &fp->bios));
    put_text(w, root, "firmware", fp->firmware);
    if (fp->has_machine) {
        put_part(w, root, "machine", machine_json(w, fp));
    }
    put_part(w, root, "nics", nics_json(w, fp));
    put_part(w, root, "disks", disks_json(w, fp->disks, fp->n_disks));
    put_part(w, root, "cdroms", disks_json(w, fp->cdroms, fp->n_cdroms));
    put_part(w, root, "cpu", cpu_json(w, fp));
    if (fp->memory_mib > 0) {
        put(w, root, "memory_mib", json_integer(fp->memory_mib));
    }
    put_text(w, root, "display", fp->display);
    put_text(w, root, "vmgenid", fp->vmgenid);
    put_part(w, root, "license", license_json(w, fp));
    put_part(w, root, "policy", policy_json(w, &fp->policy));
    put_part(w, root, "vm", vm_json(w, &fp->vm));
}

/* json_dumps() loses a key and says nothing where memory ends in the middle of it (jansson 2.14
 * does not look whether a key could be written). A buffer remembers. */
static int add_bytes(const char *bytes, size_t len, void *data)
{
    struct buf *buf = data;

    buf_add(buf, bytes, len);
    return buf->error != 0 ? -1 : 0;
}

int fingerprint_format(const struct fingerprint *fp, char **ret_text, struct err *err)
{
    json_auto_t *root = json_object();
    CLEANUP(buf_fini) struct buf text = BUF_INIT(0);
    struct writer w = {.failed = root == NULL};

    fill(&w, root, fp);
    w.failed = w.failed || json_dump_callback(root, add_bytes, &text, JSON_INDENT(INDENT)) < 0;
    buf_addc(&text, '\n');
    if (w.failed || text.error != 0) {
        /* Texts come from parsers that let only UTF-8 in: what remains is memory. */
        return err_oom(err);
    }
    *ret_text = buf_steal(&text);
    return 0;
}

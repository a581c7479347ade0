/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See merge.h: what a VM has one of. Texts go by a table; uuid and serial, cpu and memory know when
 * two values are the same thing said differently. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/merge_priv.h"
#include "core/smbios_uuid.h"

enum { NOBODY = -1, NUMBER_SIZE = 48 };

static const struct fingerprint *fp_of(const struct merger *m, size_t i)
{
    return m->inputs[i].fp;
}

/* --- texts ------------------------------------------------------------------------------------ */

struct text_row {
    size_t offset; /* of a char * in struct fingerprint */
    enum fingerprint_part part;
    const char *attribute;
    bool quiet; /* a name: who says it otherwise does not contradict */
};

#define AT(field) offsetof(struct fingerprint, field)

static const struct text_row rows[] = {
    {AT(source.name), FINGERPRINT_PART_NAME, "source.name", true},
    {AT(smbios.manufacturer), FINGERPRINT_PART_MANUFACTURER, "smbios.manufacturer", false},
    {AT(smbios.product), FINGERPRINT_PART_PRODUCT, "smbios.product", false},
    {AT(smbios.version), FINGERPRINT_PART_VERSION, "smbios.version", false},
    {AT(smbios.sku), FINGERPRINT_PART_SKU, "smbios.sku", false},
    {AT(smbios.family), FINGERPRINT_PART_FAMILY, "smbios.family", false},
    {AT(bios.vendor), FINGERPRINT_PART_BIOS, "bios.vendor", false},
    {AT(bios.version), FINGERPRINT_PART_BIOS, "bios.version", false},
    {AT(bios.date), FINGERPRINT_PART_BIOS, "bios.date", false},
    {AT(firmware), FINGERPRINT_PART_FIRMWARE, "firmware", false},
    {AT(display), FINGERPRINT_PART_DISPLAY, "display", false},
    {AT(vmgenid), FINGERPRINT_PART_VMGENID, "vmgenid", false},
    {AT(license_channel), FINGERPRINT_PART_LICENSE, "license.channel", false},
    {AT(license_status), FINGERPRINT_PART_LICENSE, "license.status", false},
    {AT(license_product), FINGERPRINT_PART_LICENSE, "license.product", false},
    {AT(license_partial_key), FINGERPRINT_PART_LICENSE, "license.partial_key", false},
    {AT(license_kms_host), FINGERPRINT_PART_LICENSE, "license.kms_host", false},
};

static const char *text_at(const struct fingerprint *fp, size_t offset)
{
    char *text;

    memcpy(&text, (const char *)fp + offset, sizeof(text)); /* a field of some struct in there */
    return text;
}

/* Of those with a value: whom to believe; the first of equals. */
static int choose(const struct merger *m, const struct text_row *row, const char *const *values)
{
    int best = NOBODY, best_rank = 0;

    for (size_t i = 0; i < m->n; i++) {
        int rank = row->quiet ? merge_rank_structure(m, i, row->part) : merge_rank(m, i, row->part);

        if (values[i] != NULL && (best == NOBODY || rank > best_rank)) {
            best = (int)i;
            best_rank = rank;
        }
    }
    return best;
}

static void merge_text(struct merger *m, const struct text_row *row)
{
    const char *values[MERGE_INPUTS_MAX];
    int best;

    for (size_t i = 0; i < m->n; i++) {
        values[i] = text_at(fp_of(m, i), row->offset);
    }
    best = choose(m, row, values);
    if (best == NOBODY) {
        return;
    }
    merge_set(m, (char **)(void *)((char *)m->out->fp + row->offset), values[best]);
    merge_credit(m, row->part, (size_t)best);
    for (size_t i = 0; i < m->n && !row->quiet; i++) {
        if (values[i] != NULL && !str_iequal(values[i], values[best])) {
            merge_contradiction(
                m, &(struct merge_about){.part = row->part, .attribute = row->attribute},
                (struct merge_value){values[best], (size_t)best},
                (struct merge_value){values[i], i});
        }
    }
}

/* --- uuid and serial -------------------------------------------------------------------------- */

/* The raw bytes that a serial number of VMware shows. */
static bool serial_bytes(const char *serial, struct smbios_uuid *ret)
{
    static const char prefix[] = "VMware-";

    return serial != NULL && str_istarts(serial, prefix) &&
           smbios_uuid_parse_vmware(serial + strlen(prefix), ret, NULL) == 0;
}

/* What a source says of the uuid, be it through its serial number. */
static bool uuid_of(const struct fingerprint *fp, struct smbios_uuid *ret)
{
    struct smbios_uuid bytes;

    if (fp->smbios.uuid != NULL) {
        return smbios_uuid_parse(fp->smbios.uuid, ret, NULL) == 0;
    }
    if (!serial_bytes(fp->smbios.serial, &bytes)) {
        return false;
    }
    *ret = smbios_uuid_swap(bytes);
    return true;
}

/* Somebody's serial number that speaks for that uuid; NULL: nobody's. */
static const char *who_confirms(const struct merger *m, const struct smbios_uuid *uuid)
{
    for (size_t i = 0; i < m->n; i++) {
        struct smbios_uuid bytes;

        if (serial_bytes(fp_of(m, i)->smbios.serial, &bytes)) {
            bytes = smbios_uuid_swap(bytes);
            if (smbios_uuid_equal(&bytes, uuid)) {
                return m->inputs[i].name;
            }
        }
    }
    return NULL;
}

static char *explain_uuid(const struct merger *m, const struct smbios_uuid *kept,
                          const struct smbios_uuid *other)
{
    struct smbios_uuid swapped = smbios_uuid_swap(*other);
    const char *for_kept = who_confirms(m, kept), *for_other = who_confirms(m, other);
    const char *right = for_kept != NULL && for_other == NULL ? "the first" : "the second";
    size_t differing = 0;

    if (smbios_uuid_equal(kept, &swapped)) {
        return (for_kept != NULL) != (for_other != NULL)
                   ? str_printf("swapped: the same bytes, one of them in vSphere's order; the "
                                "serial number in %s says that %s is right",
                                for_kept != NULL ? for_kept : for_other, right)
                   : str_printf("swapped: the same bytes, one of them in vSphere's order (as OVF, "
                                "REST and SMBIOS before 2.6 show it); which one, a serial number "
                                "would tell");
    }
    for (size_t i = 0; i < sizeof(kept->bytes); i++) {
        differing += kept->bytes[i] != other->bytes[i];
    }
    return str_printf("%zu of 16 bytes differ%s", differing,
                      differing > 8 ? ": is it the same VM?" : "");
}

static void contradict_uuid(struct merger *m, const struct smbios_uuid *uuids, size_t best,
                            size_t other)
{
    CLEANUP_FREE char *hint = explain_uuid(m, &uuids[best], &uuids[other]);
    char kept_text[SMBIOS_UUID_SIZE], other_text[SMBIOS_UUID_SIZE];

    if (hint == NULL) {
        m->error = -ENOMEM;
        return;
    }
    smbios_uuid_format(&uuids[best], kept_text);
    smbios_uuid_format(&uuids[other], other_text);
    merge_contradiction(m, &(struct merge_about){FINGERPRINT_PART_UUID, "smbios.uuid", true, hint},
                        (struct merge_value){kept_text, best},
                        (struct merge_value){other_text, other});
}

static void merge_uuid(struct merger *m)
{
    static const struct text_row row = {0, FINGERPRINT_PART_UUID, "smbios.uuid", false};
    struct smbios_uuid uuids[MERGE_INPUTS_MAX];
    const char *values[MERGE_INPUTS_MAX];
    char text[SMBIOS_UUID_SIZE];
    int best;

    for (size_t i = 0; i < m->n; i++) {
        values[i] = uuid_of(fp_of(m, i), &uuids[i]) ? "" : NULL;
    }
    best = choose(m, &row, values);
    if (best == NOBODY) {
        return;
    }
    smbios_uuid_format(&uuids[best], text);
    merge_set(m, &m->out->fp->smbios.uuid, text);
    merge_credit(m, row.part, (size_t)best);
    for (size_t i = 0; i < m->n; i++) {
        if (values[i] != NULL && !smbios_uuid_equal(&uuids[i], &uuids[best])) {
            contradict_uuid(m, uuids, (size_t)best, i);
        }
    }
}

static bool serials_agree(const char *a, const char *b)
{
    struct smbios_uuid left, right;

    if (serial_bytes(a, &left) && serial_bytes(b, &right)) {
        return smbios_uuid_equal(&left, &right);
    }
    return str_equal(a, b);
}

static void merge_serial(struct merger *m)
{
    static const struct text_row row = {0, FINGERPRINT_PART_SERIAL, "smbios.serial", false};
    const char *values[MERGE_INPUTS_MAX];
    int best;

    for (size_t i = 0; i < m->n; i++) {
        values[i] = fp_of(m, i)->smbios.serial;
    }
    best = choose(m, &row, values);
    if (best == NOBODY) {
        return;
    }
    merge_set(m, &m->out->fp->smbios.serial, values[best]);
    merge_credit(m, row.part, (size_t)best);
    for (size_t i = 0; i < m->n; i++) {
        if (values[i] != NULL && !serials_agree(values[i], values[best])) {
            merge_contradiction(m, &(struct merge_about){row.part, row.attribute, true, NULL},
                                (struct merge_value){values[best], (size_t)best},
                                (struct merge_value){values[i], i});
        }
    }
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* Windows counts what is left of the memory when the firmware has taken its part. */
static bool memory_agrees(long a, long b)
{
    enum { TAKEN = 32 }; /* one part in so many */
    long more = a > b ? a : b, less = a > b ? b : a;

    return more - less <= more / TAKEN;
}

static void say_cpu(char text[NUMBER_SIZE], const struct fingerprint *fp)
{
    (void)snprintf(text, NUMBER_SIZE, "%d x %d", fp->sockets, fp->cores); /* both are small */
}

static void merge_cpu(struct merger *m)
{
    static const struct text_row row = {0, FINGERPRINT_PART_CPU, "cpu", false};
    const char *values[MERGE_INPUTS_MAX];
    char texts[MERGE_INPUTS_MAX][NUMBER_SIZE];
    int best;

    for (size_t i = 0; i < m->n; i++) {
        say_cpu(texts[i], fp_of(m, i));
        values[i] = fp_of(m, i)->sockets > 0 || fp_of(m, i)->cores > 0 ? texts[i] : NULL;
    }
    best = choose(m, &row, values);
    if (best == NOBODY) {
        return;
    }
    m->out->fp->sockets = fp_of(m, (size_t)best)->sockets;
    m->out->fp->cores = fp_of(m, (size_t)best)->cores;
    merge_credit(m, row.part, (size_t)best);
    for (size_t i = 0; i < m->n; i++) {
        if (values[i] != NULL && !str_equal(values[i], values[best])) {
            merge_contradiction(
                m, &(struct merge_about){.part = row.part, .attribute = "cpu (sockets x cores)"},
                (struct merge_value){values[best], (size_t)best},
                (struct merge_value){values[i], i});
        }
    }
}

struct number_row {
    struct text_row about;
    long (*get)(const struct fingerprint *fp); /* 0: not said */
    void (*set)(struct fingerprint *fp, long value);
    bool (*agree)(long a, long b);
};

static long get_memory(const struct fingerprint *fp)
{
    return fp->memory_mib;
}

static void set_memory(struct fingerprint *fp, long value)
{
    fp->memory_mib = value;
}

static long get_hardware(const struct fingerprint *fp)
{
    return fp->source.hardware_version;
}

static void set_hardware(struct fingerprint *fp, long value)
{
    fp->source.hardware_version = (int)value;
}

static bool are_equal(long a, long b)
{
    return a == b;
}

/* The hypervisor gives memory and version; the guest sees what is left of them: by structure. */
static const struct number_row numbers[] = {
    {{0, FINGERPRINT_PART_MEMORY, "memory_mib", true}, get_memory, set_memory, memory_agrees},
    {{0, FINGERPRINT_PART_HARDWARE_VERSION, "source.hardware_version", true},
     get_hardware,
     set_hardware,
     are_equal},
};

static void merge_number(struct merger *m, const struct number_row *row)
{
    const char *values[MERGE_INPUTS_MAX];
    char texts[MERGE_INPUTS_MAX][NUMBER_SIZE];
    long best_value;
    int best;

    for (size_t i = 0; i < m->n; i++) {
        long value = row->get(fp_of(m, i));

        (void)snprintf(texts[i], NUMBER_SIZE, "%ld", value); /* fits */
        values[i] = value > 0 ? texts[i] : NULL;
    }
    best = choose(m, &row->about, values);
    if (best == NOBODY) {
        return;
    }
    best_value = row->get(fp_of(m, (size_t)best));
    row->set(m->out->fp, best_value);
    merge_credit(m, row->about.part, (size_t)best);
    for (size_t i = 0; i < m->n; i++) {
        if (values[i] != NULL && !row->agree(row->get(fp_of(m, i)), best_value)) {
            merge_contradiction(
                m,
                &(struct merge_about){.part = row->about.part, .attribute = row->about.attribute},
                (struct merge_value){values[best], (size_t)best},
                (struct merge_value){values[i], i});
        }
    }
}

static void merge_license_counts(struct merger *m)
{
    struct fingerprint *fp = m->out->fp;
    int rearms = NOBODY, grace = NOBODY, rearms_rank = 0, grace_rank = 0;

    for (size_t i = 0; i < m->n; i++) {
        int rank = merge_rank(m, i, FINGERPRINT_PART_LICENSE);

        if (fp_of(m, i)->has_license_rearms && rank > rearms_rank) {
            rearms = (int)i;
            rearms_rank = rank;
        }
        if (fp_of(m, i)->has_license_grace && rank > grace_rank) {
            grace = (int)i;
            grace_rank = rank;
        }
    }
    if (rearms != NOBODY) {
        fp->has_license_rearms = true;
        fp->license_remaining_rearms = fp_of(m, (size_t)rearms)->license_remaining_rearms;
        merge_credit(m, FINGERPRINT_PART_LICENSE, (size_t)rearms);
    }
    if (grace != NOBODY) {
        fp->has_license_grace = true;
        fp->license_grace_minutes = fp_of(m, (size_t)grace)->license_grace_minutes;
        merge_credit(m, FINGERPRINT_PART_LICENSE, (size_t)grace);
    }
}

/* --- what is ours, not VMware's --------------------------------------------------------------- */

/* The machine is what we ask of PVE: the highest wish counts. */
static void merge_machine(struct merger *m)
{
    static const enum fingerprint_part part = FINGERPRINT_PART_MACHINE;
    struct fingerprint *fp = m->out->fp;
    int best = NOBODY;

    for (size_t i = 0; i < m->n; i++) {
        const struct fingerprint *from = fp_of(m, i);
        int order = best == NOBODY ? 1 : from->machine_major - fp->machine_major;

        order = order != 0 ? order : from->machine_minor - fp->machine_minor;
        order = order != 0 ? order
                           : merge_rank_structure(m, i, part) -
                                 merge_rank_structure(m, (size_t)best, part);
        if (from->has_machine && order > 0) {
            best = (int)i;
            fp->machine_major = from->machine_major;
            fp->machine_minor = from->machine_minor;
        }
    }
    if (best != NOBODY) {
        fp->has_machine = true;
        merge_set(m, &fp->machine_type, fp_of(m, (size_t)best)->machine_type);
        merge_credit(m, part, (size_t)best);
    }
}

/* Key by key, the first who says it. */
static void merge_policy(struct merger *m)
{
    struct fingerprint_policy *policy = &m->out->fp->policy;

    for (size_t i = 0; i < m->n; i++) {
        const struct fingerprint_policy *from = &fp_of(m, i)->policy;

        if (from->has_on_drift && !policy->has_on_drift) {
            policy->on_drift = from->on_drift;
        }
        if (from->has_on_error && !policy->has_on_error) {
            policy->on_error = from->on_error;
        }
        if (from->has_disks && !policy->has_disks) {
            policy->disks = from->disks;
        }
        if (from->has_nics && !policy->has_nics) {
            policy->nics = from->nics;
        }
        if (from->has_on_drift || from->has_on_error || from->has_disks || from->has_nics) {
            merge_credit(m, FINGERPRINT_PART_POLICY, i);
        }
        policy->has_on_drift = policy->has_on_drift || from->has_on_drift;
        policy->has_on_error = policy->has_on_error || from->has_on_error;
        policy->has_disks = policy->has_disks || from->has_disks;
        policy->has_nics = policy->has_nics || from->has_nics;
    }
}

/* What match, move and adopt noted stays with the fingerprint; captures know nothing of it. */
static void merge_vm(struct merger *m)
{
    struct fingerprint_vm *vm = &m->out->fp->vm;

    for (size_t i = 0; i < m->n && vm->ctime == 0 && vm->moved_from == 0; i++) {
        *vm = fp_of(m, i)->vm;
    }
}

static void merge_source(struct merger *m)
{
    const char *latest = NULL;

    merge_set(m, &m->out->fp->source.kind, "merge");
    for (size_t i = 0; i < m->n; i++) {
        const char *captured = fp_of(m, i)->source.captured;

        if (captured != NULL && (latest == NULL || strcmp(captured, latest) > 0)) {
            latest = captured;
        }
    }
    if (latest != NULL) {
        merge_set(m, &m->out->fp->source.captured, latest);
    }
}

void merge_scalars(struct merger *m)
{
    struct fingerprint *fp = m->out->fp;
    const struct fingerprint_smbios *smbios = &fp->smbios;

    merge_source(m);
    merge_uuid(m);
    merge_serial(m);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        merge_text(m, &rows[i]);
    }
    merge_cpu(m);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        merge_number(m, &numbers[i]);
    }
    merge_license_counts(m);
    merge_machine(m);
    merge_policy(m);
    merge_vm(m);
    fp->has_bios = fp->bios.vendor != NULL || fp->bios.version != NULL || fp->bios.date != NULL;
    fp->has_smbios = smbios->uuid != NULL || smbios->serial != NULL ||
                     smbios->manufacturer != NULL || smbios->product != NULL ||
                     smbios->version != NULL || smbios->sku != NULL || smbios->family != NULL;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See ovf_priv.h: the items of a VM become its devices. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/fingerprint_priv.h"
#include "core/ovf_priv.h"
#include "core/vmware.h"

enum {
    SHOWN_MAX = 64,
    WHAT_SIZE = 120,
    NUMBER_MAX = 999, /* of addresses; what VMware has is less */
    EXPONENT_MAX = 60,
};

/* --- items ------------------------------------------------------------------------------------ */

static const char *field(const struct ovf_item *item, enum ovf_field which)
{
    return item->fields[which] != NULL ? item->fields[which] : "";
}

static int resource_of(const struct ovf_item *item)
{
    uint64_t number;

    return str_to_u64(item->fields[OVF_TYPE], OVF_RESOURCE_MAX, &number) ? (int)number : 0;
}

/* A small whole number, or -1. */
static int number_of(const struct ovf_item *item, enum ovf_field which)
{
    uint64_t number;

    return str_to_u64(item->fields[which], NUMBER_MAX, &number) ? (int)number : -1;
}

/* Is `word` one of the blank-separated words of `list`? */
static bool lists(const char *list, const char *word)
{
    size_t len = strlen(word);

    while (*list != '\0') {
        size_t n = strcspn(list, " \t\r\n");

        if (n == len && memcmp(list, word, len) == 0) {
            return true;
        }
        list += n;
        list += strspn(list, " \t\r\n");
    }
    return false;
}

/* Items of other deployment options than the default one are not of this machine; neither is one
 * that a later item with the same InstanceID replaces. */
static bool counts(const struct ovf *o, size_t at)
{
    const struct ovf_system *system = o->system;
    const struct ovf_item *item = &system->items[at];
    const char *chosen = o->doc->configuration;

    if (item->configuration != NULL && (chosen == NULL || !lists(item->configuration, chosen))) {
        return false;
    }
    for (size_t i = at + 1; i < system->n_items && item->fields[OVF_INSTANCE] != NULL; i++) {
        const struct ovf_item *other = &system->items[i];

        if (str_equal(item->fields[OVF_INSTANCE], other->fields[OVF_INSTANCE]) &&
            other->configuration != NULL && chosen != NULL && lists(other->configuration, chosen)) {
            return false;
        }
    }
    return true;
}

void ovf_choose_items(struct ovf *o)
{
    for (size_t i = 0; i < o->system->n_items; i++) {
        o->system->items[i].chosen = counts(o, i);
    }
}

const struct ovf_item *ovf_nth(const struct ovf *o, enum ovf_resource resource, size_t n)
{
    for (size_t i = 0; i < o->system->n_items; i++) {
        const struct ovf_item *item = &o->system->items[i];

        if (item->chosen && resource_of(item) == (int)resource && n-- == 0) {
            return item;
        }
    }
    return NULL;
}

/* --- CPU and memory --------------------------------------------------------------------------- */

void ovf_capture_cpu(struct ovf *o)
{
    const struct ovf_item *item = ovf_nth(o, OVF_CPU, 0);
    uint64_t cpus, cores = 0;

    if (item == NULL) {
        return;
    }
    if (!str_to_u64(item->fields[OVF_QUANTITY], FINGERPRINT_CPU_MAX, &cpus) ||
        (item->fields[OVF_CORES] != NULL &&
         !str_to_u64(item->fields[OVF_CORES], FINGERPRINT_CPU_MAX, &cores))) {
        builder_note(&o->b, "\"%.*s\" is no number of CPUs and was left out", SHOWN_MAX,
                     field(item, OVF_QUANTITY));
        return;
    }
    if (str_equal(item->fields[OVF_CORES], "0")) {
        builder_note(&o->b, "CoresPerSocket is 0: vSphere chose sockets and cores by itself; read "
                            "them in the guest");
        return;
    }
    builder_cpu(&o->b, cpus, cores);
}

/* "2^20" or "1024" at *at, which moves behind it. */
static bool take_factor(const char **at, uint64_t *ret)
{
    uint64_t base = 0, exponent = 1, value = 1;

    for (; ascii_is_digit(**at) && base < NUMBER_MAX * 10; (*at)++) {
        base = base * 10 + (uint64_t)(**at - '0');
    }
    if (**at == '^') {
        exponent = 0;
        for ((*at)++; ascii_is_digit(**at) && exponent < EXPONENT_MAX; (*at)++) {
            exponent = exponent * 10 + (uint64_t)(**at - '0');
        }
    }
    if (base == 0 || exponent > EXPONENT_MAX || ascii_is_digit(**at)) {
        return false;
    }
    for (; exponent > 0; exponent--) {
        if (__builtin_mul_overflow(value, base, &value)) {
            return false;
        }
    }
    *ret = value;
    return true;
}

/* "byte * 2^20", "byte*1024*1024", and the words of OVF 0.9: bytes of one unit, or 0. */
static uint64_t parse_units(const char *text)
{
    static const struct {
        const char *word;
        uint64_t bytes;
    } words[] = {{"KiloBytes", 1024}, {"MegaBytes", 1024 * 1024}, {"GigaBytes", 1024 * 1024 * 1024},
                 {"KB", 1024},        {"MB", 1024 * 1024},        {"GB", 1024 * 1024 * 1024}};
    uint64_t bytes = 1;

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (str_iequal(text, words[i].word)) {
            return words[i].bytes;
        }
    }
    if (!str_istarts(text, "byte")) {
        return 0;
    }
    for (text += strlen("byte"); *text != '\0';) {
        uint64_t factor;

        text += strspn(text, " \t");
        if (*text == '\0') {
            break;
        }
        if (*text++ != '*') {
            return 0;
        }
        text += strspn(text, " \t");
        if (!take_factor(&text, &factor) || __builtin_mul_overflow(bytes, factor, &bytes)) {
            return 0;
        }
    }
    return bytes;
}

void ovf_capture_memory(struct ovf *o)
{
    const struct ovf_item *item = ovf_nth(o, OVF_MEMORY, 0);
    const uint64_t mib = 1024 * 1024;
    uint64_t quantity, bytes, unit;

    if (item == NULL) {
        return;
    }
    unit = item->fields[OVF_UNITS] != NULL ? parse_units(item->fields[OVF_UNITS]) : mib;
    if (unit == 0 || !str_to_u64(item->fields[OVF_QUANTITY], UINT64_MAX, &quantity) ||
        __builtin_mul_overflow(quantity, unit, &bytes)) {
        builder_note(&o->b, "\"%.*s\" of \"%.*s\" is no size of a memory and was left out",
                     SHOWN_MAX, field(item, OVF_QUANTITY), SHOWN_MAX, field(item, OVF_UNITS));
        return;
    }
    builder_memory(&o->b, bytes / mib);
}

/* --- network cards ---------------------------------------------------------------------------- */

static const char *what_of(const struct ovf_item *item, const char *kind, char what[WHAT_SIZE])
{
    (void)snprintf(what, WHAT_SIZE, "%s \"%.*s\"", kind, SHOWN_MAX, field(item, OVF_NAME));
    return what;
}

static enum fingerprint_nic_model nic_model(struct ovf *o, const struct ovf_item *item,
                                            const char *what)
{
    static const struct {
        const char *name;
        enum fingerprint_nic_model model;
    } models[] = {{"vmxnet3", FINGERPRINT_NIC_VMXNET3}, {"vmxnet2", FINGERPRINT_NIC_VMXNET2},
                  {"vmxnet", FINGERPRINT_NIC_VMXNET},   {"e1000", FINGERPRINT_NIC_E1000},
                  {"e1000e", FINGERPRINT_NIC_E1000E},   {"pcnet32", FINGERPRINT_NIC_VLANCE},
                  {"vlance", FINGERPRINT_NIC_VLANCE},   {"flexible", FINGERPRINT_NIC_FLEXIBLE}};
    const char *subtype = field(item, OVF_SUBTYPE);
    enum fingerprint_nic_model model;

    for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
        if (str_iequal(subtype, models[i].name)) {
            return models[i].model;
        }
    }
    if (*subtype != '\0') {
        builder_note(&o->b, "%s: the model \"%.*s\" is not known here: only its MAC is kept", what,
                     SHOWN_MAX, subtype);
        return FINGERPRINT_NIC_UNKNOWN;
    }
    model = vmware_default_nic(o->guest);
    builder_note(&o->b,
                 "%s names no model: taken as %s, VMware's choice for the guest \"%.*s\"; compare "
                 "it with what the guest shows",
                 what, fingerprint_nic_name(model), SHOWN_MAX, o->guest);
    return model;
}

struct ordered {
    const struct ovf_item *item;
    int address;
    size_t at;
};

static int by_address(const void *left, const void *right)
{
    const struct ordered *a = left, *b = right;

    if (a->address != b->address) {
        return a->address < b->address ? -1 : 1;
    }
    return a->at < b->at ? -1 : 1;
}

/* By AddressOnParent, as VMware numbers them (7, 8, ... is ethernet0, ethernet1, ...). */
void ovf_capture_nics(struct ovf *o)
{
    CLEANUP_FREE struct ordered *nics = NULL;
    const struct ovf_item *item;
    size_t n = 0, cap = 0;

    for (; (item = ovf_nth(o, OVF_NIC, n)) != NULL; n++) {
        int address = number_of(item, OVF_ADDRESS_ON_PARENT);

        if (vec_reserve(&nics, n, &cap, sizeof(*nics)) < 0) {
            o->b.error = -ENOMEM;
            return;
        }
        nics[n] = (struct ordered){item, address >= 0 ? address : NUMBER_MAX + 1, n};
    }
    if (n > 1) {
        qsort(nics, n, sizeof(*nics), by_address);
    }
    for (size_t i = 0; i < n; i++) {
        char what[WHAT_SIZE];
        enum fingerprint_nic_model model;

        what_of(nics[i].item, "the network card", what);
        model = nic_model(o, nics[i].item, what);
        builder_nic(&o->b, model, field(nics[i].item, OVF_ADDRESS), what);
    }
}

/* --- drives ----------------------------------------------------------------------------------- */

static enum fingerprint_controller scsi_model(struct ovf *o, const struct ovf_item *controller)
{
    static const struct {
        const char *name;
        enum fingerprint_controller model;
    } models[] = {{"lsilogic", FINGERPRINT_LSILOGIC},     {"lsilogicsas", FINGERPRINT_LSISAS1068},
                  {"lsisas1068", FINGERPRINT_LSISAS1068}, {"VirtualSCSI", FINGERPRINT_PVSCSI},
                  {"pvscsi", FINGERPRINT_PVSCSI},         {"buslogic", FINGERPRINT_BUSLOGIC}};
    const char *subtype = field(controller, OVF_SUBTYPE);
    enum fingerprint_controller model = vmware_default_scsi(o->guest);

    for (size_t i = 0; i < ARRAY_SIZE(models); i++) {
        if (str_iequal(subtype, models[i].name)) {
            return models[i].model;
        }
    }
    builder_note(
        &o->b,
        "the SCSI controller \"%.*s\" %s%.*s%s: taken as %s, VMware's usual choice for the "
        "guest \"%.*s\"; compare it with what the guest shows",
        SHOWN_MAX, field(controller, OVF_NAME),
        *subtype != '\0' ? "is of a kind not known here (" : "names no model", SHOWN_MAX, subtype,
        *subtype != '\0' ? ")" : "", fingerprint_controller_name(model), SHOWN_MAX, o->guest);
    return model;
}

/* The kind of a controller that drives can hang on; false: it is none. */
static bool controller_model(struct ovf *o, const struct ovf_item *item,
                             enum fingerprint_controller *ret)
{
    const char *subtype = field(item, OVF_SUBTYPE);

    switch (resource_of(item)) {
    case OVF_IDE:
        *ret = FINGERPRINT_IDE;
        return true;
    case OVF_SCSI:
        *ret = scsi_model(o, item);
        return true;
    case OVF_STORAGE:
        *ret = str_istarts(subtype, "vmware.nvme") || str_istarts(subtype, "nvme")
                   ? FINGERPRINT_NVME
                   : FINGERPRINT_SATA;
        return true;
    default:
        return false;
    }
}

static bool is_drive(const struct ovf_item *item)
{
    int resource = resource_of(item);

    return resource == OVF_DISK || resource == OVF_CD || resource == OVF_DVD;
}

static void add_drive(struct ovf *o, const struct ovf_item *item, enum fingerprint_controller model,
                      int bus)
{
    bool cdrom = resource_of(item) != OVF_DISK;
    int unit = number_of(item, OVF_ADDRESS_ON_PARENT);
    char what[WHAT_SIZE];

    what_of(item, cdrom ? "the CD-ROM drive" : "the disk", what);
    if (unit < 0) {
        builder_note(&o->b,
                     "%s does not say its place on the controller (AddressOnParent); left "
                     "out",
                     what);
        return;
    }
    (void)builder_drive(&o->b, cdrom, model, bus, unit, what); /* noted where it is left out */
}

/* All the drives of one controller. */
static void capture_controller(struct ovf *o, const struct ovf_item *controller, bool *taken)
{
    enum fingerprint_controller model = FINGERPRINT_SATA;
    bool known = false;
    int bus = number_of(controller, OVF_ADDRESS);

    for (size_t i = 0; i < o->system->n_items; i++) {
        const struct ovf_item *item = &o->system->items[i];

        if (!is_drive(item) || taken[i] || !item->chosen ||
            !str_equal(field(item, OVF_PARENT), controller->fields[OVF_INSTANCE])) {
            continue;
        }
        if (!known && !controller_model(o, controller, &model)) {
            return;
        }
        known = true;
        taken[i] = true;
        add_drive(o, item, model, bus < 0 ? 0 : bus);
    }
}

void ovf_capture_drives(struct ovf *o)
{
    const struct ovf_system *system = o->system;
    CLEANUP_FREE bool *taken = calloc(system->n_items + 1, sizeof(*taken));

    if (taken == NULL) {
        o->b.error = -ENOMEM;
        return;
    }
    for (size_t i = 0; i < system->n_items; i++) {
        if (system->items[i].fields[OVF_INSTANCE] != NULL && system->items[i].chosen) {
            capture_controller(o, &system->items[i], taken);
        }
    }
    for (size_t i = 0; i < system->n_items; i++) {
        char what[WHAT_SIZE];

        if (is_drive(&system->items[i]) && system->items[i].chosen && !taken[i]) {
            builder_note(&o->b, "%s hangs on no controller of this OVF; left out",
                         what_of(&system->items[i], "the drive", what));
        }
    }
    builder_sort(&o->b);
}

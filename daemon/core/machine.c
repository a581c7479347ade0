/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See machine.h. The grammar is PVE's pattern of the type, small letters only (recording 05). */
#include "core/machine.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

enum {
    TYPE_MAX = 40,       /* PVE: maxLength of the type */
    VERSION_MAX = 99999, /* a number of a version; QEMU's are below 1000 */
};

/* The first QEMU whose creation PVE pins an unversioned Windows VM to; older ones get 5.1. */
static const struct machine_version pin_since = {9, 1};
static const struct machine_version pin_oldest = {5, 1};
static const struct machine_version seabios_least = {9, 0};

void machine_fini(struct machine *m)
{
    free(m->rest);
    propstr_fini(&m->extra);
    *m = (struct machine){0};
}

/* Digits from *at on; false where there are none or too many. */
static bool read_number(const char **at, int *ret_number)
{
    int number = 0;
    const char *p = *at;

    for (; ascii_is_digit(*p) && number <= VERSION_MAX; p++) {
        number = number * 10 + (*p - '0');
    }
    if (p == *at || number > VERSION_MAX) {
        return false;
    }
    *at = p;
    *ret_number = number;
    return true;
}

static bool read_version(const char **at, struct machine_version *ret)
{
    struct machine_version version;
    const char *p = *at;

    if (!read_number(&p, &version.major) || *p++ != '.' || !read_number(&p, &version.minor)) {
        return false;
    }
    *at = p;
    *ret = version;
    return true;
}

bool machine_version_parse(const char *text, struct machine_version *ret)
{
    return text != NULL && read_version(&text, ret);
}

int machine_version_compare(struct machine_version a, struct machine_version b)
{
    return a.major != b.major ? (a.major > b.major) - (a.major < b.major)
                              : (a.minor > b.minor) - (a.minor < b.minor);
}

/* Behind the version: (.digits)* (+pveN)? (.pxe)?, the last not for virt. */
static bool is_version_rest(const char *rest, enum machine_kind kind)
{
    int number;

    while (*rest == '.' && ascii_is_digit(rest[1])) {
        rest++;
        if (!read_number(&rest, &number)) {
            return false;
        }
    }
    if (str_starts(rest, "+pve")) {
        rest += strlen("+pve");
        if (!read_number(&rest, &number)) {
            return false;
        }
    }
    return *rest == '\0' || (kind != MACHINE_VIRT && str_equal(rest, ".pxe"));
}

/* The kind a type begins with, *ret_rest behind it: "", "-VERSION..." or, with virt, "+pveN". */
static bool read_kind(const char *type, enum machine_kind *ret_kind, const char **ret_rest)
{
    static const struct {
        const char *prefix;
        enum machine_kind kind;
        bool bare; /* may stand without a version */
    } kinds[] = {
        {"pc-q35", MACHINE_Q35, false}, {"pc-i440fx", MACHINE_PC, false},
        {"q35", MACHINE_Q35, true},     {"pc", MACHINE_PC, true},
        {"virt", MACHINE_VIRT, true},
    };

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (str_starts(type, kinds[i].prefix)) {
            *ret_kind = kinds[i].kind;
            *ret_rest = type + strlen(kinds[i].prefix);
            return **ret_rest != '\0' || kinds[i].bare;
        }
    }
    return false;
}

static bool type_parse(const char *type, struct machine *m, const char **ret_rest)
{
    const char *at;

    if (strlen(type) > TYPE_MAX || !read_kind(type, &m->kind, &at)) {
        return false;
    }
    if (*at == '-' && !str_starts(type, "q35")) {
        at++;
        m->pinned = true;
        m->plain_pc = m->kind == MACHINE_PC && !str_starts(type, "pc-i440fx");
        if (!read_version(&at, &m->version)) {
            return false;
        }
    } else if (*at != '\0' && m->kind != MACHINE_VIRT) {
        return false;
    }
    *ret_rest = at;
    return (m->pinned || *at != '.') && is_version_rest(at, m->kind);
}

static bool extra_is_valid(const struct prop *prop)
{
    bool truth;
    uint64_t bits;

    if (str_equal(prop->key, "viommu")) {
        return str_equal(prop->value, "intel") || str_equal(prop->value, "virtio");
    }
    if (str_equal(prop->key, "aw-bits")) {
        return str_to_u64(prop->value, 64, &bits) && bits >= 32;
    }
    return (str_equal(prop->key, "enable-s3") || str_equal(prop->key, "enable-s4")) &&
           propstr_bool(prop->value, &truth);
}

static int extra_check(const struct propstr *extra, struct err *err)
{
    for (size_t i = 0; i < extra->n; i++) {
        const struct prop *prop = &extra->items[i];

        if (!extra_is_valid(prop)) {
            return err_set(err, -EINVAL, "machine: PVE does not accept %s=%s", prop->key,
                           prop->value);
        }
    }
    return 0;
}

int machine_parse(const char *value, struct machine *ret, struct err *err)
{
    CLEANUP(machine_fini) struct machine m = {.kind = MACHINE_PC};
    const char *rest = "";
    const char *type;
    int rc = propstr_parse(value == NULL ? "" : value, &m.extra, err);

    if (rc < 0) {
        return err_prefix(err, rc, "machine");
    }
    type = propstr_get(&m.extra, NULL);
    if (type != NULL && propstr_get(&m.extra, "type") != NULL) {
        return err_set(err, -EINVAL, "machine: the type is there twice");
    }
    type = type == NULL ? propstr_get(&m.extra, "type") : type;
    if (type != NULL && !type_parse(type, &m, &rest)) {
        return err_set(err, -EINVAL,
                       "machine: PVE does not accept the type '%s' (pc-q35-9.0 is one)", type);
    }
    m.rest = str_dup(rest);
    if (m.rest == NULL) {
        return err_oom(err);
    }
    propstr_remove(&m.extra, NULL);
    propstr_remove(&m.extra, "type");
    rc = extra_check(&m.extra, err);
    if (rc < 0) {
        return rc;
    }
    *ret = m;
    m = (struct machine){0};
    return 0;
}

static const char *kind_name(const struct machine *m)
{
    switch (m->kind) {
    case MACHINE_PC:
        return m->pinned && !m->plain_pc ? "pc-i440fx" : "pc";
    case MACHINE_Q35:
        return m->pinned ? "pc-q35" : "q35";
    case MACHINE_VIRT:
        return "virt";
    }
    return ""; /* not reached: all kinds are above */
}

char *machine_format(const struct machine *m)
{
    CLEANUP_FREE char *extra = propstr_format(&m->extra);
    struct buf buf = BUF_INIT(0);

    if (extra == NULL) {
        return NULL;
    }
    buf_adds(&buf, kind_name(m));
    if (m->pinned) {
        buf_addf(&buf, "-%d.%d", m->version.major, m->version.minor);
    }
    buf_adds(&buf, m->rest == NULL ? "" : m->rest);
    if (*extra != '\0') {
        buf_addf(&buf, ",%s", extra);
    }
    return buf_steal(&buf);
}

struct machine_version machine_least(struct machine_version fingerprint_min, bool ovmf)
{
    if (!ovmf && machine_version_compare(fingerprint_min, seabios_least) < 0) {
        return seabios_least;
    }
    return fingerprint_min;
}

static bool is_windows(const char *ostype)
{
    static const char *const names[] = {"wxp",  "w2k",  "w2k3",  "w2k8", "wvista",
                                        "win7", "win8", "win10", "win11"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_equal(ostype, names[i])) {
            return true;
        }
    }
    /* Later ones will be called so too, and PVE asks no more than this. */
    return ostype != NULL && str_starts(ostype, "win") && ascii_is_digit(ostype[3]);
}

/* `meta: creation-qemu=10.0.13,ctime=..`; what cannot be read is not there. */
static struct machine_version creation_version(const char *meta)
{
    CLEANUP(propstr_fini) struct propstr props = {0};
    struct machine_version version = {0, 0};

    if (meta != NULL && propstr_parse(meta, &props, NULL) == 0) {
        (void)machine_version_parse(propstr_get(&props, "creation-qemu"), &version); /* else 0.0 */
    }
    return version;
}

static struct machine_version list_newest(const struct machine_list *list)
{
    struct machine_version newest = {0, 0};

    for (size_t i = 0; list != NULL && i < list->n; i++) {
        if (machine_version_compare(list->items[i], newest) > 0) {
            newest = list->items[i];
        }
    }
    return newest;
}

struct machine_version machine_effective(const struct machine *m, const char *ostype,
                                         const char *meta, const struct machine_list *list)
{
    struct machine_version newest = list_newest(list);
    struct machine_version version;

    if (m->pinned) {
        return m->version;
    }
    if (!is_windows(ostype)) {
        return newest;
    }
    version = creation_version(meta);
    if (machine_version_compare(version, pin_since) < 0) {
        version = pin_oldest;
    }
    /* Made by a newer QEMU than this node's: PVE takes the newest there is. */
    if (newest.major > 0 && machine_version_compare(version, newest) > 0) {
        version = newest;
    }
    return version;
}

int machine_list_add(struct machine_list *list, struct machine_version version)
{
    int rc;

    if (machine_list_has(list, version)) {
        return 0;
    }
    rc = vec_reserve(&list->items, list->n, &list->cap, sizeof(list->items[0]));
    if (rc < 0) {
        return rc;
    }
    list->items[list->n++] = version;
    return 0;
}

bool machine_list_has(const struct machine_list *list, struct machine_version version)
{
    for (size_t i = 0; i < list->n; i++) {
        if (machine_version_compare(list->items[i], version) == 0) {
            return true;
        }
    }
    return false;
}

void machine_list_fini(struct machine_list *list)
{
    free(list->items);
    *list = (struct machine_list){0};
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See drive.h: the `boot:` option. One blank is what PVE leaves when the last device went: an
 * explicit order of nothing. PVE's own parser refuses `order=` without a value; here it is that
 * same empty order, so that what boot_order_format() writes can be read back.
 */
#include "core/drive.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

enum { LEGACY_MAX = 4 }; /* at most one each of a, c, d, n */

static const char separators[] = "; \t";

void boot_order_fini(struct boot_order *boot)
{
    for (size_t i = 0; i < boot->n; i++) {
        free(boot->devices[i]);
    }
    free(boot->devices);
    free(boot->legacy);
    free(boot->bootdisk);
    *boot = (struct boot_order){0};
}

/* Drives, and with PVE's numbers: */
static bool is_boot_device(const char *name)
{
    static const struct {
        const char *prefix;
        uint64_t max;
    } others[] = {{"net", 31}, {"usb", 13}, {"hostpci", 15}, {"unused", 255}};
    struct drive_slot slot;
    uint64_t index;

    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        if (str_starts(name, others[i].prefix) &&
            str_to_u64(name + strlen(others[i].prefix), others[i].max, &index)) {
            return true;
        }
    }
    return drive_slot_parse(name, &slot);
}

static int add_device(struct boot_order *boot, const char *name, size_t len, struct err *err)
{
    CLEANUP_FREE char *copy = str_ndup(name, len);

    if (copy == NULL ||
        vec_reserve(&boot->devices, boot->n, &boot->cap, sizeof(boot->devices[0])) < 0) {
        return err_oom(err);
    }
    if (!is_boot_device(copy)) {
        return err_set(err, -EINVAL, "boot: PVE knows no boot device '%s'", copy);
    }
    boot->devices[boot->n++] = STEAL(copy);
    return 0;
}

static int parse_order(struct boot_order *boot, const char *order, struct err *err)
{
    boot->explicit_order = true;
    for (order += strspn(order, separators); *order != '\0'; order += strspn(order, separators)) {
        size_t len = strcspn(order, separators);
        int rc = add_device(boot, order, len, err);

        if (rc < 0) {
            return rc;
        }
        order += len;
    }
    return 0;
}

static int parse_legacy(struct boot_order *boot, const char *letters, struct err *err)
{
    size_t len = strspn(letters, "acdn");

    if (len == 0 || len > LEGACY_MAX || letters[len] != '\0') {
        return err_set(err, -EINVAL, "boot: PVE does not accept '%s'", letters);
    }
    boot->legacy = str_dup(letters);
    return boot->legacy == NULL ? err_oom(err) : 0;
}

static int parse_boot(struct boot_order *boot, const char *value, struct err *err)
{
    CLEANUP(propstr_fini) struct propstr props = {0};
    int rc = str_equal(value, "order=") ? 0 : propstr_parse(value, &props, err);

    if (rc < 0) {
        return err_prefix(err, rc, "boot");
    }
    boot->explicit_order = props.n == 0;
    for (size_t i = 0; i < props.n; i++) {
        const char *key = props.items[i].key;

        if (key == NULL || str_equal(key, "legacy")) {
            rc = boot->legacy != NULL ? err_set(err, -EINVAL, "boot: two values without `order=`")
                                      : parse_legacy(boot, props.items[i].value, err);
        } else if (str_equal(key, "order")) {
            rc = parse_order(boot, props.items[i].value, err);
        } else {
            rc = err_set(err, -EINVAL, "boot: PVE knows no key '%s'", key);
        }
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}

int boot_order_parse(const struct pveconf *conf, struct boot_order *ret, struct err *err)
{
    CLEANUP(boot_order_fini) struct boot_order boot = {0};
    const char *value = pveconf_get(conf, "boot");
    int rc = value == NULL ? 0 : parse_boot(&boot, value, err);

    if (rc == 0 && str_replace(&boot.bootdisk, pveconf_get(conf, "bootdisk")) < 0) {
        rc = err_oom(err);
    }
    if (rc < 0) {
        return rc;
    }
    *ret = boot;
    boot = (struct boot_order){0};
    return 0;
}

char *boot_order_format(const struct boot_order *boot)
{
    struct buf buf = BUF_INIT(0);

    buf_adds(&buf, "order=");
    for (size_t i = 0; i < boot->n; i++) {
        if (i > 0) {
            buf_addc(&buf, ';');
        }
        buf_adds(&buf, boot->devices[i]);
    }
    return buf_steal(&buf);
}

int boot_order_replace(struct boot_order *boot, const char *from, const char *to)
{
    int replaced = 0;

    for (size_t i = 0; i < boot->n; i++) {
        if (str_equal(boot->devices[i], from)) {
            if (str_replace(&boot->devices[i], to) < 0) {
                return -ENOMEM;
            }
            replaced = 1;
        }
    }
    return replaced;
}

char *boot_order_present(const struct pveconf *conf, const char *order, const char *also)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(0);
    CLEANUP_FREE char *devices = str_dup(order + strlen("order="));
    const char *separator = "";
    char *state = NULL;

    buf_adds(&out, "order=");
    for (char *device = devices == NULL ? NULL : strtok_r(devices, ";", &state); device != NULL;
         device = strtok_r(NULL, ";", &state)) {
        if (pveconf_get(conf, device) != NULL || str_equal(device, also)) {
            buf_addf(&out, "%s%s", separator, device);
            separator = ";";
        }
    }
    return devices == NULL ? NULL : buf_steal(&out);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One capture of a VM out of vCenter's answer on its way: shared by the vcenter_*.c files. */
#ifndef CORE_VCENTER_PRIV_H
#define CORE_VCENTER_PRIV_H

#include <jansson.h>

#include "core/vcenter.h"

struct vcenter {
    const json_t *vm; /* the unwrapped object */
    struct fingerprint *fp;
    struct notes *notes;
    size_t n_notes;
    int error; /* 0 or -ENOMEM, sticky: whoever sees it later stops there */
    int hardware;
    bool efi;
};

/* One entry of a map of devices. */
struct vcenter_device {
    unsigned long key;
    size_t order; /* in the answer: decides between equal keys */
    const json_t *value;
};

struct vcenter_devices {
    struct vcenter_device *items;
    size_t n, cap;
};

/* JSON of at most `max` bytes and a modest number of values, unwrapped: a few bytes of JSON take
 * hundreds in memory. */
int vcenter_load(const char *text, size_t len, size_t max, json_t **ret, struct err *err);

/* Tells the administrator; control characters of foreign text become '?'. */
void vcenter_note(struct vcenter *v, const char *format, ...) PRINTF_LIKE(2, 3);
/* *at becomes a text of our own. */
void vcenter_set(struct vcenter *v, char **at, const char *text);
/* The string at `key`, or "". */
const char *vcenter_text(const json_t *object, const char *key);
/* The whole number from 0 to `max` at `key`, or -1. */
long vcenter_number(const json_t *object, const char *key, long max);
/* A map of devices in the order of its keys. */
void vcenter_devices_read(struct vcenter *v, const char *map, struct vcenter_devices *devices);
void vcenter_devices_fini(struct vcenter_devices *devices);

void vcenter_capture_nics(struct vcenter *v);   /* vcenter_nics.c */
void vcenter_capture_drives(struct vcenter *v); /* vcenter_drives.c */

#endif

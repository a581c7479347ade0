/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See upid.h. */
#include "core/upid.h"

#include <stddef.h>
#include <string.h>

#include "base/str.h"

/* Moves the text up to the next ':' into `place`; false where it does not fit or has bytes other
 * than printable ASCII without blanks. */
static bool take_text(const char **at, char *place, size_t size)
{
    const char *colon = strchr(*at, ':');
    size_t len = colon != NULL ? (size_t)(colon - *at) : size;

    if (len >= size) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!ascii_is_print((*at)[i]) || (*at)[i] == ' ') {
            return false;
        }
    }
    memcpy(place, *at, len);
    place[len] = '\0';
    *at = colon + 1;
    return true;
}

/* PVE writes eight hexadecimal digits; pstart takes nine after 497 days of uptime. */
static bool take_hex(const char **at, size_t max_digits, uint64_t *ret_value)
{
    char digits[16 + 1];
    uint64_t value = 0;
    size_t len;

    if (!take_text(at, digits, sizeof(digits))) {
        return false;
    }
    len = strlen(digits);
    if (len < 8 || len > max_digits) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (ascii_hex(digits[i]) < 0) {
            return false;
        }
        value = value * 16 + (uint64_t)ascii_hex(digits[i]);
    }
    *ret_value = value;
    return true;
}

bool upid_parse_title(const char *title, struct upid *ret_upid)
{
    static const char head[] = "task UPID:";
    struct upid upid = {0};
    const char *at;
    uint64_t pid = 0;

    if (!str_starts(title, head)) {
        return false;
    }
    at = title + strlen(head);
    if (!take_text(&at, upid.node, sizeof(upid.node)) || !take_hex(&at, 8, &pid) ||
        !take_hex(&at, 16, &upid.pstart) || !take_hex(&at, 16, &upid.time) ||
        !take_text(&at, upid.type, sizeof(upid.type)) ||
        !take_text(&at, upid.id, sizeof(upid.id)) ||
        !take_text(&at, upid.user, sizeof(upid.user))) {
        return false;
    }
    if (*at != '\0' || upid.node[0] == '\0' || upid.type[0] == '\0' || upid.user[0] == '\0') {
        return false;
    }
    upid.pid = (uint32_t)pid;
    *ret_upid = upid;
    return true;
}

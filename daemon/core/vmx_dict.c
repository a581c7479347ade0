/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See vmx_dict.h. */
#include "core/vmx_dict.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/vmx.h"

enum {
    NAME_MAX_BYTES = 128, /* the longest real ones have about 50 */
    SHOWN_MAX = 48,       /* bytes of a name that a note shows */
    NOTES_MAX = 16,       /* notes about names that stand twice */
};

/* What a pass over the lines found; `bad` counts the lines that are none of ours. */
struct lines {
    size_t good, bad, first_bad;
};

static void entry_fini(struct vmx_entry *entry)
{
    free(entry->name);
    free(entry->value);
}

void vmx_dict_fini(struct vmx_dict *dict)
{
    for (size_t i = 0; i < dict->n; i++) {
        entry_fini(&dict->entries[i]);
    }
    free(dict->entries);
    *dict = (struct vmx_dict){0};
}

static const char *skip_blanks(const char *at, const char *end)
{
    for (; at < end && ascii_is_space(*at); at++) {
    }
    return at;
}

/* Undoes |XX in place. A bar that starts no escape stays, and so does |00, which no value holds. */
static void unescape(char *value)
{
    char *to = value;

    for (const char *from = value; *from != '\0'; from++) {
        int high = *from == '|' ? ascii_hex(from[1]) : -1;
        int low = high >= 0 ? ascii_hex(from[2]) : -1;

        if (low >= 0 && high + low > 0) {
            *to++ = (char)(unsigned char)(high * 16 + low);
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

/* The value that begins at `at`: its bytes and where what follows begins; false: malformed. */
static bool find_value(const char *at, const char *end, const char **ret_value, size_t *ret_len)
{
    const char *value = at;
    const char *behind;

    if (at < end && *at == '"') {
        value++;
        at = memchr(value, '"', (size_t)(end - value));
        if (at == NULL) {
            return false;
        }
        behind = skip_blanks(at + 1, end);
    } else {
        for (; at < end && !ascii_is_space(*at) && *at != '#' && *at != '"'; at++) {
        }
        behind = skip_blanks(at, end);
    }
    *ret_value = value;
    *ret_len = (size_t)(at - value);
    return behind == end || *behind == '#';
}

static int add_entry(struct vmx_dict *dict, const char *name, size_t name_len, const char *value,
                     size_t value_len, size_t line)
{
    struct vmx_entry *entry;

    if (vec_reserve(&dict->entries, dict->n, &dict->cap, sizeof(*dict->entries)) < 0) {
        return -ENOMEM;
    }
    entry = &dict->entries[dict->n];
    *entry = (struct vmx_entry){
        .name = str_ndup(name, name_len), .value = str_ndup(value, value_len), .line = line};
    if (entry->name == NULL || entry->value == NULL) {
        entry_fini(entry);
        return -ENOMEM;
    }
    for (char *c = entry->name; *c != '\0'; c++) {
        *c = ascii_lower(*c);
    }
    unescape(entry->value);
    dict->n++;
    return 0;
}

/* VMware allows more; but names end up in notes, and no real one has other bytes than these. */
static bool is_name_byte(char c)
{
    return ascii_is_print(c) && c != ' ' && c != '=' && c != '#';
}

/* One line without its newline. Blank lines and comments (also "#!/usr/bin/vmware") are nothing. */
static int read_line(struct vmx_dict *dict, const char *at, const char *end, size_t number,
                     struct lines *lines)
{
    const char *name, *value;
    size_t name_len, value_len;

    name = at = skip_blanks(at, end);
    if (at == end || *at == '#') {
        return 0;
    }
    for (; at < end && is_name_byte(*at); at++) {
    }
    name_len = (size_t)(at - name);
    at = skip_blanks(at, end);
    if (name_len == 0 || name_len > NAME_MAX_BYTES || at == end || *at != '=' ||
        !find_value(skip_blanks(at + 1, end), end, &value, &value_len)) {
        lines->first_bad = lines->bad++ == 0 ? number : lines->first_bad;
        return 0;
    }
    lines->good++;
    return add_entry(dict, name, name_len, value, value_len, number);
}

static int compare(const void *left, const void *right)
{
    const struct vmx_entry *a = left, *b = right;
    int rc = strcmp(a->name, b->name);

    return rc != 0 ? rc : (a->line > b->line) - (a->line < b->line);
}

/* Sorted, and of equal names the last: that is what Proxmox's and libguestfs' readers take too.
 * VMware itself refuses to start such a VM. */
static int settle(struct vmx_dict *dict, struct notes *notes)
{
    size_t kept = 0;
    int said = 0;

    if (dict->n > 0) {
        qsort(dict->entries, dict->n, sizeof(*dict->entries), compare);
    }
    for (size_t i = 0; i < dict->n; i++) {
        struct vmx_entry *last = kept > 0 ? &dict->entries[kept - 1] : NULL;
        struct vmx_entry entry = dict->entries[i];
        bool twice = last != NULL && strcmp(last->name, entry.name) == 0;
        bool tell = twice && strcmp(last->value, entry.value) != 0 && said < NOTES_MAX;

        if (tell &&
            notes_add(notes, "%.*s stands twice with different values; that of line %zu counts",
                      SHOWN_MAX, entry.name, entry.line) < 0) {
            /* Close the gap first, so that every entry is freed exactly once. */
            memmove(&dict->entries[kept], &dict->entries[i],
                    (dict->n - i) * sizeof(*dict->entries));
            dict->n -= i - kept;
            return -ENOMEM;
        }
        said += tell;
        if (twice) {
            entry_fini(last);
            *last = entry;
        } else {
            dict->entries[kept++] = entry;
        }
    }
    dict->n = kept;
    return 0;
}

static int check_shape(const char *text, size_t len, struct err *err)
{
    if (len > VMX_MAX) {
        return err_set(err, -EFBIG, "%zu bytes are too many for a .vmx file; at most %d", len,
                       VMX_MAX);
    }
    if (len > 0 && memchr(text, '\0', len) != NULL) {
        return err_set(err, -EINVAL,
                       "this is no .vmx file: it holds NUL bytes; is it a disk, an .nvram, or "
                       "saved as UTF-16?");
    }
    return 0;
}

static int read_lines(struct vmx_dict *dict, const char *text, size_t len, struct lines *lines)
{
    static const char utf8_mark[] = {'\xef', '\xbb', '\xbf'};
    const char *end = text + len;
    int rc = 0;

    if (len >= sizeof(utf8_mark) && memcmp(text, utf8_mark, sizeof(utf8_mark)) == 0) {
        text += sizeof(utf8_mark); /* an editor of Windows was here */
    }
    for (size_t number = 1; rc == 0 && text < end; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline != NULL ? newline : end;

        rc = read_line(dict, text, line_end, number, lines); /* a CR counts as a blank */
        text = newline != NULL ? newline + 1 : end;
    }
    return rc;
}

int vmx_dict_parse(const char *text, size_t len, struct vmx_dict *ret_dict, struct notes *notes,
                   struct err *err)
{
    CLEANUP(vmx_dict_fini) struct vmx_dict dict = {0};
    struct lines lines = {0};
    int rc = check_shape(text, len, err);

    if (rc < 0) {
        return rc;
    }
    rc = read_lines(&dict, len > 0 ? text : "", len, &lines); /* an empty buffer may be NULL */
    if (rc == 0 && lines.good == 0) {
        return err_set(err, -EINVAL,
                       "this is no .vmx file: no line of it has the form name = \"value\"");
    }
    if (rc == 0 && lines.bad > 0) {
        rc = notes_add(notes, "line %zu is no name = \"value\" and was left out%s", lines.first_bad,
                       lines.bad > 1 ? ", and so were others like it" : "");
    }
    rc = rc < 0 ? rc : settle(&dict, notes);
    if (rc < 0) {
        return err_oom(err);
    }
    *ret_dict = dict;
    dict = (struct vmx_dict){0};
    return 0;
}

static int compare_name(const void *name, const void *entry)
{
    return strcmp(name, ((const struct vmx_entry *)entry)->name);
}

const char *vmx_dict_get(const struct vmx_dict *dict, const char *name)
{
    const struct vmx_entry *entry = NULL;

    if (dict->n > 0) {
        entry = bsearch(name, dict->entries, dict->n, sizeof(*dict->entries), compare_name);
    }
    return entry == NULL ? NULL : entry->value;
}

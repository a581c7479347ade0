/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The text of a VM's configuration, line by line as PVE reads it (recordings 12, 12b):
 *
 *     key: value      the key starts in the first column and has no blank before the colon; blanks
 *                     around the value do not count, but a value of blanks alone is one blank
 *     #text           the section's description, percent-encoded, wherever in the section it stands
 *     [name]          a section; a second one of that name replaces the first; one whose name PVE
 *                     does not accept is skipped with all its lines
 *
 * Every other line that is not blank is ignored by PVE and gone with the next change: `bad`.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/pveconf_build.h"

enum { BAD_TEXT_MAX = 120 };

/* What is between two newlines. */
struct line {
    const char *text;
    size_t len;
    unsigned number;
};

struct reader {
    struct pveconf *conf;
    size_t section;         /* index of the present one */
    bool skipping;          /* below a header PVE does not know */
    bool described;         /* this section had a comment or a `description:` */
    struct buf description; /* of this section, decoded */
};

static void reader_fini(struct reader *reader)
{
    pveconf_free(reader->conf);
    buf_fini(&reader->description);
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static size_t trimmed_len(const char *text, size_t len)
{
    while (len > 0 && ascii_is_space(text[len - 1])) {
        len--;
    }
    return len;
}

static int add_bad(struct reader *reader, struct line line, const char *why)
{
    char text[BAD_TEXT_MAX + 1];
    size_t shown = trimmed_len(line.text, line.len);
    size_t len = shown < BAD_TEXT_MAX ? shown : BAD_TEXT_MAX;

    for (size_t i = 0; i < len; i++) {
        text[i] = '?';
        if (ascii_is_print(line.text[i])) {
            text[i] = line.text[i];
        }
    }
    text[len] = '\0';
    return pveconf_add_bad(reader->conf, line.number, text, why);
}

/* %XX to bytes. %00 stays as it is: no NUL inside our strings. */
static void add_decoded(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int high = len - i > 2 && text[i] == '%' ? ascii_hex(text[i + 1]) : -1;
        int low = high >= 0 ? ascii_hex(text[i + 2]) : -1;

        if (low >= 0 && high + low > 0) {
            buf_addc(out, (char)(high * 16 + low));
            i += 2;
        } else {
            buf_addc(out, text[i]);
        }
    }
}

static int finish_description(struct reader *reader)
{
    struct pveconf_section *section = &reader->conf->sections[reader->section];
    CLEANUP_FREE char *text = NULL;
    bool described = reader->described;

    reader->described = false;
    if (!described) {
        return 0;
    }
    text = buf_steal(&reader->description);
    if (text == NULL) {
        return -ENOMEM;
    }
    text[trimmed_len(text, strlen(text))] = '\0';
    return section->kind == PVECONF_MAIN ? str_replace(&reader->conf->description, text)
                                         : pveconf_section_set(section, "description", text, 0);
}

/* [a-z][a-z0-9_-]+ in any case. */
static bool is_section_name(const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++) {
        if (!ascii_is_alnum(name[i]) && (i == 0 || (name[i] != '_' && name[i] != '-'))) {
            return false;
        }
    }
    return len >= 2 && !ascii_is_digit(name[0]);
}

static int switch_section(struct reader *reader, enum pveconf_kind kind, const char *name,
                          struct line line)
{
    struct pveconf *conf = reader->conf;
    int rc;

    for (size_t i = 0; i < conf->n_sections; i++) {
        if (conf->sections[i].kind == kind && str_equal(conf->sections[i].name, name)) {
            reader->section = i;
            pveconf_section_clear(&conf->sections[i]);
            return add_bad(reader, line,
                           "this section is there twice and PVE keeps the last one only: merge "
                           "the two");
        }
    }
    rc = pveconf_add_section(conf, kind, name);
    if (rc == 0) {
        reader->section = conf->n_sections - 1;
    }
    return rc;
}

static int read_header(struct reader *reader, struct line line, const char *name)
{
    int rc = finish_description(reader);

    if (rc < 0) {
        return rc;
    }
    reader->skipping = false;
    if (str_iequal(name, "PENDING")) {
        return switch_section(reader, PVECONF_PENDING, "", line);
    }
    if (str_istarts(name, "special:") && is_section_name(name + strlen("special:"))) {
        return switch_section(reader, PVECONF_SPECIAL, name + strlen("special:"), line);
    }
    if (is_section_name(name)) {
        return switch_section(reader, PVECONF_SNAPSHOT, name, line);
    }
    reader->skipping = true;
    return add_bad(reader, line,
                   "PVE does not know such a section and skips all its lines: remove it");
}

/* "[name]": the name, else *ret_name NULL. */
static int header_name(struct line line, char **ret_name)
{
    size_t len = trimmed_len(line.text, line.len);

    *ret_name = NULL;
    if (len < 2 || line.text[0] != '[' || line.text[len - 1] != ']' ||
        memchr(line.text, ']', len - 1) != NULL) {
        return 0;
    }
    *ret_name = str_ndup(line.text + 1, len - 2);
    return *ret_name == NULL ? -ENOMEM : 0;
}

/* Length of [a-z][a-z_-]*[0-9]* at the start of the line when a colon follows; 0: no key. */
static size_t key_len(struct line line)
{
    size_t len = 0;

    if (line.len == 0 || !is_lower(line.text[0])) {
        return 0;
    }
    while (len < line.len &&
           (is_lower(line.text[len]) || line.text[len] == '_' || line.text[len] == '-')) {
        len++;
    }
    while (len < line.len && ascii_is_digit(line.text[len])) {
        len++;
    }
    return len < line.len && line.text[len] == ':' ? len : 0;
}

static int set_key(struct reader *reader, struct line line, const char *key, const char *value)
{
    struct pveconf_section *section = &reader->conf->sections[reader->section];

    if (str_equal(key, "description")) {
        reader->described = true;
        add_decoded(&reader->description, value, strlen(value));
        return 0;
    }
    if (str_equal(key, "delete") && section->kind != PVECONF_PENDING) {
        return add_bad(reader, line, "PVE accepts `delete` in [PENDING] only: remove the line");
    }
    if (str_equal(key, "cdrom") && section->kind != PVECONF_SPECIAL) {
        key = "ide2"; /* its old name */
    }
    return pveconf_section_set(section, key, value, line.number);
}

static int read_key(struct reader *reader, struct line line, size_t len)
{
    const char *value = line.text + len + 1;
    size_t value_len = line.len - len - 1;
    CLEANUP_FREE char *key_copy = NULL;
    CLEANUP_FREE char *value_copy = NULL;

    if (value_len == 0) {
        return add_bad(reader, line, "a key without a value: add one or remove the line");
    }
    while (value_len > 1 && ascii_is_space(*value)) {
        value++;
        value_len--;
    }
    if (value_len > 1) {
        value_len = trimmed_len(value, value_len);
    }
    key_copy = str_ndup(line.text, len);
    value_copy = str_ndup(value, value_len);
    if (key_copy == NULL || value_copy == NULL) {
        return -ENOMEM;
    }
    return set_key(reader, line, key_copy, value_copy);
}

static const char *why_no_key(struct line line)
{
    size_t blanks = 0;

    while (blanks < line.len && ascii_is_space(line.text[blanks])) {
        blanks++;
    }
    if (blanks > 0) {
        return "blanks before the key: remove them";
    }
    return memchr(line.text, ':', line.len) == NULL
               ? "neither a setting (`key: value`) nor a comment: remove the line"
               : "PVE does not accept such a key (no blank before the colon, small letters, digits "
                 "last): correct or remove the line";
}

static int read_line(struct reader *reader, struct line line)
{
    CLEANUP_FREE char *name = NULL;
    size_t len;
    int rc;

    if (trimmed_len(line.text, line.len) == 0) {
        return 0;
    }
    rc = header_name(line, &name);
    if (rc < 0 || name != NULL) {
        return rc < 0 ? rc : read_header(reader, line, name);
    }
    if (reader->skipping) {
        return 0;
    }
    if (line.text[0] == '#') {
        reader->described = true;
        add_decoded(&reader->description, line.text + 1, line.len - 1);
        buf_addc(&reader->description, '\n');
        return 0;
    }
    len = key_len(line);
    return len == 0 ? add_bad(reader, line, why_no_key(line)) : read_key(reader, line, len);
}

static int read_all(struct reader *reader, const char *text, size_t len)
{
    struct line line = {.text = text};
    const char *end = text + len;
    int rc = pveconf_add_section(reader->conf, PVECONF_MAIN, "");

    while (rc == 0 && line.text < end) {
        const char *newline = memchr(line.text, '\n', (size_t)(end - line.text));

        line.len = (size_t)((newline == NULL ? end : newline) - line.text);
        line.number++;
        rc = read_line(reader, line);
        line.text += line.len + 1;
    }
    return rc == 0 ? finish_description(reader) : rc;
}

int pveconf_parse(const char *text, size_t len, struct pveconf **ret_conf, struct err *err)
{
    CLEANUP(reader_fini) struct reader reader = {.description = BUF_INIT(0)};
    int rc;

    if (len > PVECONF_MAX) {
        return err_set(err, -EINVAL, "more than %d bytes: no configuration of PVE", PVECONF_MAX);
    }
    if (len > 0 && memchr(text, '\0', len) != NULL) {
        return err_set(err, -EINVAL, "it has a NUL byte: no configuration of PVE");
    }
    reader.conf = calloc(1, sizeof(*reader.conf));
    rc = reader.conf == NULL ? -ENOMEM : read_all(&reader, text, len);
    if (rc == -E2BIG) {
        return err_set(err, -EINVAL, "more than %d sections, or more than %d keys in one",
                       PVECONF_SECTIONS_MAX, PVECONF_KEYS_MAX);
    }
    if (rc < 0) {
        return err_oom(err);
    }
    *ret_conf = STEAL(reader.conf);
    return 0;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See jsonread.h. */
#include "core/jsonread.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum { SHOWN_MAX = 48 }; /* bytes of a wrong value that a sentence shows */

/* Bytes that snprintf() put into the rest of a text of `size`. */
static size_t advance(size_t used, size_t size, int printed)
{
    size_t more = printed < 0 ? 0 : (size_t)printed;

    return more >= size - used ? size - 1 : used + more;
}

static size_t write_path(const struct jsonread *at, char *text, size_t size)
{
    size_t used = at->up == NULL ? 0 : write_path(at->up, text, size);
    int rc = 0;

    if (at->up == NULL) {
        text[0] = '\0';
    } else if (at->key == NULL) {
        rc = snprintf(text + used, size - used, "[%zu]", at->index);
    } else {
        rc = snprintf(text + used, size - used, "%s%s", used > 0 ? "." : "", at->key);
    }
    return advance(used, size, rc);
}

int jsonread_wrong(const struct jsonread *at, const char *key, struct err *err, const char *format,
                   ...)
{
    const struct jsonread below = {.up = at, .key = key};
    char path[JSONREAD_PATH_MAX];
    char sentence[ERR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, args); /* a cut sentence is still one */
    va_end(args);
    str_tame(sentence);
    if (write_path(key != NULL ? &below : at, path, sizeof(path)) == 0) {
        return err_set(err, -EINVAL, "%s", sentence);
    }
    return err_set(err, -EINVAL, "%s: %s", path, sentence);
}

/* "a, b or c", cut where it does not fit. */
static void list_names(const char *const *names, size_t n, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        const char *glue = i == 0 ? "" : i + 1 == n ? " or " : ", ";

        used = advance(used, size, snprintf(text + used, size - used, "%s%s", glue, names[i]));
    }
}

static bool is_one_of(const char *key, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(key, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

int jsonread_object(const struct jsonread *at, const char *const *keys, size_t n, struct err *err)
{
    char known[ERR_TEXT_MAX / 2];
    const char *key;
    json_t *value;

    if (!json_is_object(at->value)) {
        return jsonread_wrong(at, NULL, err, "an object { ... } is needed here");
    }
    list_names(keys, n, known, sizeof(known));
    json_object_foreach (at->value, key, value) {
        if (!is_one_of(key, keys, n)) {
            return jsonread_wrong(at, NULL, err, "unknown key \"%.*s\"; known here: %s", SHOWN_MAX,
                                  key, known);
        }
    }
    return 0;
}

bool jsonread_enter(const struct jsonread *at, const char *key, struct jsonread *ret)
{
    json_t *value = json_object_get(at->value, key);

    *ret = (struct jsonread){.up = at, .key = key, .value = value};
    return value != NULL;
}

struct jsonread jsonread_item(const struct jsonread *at, size_t index)
{
    return (struct jsonread){.up = at, .index = index, .value = json_array_get(at->value, index)};
}

int jsonread_array(const struct jsonread *at, size_t max, struct err *err)
{
    size_t n = json_array_size(at->value);

    if (!json_is_array(at->value)) {
        return jsonread_wrong(at, NULL, err, "an array [ ... ] is needed here");
    }
    if (n == 0) {
        return jsonread_wrong(at, NULL, err, "an empty array says nothing; leave the key out");
    }
    if (n > max) {
        return jsonread_wrong(at, NULL, err, "%zu items are too many; at most %zu are allowed", n,
                              max);
    }
    return 0;
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return true;
        }
    }
    return false;
}

int jsonread_text(const struct jsonread *at, const char *key, size_t max, char **ret,
                  struct err *err)
{
    const json_t *value = json_object_get(at->value, key);
    const char *text = json_string_value(value);

    if (value == NULL) {
        return 0;
    }
    if (text == NULL) {
        return jsonread_wrong(at, key, err, "a text in quotes is needed");
    }
    if (*text == '\0') {
        return jsonread_wrong(at, key, err, "an empty text says nothing; leave the key out");
    }
    if (strlen(text) > max) {
        return jsonread_wrong(at, key, err, "%zu bytes are too many; at most %zu are allowed",
                              strlen(text), max);
    }
    if (has_control(text)) {
        return jsonread_wrong(at, key, err, "control characters are not allowed");
    }
    return str_replace(ret, text) < 0 ? err_oom(err) : 0;
}

int jsonread_long(const struct jsonread *at, const char *key, long min, long max, long *ret,
                  struct err *err)
{
    const json_t *value = json_object_get(at->value, key);
    json_int_t number = json_integer_value(value);

    if (value == NULL) {
        return 0;
    }
    if (!json_is_integer(value) || number < min || number > max) {
        return jsonread_wrong(at, key, err, "a whole number from %ld to %ld is needed", min, max);
    }
    *ret = (long)number;
    return 0;
}

int jsonread_int(const struct jsonread *at, const char *key, int min, int max, int *ret,
                 struct err *err)
{
    long number = *ret;
    int rc = jsonread_long(at, key, min, max, &number, err);

    if (rc == 0) {
        *ret = (int)number;
    }
    return rc;
}

int jsonread_choice(const struct jsonread *at, const char *key, const char *const *names, size_t n,
                    int *ret, struct err *err)
{
    const json_t *value = json_object_get(at->value, key);
    const char *text = json_string_value(value);
    char known[ERR_TEXT_MAX / 2];

    if (value == NULL) {
        return 0;
    }
    for (size_t i = 0; text != NULL && i < n; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (int)i;
            return 0;
        }
    }
    list_names(names, n, known, sizeof(known));
    if (text == NULL) {
        return jsonread_wrong(at, key, err, "one of the texts %s is needed", known);
    }
    return jsonread_wrong(at, key, err, "\"%.*s\" is not known here; allowed: %s", SHOWN_MAX, text,
                          known);
}

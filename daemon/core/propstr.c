/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See propstr.h. A list, not a map: options have at most some twenty items, and order matters. */
#include "core/propstr.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

void propstr_fini(struct propstr *props)
{
    for (size_t i = 0; i < props->n; i++) {
        free(props->items[i].key);
        free(props->items[i].value);
    }
    free(props->items);
    *props = (struct propstr){0};
}

static struct prop *propstr_find(const struct propstr *props, const char *key)
{
    for (size_t i = 0; i < props->n; i++) {
        if (str_equal(props->items[i].key, key)) {
            return &props->items[i];
        }
    }
    return NULL;
}

const char *propstr_get(const struct propstr *props, const char *key)
{
    const struct prop *prop = propstr_find(props, key);

    return prop == NULL ? NULL : prop->value;
}

/* Takes both strings over, also when it fails. */
static int propstr_append(struct propstr *props, char *key, char *value)
{
    int rc = vec_reserve(&props->items, props->n, &props->cap, sizeof(props->items[0]));

    if (rc < 0) {
        free(key);
        free(value);
        return rc;
    }
    props->items[props->n++] = (struct prop){.key = key, .value = value};
    return 0;
}

int propstr_set(struct propstr *props, const char *key, const char *value)
{
    CLEANUP_FREE char *key_copy = NULL;
    CLEANUP_FREE char *value_copy = NULL;
    struct prop *prop = propstr_find(props, key);

    if (prop != NULL) {
        return str_replace(&prop->value, value);
    }
    key_copy = str_dup(key);
    value_copy = str_dup(value);
    if ((key != NULL && key_copy == NULL) || value_copy == NULL) {
        return -ENOMEM;
    }
    return propstr_append(props, STEAL(key_copy), STEAL(value_copy));
}

void propstr_remove(struct propstr *props, const char *key)
{
    struct prop *prop = propstr_find(props, key);

    if (prop == NULL) {
        return;
    }
    free(prop->key);
    free(prop->value);
    props->n--;
    memmove(prop, prop + 1, (size_t)(props->items + props->n - prop) * sizeof(*prop));
}

int propstr_copy(const struct propstr *from, struct propstr *ret_to)
{
    CLEANUP(propstr_fini) struct propstr copy = {0};

    for (size_t i = 0; i < from->n; i++) {
        int rc = propstr_set(&copy, from->items[i].key, from->items[i].value);

        if (rc < 0) {
            return rc;
        }
    }
    *ret_to = copy;
    copy = (struct propstr){0};
    return 0;
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!ascii_is_space(text[i])) {
            return false;
        }
    }
    return true;
}

/* One item, `len` bytes without comma. */
static int propstr_parse_item(struct propstr *props, const char *item, size_t len, struct err *err)
{
    const char *equals = memchr(item, '=', len);
    size_t key_len = equals == NULL ? 0 : (size_t)(equals - item);
    CLEANUP_FREE char *key = NULL;
    CLEANUP_FREE char *value = NULL;

    if (equals != NULL && (key_len == 0 || key_len + 1 == len)) {
        return err_set(err, -EINVAL, "'%.*s' has no %s", (int)len, item,
                       key_len == 0 ? "key before '='" : "value behind '='");
    }
    if (equals != NULL) {
        key = str_ndup(item, key_len);
        value = str_ndup(equals + 1, len - key_len - 1);
    } else {
        value = str_ndup(item, len);
    }
    if (value == NULL || (equals != NULL && key == NULL)) {
        return err_oom(err);
    }
    if (propstr_find(props, key) != NULL) {
        return key == NULL ? err_set(err, -EINVAL, "'%s' is a second value without a key", value)
                           : err_set(err, -EINVAL, "the key '%s' is there twice", key);
    }
    if (props->n >= PROPSTR_ITEMS_MAX) {
        return err_set(err, -EINVAL, "more than %d items", PROPSTR_ITEMS_MAX);
    }
    return propstr_append(props, STEAL(key), STEAL(value)) < 0 ? err_oom(err) : 0;
}

static int propstr_check_item(const char *item, size_t len, struct err *err)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)item[i];

        if (c < 0x20 || c == 0x7f) {
            return err_set(err, -EINVAL, "control character 0x%02x in a value", c);
        }
    }
    return 0;
}

int propstr_parse(const char *text, struct propstr *ret_props, struct err *err)
{
    CLEANUP(propstr_fini) struct propstr props = {0};

    if (strlen(text) > PROPSTR_MAX) {
        return err_set(err, -EINVAL, "longer than %d bytes", PROPSTR_MAX);
    }
    for (const char *item = text;;) {
        size_t len = strcspn(item, ",");
        int rc = is_blank(item, len) ? 0 : propstr_check_item(item, len, err);

        if (rc == 0 && !is_blank(item, len)) {
            rc = propstr_parse_item(&props, item, len, err);
        }
        if (rc < 0) {
            return rc;
        }
        if (item[len] == '\0') {
            break;
        }
        item += len + 1;
    }
    *ret_props = props;
    props = (struct propstr){0};
    return 0;
}

char *propstr_format(const struct propstr *props)
{
    struct buf buf = BUF_INIT(0);

    for (size_t i = 0; i < props->n; i++) {
        if (i > 0) {
            buf_addc(&buf, ',');
        }
        if (props->items[i].key != NULL) {
            buf_adds(&buf, props->items[i].key);
            buf_addc(&buf, '=');
        }
        buf_adds(&buf, props->items[i].value);
    }
    return buf_steal(&buf);
}

bool propstr_bool(const char *value, bool *ret_bool)
{
    static const char *const words[2][4] = {{"0", "off", "no", "false"},
                                            {"1", "on", "yes", "true"}};

    for (size_t truth = 0; truth < 2; truth++) {
        for (size_t i = 0; i < ARRAY_SIZE(words[truth]); i++) {
            if (str_iequal(value, words[truth][i])) {
                *ret_bool = truth == 1;
                return true;
            }
        }
    }
    return false;
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See settings.h. One table says which keys there are, of what kind, and their limits. */
#include "core/settings.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/propstr.h"

enum kind { KIND_URL, KIND_PATH, KIND_NODE, KIND_DRIFT, KIND_ERROR, KIND_BOOL, KIND_NUMBER };

struct key {
    const char *name;
    enum kind kind;
    size_t offset; /* in struct settings */
    unsigned min, max;
};

#define KEY(field, kind, ...)                                                                      \
    {                                                                                              \
#field, kind, offsetof(struct settings, field), __VA_ARGS__                                \
    }

static const struct key keys[] = {
    KEY(api_url, KIND_URL, 0, 0),
    KEY(ca_file, KIND_PATH, 0, 0),
    KEY(token_file, KIND_PATH, 0, 0),
    KEY(node, KIND_NODE, 0, 0),
    KEY(pve_dir, KIND_PATH, 0, 0),
    KEY(fingerprint_dir, KIND_PATH, 0, 0),
    KEY(state_dir, KIND_PATH, 0, 0),
    KEY(lock_dir, KIND_PATH, 0, 0),
    KEY(on_drift, KIND_DRIFT, 0, 0),
    KEY(on_error, KIND_ERROR, 0, 0),
    KEY(early, KIND_BOOL, 0, 0),
    KEY(rescan_s, KIND_NUMBER, 1, 3600),
    KEY(connect_timeout_ms, KIND_NUMBER, 100, 60000),
    KEY(api_timeout_ms, KIND_NUMBER, 1000, 120000),
    KEY(lock_patience_s, KIND_NUMBER, 1, 600),
    KEY(start_patience_s, KIND_NUMBER, 5, 3600),
    KEY(max_reads, KIND_NUMBER, 1, 32),
    KEY(ready_patience_s, KIND_NUMBER, 0, 600),
};

enum { NODE_MAX = 63 }; /* a host name's label */

struct settings *settings_new(void)
{
    CLEANUP(settings_freep) struct settings *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        return NULL;
    }
    s->api_url = str_dup("https://127.0.0.1:8006");
    s->ca_file = str_dup("/etc/pve/pve-root-ca.pem");
    s->token_file = str_dup("/etc/pve-hwid/token");
    s->pve_dir = str_dup("/etc/pve");
    s->fingerprint_dir = str_dup("/etc/pve-hwid/fingerprints");
    s->state_dir = str_dup("/var/lib/pve-hwid");
    s->lock_dir = str_dup("/run/lock/qemu-server");
    if (s->api_url == NULL || s->ca_file == NULL || s->token_file == NULL || s->pve_dir == NULL ||
        s->fingerprint_dir == NULL || s->state_dir == NULL || s->lock_dir == NULL) {
        return NULL;
    }
    s->on_drift = FINGERPRINT_DRIFT_RESTART;
    s->on_error = FINGERPRINT_ERROR_START;
    s->early = true;
    s->rescan_s = 10;
    s->connect_timeout_ms = 3000;
    s->api_timeout_ms = 20000;
    s->lock_patience_s = 60;
    s->start_patience_s = 120;
    s->max_reads = 4;
    s->ready_patience_s = 30;
    return STEAL(s);
}

void settings_free(struct settings *settings)
{
    if (settings == NULL) {
        return;
    }
    free(settings->api_url);
    free(settings->ca_file);
    free(settings->token_file);
    free(settings->node);
    free(settings->pve_dir);
    free(settings->fingerprint_dir);
    free(settings->state_dir);
    free(settings->lock_dir);
    free(settings);
}

static void *field(struct settings *settings, const struct key *key)
{
    return (char *)settings + key->offset;
}

static int set_text(struct settings *settings, const struct key *key, const char *value, bool valid,
                    const char *wanted, struct err *err)
{
    if (!valid) {
        return err_set(err, -EINVAL, "%s is to be %s, not '%s'", key->name, wanted, value);
    }
    return str_replace(field(settings, key), value) < 0 ? err_oom(err) : 0;
}

static int set_drift(enum fingerprint_drift *drift, const char *value, struct err *err)
{
    if (str_equal(value, "restart")) {
        *drift = FINGERPRINT_DRIFT_RESTART;
    } else if (str_equal(value, "refuse")) {
        *drift = FINGERPRINT_DRIFT_REFUSE;
    } else if (str_equal(value, "start")) {
        *drift = FINGERPRINT_DRIFT_START;
    } else {
        return err_set(err, -EINVAL, "on_drift is to be restart, refuse or start, not '%s'", value);
    }
    return 0;
}

static int set_on_error(enum fingerprint_on_error *on_error, const char *value, struct err *err)
{
    if (str_equal(value, "start")) {
        *on_error = FINGERPRINT_ERROR_START;
    } else if (str_equal(value, "refuse")) {
        *on_error = FINGERPRINT_ERROR_REFUSE;
    } else {
        return err_set(err, -EINVAL, "on_error is to be start or refuse, not '%s'", value);
    }
    return 0;
}

static int set_number(struct settings *settings, const struct key *key, const char *value,
                      struct err *err)
{
    uint64_t number;

    if (!str_to_u64(value, key->max, &number) || number < key->min) {
        return err_set(err, -EINVAL, "%s is to be a number from %u to %u, not '%s'", key->name,
                       key->min, key->max, value);
    }
    *(unsigned *)field(settings, key) = (unsigned)number;
    return 0;
}

static bool is_url(const char *value)
{
    for (const char *c = value; *c != '\0'; c++) {
        if (!ascii_is_print(*c) || *c == ' ') {
            return false;
        }
    }
    return str_starts(value, "https://") && value[strlen("https://")] != '\0';
}

static bool is_node(const char *value)
{
    for (const char *c = value; *c != '\0'; c++) {
        if (!ascii_is_alnum(*c) && (*c != '-' || c == value)) {
            return false;
        }
    }
    return *value != '\0' && strlen(value) <= NODE_MAX;
}

static int set_value(struct settings *settings, const struct key *key, const char *value,
                     struct err *err)
{
    switch (key->kind) {
    case KIND_URL:
        return set_text(settings, key, value, is_url(value), "an https:// address", err);
    case KIND_PATH:
        return set_text(settings, key, value, *value == '/', "an absolute path", err);
    case KIND_NODE:
        return set_text(settings, key, value, is_node(value), "the name of this node", err);
    case KIND_DRIFT:
        return set_drift(field(settings, key), value, err);
    case KIND_ERROR:
        return set_on_error(field(settings, key), value, err);
    case KIND_BOOL:
        return propstr_bool(value, field(settings, key))
                   ? 0
                   : err_set(err, -EINVAL, "%s is to be 0 or 1, not '%s'", key->name, value);
    case KIND_NUMBER:
        return set_number(settings, key, value, err);
    }
    return -EINVAL; /* not reached: all kinds are above */
}

static const struct key *key_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (str_equal(keys[i].name, name)) {
            return &keys[i];
        }
    }
    return NULL;
}

static int unknown_key(const char *name, struct err *err)
{
    struct buf known = BUF_INIT(0);
    CLEANUP_FREE char *text = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        buf_addf(&known, "%s%s", i == 0 ? "" : " ", keys[i].name);
    }
    text = buf_steal(&known);
    return text == NULL
               ? err_oom(err)
               : err_set(err, -EINVAL, "there is no key '%.64s'; the keys are: %s", name, text);
}

/* Blanks at both ends are cut, in place. */
static char *trim(char *text)
{
    size_t len;

    while (ascii_is_space(*text)) {
        text++;
    }
    len = strlen(text);
    while (len > 0 && ascii_is_space(text[len - 1])) {
        len--;
    }
    text[len] = '\0';
    return text;
}

/* `seen` has a bit for every key of the table. */
static int read_line(struct settings *settings, char *line, uint32_t *seen, struct err *err)
{
    char *name = trim(line);
    char *colon = strchr(name, ':');
    const struct key *key;
    uint32_t bit;

    if (*name == '\0' || *name == '#') {
        return 0;
    }
    if (colon == NULL) {
        return err_set(err, -EINVAL, "neither `key: value` nor a comment (#): '%.64s'", name);
    }
    *colon = '\0';
    key = key_find(trim(name));
    if (key == NULL) {
        return unknown_key(name, err);
    }
    bit = UINT32_C(1) << (key - keys);
    if ((*seen & bit) != 0) {
        return err_set(err, -EINVAL, "%s is there twice: keep one", key->name);
    }
    *seen |= bit;
    return set_value(settings, key, trim(colon + 1), err);
}

static int read_lines(struct settings *settings, char *text, struct err *err)
{
    unsigned number = 0;
    uint32_t seen = 0;

    _Static_assert(ARRAY_SIZE(keys) <= 32, "`seen` has a bit for every key");
    for (char *line = text; line != NULL;) {
        char *newline = strchr(line, '\n');
        int rc;

        if (newline != NULL) {
            *newline = '\0';
        }
        number++;
        rc = read_line(settings, line, &seen, err);
        if (rc < 0) {
            return rc == -ENOMEM ? rc : err_prefix(err, rc, "line %u", number);
        }
        line = newline == NULL ? NULL : newline + 1;
    }
    return 0;
}

int settings_parse(const char *text, size_t len, struct settings **ret, struct err *err)
{
    CLEANUP(settings_freep) struct settings *settings = NULL;
    CLEANUP_FREE char *copy = NULL;
    int rc;

    if (len > SETTINGS_MAX) {
        return err_set(err, -EINVAL, "more than %d bytes", SETTINGS_MAX);
    }
    if (len > 0 && memchr(text, '\0', len) != NULL) {
        return err_set(err, -EINVAL, "it has a NUL byte: not a text");
    }
    settings = settings_new();
    copy = str_ndup(text, len);
    if (settings == NULL || copy == NULL) {
        return err_oom(err);
    }
    rc = read_lines(settings, copy, err);
    if (rc < 0) {
        return rc;
    }
    *ret = STEAL(settings);
    return 0;
}

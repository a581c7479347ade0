/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See storagecfg.h. */
#include "core/storagecfg.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

static const char local_path[] = "/var/lib/vz";
static const char local_content[] = "backup,images,iso,rootdir,snippets,vztmpl";

static void item_fini(struct storagecfg_item *item)
{
    free(item->id);
    free(item->type);
    free(item->path);
    free(item->content);
    free(item->content_dirs);
    *item = (struct storagecfg_item){0};
}

void storagecfg_free(struct storagecfg *cfg)
{
    if (cfg == NULL) {
        return;
    }
    for (size_t i = 0; i < cfg->n; i++) {
        item_fini(&cfg->items[i]);
    }
    free(cfg->items);
    free(cfg);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Letters, digits and what PVE allows in names of storages and types. */
static bool is_word(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (!ascii_is_alnum(text[i]) && (i == 0 || strchr("-_.", text[i]) == NULL)) {
            return false;
        }
    }
    return len > 0;
}

/* "dir: local": a new item, or NULL in *ret where the line is no header. */
static int read_header(struct storagecfg *cfg, const char *line, struct storagecfg_item **ret,
                       struct err *err)
{
    const char *colon = strchr(line, ':');
    const char *id = colon == NULL ? NULL : colon + 1 + strspn(colon + 1, " \t");
    size_t len = id == NULL ? 0 : strcspn(id, " \t\r");
    struct storagecfg_item *item;

    *ret = NULL;
    if (id == NULL || !is_word(line, (size_t)(colon - line)) || !is_word(id, len)) {
        return 0;
    }
    if (cfg->n == STORAGECFG_ITEMS_MAX) {
        return err_set(err, -EINVAL, "more than %d storages", STORAGECFG_ITEMS_MAX);
    }
    if (vec_reserve(&cfg->items, cfg->n, &cfg->cap, sizeof(cfg->items[0])) < 0) {
        return err_oom(err);
    }
    item = &cfg->items[cfg->n];
    *item = (struct storagecfg_item){.id = str_ndup(id, len),
                                     .type = str_ndup(line, (size_t)(colon - line))};
    cfg->n++;
    *ret = item;
    return item->id == NULL || item->type == NULL ? err_oom(err) : 0;
}

/* "<tab>path /var/lib/vz": the first of a key counts, as with PVE. */
static int read_key(struct storagecfg_item *item, char *line, struct err *err)
{
    char *key = line + strspn(line, " \t");
    char *value = key + strcspn(key, " \t");
    size_t len = strlen(value);
    char **at = NULL;

    while (len > 0 && ascii_is_space(value[len - 1])) {
        value[--len] = '\0';
    }
    if (*value != '\0') {
        *value++ = '\0';
        value += strspn(value, " \t");
    }
    if (str_equal(key, "disable")) {
        item->disabled = !str_equal(value, "0");
    } else if (str_equal(key, "path")) {
        at = &item->path;
    } else if (str_equal(key, "content")) {
        at = &item->content;
    } else if (str_equal(key, "content-dirs")) {
        at = &item->content_dirs;
    }
    if (at == NULL || *at != NULL) {
        return 0;
    }
    *at = str_dup(value);
    return *at == NULL ? err_oom(err) : 0;
}

static int read_lines(struct storagecfg *cfg, char *text, struct err *err)
{
    struct storagecfg_item *item = NULL;
    int rc = 0;

    for (char *line = text; rc == 0 && line != NULL;) {
        char *next = strchr(line, '\n');

        if (next != NULL) {
            *next++ = '\0';
        }
        if (line[strspn(line, " \t")] == '#') {
            /* a comment does not end a section */
        } else if (*line == '\0') {
            item = NULL;
        } else if (*line != ' ' && *line != '\t') {
            rc = read_header(cfg, line, &item, err);
        } else if (item != NULL) {
            rc = read_key(item, line, err);
        }
        line = next;
    }
    return rc;
}

/* PVE's own repair of `local`. */
static int complete_local(struct storagecfg *cfg, struct err *err)
{
    struct storagecfg_item *local = (struct storagecfg_item *)storagecfg_find(cfg, "local");
    bool usable = local != NULL && str_equal(local->type, "dir") &&
                  (local->path == NULL || str_equal(local->path, local_path));

    if (local == NULL) {
        if (vec_reserve(&cfg->items, cfg->n, &cfg->cap, sizeof(cfg->items[0])) < 0) {
            return err_oom(err);
        }
        local = &cfg->items[cfg->n++];
        *local = (struct storagecfg_item){0};
    }
    if (!usable) {
        item_fini(local);
        *local = (struct storagecfg_item){
            .id = str_dup("local"), .type = str_dup("dir"), .content = str_dup(local_content)};
        if (local->id == NULL || local->type == NULL || local->content == NULL) {
            return err_oom(err);
        }
    }
    return str_replace(&local->path, local_path) < 0 ? err_oom(err) : 0;
}

int storagecfg_parse(const char *text, size_t len, struct storagecfg **ret, struct err *err)
{
    CLEANUP(storagecfg_freep) struct storagecfg *cfg = calloc(1, sizeof(*cfg));
    CLEANUP_FREE char *copy = NULL;
    int rc;

    if (len > STORAGECFG_MAX) {
        return err_set(err, -EINVAL, "storage.cfg: more than %d bytes", STORAGECFG_MAX);
    }
    if (len > 0 && memchr(text, '\0', len) != NULL) {
        return err_set(err, -EINVAL, "storage.cfg: it has a NUL byte: not a text");
    }
    copy = str_ndup(len > 0 ? text : "", len);
    if (cfg == NULL || copy == NULL) {
        return err_oom(err);
    }
    rc = read_lines(cfg, copy, err);
    rc = rc < 0 ? rc : complete_local(cfg, err);
    if (rc < 0) {
        return rc;
    }
    *ret = STEAL(cfg);
    return 0;
}

/* --- asking ----------------------------------------------------------------------------------- */

const struct storagecfg_item *storagecfg_find(const struct storagecfg *cfg, const char *id)
{
    for (size_t i = 0; i < cfg->n; i++) {
        if (str_equal(cfg->items[i].id, id)) {
            return &cfg->items[i];
        }
    }
    return NULL;
}

/* The item "name" or "name=..." of a list; what is behind `name` in *ret_len bytes. */
static const char *list_find(const char *list, const char *name, size_t *ret_len)
{
    size_t name_len = strlen(name);

    for (const char *at = list; at != NULL && *at != '\0';) {
        size_t len;

        at += strspn(at, ", ;\t");
        len = strcspn(at, ", ;\t");
        if (len >= name_len && memcmp(at, name, name_len) == 0 &&
            (len == name_len || at[name_len] == '=')) {
            *ret_len = len - name_len;
            return at + name_len;
        }
        at += len;
    }
    return NULL;
}

bool storagecfg_has_content(const struct storagecfg_item *item, const char *type)
{
    size_t rest;

    return list_find(item->content, type, &rest) != NULL && rest == 0;
}

int storagecfg_snippets_dir(const struct storagecfg_item *item, char **ret, struct err *err)
{
    size_t len = 0;
    const char *dir = list_find(item->content_dirs, "snippets", &len);

    if (item->path == NULL || item->path[0] != '/') {
        return err_set(err, -ENOENT, "storage '%s' (%s) has no directory", item->id, item->type);
    }
    for (; len > 0 && (*dir == '=' || *dir == '/'); len--) {
        dir++;
    }
    *ret = len > 0 ? str_printf("%s/%.*s", item->path, (int)len, dir)
                   : str_printf("%s/snippets", item->path);
    return *ret == NULL ? err_oom(err) : 0;
}

static const char snippets_part[] = ":snippets/";

bool storagecfg_is_snippet(const char *volid)
{
    const char *part = strstr(volid, snippets_part);
    const char *name = part == NULL ? NULL : part + strlen(snippets_part);

    if (part == NULL || !is_word(volid, (size_t)(part - volid)) || *name == '\0' ||
        str_equal(name, ".") || str_equal(name, "..")) {
        return false;
    }
    for (const char *c = name; *c != '\0'; c++) {
        if (*c == '/' || *c == ' ' || !ascii_is_print(*c)) {
            return false;
        }
    }
    return true;
}

int storagecfg_snippet_path(const struct storagecfg *cfg, const char *volid, char **ret,
                            struct err *err)
{
    CLEANUP_FREE char *id = NULL;
    CLEANUP_FREE char *dir = NULL;
    const struct storagecfg_item *item;
    const char *part = strstr(volid, snippets_part);
    int rc;

    if (!storagecfg_is_snippet(volid) || part == NULL) {
        return err_set(err, -EINVAL, "'%.100s' is not the volume of a snippet", volid);
    }
    id = str_ndup(volid, (size_t)(part - volid));
    if (id == NULL) {
        return err_oom(err);
    }
    item = storagecfg_find(cfg, id);
    if (item == NULL) {
        return err_set(err, -ENOENT, "storage '%.100s' does not exist", id);
    }
    rc = storagecfg_snippets_dir(item, &dir, err);
    if (rc < 0) {
        return rc;
    }
    *ret = str_printf("%s/%s", dir, part + strlen(snippets_part));
    return *ret == NULL ? err_oom(err) : 0;
}

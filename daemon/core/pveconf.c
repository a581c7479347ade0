/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See pveconf.h: the values. The text is read in pveconf_parse.c.
 */
#include "core/pveconf.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/pveconf_build.h"

void pveconf_section_fini(struct pveconf_section *section)
{
    pveconf_section_clear(section);
    free(section->keys);
    free(section->name);
    *section = (struct pveconf_section){0};
}

void pveconf_section_clear(struct pveconf_section *section)
{
    for (size_t i = 0; i < section->n; i++) {
        free(section->keys[i].key);
        free(section->keys[i].value);
    }
    section->n = 0;
}

void pveconf_free(struct pveconf *conf)
{
    if (conf == NULL) {
        return;
    }
    for (size_t i = 0; i < conf->n_sections; i++) {
        pveconf_section_fini(&conf->sections[i]);
    }
    for (size_t i = 0; i < conf->n_bad; i++) {
        free(conf->bad[i].text);
        free(conf->bad[i].why);
    }
    free(conf->sections);
    free(conf->bad);
    free(conf->description);
    free(conf);
}

static struct pveconf_key *section_find(const struct pveconf_section *section, const char *key)
{
    for (size_t i = 0; section != NULL && i < section->n; i++) {
        if (str_equal(section->keys[i].key, key)) {
            return &section->keys[i];
        }
    }
    return NULL;
}

static const char *section_get(const struct pveconf_section *section, const char *key)
{
    const struct pveconf_key *found = section_find(section, key);

    return found == NULL ? NULL : found->value;
}

int pveconf_section_set(struct pveconf_section *section, const char *key, const char *value,
                        unsigned line)
{
    struct pveconf_key *found = section_find(section, key);
    CLEANUP_FREE char *key_copy = NULL;
    CLEANUP_FREE char *value_copy = NULL;
    int rc;

    if (found != NULL) {
        found->line = line;
        return str_replace(&found->value, value);
    }
    if (section->n >= PVECONF_KEYS_MAX) {
        return -E2BIG;
    }
    rc = vec_reserve(&section->keys, section->n, &section->cap, sizeof(section->keys[0]));
    key_copy = str_dup(key);
    value_copy = str_dup(value);
    if (rc < 0 || key_copy == NULL || value_copy == NULL) {
        return -ENOMEM;
    }
    section->keys[section->n++] = (struct pveconf_key){
        .key = STEAL(key_copy), .value = STEAL(value_copy), .line = line};
    return 0;
}

static void section_remove(struct pveconf_section *section, const char *key)
{
    struct pveconf_key *found = section_find(section, key);

    if (found == NULL) {
        return;
    }
    free(found->key);
    free(found->value);
    section->n--;
    memmove(found, found + 1, (size_t)(section->keys + section->n - found) * sizeof(*found));
}

int pveconf_add_section(struct pveconf *conf, enum pveconf_kind kind, const char *name)
{
    CLEANUP_FREE char *copy = NULL;
    int rc;

    if (conf->n_sections >= PVECONF_SECTIONS_MAX) {
        return -E2BIG;
    }
    rc = vec_reserve(&conf->sections, conf->n_sections, &conf->cap_sections,
                     sizeof(conf->sections[0]));
    copy = str_dup(name);
    if (rc < 0 || copy == NULL) {
        return -ENOMEM;
    }
    conf->sections[conf->n_sections++] = (struct pveconf_section){.kind = kind,
                                                                  .name = STEAL(copy)};
    return 0;
}

int pveconf_add_bad(struct pveconf *conf, unsigned line, const char *text, const char *why)
{
    CLEANUP_FREE char *text_copy = NULL;
    CLEANUP_FREE char *why_copy = NULL;
    int rc;

    if (conf->n_bad >= PVECONF_BAD_MAX) {
        return 0;
    }
    rc = vec_reserve(&conf->bad, conf->n_bad, &conf->cap_bad, sizeof(conf->bad[0]));
    text_copy = str_dup(text);
    why_copy = str_dup(why);
    if (rc < 0 || text_copy == NULL || why_copy == NULL) {
        return -ENOMEM;
    }
    conf->bad[conf->n_bad++] = (struct pveconf_bad){
        .line = line, .text = STEAL(text_copy), .why = STEAL(why_copy)};
    return 0;
}

const struct pveconf_section *pveconf_section(const struct pveconf *conf, enum pveconf_kind kind)
{
    for (size_t i = 0; i < conf->n_sections; i++) {
        if (conf->sections[i].kind == kind) {
            return &conf->sections[i];
        }
    }
    return NULL;
}

const char *pveconf_get(const struct pveconf *conf, const char *key)
{
    return section_get(&conf->sections[0], key);
}

/* PVE carries the deletions out first and sets the values then: a key in both ends up set. */
const char *pveconf_get_pending(const struct pveconf *conf, const char *key)
{
    const char *value = section_get(pveconf_section(conf, PVECONF_PENDING), key);

    if (value != NULL && !str_equal(key, "delete")) {
        return value;
    }
    return pveconf_pending_deletes(conf, key) ? NULL : pveconf_get(conf, key);
}

bool pveconf_has_pending(const struct pveconf *conf)
{
    const struct pveconf_section *pending = pveconf_section(conf, PVECONF_PENDING);

    return pending != NULL && pending->n > 0;
}

/* The next item of a `delete:` list from *at on; NULL: none. A '!' in front is skipped. */
static const char *delete_next(const char **at, size_t *ret_len)
{
    static const char separators[] = ",; \t\r\n\v\f";
    const char *item = *at + strspn(*at, separators);

    if (*item == '\0') {
        return NULL;
    }
    *at = item + strcspn(item, separators);
    item += *item == '!' ? 1 : 0;
    *ret_len = (size_t)(*at - item);
    return item;
}

bool pveconf_pending_deletes(const struct pveconf *conf, const char *key)
{
    const char *at = section_get(pveconf_section(conf, PVECONF_PENDING), "delete");
    const char *item;
    size_t len;

    while (at != NULL && (item = delete_next(&at, &len)) != NULL) {
        if (strlen(key) == len && memcmp(item, key, len) == 0) {
            return true;
        }
    }
    return false;
}

static int section_copy(const struct pveconf_section *from, struct pveconf *to)
{
    int rc = pveconf_add_section(to, from->kind, from->name);

    for (size_t i = 0; rc == 0 && i < from->n; i++) {
        rc = pveconf_section_set(&to->sections[to->n_sections - 1], from->keys[i].key,
                                 from->keys[i].value, from->keys[i].line);
    }
    return rc;
}

/* Everything but [PENDING]. */
static int copy_without_pending(const struct pveconf *from, struct pveconf *to)
{
    int rc = str_replace(&to->description, from->description);

    for (size_t i = 0; rc == 0 && i < from->n_sections; i++) {
        if (from->sections[i].kind != PVECONF_PENDING) {
            rc = section_copy(&from->sections[i], to);
        }
    }
    for (size_t i = 0; rc == 0 && i < from->n_bad; i++) {
        rc = pveconf_add_bad(to, from->bad[i].line, from->bad[i].text, from->bad[i].why);
    }
    return rc;
}

static void delete_pending(const struct pveconf *from, struct pveconf *to)
{
    struct pveconf_section *main_section = &to->sections[0];

    for (size_t i = main_section->n; i-- > 0;) {
        if (pveconf_pending_deletes(from, main_section->keys[i].key)) {
            section_remove(main_section, main_section->keys[i].key);
        }
    }
    if (pveconf_pending_deletes(from, "description")) {
        (void)str_replace(&to->description, NULL); /* cannot fail: nothing is copied */
    }
}

static int set_pending(const struct pveconf_section *pending, struct pveconf *to)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < pending->n; i++) {
        const struct pveconf_key *key = &pending->keys[i];

        if (str_equal(key->key, "description")) {
            rc = str_replace(&to->description, key->value);
        } else if (!str_equal(key->key, "delete")) {
            rc = pveconf_section_set(&to->sections[0], key->key, key->value, key->line);
        }
    }
    return rc;
}

int pveconf_apply_pending(const struct pveconf *conf, struct pveconf **ret_conf)
{
    CLEANUP(pveconf_freep) struct pveconf *copy = calloc(1, sizeof(*copy));
    const struct pveconf_section *pending = pveconf_section(conf, PVECONF_PENDING);
    int rc = copy == NULL ? -ENOMEM : copy_without_pending(conf, copy);

    if (rc == 0 && pending != NULL) {
        delete_pending(conf, copy);
        rc = set_pending(pending, copy);
    }
    if (rc < 0) {
        return rc;
    }
    *ret_conf = STEAL(copy);
    return 0;
}

int pveconf_set(struct pveconf *conf, const char *key, const char *value)
{
    if (value == NULL) {
        section_remove(&conf->sections[0], key);
        return 0;
    }
    return pveconf_section_set(&conf->sections[0], key, value, 0);
}

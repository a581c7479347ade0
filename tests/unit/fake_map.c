/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests: a sorted map of texts; see fake_pve.h. Aborts without memory. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "fake_pve_priv.h"

static size_t map_index(const struct fake_map *map, const char *key)
{
    size_t i = 0;

    while (i < map->n && strcmp(map->items[i].key, key) < 0) {
        i++;
    }
    return i;
}

const char *fake_map_get(const struct fake_map *map, const char *key)
{
    size_t i = map_index(map, key);

    return i < map->n && str_equal(map->items[i].key, key) ? map->items[i].value : NULL;
}

void fake_map_set(struct fake_map *map, const char *key, const char *value)
{
    char *copy = str_dup(value); /* value may be the one that is replaced */
    size_t i = map_index(map, key);
    bool there = i < map->n && str_equal(map->items[i].key, key);

    if (there) {
        free(map->items[i].value);
        map->items[i].value = copy;
    }
    if (there && copy == NULL) {
        free(map->items[i].key);
        memmove(&map->items[i], &map->items[i + 1], (map->n - i - 1) * sizeof(map->items[0]));
        map->n--;
    }
    if (there || copy == NULL) {
        return;
    }
    if (vec_reserve(&map->items, map->n, &map->cap, sizeof(map->items[0])) < 0) {
        abort();
    }
    memmove(&map->items[i + 1], &map->items[i], (map->n - i) * sizeof(map->items[0]));
    map->items[i] = (struct fake_pair){.key = str_dup(key), .value = copy};
    map->n++;
}

void fake_map_fini(struct fake_map *map)
{
    while (map->n > 0) {
        fake_map_set(map, map->items[map->n - 1].key, NULL);
    }
    free(map->items);
}

void fake_map_copy(const struct fake_map *from, struct fake_map *ret_to)
{
    *ret_to = (struct fake_map){0};
    for (size_t i = 0; i < from->n; i++) {
        fake_map_set(ret_to, from->items[i].key, from->items[i].value);
    }
}

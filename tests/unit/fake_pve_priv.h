/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the fake node share: fake_pve.c (calls, faults), fake_pve_conf.c (the file). */
#ifndef TESTS_FAKE_PVE_PRIV_H
#define TESTS_FAKE_PVE_PRIV_H

#include "fake_pve.h"

const char *fake_map_get(const struct fake_map *map, const char *key);
void fake_map_set(struct fake_map *map, const char *key, const char *value); /* NULL: away */
void fake_map_fini(struct fake_map *map);

bool fake_pve_is_disk(const char *key);
bool fake_pve_volume_is_away(const struct fake_pve *pve, const char *value);
/* As a start, or any later PUT to a stopped VM, does it. */
void fake_pve_apply_pending(struct fake_pve *pve);
/* PUT config: NULL, or PVE's words (the caller's). */
char *fake_pve_put(struct fake_pve *pve, const struct api_request *request, int *ret_status);
char *fake_pve_digest(const struct fake_pve *pve);

#endif

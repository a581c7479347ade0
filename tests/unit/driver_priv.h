/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the driver's files share: driver.c (life), driver_journal.c, driver_hook.c,
 * driver_check.c (questions), driver_trouble.c (what it meets). */
#ifndef TESTS_DRIVER_PRIV_H
#define TESTS_DRIVER_PRIV_H

#include "driver.h"

enum { DRIVER_VMID = 105 };
const char *driver_now(struct driver *d); /* its text, until the next call */

void driver_say(const struct driver *d, const char *a, const char *b);
/* 0, or -EIO: not on disk and so not in memory (engine_record()). */
int driver_record(struct driver *d, json_t *record);
/* Reads the journal anew, compares, and takes it. */
void driver_replay_memory(struct driver *d);
/* What somebody took off stays off, unless that may have been our own half of a move. */
void driver_watch_put_back(struct driver *d, const struct api_request *request);
/* What the hook answers; for fake_pve. */
int driver_pre_start(void *userdata, bool ours, const char *worker);

#endif

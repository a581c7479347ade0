/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Questions to PVE's API with the daemon's own token, one after the other, each waited for: what
 * the daemon would be told. */
#ifndef CLI_API_ASK_H
#define CLI_API_ASK_H

#include "base/err.h"
#include "base/macros.h"
#include "core/api.h"
#include "core/settings.h"

struct api_ask;

/* Reads the token file. `ret_name` (may be NULL; the caller's): user@realm!name of the token. */
int api_ask_open(const struct settings *settings, struct api_ask **ret, char **ret_name,
                 struct err *err);
void api_ask_close(struct api_ask *ask);
DEFINE_CLEANUP(struct api_ask, api_ask_close)

/* Takes over `request` (NULL: out of memory). 0 whatever PVE says, which is in *ret_reply; it has
 * to be freed with api_reply_fini(). */
int api_ask_send(struct api_ask *ask, struct api_request *request, struct api_reply *ret_reply,
                 struct err *err);

#endif

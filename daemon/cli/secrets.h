/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the command line is trusted with while it talks to vCenter: the password and the session.
 * One page of its own, locked into memory and left out of core dumps; nothing of it reaches
 * arguments, environment, log or a file. libcurl copies a header line while it sends it, and those
 * copies we cannot wipe: so the whole process is made undumpable for as long as it lives.
 */
#ifndef CLI_SECRETS_H
#define CLI_SECRETS_H

#include "base/err.h"
#include "base/macros.h"
#include "core/vcenter.h"

enum {
    SECRETS_PASSWORD_SIZE = 512, /* with the NUL; vCenter's limit is far lower */
    SECRETS_USER_MAX = 255,
    SECRETS_HEADER_SIZE = 1088, /* "Authorization: Basic " and the base64 of both */
};

struct secrets {
    char password[SECRETS_PASSWORD_SIZE];
    char login[SECRETS_HEADER_SIZE];         /* a whole header line */
    char session[VCENTER_SESSION_SIZE + 32]; /* likewise; "" : not logged in */
};

/* NULL: no memory. */
struct secrets *secrets_new(void);
void secrets_free(struct secrets *secrets); /* wipes */
DEFINE_CLEANUP(struct secrets, secrets_free)

/* One line of a regular file of our own (or root's) that nobody else may read. */
int secrets_read_password(struct secrets *secrets, const char *path, struct err *err);
/* From the terminal, without echo. -EINTR: a signal of those that are blocked came. */
int secrets_ask_password(struct secrets *secrets, const char *user, const char *host,
                         struct err *err);
/* Makes secrets->login, and forgets the password by itself. */
void secrets_make_login(struct secrets *secrets, const char *user);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the daemon is trusted with: the API token, a secret of a type of its own that reaches no
 * log, argument, environment or journal and is wiped when freed; and the places where systemd puts
 * credentials ($CREDENTIALS_DIRECTORY, see LoadCredential= in systemd.exec(5)).
 */
#ifndef CREDENTIAL_H
#define CREDENTIAL_H

#include "base/err.h"

struct secret;

/* Reads "user@realm!name=secret", one line, from $CREDENTIALS_DIRECTORY/token where that file
 * exists, else from `token_file`: a regular file of root or of our own user that nobody else may
 * read. The sentence of an error names file and cure, never the content. */
int secret_read_token(const char *token_file, struct secret **ret, struct err *err);
const char *secret_text(const struct secret *secret);
void secret_free(struct secret *secret);
DEFINE_CLEANUP(struct secret, secret_free)

/* Has `text` the shape of a token? The sentence never quotes it. */
int secret_check_token(const char *text, struct err *err);

/* The path of a credential, or a copy of `otherwise` where there is none. The caller's; NULL: no
 * memory. */
char *credential_path(const char *name, const char *otherwise);

#endif

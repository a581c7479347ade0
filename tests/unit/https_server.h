/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tests/helpers/https_server.py for C tests: started with certificates of its own in a new
 * directory below /tmp, ended by closing its stdin. And an event loop that is run until something
 * has happened, never for ever.
 */
#ifndef TEST_HTTPS_SERVER_H
#define TEST_HTTPS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

enum { HTTPS_TLS, HTTPS_WRONG_NAME, HTTPS_PLAIN, HTTPS_HANGING, HTTPS_PORTS };

struct https_server {
    char dir[64];
    pid_t pid;
    int stdin_fd;
    unsigned ports[HTTPS_PORTS];
};

int https_server_start(struct https_server *server); /* 0 or -1 */
void https_server_stop(struct https_server *server);
/* "DIR/name" in a static buffer. */
const char *https_server_path(const struct https_server *server, const char *name);
/* Everything the server has noted; the caller's. */
char *https_server_log(const struct https_server *server);
void https_server_forget_log(const struct https_server *server);
/* How many lines of the log begin with `start` and end with `end`. */
size_t https_server_count(const struct https_server *server, const char *start, const char *end);

/* Removes a directory with all that is in it. */
void remove_tree(const char *path);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tests/helpers/https_server.py for C tests: started with certificates of its own in a new
 * directory below /tmp, ended by closing its stdin.
 */
#ifndef TEST_HTTPS_SERVER_H
#define TEST_HTTPS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

enum https_port { HTTPS_TLS, HTTPS_WRONG_NAME, HTTPS_PLAIN, HTTPS_HANGING, HTTPS_PORTS };

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
/* Runs the loop until the server has `wanted` requests whose line ends with `end`; false: they do
 * not come. */
bool https_server_reached(const struct https_server *server, sd_event *event, const char *end,
                          size_t wanted);
/* Requests for /hold/NAME are answered from now on. */
void https_server_let_go(const struct https_server *server, const char *name);

/* Removes a directory with all that is in it. */
void remove_tree(const char *path);

#endif

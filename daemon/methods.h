/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The methods of io.pvehwid (conf/io.pvehwid.varlink): from a call to the engine and back. */
#ifndef METHODS_H
#define METHODS_H

#include "engine.h"
#include "server.h"

extern const struct server_method methods_table[];
extern const size_t methods_count;

/* The server's userdata. */
struct methods {
    sd_event *event;
    struct engine *engine;
};

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every Varlink service answers about itself: org.varlink.service. For server.c. */
#ifndef SERVICE_H
#define SERVICE_H

#include <stdbool.h>

#include "server.h"

/* Ends the call and returns true where it is one of GetInfo and GetInterfaceDescription. */
bool service_answer(struct server_call *call, const struct server_settings *settings);
/* Ends the call with InterfaceNotFound or MethodNotFound. */
void service_not_found(struct server_call *call);

#endif

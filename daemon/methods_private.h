/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What methods.c (the table, questions) and methods_change.c (what changes a VM) share. */
#ifndef METHODS_PRIVATE_H
#define METHODS_PRIVATE_H

#include "methods.h"

/* Answers with the error of the interface that stands for -errno. */
void methods_fail(struct server_call *call, uint32_t vmid, int code, const struct err *err);
/* The one parameter of most methods; 0: an answer was given already. */
uint32_t methods_vmid(struct server_call *call);

void method_apply(struct server_call *call, void *userdata);
void method_undo(struct server_call *call, void *userdata);
void method_hold(struct server_call *call, void *userdata);
void method_resume(struct server_call *call, void *userdata);
void method_running(struct server_call *call, void *userdata);
void method_verify(struct server_call *call, void *userdata);

#endif

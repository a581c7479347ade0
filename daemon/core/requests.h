/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The few calls of PVE's API that pve-hwid makes for one VM, as values. That `force` is not among
 * their parameters, and one disk at most is removed per call, can be read here (law 2).
 */
#ifndef CORE_REQUESTS_H
#define CORE_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/api.h"
#include "core/plan.h"

struct requests_vm {
    const char *node;
    uint32_t vmid;
};

/* All return NULL where there is no memory. */
struct api_request *requests_status(struct requests_vm vm);      /* GET status/current */
struct api_request *requests_config(struct requests_vm vm);      /* GET config, for its digest */
struct api_request *requests_pending(struct requests_vm vm);     /* GET pending */
struct api_request *requests_permissions(struct requests_vm vm); /* GET /access/permissions */
/* ... on the zone path of a bridge: SDN.Use is asked for when a network card is changed. */
struct api_request *requests_bridge_permissions(const char *bridge);
struct api_request *requests_machines(const char *node);
struct api_request *requests_vms(void); /* GET /cluster/resources?type=vm: where all VMs are */
struct api_request *requests_task(struct requests_vm vm, const char *upid);
/* GET tasks: the starts of this VM since then that our token may see, ended or not. */
struct api_request *requests_starts(struct requests_vm vm, int64_t since);
struct api_request *requests_start(struct requests_vm vm); /* POST status/start */
/* PUT slot=<its present value>: changes nothing, fails where the volume is away (06p). */
struct api_request *requests_probe(struct requests_vm vm, const struct plan_step *step,
                                   const char *digest);
struct api_request *requests_step(struct requests_vm vm, const struct plan_step *step,
                                  const char *digest);
/* PUT revert=<keys, comma separated; NULL: none>, and options that get a value of their own back.
 * `digest`: of the look that found them (GET pending has it): on a configuration that somebody
 * changed since, setting back could attach a disk twice. */
struct api_request *requests_revert(struct requests_vm vm, const char *keys,
                                    const struct api_param *values, size_t n_values,
                                    const char *digest);
/* PUT of one or two options to given values: the second way back of a move (06q). boot may be NULL.
 * `revert`: what else the move left pending, else the new slot would get the volume, too; NULL:
 * none.
 */
struct api_request *requests_set_back(struct requests_vm vm, const struct api_param *slot,
                                      const char *boot, const char *revert, const char *digest);

/* PVE's answer to any of these where that node does not have the VM (any more). */
bool requests_vm_is_gone(const struct api_reply *reply);

/* Privileges on /vms/VMID that the daemon needs, NULL-terminated. */
extern const char *const requests_privileges[];

#endif

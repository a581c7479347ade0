/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * PVE's `netN` option: `MODEL=MAC,bridge=..` or `model=MODEL,macaddr=MAC,..` (recording 05).
 */
#ifndef CORE_NETDEV_H
#define CORE_NETDEV_H

#include <stdbool.h>

#include "base/err.h"
#include "core/fingerprint.h"
#include "core/propstr.h"

enum { NETDEV_MAX = 32 }; /* net0 to net31 */

struct netdev {
    char *model;         /* one of PVE's, as written */
    char mac[MAC_SIZE];  /* upper case as PVE writes it; "" where PVE makes one */
    struct propstr rest; /* bridge, tag, firewall, queues, mtu, ... in their order */
};

int netdev_parse(const char *value, struct netdev *ret, struct err *err);
void netdev_fini(struct netdev *net);
/* `MODEL=MAC,rest`; NULL: no memory. */
char *netdev_format(const struct netdev *net);
/* The PVE model for a VMware one; *ret_exact false where it only stands in. NULL: unknown model,
 * the present one stays. */
const char *netdev_model_for(enum fingerprint_nic_model model, bool *ret_exact);
/* Does this PVE model know that option? (`queues`, `mtu`, `host-tunnel`: virtio only.) */
bool netdev_model_knows(const char *model, const char *option);
/* True for "netN" with N below NETDEV_MAX. */
bool netdev_key_index(const char *key, int *ret_index);

#endif

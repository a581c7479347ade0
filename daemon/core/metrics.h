/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The daemon's numbers as Prometheus text (exposition format 0.0.4), for node_exporter's textfile
 * collector. Which numbers there are is one table; a metric or label that was published once keeps
 * its name and its meaning, because alerts ask for it.
 */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends all metrics. `numbers` is the answer to io.pvehwid.Metrics. -EPROTO: it is not
 * understood; -ENOMEM. On failure what was appended is of no use. */
int metrics_render(const json_t *numbers, struct buf *out, struct err *err);

/* What there is to say of a daemon that does not answer: pve_hwid_up 0. out->error tells. */
void metrics_render_down(struct buf *out);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See metrics.h. A family is a number, or an object of numbers (its keys are the values of one
 * label), or an object of such objects (two labels): one walk renders them all. What has another
 * shape (the VMs, the histogram) has a function of its own.
 *
 * VM by VM there is one series, its state as a label. Not a series for each state a VM is not in
 * (eleven times as many), and no name: names change, and monitoring can join them from elsewhere.
 */
#include "core/metrics.h"

#include <errno.h>

#include "base/str.h"

#define PREFIX "pve_hwid_"

struct family {
    const char *key; /* of the answer's member */
    const char *name;
    const char *type;
    const char *help;
    const char *labels[2]; /* NULL: none */
};

static const struct family families[] = {
    {"uptime_s", "uptime_seconds", "gauge", "How long the daemon has been running.", {NULL}},
    {"api_up", "api_up", "gauge", "1 if the last request to PVE's API was answered.", {NULL}},
    {"under_way",
     "rewrites_under_way",
     "gauge",
     "VMs whose configuration is being brought in line, holds not counted.",
     {NULL}},
    {"queues", "queue_length", "gauge", "VMs to look at, and requests that wait.", {"queue"}},
    {"starts_stopped",
     "starts_stopped_total",
     "counter",
     "Starts that were stopped on purpose, to be made again.",
     {NULL}},
    {"starts_made", "starts_made_total", "counter", "Of these, made again by pve-hwid.", {NULL}},
    {"starts_dropped",
     "starts_dropped_total",
     "counter",
     "Of these, not made again: the VM runs already, HA does it, or the start failed.",
     {NULL}},
    {"starts_unchecked",
     "starts_with_warning_total",
     "counter",
     "Starts let through although the VM differs or could not be checked.",
     {NULL}},
    {"stuck",
     "stuck_total",
     "counter",
     "Pending deletions of disks that could not be taken back.",
     {NULL}},
    {"changes", "changes_total", "counter", "Changing calls of rewrites, by result.", {"result"}},
    {"change_sets",
     "change_sets_total",
     "counter",
     "Rewrites that ended, by outcome.",
     {"outcome"}},
    {"api_requests",
     "api_requests_total",
     "counter",
     "Requests to PVE's API, by result: all but ok are errors.",
     {"result"}},
    {"hook_calls",
     "hook_calls_total",
     "counter",
     "Calls of the hook, by phase and answer.",
     {"phase", "answer"}},
};

static void add_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_addf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

/* NAME="VALUE", as the format escapes it. */
static void add_label(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, "%s=\"", name);
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            buf_adds(out, "\\n");
            continue;
        }
        if (*value == '\\' || *value == '"') {
            buf_addc(out, '\\');
        }
        buf_addc(out, *value);
    }
    buf_addc(out, '"');
}

static int misunderstood(struct err *err, const char *key)
{
    return err_set(err, -EPROTO, "it has no usable '%s'", key);
}

static bool is_count(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= 0;
}

/* One family at `value`, whose labels so far are the `depth` ones in `values`. */
static int add_samples(struct buf *out, const struct family *family, const json_t *value,
                       const char *const values[2], size_t depth)
{
    const char *inner[2] = {values[0], values[1]};
    const char *key;
    json_t *member;
    int rc = 0;

    if (depth < ARRAY_SIZE(family->labels) && family->labels[depth] != NULL) {
        if (!json_is_object(value)) {
            return -EPROTO;
        }
        json_object_foreach ((json_t *)value, key, member) { /* jansson's iterators: not const */
            inner[depth] = key;
            rc = rc < 0 ? rc : add_samples(out, family, member, inner, depth + 1);
        }
        return rc;
    }
    if (!is_count(value)) {
        return -EPROTO;
    }
    buf_addf(out, PREFIX "%s%s", family->name, depth > 0 ? "{" : "");
    for (size_t i = 0; i < depth; i++) {
        buf_adds(out, i > 0 ? "," : "");
        add_label(out, family->labels[i], values[i]);
    }
    buf_addf(out, "%s %lld\n", depth > 0 ? "}" : "", (long long)json_integer_value(value));
    return 0;
}

static int add_family(struct buf *out, const struct family *family, const json_t *numbers,
                      struct err *err)
{
    const char *const none[2] = {NULL, NULL};

    add_head(out, family->name, family->type, family->help);
    return add_samples(out, family, json_object_get(numbers, family->key), none, 0) < 0
               ? misunderstood(err, family->key)
               : 0;
}

/* --- the VMs ---------------------------------------------------------------------------------- */

static size_t size_of(const json_t *vms, const char *state)
{
    return json_array_size(json_object_get(vms, state));
}

static void add_states(struct buf *out, const json_t *vms)
{
    const char *state;
    json_t *list;

    add_head(out, "vms", "gauge", "VMs that have a fingerprint, by state.");
    json_object_foreach ((json_t *)vms, state, list) {
        buf_adds(out, PREFIX "vms{");
        add_label(out, "state", state);
        buf_addf(out, "} %zu\n", json_array_size(list));
    }
}

/* States with lists of VMIDs, all of it; how many VMs in all. */
static bool read_vms(const json_t *vms, size_t *ret_total)
{
    size_t total = 0;
    const char *state;
    json_t *list, *vmid;
    size_t i;

    json_object_foreach ((json_t *)vms, state, list) {
        if (!json_is_array(list)) {
            return false;
        }
        total += json_array_size(list);
        json_array_foreach (list, i, vmid) {
            if (!is_count(vmid)) {
                return false;
            }
        }
    }
    *ret_total = total;
    return json_is_object(vms);
}

static int add_vms(struct buf *out, const json_t *numbers, struct err *err)
{
    const json_t *vms = json_object_get(numbers, "vms");
    size_t total = 0;
    const char *state;
    json_t *list, *vmid;
    size_t i;

    if (!read_vms(vms, &total)) {
        return misunderstood(err, "vms");
    }
    add_head(out, "fingerprints", "gauge", "Fingerprints that were found.");
    buf_addf(out, PREFIX "fingerprints %zu\n", total);
    add_head(out, "fingerprints_bad", "gauge", "Of these, such that cannot be used.");
    buf_addf(out, PREFIX "fingerprints_bad %zu\n", size_of(vms, "bad-fingerprint"));
    add_states(out, vms);
    add_head(out, "vm_state", "gauge", "1 for the state that a VM is in.");
    json_object_foreach ((json_t *)vms, state, list) {
        json_array_foreach (list, i, vmid) {
            buf_addf(out, PREFIX "vm_state{vmid=\"%lld\",", (long long)json_integer_value(vmid));
            add_label(out, "state", state);
            buf_adds(out, "} 1\n");
        }
    }
    return 0;
}

/* --- the histogram ---------------------------------------------------------------------------- */

#define LATENCY "hook_pre_start_duration_seconds"

static void add_seconds(struct buf *out, json_int_t us)
{
    enum { US_PER_S = 1000000 };
    long long fraction = us % US_PER_S;
    int digits = 6;

    while (digits > 1 && fraction % 10 == 0) { /* "0.005": as Prometheus writes it itself */
        fraction /= 10;
        digits--;
    }
    buf_addf(out, "%lld.%0*lld", (long long)(us / US_PER_S), digits, fraction);
}

static int add_latency(struct buf *out, const json_t *numbers, struct err *err)
{
    const json_t *latency = json_object_get(numbers, "hook_latency");
    const json_t *bounds = json_object_get(latency, "bounds_us");
    const json_t *counts = json_object_get(latency, "counts");
    const json_t *sum = json_object_get(latency, "sum_us");
    size_t n = json_array_size(bounds);
    json_int_t total = 0;

    if (!json_is_array(bounds) || json_array_size(counts) != n + 1 || !is_count(sum)) {
        return misunderstood(err, "hook_latency");
    }
    add_head(out, LATENCY, "histogram",
             "From the hook's question to the answer, at pre-start, as the daemon sees it.");
    for (size_t i = 0; i <= n; i++) {
        const json_t *count = json_array_get(counts, i);

        if (!is_count(count) || (i < n && !is_count(json_array_get(bounds, i)))) {
            return misunderstood(err, "hook_latency");
        }
        total += json_integer_value(count);
        buf_adds(out, PREFIX LATENCY "_bucket{le=\"");
        if (i < n) {
            add_seconds(out, json_integer_value(json_array_get(bounds, i)));
        } else {
            buf_adds(out, "+Inf");
        }
        buf_addf(out, "\"} %lld\n", (long long)total);
    }
    buf_adds(out, PREFIX LATENCY "_sum ");
    add_seconds(out, json_integer_value(sum));
    buf_addf(out, "\n" PREFIX LATENCY "_count %lld\n", (long long)total);
    return 0;
}

/* --- all of it -------------------------------------------------------------------------------- */

static void add_up(struct buf *out, int up)
{
    add_head(out, "up", "gauge", "1 if the daemon answers.");
    buf_addf(out, PREFIX "up %d\n", up);
}

void metrics_render_down(struct buf *out)
{
    add_up(out, 0);
}

int metrics_render(const json_t *numbers, struct buf *out, struct err *err)
{
    const char *version = json_string_value(json_object_get(numbers, "version"));
    int rc = 0;

    if (version == NULL) {
        return misunderstood(err, "version");
    }
    add_up(out, 1);
    add_head(out, "build_info", "gauge", "The version of the daemon, as a label.");
    buf_adds(out, PREFIX "build_info{");
    add_label(out, "version", version);
    buf_adds(out, "} 1\n");
    rc = add_vms(out, numbers, err);
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(families); i++) {
        rc = add_family(out, &families[i], numbers, err);
    }
    rc = rc < 0 ? rc : add_latency(out, numbers, err);
    return rc == 0 && out->error != 0 ? err_oom(err) : rc;
}

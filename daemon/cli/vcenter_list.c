/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See vcenter.h: which VMs there are. vCenter gives a list whole or, where it is longer than its
 * limit (1000 in 6.5 to 6.7, 4000 in 7.0), not at all; there are no pages. So a list that is too
 * long is asked for host by host, and a host that is too long by power state. A list of exactly the
 * limit is not believed either.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cli/vcenter.h"

enum {
    LIMIT_6 = 1000,
    LIMIT_7 = 4000,
    FOLDERS_MAX = 5000, /* below the one that is named; also ends a circle */
    BODY_MAX = HTTP_BODY_MAX,
};

/* What every list of VMs is limited to; `host` and `state` on top of that. */
struct scope {
    struct vcenter_items folders, clusters;
};

static void scope_fini(struct scope *scope)
{
    vcenter_items_fini(&scope->folders);
    vcenter_items_fini(&scope->clusters);
}

/* Asks for a list: 0, or 1: too long. */
static int ask_list(struct vcenter_run *run, struct api_request *request, enum vcenter_kind kind,
                    struct vcenter_items *items, struct err *err)
{
    CLEANUP(buf_fini) struct buf body = BUF_INIT(BODY_MAX);
    int rc = vcenter_ask(run, request, &body, err);

    if (rc != 0) {
        return rc;
    }
    rc = vcenter_read_list(body.data, body.len, kind, items, err);
    return rc < 0 ? err_prefix(err, rc, "%s", run->url) : 0;
}

/* One filter, or none where `value` is NULL; takes the request over where it fails. */
static struct api_request *filtered(const struct vcenter_run *run, struct api_request *request,
                                    const char *key, const char *value)
{
    if (request != NULL && value != NULL &&
        vcenter_add_filter(request, run->dialect, key, value) < 0) {
        api_request_free(request);
        return NULL;
    }
    return request;
}

static struct api_request *filtered_by(const struct vcenter_run *run, struct api_request *request,
                                       const char *key, const struct vcenter_items *items)
{
    for (size_t i = 0; i < items->n; i++) {
        request = filtered(run, request, key, items->items[i].id);
    }
    return request;
}

/* --- folders and clusters --------------------------------------------------------------------- */

/* The folder that is named and all below it: a filter of vCenter takes only what lies directly in
 * one. */
static int find_folders(struct vcenter_run *run, struct vcenter_items *folders, struct err *err)
{
    struct api_request *request = vcenter_list(run->dialect, VCENTER_FOLDER);
    int rc;

    request = filtered(run, request, "names", run->options->folder);
    request = filtered(run, request, "type", "VIRTUAL_MACHINE");
    rc = ask_list(run, request, VCENTER_FOLDER, folders, err);
    if (rc == 0 && folders->n == 0) {
        return err_set(err, -ENOENT, "%s has no folder of VMs named \"%s\"", run->url,
                       run->options->folder);
    }
    for (size_t i = 0; rc == 0 && i < folders->n; i++) {
        if (folders->n > FOLDERS_MAX) {
            return err_set(err, -E2BIG, "there are more than %d folders below \"%s\"", FOLDERS_MAX,
                           run->options->folder);
        }
        request = vcenter_list(run->dialect, VCENTER_FOLDER);
        request = filtered(run, request, "parent_folders", folders->items[i].id);
        rc = ask_list(run, request, VCENTER_FOLDER, folders, err);
    }
    return rc;
}

static int find_clusters(struct vcenter_run *run, struct vcenter_items *clusters, struct err *err)
{
    struct api_request *request = vcenter_list(run->dialect, VCENTER_CLUSTER);
    int rc;

    request = filtered(run, request, "names", run->options->cluster);
    rc = ask_list(run, request, VCENTER_CLUSTER, clusters, err);
    return rc == 0 && clusters->n == 0 ? err_set(err, -ENOENT, "%s has no cluster named \"%s\"",
                                                 run->url, run->options->cluster)
                                       : rc;
}

static int find_scope(struct vcenter_run *run, struct scope *scope, struct err *err)
{
    int rc = run->options->folder != NULL ? find_folders(run, &scope->folders, err) : 0;

    if (rc == 0 && run->options->cluster != NULL) {
        rc = find_clusters(run, &scope->clusters, err);
    }
    return rc <= 0
               ? rc
               : err_set(err, -E2BIG, "%s has more folders or clusters than it can list", run->url);
}

/* --- VMs -------------------------------------------------------------------------------------- */

/* 0, or 1: too long, with what came of it (perhaps something) in the list. */
static int list_vms(struct vcenter_run *run, const struct scope *scope, const char *host,
                    const char *state, struct err *err)
{
    struct api_request *request = vcenter_list(run->dialect, VCENTER_VM);
    size_t before = run->vms.n;
    int rc;

    request = filtered(run, request, "names", run->options->vm);
    request = filtered_by(run, request, "folders", &scope->folders);
    request = filtered_by(run, request, "clusters", &scope->clusters);
    request = filtered(run, request, "hosts", host);
    request = filtered(run, request, "power_states", state);
    rc = ask_list(run, request, VCENTER_VM, &run->vms, err);
    return rc == 0 && (run->vms.n - before == LIMIT_6 || run->vms.n - before == LIMIT_7) ? 1 : rc;
}

static int list_host(struct vcenter_run *run, const struct scope *scope,
                     const struct vcenter_item *host, struct err *err)
{
    static const char *const states[] = {"POWERED_ON", "POWERED_OFF", "SUSPENDED"};
    int rc = list_vms(run, scope, host->id, NULL, err);

    for (size_t i = 0; rc > 0 && i < ARRAY_SIZE(states); i++) {
        int part = list_vms(run, scope, host->id, states[i], err);

        if (part > 0) {
            return err_set(err, -E2BIG,
                           "%s does not list all VMs of the host %s at once; ask for them by "
                           "--folder",
                           run->url, host->name);
        }
        rc = part < 0 ? part : rc;
    }
    return rc < 0 ? rc : 0;
}

static int list_by_hosts(struct vcenter_run *run, const struct scope *scope, struct err *err)
{
    CLEANUP(vcenter_items_fini) struct vcenter_items hosts = {0};
    struct api_request *request = vcenter_list(run->dialect, VCENTER_HOST);
    int rc;

    request = filtered_by(run, request, "clusters", &scope->clusters);
    rc = ask_list(run, request, VCENTER_HOST, &hosts, err);
    if (rc > 0) {
        return err_set(err, -E2BIG,
                       "%s has more VMs and hosts than it lists at once; ask for them by "
                       "--cluster or --folder",
                       run->url);
    }
    for (size_t i = 0; rc == 0 && i < hosts.n; i++) {
        rc = list_host(run, scope, &hosts.items[i], err);
    }
    return rc;
}

static int compare(const void *left, const void *right)
{
    const struct vcenter_item *a = left, *b = right;

    return strcmp(a->id, b->id);
}

/* A VM that moved between two answers is in both. */
static void drop_twins(struct vcenter_items *vms)
{
    size_t kept = 0;

    if (vms->n > 1) {
        qsort(vms->items, vms->n, sizeof(vms->items[0]), compare);
    }
    for (size_t i = 0; i < vms->n; i++) {
        if (kept > 0 && str_equal(vms->items[kept - 1].id, vms->items[i].id)) {
            free(vms->items[i].id);
            free(vms->items[i].name);
        } else {
            vms->items[kept++] = vms->items[i];
        }
    }
    vms->n = kept;
}

int vcenter_find(struct vcenter_run *run, struct err *err)
{
    CLEANUP(scope_fini) struct scope scope = {0};
    int rc = find_scope(run, &scope, err);

    rc = rc < 0 ? rc : list_vms(run, &scope, NULL, NULL, err);
    rc = rc <= 0 ? rc : list_by_hosts(run, &scope, err);
    if (rc < 0) {
        return rc;
    }
    drop_twins(&run->vms);
    if (run->vms.n == 0 && run->options->vm != NULL) {
        return err_set(err, -ENOENT, "%s has no VM named \"%s\" that %s may see", run->url,
                       run->options->vm, run->options->user);
    }
    return run->vms.n > 0
               ? 0
               : err_set(err, -ENOENT, "%s shows no VM to %s", run->url, run->options->user);
}

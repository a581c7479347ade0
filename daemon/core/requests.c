/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See requests.h. */
#include "core/requests.h"

#include <string.h>

#include "base/buf.h"
#include "base/str.h"

const char *const requests_privileges[] = {
    "VM.Audit",
    "VM.Config.HWType",
    "VM.Config.Disk",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.PowerMgmt",
    NULL,
};

bool requests_vm_is_gone(const struct api_reply *reply)
{
    const char *message = reply->message == NULL ? "" : reply->message;

    return reply->result == API_REFUSED && strstr(message, "does not exist") != NULL &&
           strstr(message, "onfiguration file") != NULL;
}

static struct api_request *request_for(struct requests_vm vm, enum api_method method,
                                       const char *what)
{
    CLEANUP_FREE char *path = str_printf("/nodes/%s/qemu/%u/%s", vm.node, vm.vmid, what);
    struct api_request *request = path == NULL ? NULL : api_request_new(method, path);

    if (request != NULL) {
        request->changing = method != API_GET;
    }
    return request;
}

static bool add(struct api_request *request, const char *key, const char *value)
{
    return value == NULL || api_request_add(request, key, value) == 0;
}

struct api_request *requests_status(struct requests_vm vm)
{
    return request_for(vm, API_GET, "status/current");
}

struct api_request *requests_config(struct requests_vm vm)
{
    return request_for(vm, API_GET, "config");
}

struct api_request *requests_pending(struct requests_vm vm)
{
    return request_for(vm, API_GET, "pending");
}

static struct api_request *permissions_on(const char *path)
{
    CLEANUP(api_request_freep) struct api_request *request = NULL;

    request = path == NULL ? NULL : api_request_new(API_GET, "/access/permissions");
    if (request == NULL || !add(request, "path", path)) {
        return NULL;
    }
    return STEAL(request);
}

struct api_request *requests_permissions(struct requests_vm vm)
{
    CLEANUP_FREE char *path = str_printf("/vms/%u", vm.vmid);

    return permissions_on(path);
}

struct api_request *requests_bridge_permissions(const char *bridge)
{
    CLEANUP_FREE char *path = str_printf("/sdn/zones/localnetwork/%s", bridge);

    return permissions_on(path);
}

struct api_request *requests_machines(const char *node)
{
    CLEANUP_FREE char *path = str_printf("/nodes/%s/capabilities/qemu/machines", node);

    return path == NULL ? NULL : api_request_new(API_GET, path);
}

struct api_request *requests_vms(void)
{
    CLEANUP(api_request_freep)
    struct api_request *request = api_request_new(API_GET, "/cluster/resources");

    if (request == NULL || !add(request, "type", "vm")) {
        return NULL;
    }
    return STEAL(request);
}

struct api_request *requests_task(struct requests_vm vm, const char *upid)
{
    CLEANUP_FREE char *path = str_printf("/nodes/%s/tasks/%s/status", vm.node, upid);

    return path == NULL ? NULL : api_request_new(API_GET, path);
}

struct api_request *requests_starts(struct requests_vm vm, int64_t since)
{
    CLEANUP(api_request_freep) struct api_request *request = NULL;
    CLEANUP_FREE char *path = str_printf("/nodes/%s/tasks", vm.node);
    CLEANUP_FREE char *vmid = str_printf("%u", vm.vmid);
    CLEANUP_FREE char *since_text = str_printf("%lld", (long long)(since > 0 ? since : 0));

    request = path == NULL ? NULL : api_request_new(API_GET, path);
    if (request == NULL || vmid == NULL || since_text == NULL || !add(request, "vmid", vmid) ||
        !add(request, "typefilter", "qmstart") || !add(request, "source", "all") ||
        !add(request, "since", since_text)) {
        return NULL;
    }
    return STEAL(request);
}

struct api_request *requests_start(struct requests_vm vm)
{
    return request_for(vm, API_POST, "status/start");
}

struct api_request *requests_probe(struct requests_vm vm, const struct plan_step *step,
                                   const char *digest)
{
    CLEANUP(api_request_freep)
    struct api_request *request = request_for(vm, API_PUT, "config");

    if (request == NULL || !add(request, step->probe, step->probe_value) ||
        !add(request, "digest", digest)) {
        return NULL;
    }
    return STEAL(request);
}

/* "sata0,machine": the slot that goes first, then the options. NULL with *ret true: none goes. */
static char *deleted_by(const struct plan_step *step, bool *ret_none)
{
    CLEANUP(buf_fini) struct buf keys = BUF_INIT(0);

    if (step->remove != NULL) {
        buf_adds(&keys, step->remove);
    }
    for (size_t i = 0; i < step->n_sets; i++) {
        if (step->sets[i].value == NULL) {
            buf_addf(&keys, "%s%s", keys.len > 0 ? "," : "", step->sets[i].option);
        }
    }
    *ret_none = keys.len == 0 && keys.error == 0;
    return *ret_none ? NULL : buf_steal(&keys);
}

struct api_request *requests_step(struct requests_vm vm, const struct plan_step *step,
                                  const char *digest)
{
    CLEANUP(api_request_freep)
    struct api_request *request = request_for(vm, API_PUT, "config");
    bool none = false;
    CLEANUP_FREE char *deleted = deleted_by(step, &none);

    if (request == NULL || (deleted == NULL && !none) || !add(request, "delete", deleted)) {
        return NULL;
    }
    for (size_t i = 0; i < step->n_sets; i++) {
        if (!add(request, step->sets[i].option, step->sets[i].value)) {
            return NULL;
        }
    }
    return add(request, "digest", digest) ? STEAL(request) : NULL;
}

struct api_request *requests_revert(struct requests_vm vm, const char *keys,
                                    const struct api_param *values, size_t n_values,
                                    const char *digest)
{
    CLEANUP(api_request_freep)
    struct api_request *request = request_for(vm, API_PUT, "config");

    if (request == NULL || !add(request, "revert", keys) || !add(request, "digest", digest)) {
        return NULL;
    }
    for (size_t i = 0; i < n_values; i++) {
        if (!add(request, values[i].key, values[i].value)) {
            return NULL;
        }
    }
    return STEAL(request);
}

struct api_request *requests_set_back(struct requests_vm vm, const struct api_param *slot,
                                      const char *boot, const char *revert, const char *digest)
{
    CLEANUP(api_request_freep)
    struct api_request *request = request_for(vm, API_PUT, "config");

    if (request == NULL || !add(request, slot->key, slot->value) || !add(request, "boot", boot) ||
        !add(request, "revert", revert) || !add(request, "digest", digest)) {
        return NULL;
    }
    return STEAL(request);
}

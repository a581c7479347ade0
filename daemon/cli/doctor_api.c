/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See doctor.h: PVE's API as the daemon meets it, with the daemon's own token; and the daemon. */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "cli/doctor.h"
#include "core/netdev.h"
#include "core/requests.h"

enum {
    HTTP_UNAUTHORIZED = 401,
    OLDEST_PVE = 8,
};

/* --- API -------------------------------------------------------------------------------------- */

static void judge_version(struct doctor *d, const json_t *data)
{
    const char *version = json_string_value(json_object_get(data, "version"));

    if (version == NULL || strtoul(version, NULL, 10) < OLDEST_PVE) {
        (void)findings_add(&d->found, "pve-version", FINDING_WARN,
                           "PVE %s: pve-hwid is made for PVE %d and later",
                           version != NULL ? version : "of an unknown version", OLDEST_PVE);
        return;
    }
    (void)findings_add(&d->found, "api", FINDING_OK, "%s answers, its certificate is right; PVE %s",
                       d->admin.settings->api_url, version);
}

static void judge_answer(struct doctor *d, const struct api_reply *reply)
{
    const char *message = reply->message != NULL ? reply->message : "no reason was given";
    struct finding *finding;

    if (reply->result == API_OK) {
        d->token_works = true;
        judge_version(d, reply->data);
        (void)findings_add(&d->found, "token", FINDING_OK, "PVE accepts %s", d->token_name);
        return;
    }
    if (reply->status == HTTP_UNAUTHORIZED) {
        finding = findings_add(&d->found, "token", FINDING_FAIL,
                               "PVE does not accept the token %s in %s: it or its user is removed, "
                               "disabled or expired, or its secret is another",
                               d->token_name, d->admin.settings->token_file);
        findings_cure(&d->found, finding, "pve-hwid setup");
        return;
    }
    finding = findings_add(&d->found, "api", FINDING_FAIL, "%s", message);
    findings_cure(&d->found, finding,
                  "systemctl status pveproxy; man pve-hwid.conf: api_url, ca_file");
}

void doctor_api(struct doctor *d)
{
    CLEANUP(api_reply_fini) struct api_reply reply = {0};
    struct err err = {""};
    struct finding *finding;

    if (api_ask_open(d->admin.settings, &d->ask, &d->token_name, &err) < 0) {
        finding = findings_add(&d->found, "token", FINDING_FAIL, "%s", err.text);
        findings_cure(&d->found, finding, "pve-hwid setup");
        return;
    }
    if (api_ask_send(d->ask, api_request_new(API_GET, "/version"), &reply, &err) < 0) {
        (void)findings_add(&d->found, "api", FINDING_FAIL, "%s", err.text);
        return;
    }
    judge_answer(d, &reply);
}

/* --- daemon ----------------------------------------------------------------------------------- */

static void judge_daemon_api(struct doctor *d, const json_t *api)
{
    const char *detail = json_string_value(json_object_get(api, "detail"));

    if (json_is_true(json_object_get(api, "ok"))) {
        return;
    }
    findings_cure(
        &d->found,
        findings_add(&d->found, "daemon-api", FINDING_FAIL,
                     "the daemon does not reach PVE's API: %s%s",
                     detail != NULL && *detail != '\0' ? detail : "it did not answer yet",
                     d->token_works ? "; this command does, with the token as it is now" : ""),
        "%s", d->token_works ? "systemctl restart pve-hwidd" : "journalctl -u pve-hwidd");
}

static void judge_status(struct doctor *d, const json_t *status)
{
    const char *version = json_string_value(json_object_get(status, "version"));
    const json_t *problems = json_object_get(status, "problems");
    size_t i;
    json_t *problem;

    if (!str_equal(version, PVE_HWID_VERSION)) {
        findings_cure(&d->found,
                      findings_add(&d->found, "version", FINDING_WARN,
                                   "the daemon that runs is %s, this command is %s",
                                   version != NULL ? version : "of an unknown version",
                                   PVE_HWID_VERSION),
                      "systemctl restart pve-hwidd");
    } else {
        (void)findings_add(&d->found, "daemon", FINDING_OK, "runs, version %s", version);
    }
    judge_daemon_api(d, json_object_get(status, "api"));
    json_array_foreach ((json_t *)problems, i, problem) { /* jansson's iterators: not const */
        const char *text = json_string_value(problem);

        findings_cure(
            &d->found,
            findings_add(&d->found, "problem", FINDING_WARN, "%s", text != NULL ? text : "?"),
            "journalctl -u pve-hwidd");
    }
}

void doctor_daemon(struct doctor *d)
{
    json_auto_t *status = NULL;
    struct err err = {""};
    bool failed = false;
    int rc = admin_ask_daemon(d->cli, "Status", 0, &status, &failed, &err);

    if (rc == 0 && failed) {
        rc = err_set(&err, -EPROTO, "the daemon does not tell how it is");
    }
    if (rc < 0) {
        findings_cure(&d->found, findings_add(&d->found, "daemon", FINDING_FAIL, "%s", err.text),
                      DOCTOR_FORGET_FAILURES
                      " && systemctl restart pve-hwidd.socket pve-hwidd.service");
        return;
    }
    judge_status(d, status);
}

/* --- privileges ------------------------------------------------------------------------------- */

/* Asks for the privileges on `path`; those of `wanted` that are missing, "" for none. NULL: told,
 * or no memory. */
static char *missing_on(struct doctor *d, struct api_request *request, const char *path,
                        const char *const *wanted)
{
    CLEANUP(api_reply_fini) struct api_reply reply = {0};
    struct buf missing = BUF_INIT(0);
    const json_t *granted;
    struct err err = {""};
    int rc = api_ask_send(d->ask, request, &reply, &err);

    if (rc < 0 || reply.result != API_OK) {
        (void)findings_add(&d->found, "privilege", FINDING_FAIL,
                           "the privileges on %s cannot be asked for: %s", path,
                           rc < 0                  ? err.text
                           : reply.message != NULL ? reply.message
                                                   : "?");
        return NULL;
    }
    granted = json_object_get(reply.data, path);
    buf_add(&missing, "", 0);
    for (size_t i = 0; wanted[i] != NULL; i++) {
        if (json_object_get(granted, wanted[i]) == NULL) {
            buf_addf(&missing, "%s%s", missing.len > 0 ? " " : "", wanted[i]);
        }
    }
    return buf_steal(&missing);
}

/* setup mends its own role and its own entry at the top; a deeper entry hides that one. */
static void cure_privilege(struct doctor *d, struct finding *finding, const char *path,
                           const char *role, bool above_too)
{
    size_t user = strcspn(d->token_name, "!");
    bool ours = user == strlen(SETUP_USER) && strncmp(d->token_name, SETUP_USER, user) == 0;

    if (ours && above_too) {
        findings_cure(&d->found, finding, "pve-hwid setup");
    } else {
        findings_cure(&d->found, finding, "pveum acl modify %s --users %.*s --roles %s", path,
                      (int)user, d->token_name, role);
    }
}

static bool lacks_above(struct doctor *d, const char *path, const char *const *wanted)
{
    struct api_request *request = api_request_new(API_GET, "/access/permissions");
    CLEANUP_FREE char *missing = NULL;

    if (request != NULL && api_request_add(request, "path", path) < 0) {
        api_request_free(request);
        return true;
    }
    missing = missing_on(d, request, path, wanted);
    return missing == NULL || *missing != '\0';
}

static bool check_vm(struct doctor *d, const struct vm_hook *vm)
{
    struct requests_vm at = {.node = d->admin.node, .vmid = vm->vmid};
    CLEANUP_FREE char *path = str_printf("/vms/%u", (unsigned)vm->vmid);
    CLEANUP_FREE char *missing = NULL;
    struct finding *finding;

    if (path == NULL) {
        d->found.failed = true;
        return false;
    }
    missing = missing_on(d, requests_permissions(at), path, requests_privileges);
    if (missing == NULL || *missing == '\0') {
        return missing != NULL;
    }
    finding = findings_add_about(&d->found, "privilege", FINDING_FAIL,
                                 (struct finding_about){.vmid = vm->vmid},
                                 "the token %s lacks %s on %s", d->token_name, missing, path);
    cure_privilege(d, finding, path, SETUP_ROLE,
                   lacks_above(d, SETUP_VMS_PATH, requests_privileges));
    return false;
}

static bool check_bridge(struct doctor *d, const char *bridge)
{
    static const char *const wanted[] = {"SDN.Use", NULL};
    CLEANUP_FREE char *path = str_printf(SETUP_BRIDGE_PATH "/%s", bridge);
    CLEANUP_FREE char *missing = NULL;
    struct finding *finding;

    if (path == NULL) {
        d->found.failed = true;
        return false;
    }
    missing = missing_on(d, requests_bridge_permissions(bridge), path, wanted);
    if (missing == NULL || *missing == '\0') {
        return missing != NULL;
    }
    finding = findings_add(&d->found, "bridge", FINDING_FAIL,
                           "the token %s lacks %s on %s: no network card on it can be changed",
                           d->token_name, missing, path);
    cure_privilege(d, finding, path, SETUP_BRIDGE_ROLE, lacks_above(d, SETUP_BRIDGE_PATH, wanted));
    return false;
}

/* The bridges of one VM that are not in `seen` yet. */
static int note_bridges(const struct vm_hook *vm, struct notes *seen)
{
    const struct pveconf_section *keys = pveconf_section(vm->conf, PVECONF_MAIN);

    for (size_t i = 0; keys != NULL && i < keys->n; i++) {
        CLEANUP(netdev_fini) struct netdev net = {0};
        const char *bridge;
        bool known = false;
        int index;

        if (!netdev_key_index(keys->keys[i].key, &index) ||
            netdev_parse(keys->keys[i].value, &net, NULL) < 0) {
            continue;
        }
        bridge = propstr_get(&net.rest, "bridge");
        for (size_t at = 0; bridge != NULL && at < seen->n; at++) {
            known = known || str_equal(seen->items[at], bridge);
        }
        if (bridge != NULL && !known && notes_add(seen, "%s", bridge) < 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

/* VMs of this node that the daemon may have to change. */
void doctor_privileges(struct doctor *d)
{
    CLEANUP(notes_fini) struct notes bridges = {0};
    size_t vms = 0;
    bool fine = true;

    if (!d->token_works) {
        return;
    }
    for (size_t i = 0; i < d->vms.n; i++) {
        const struct vm_hook *vm = &d->vms.items[i];

        if (vm->is_here && vm->conf != NULL && (vm->has_fingerprint || vm_hook_is_ours(vm))) {
            vms++;
            fine = check_vm(d, vm) && fine;
            d->found.failed = d->found.failed || note_bridges(vm, &bridges) < 0;
        }
    }
    for (size_t i = 0; i < bridges.n; i++) {
        fine = check_bridge(d, bridges.items[i]) && fine;
    }
    if (fine) {
        (void)findings_add(&d->found, "privilege", FINDING_OK,
                           "all that is needed, on %zu VM%s and %zu bridge%s", vms,
                           vms == 1 ? "" : "s", bridges.n, bridges.n == 1 ? "" : "s");
    }
}

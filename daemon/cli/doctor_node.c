/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See doctor.h: the node and its cluster. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/doctor.h"
#include "io/file.h"

enum { CLOCK_SKEW_S = 5 }; /* a question to another node takes a second or two by itself */

/* --- cluster ---------------------------------------------------------------------------------- */

static void check_node_name(struct doctor *d)
{
    char host[256] = "";
    const char *pve = d->admin.pve_node;
    bool set = d->admin.settings->node != NULL;
    const char *ours = set ? d->admin.settings->node : host;

    (void)gethostname(host, sizeof(host) - 1); /* at worst it is "", which differs */
    host[strcspn(host, ".")] = '\0';
    if (str_equal(pve, ours)) {
        (void)findings_add(&d->found, "node-name", FINDING_OK, "this node is %s", pve);
        return;
    }
    /* The daemon takes the host's name where nothing is set; a simulated node has another's. */
    findings_cure(&d->found,
                  findings_add(&d->found, "node-name", FINDING_FAIL,
                               "PVE calls this node %s, the %s %s: the daemon would ask for VMs of "
                               "a node that is not this one",
                               pve, set ? "settings" : "host calls itself", ours),
                  "write `node: %s` into /etc/pve-hwid/pve-hwid.conf, then: systemctl restart "
                  "pve-hwidd",
                  pve);
}

static void check_directory(struct doctor *d, const char *path)
{
    struct stat st;

    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return;
    }
    findings_cure(&d->found,
                  findings_add(&d->found, "directory", FINDING_FAIL,
                               "there is no directory %s for fingerprints", path),
                  "pve-hwid setup");
}

void doctor_cluster(struct doctor *d)
{
    CLEANUP_FREE char *dir = str_printf("%s/pve-hwid", d->admin.settings->pve_dir);

    if (d->admin.members_problem != NULL) {
        findings_cure(
            &d->found,
            findings_add(&d->found, "cluster", FINDING_FAIL, "%s", d->admin.members_problem),
            "systemctl restart pve-cluster");
        return;
    }
    if (!d->admin.quorate) {
        findings_cure(&d->found,
                      findings_add(&d->found, "quorum", FINDING_FAIL,
                                   "the cluster has no quorum: %s is read-only, no VM can be "
                                   "started or changed",
                                   d->admin.settings->pve_dir),
                      "pvecm status");
    } else {
        (void)findings_add(&d->found, "quorum", FINDING_OK, "%s",
                           d->admin.in_cluster ? "the cluster has quorum" : "a node on its own");
    }
    check_node_name(d);
    check_directory(d, dir != NULL ? dir : "?");
    check_directory(d, d->admin.settings->fingerprint_dir);
}

/* --- clock ------------------------------------------------------------------------------------ */

static void check_other_clock(struct doctor *d, const char *node)
{
    CLEANUP_FREE char *path = str_printf("/nodes/%s/time", node);
    const char *const argv[] = {"pvesh", "get", path, "--output-format", "json", NULL};
    json_auto_t *answer = NULL;
    time_t before = time(NULL);
    json_int_t theirs;
    json_int_t skew;

    if (path == NULL || admin_run(argv, ADMIN_NODE_MS, &answer, NULL) < 0) {
        return; /* that it does not answer is told by doctor_others() */
    }
    theirs = json_integer_value(json_object_get(answer, "time"));
    skew = theirs < before ? before - theirs : theirs > time(NULL) ? theirs - time(NULL) : 0;
    if (skew > CLOCK_SKEW_S) {
        findings_cure(&d->found,
                      findings_add_about(
                          &d->found, "clock", FINDING_WARN, (struct finding_about){.node = node},
                          "its clock differs from this node's by %lld s", (long long)skew),
                      "on both: chronyc tracking");
    }
}

void doctor_clock(struct doctor *d)
{
    struct timex timex = {.modes = 0};

    if (adjtimex(&timex) == TIME_ERROR && (timex.status & STA_UNSYNC) != 0) {
        findings_cure(&d->found,
                      findings_add(&d->found, "clock", FINDING_WARN,
                                   "this node's clock is not synchronised: certificates, tokens "
                                   "and the journal go by it"),
                      "systemctl enable --now chrony");
    } else {
        (void)findings_add(&d->found, "clock", FINDING_OK, "synchronised");
    }
    for (size_t i = 0; i < d->admin.n_nodes; i++) {
        if (!d->admin.nodes[i].is_local && d->admin.nodes[i].online) {
            check_other_clock(d, d->admin.nodes[i].name);
        }
    }
}

/* --- hook ------------------------------------------------------------------------------------- */

static size_t count_attached(const struct doctor *d)
{
    size_t n = 0;

    for (size_t i = 0; i < d->vms.n; i++) {
        n += vm_hook_is_ours(&d->vms.items[i]);
    }
    return n;
}

static void check_content(struct doctor *d)
{
    const struct storagecfg_item *local = storagecfg_find(d->admin.storages, SETUP_STORAGE);

    if (storagecfg_has_content(local, "snippets")) {
        (void)findings_add(&d->found, "content", FINDING_OK, "storage %s holds snippets",
                           SETUP_STORAGE);
        return;
    }
    findings_cure(
        &d->found,
        findings_add(&d->found, "content", FINDING_WARN,
                     "storage %s is not meant to hold snippets: PVE may refuse to set our "
                     "hook",
                     SETUP_STORAGE),
        "pve-hwid setup");
}

void doctor_hook(struct doctor *d)
{
    const struct admin *admin = &d->admin;
    size_t attached = count_attached(d);
    struct finding *finding;

    check_content(d);
    if (!admin_is_executable(admin->hook_target)) {
        finding = findings_add(
            &d->found, "hook", FINDING_FAIL,
            "%s is %s: no VM with our hook starts on this node (there are %zu in "
            "the cluster)",
            admin->hook_target,
            file_exists(AT_FDCWD, admin->hook_target) ? "not executable" : "not there", attached);
        findings_cure(&d->found, finding, "pve-hwid setup");
        return;
    }
    if (admin->hook_source == NULL) {
        finding = findings_add(
            &d->found, "hook", FINDING_WARN,
            "pve-hwid-hook is not beside this program, so whether the hook is of "
            "this version cannot be told");
        findings_cure(&d->found, finding, "install pve-hwid again");
        return;
    }
    if (!admin_same_file(admin->hook_source, admin->hook_target)) {
        finding = findings_add(&d->found, "hook", FINDING_WARN, "%s is of another version than %s",
                               admin->hook_target, admin->hook_source);
        findings_cure(&d->found, finding, "pve-hwid setup");
        return;
    }
    (void)findings_add(&d->found, "hook", FINDING_OK, "%s is there and of this version",
                       admin->hook_target);
}

/* Whether it is executable there, and of which version, PVE's API does not tell. */
static void check_other(struct doctor *d, const struct setup_node *node, size_t attached)
{
    struct finding_about about = {.node = node->name};
    json_auto_t *snippets = NULL;
    struct finding *finding;
    struct err why = {""};

    if (!node->online) {
        (void)findings_add_about(&d->found, "other-node", FINDING_WARN, about,
                                 "it is offline, so whether the hook is there is not known");
        return;
    }
    if (admin_list_snippets(node->name, &snippets, &why) < 0) {
        (void)findings_add_about(&d->found, "other-node", FINDING_WARN, about,
                                 "whether the hook is there is not known: %s", why.text);
        return;
    }
    if (setup_find(snippets, "volid", SETUP_HOOK_VOLID) != NULL) {
        (void)findings_add_about(&d->found, "other-node", FINDING_OK, about, "the hook is there");
        return;
    }
    finding = findings_add_about(&d->found, "other-node",
                                 attached > 0 ? FINDING_FAIL : FINDING_WARN, about,
                                 "the hook is not there: a VM with it that comes to that node does "
                                 "not start");
    findings_cure(&d->found, finding, "on %s: pve-hwid setup", node->name);
}

void doctor_others(struct doctor *d)
{
    size_t attached = count_attached(d);

    for (size_t i = 0; i < d->admin.n_nodes; i++) {
        if (!d->admin.nodes[i].is_local) {
            check_other(d, &d->admin.nodes[i], attached);
        }
    }
}

/* --- units ------------------------------------------------------------------------------------ */

#define BOTH_UNITS SETUP_SOCKET_UNIT " " SETUP_SERVICE

static void check_unit(struct doctor *d, const char *unit)
{
    const char *const argv[] = {"systemctl", "is-enabled", "--quiet", unit, NULL};

    if (admin_run(argv, ADMIN_NODE_MS, NULL, NULL) < 0) {
        findings_cure(
            &d->found,
            findings_add(&d->found, "unit", FINDING_WARN, "%s does not start at boot", unit),
            "systemctl enable --now %s", unit);
    }
}

/* Only where systemd runs and this is the node it runs on. */
void doctor_units(struct doctor *d)
{
    static const char *const units[] = {SETUP_SOCKET_UNIT, SETUP_SERVICE};

    if ((d->admin.root != NULL && d->admin.root[0] != '\0') ||
        !file_exists(AT_FDCWD, "/run/systemd/system")) {
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (admin_unit_is(units[i], "LoadState", "masked")) {
            findings_cure(&d->found,
                          findings_add(&d->found, "unit", FINDING_WARN,
                                       "%s is masked: nothing can start it", units[i]),
                          "systemctl unmask " BOTH_UNITS " && systemctl enable --now " BOTH_UNITS);
            return;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        check_unit(d, units[i]);
    }
}

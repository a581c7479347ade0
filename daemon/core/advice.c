/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See advice.h. */
#include "core/advice.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/requests.h"
#include "core/setup.h" /* the names that it gives to user and role */

static char *grant(const char *path, const char *privileges, bool all)
{
    if (str_starts(path, "/sdn/")) {
        return str_printf("pveum acl modify %s --users " SETUP_USER " --roles " SETUP_BRIDGE_ROLE,
                          path);
    }
    if (str_starts(path, "/storage/")) {
        return str_printf("pveum acl modify %s --users " SETUP_USER " --roles PVEDatastoreUser",
                          path);
    }
    if (all) {
        return str_dup("pveum acl modify /vms --users " SETUP_USER " --roles " SETUP_ROLE);
    }
    return str_printf("pveum role modify " SETUP_ROLE " --append 1 --privs \"%s\"", privileges);
}

/* `privileges`: separated by blanks; `all`: every one that the daemon needs there. */
static char *missing_at(const char *path, const char *privileges, bool all)
{
    CLEANUP_FREE char *command = grant(path, privileges, all);

    return command == NULL ? NULL
                           : str_printf("the API token of pve-hwid lacks %s on %s; grant it with: "
                                        "%s",
                                        privileges, path, command);
}

static bool grants(const json_t *permissions, const char *path, const char *privilege)
{
    const json_t *value = json_object_get(json_object_get(permissions, path), privilege);

    return json_is_true(value) || json_integer_value(value) != 0;
}

char *advice_on_vm(uint32_t vmid, const json_t *permissions)
{
    CLEANUP(buf_fini) struct buf missing = BUF_INIT(0);
    CLEANUP_FREE char *path = str_printf("/vms/%u", vmid);
    bool all = true;

    for (size_t i = 0; path != NULL && requests_privileges[i] != NULL; i++) {
        if (grants(permissions, path, requests_privileges[i])) {
            all = false;
        } else {
            buf_addf(&missing, "%s%s", missing.len > 0 ? " " : "", requests_privileges[i]);
        }
    }
    return missing.len == 0 ? NULL : missing_at(path, missing.data, all);
}

char *advice_on_bridge(const char *bridge, const json_t *permissions)
{
    CLEANUP_FREE char *path = str_printf("/sdn/zones/localnetwork/%s", bridge);

    return path == NULL || grants(permissions, path, "SDN.Use") ? NULL
                                                                : missing_at(path, "SDN.Use", true);
}

/* One of those that setup gives. */
static bool is_ours(const char *privilege)
{
    for (size_t i = 0; requests_privileges[i] != NULL; i++) {
        if (str_equal(requests_privileges[i], privilege)) {
            return true;
        }
    }
    return false;
}

/* "Permission check failed (/vms/105, VM.Config.Disk)"; several names, of which one is enough, have
 * a bar in between. The first of them is asked for. */
static char *missing_in(const char *message)
{
    static const char before[] = "Permission check failed (";
    CLEANUP_FREE char *path = NULL;
    CLEANUP_FREE char *privilege = NULL;
    CLEANUP_FREE char *command = NULL;
    const char *at = strstr(message, before);
    const char *comma;

    if (at == NULL) {
        return NULL;
    }
    at += strlen(before);
    comma = strstr(at, ", ");
    if (*at != '/' || comma == NULL || strcspn(at, " )'\"") < (size_t)(comma - at)) {
        return NULL;
    }
    path = str_ndup(at, (size_t)(comma - at));
    privilege = str_ndup(comma + 2, strcspn(comma + 2, "|) "));
    if (path != NULL && privilege != NULL && str_starts(path, "/vms") && !is_ours(privilege)) {
        return NULL; /* setup would take it from the role again */
    }
    command = path == NULL || privilege == NULL ? NULL : grant(path, privilege, false);
    return command == NULL ? NULL : str_printf("%s; grant it with: %s", message, command);
}

char *advice_refusal(int status, const char *message)
{
    if (message == NULL) {
        return NULL;
    }
    if (status == 401) {
        return str_printf("PVE does not accept the API token of pve-hwid (%s): it has expired, was "
                          "removed, or is not the one in the token file. Look: pveum user token "
                          "list " SETUP_USER "; after a change: systemctl restart pve-hwidd",
                          message);
    }
    return status == 403 ? missing_in(message) : NULL;
}

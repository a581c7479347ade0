/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See where.h. */
#include "cli/where.h"

#include <fcntl.h>

#include "base/str.h"
#include "cli/hold_file.h"
#include "cli/place.h"
#include "io/file.h"

void where_fini(struct where *where)
{
    free(where->node);
    *where = (struct where){0};
}

/* Out of memory it is not there, which is what where_find() promises of all that goes wrong. */
static bool is_there(char *path)
{
    bool there = path != NULL && file_exists(AT_FDCWD, path);

    free(path);
    return there;
}

void where_find(const struct settings *settings, uint32_t vmid, struct where *ret)
{
    CLEANUP(place_fini) struct place place = {0};
    unsigned n = (unsigned)vmid;

    *ret = (struct where){
        .fingerprint = is_there(str_printf("%s/%u.json", settings->fingerprint_dir, n)) ||
                       is_there(str_printf("%s/pve-hwid/%u.json", settings->pve_dir, n)),
        .journal = is_there(str_printf("%s/journal/%u.jsonl", settings->state_dir, n)),
    };
    if (place_find_vm(settings, vmid, &place, NULL) < 0) {
        return;
    }
    ret->is = place.node == NULL ? WHERE_NOWHERE : place.here ? WHERE_HERE : WHERE_ELSEWHERE;
    ret->node = STEAL(place.node);
}

char *where_why_not(const struct where *where, uint32_t vmid, const char *verb)
{
    unsigned n = (unsigned)vmid;
    CLEANUP_FREE char *past = where->journal && !str_equal(verb, "log")
                                  ? str_printf("; what was changed here: pve-hwid log %u", n)
                                  : str_dup("");

    if (past == NULL) {
        return NULL;
    }
    switch (where->is) {
    case WHERE_ELSEWHERE:
        return str_printf("it is on node %s; run there: pve-hwid %s %u%s", where->node, verb, n,
                          past);
    case WHERE_NOWHERE:
        return str_printf("there is no such VM in the cluster; qm list shows those of this "
                          "node%s",
                          past);
    case WHERE_UNKNOWN:
    case WHERE_HERE: /* since a moment ago */
        break;
    }
    return str_printf("there is no such VM on this node; qm list shows those that are here%s",
                      past);
}

enum cli_exit where_fail(const struct cli *cli, uint32_t vmid)
{
    CLEANUP(settings_freep) struct settings *settings = NULL;
    CLEANUP(where_fini) struct where where = {0};
    CLEANUP_FREE char *why = NULL;

    if (hold_file_settings(cli->config, &settings, NULL) == 0) {
        where_find(settings, vmid, &where);
    }
    why = where_why_not(&where, vmid, cli->verb->name);
    return why == NULL ? cli_oom(cli) : cli_fail(cli, CLI_ERROR, "VM %u: %s", (unsigned)vmid, why);
}

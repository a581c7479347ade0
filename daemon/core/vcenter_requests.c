/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See vcenter.h: the requests, and the names of files. */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/vcenter.h"

enum { FILE_NAME_PART_MAX = 100 }; /* bytes of a VM's name; with id and ".json" far below 255 */

static const char *const roots[] = {[VCENTER_API] = "/api", [VCENTER_REST] = "/rest"};
static const char *const sessions[] = {
    [VCENTER_API] = "/api/session", [VCENTER_REST] = "/rest/com/vmware/cis/session"};
static const char *const kinds[] = {[VCENTER_VM] = "vm",
                                    [VCENTER_HOST] = "host",
                                    [VCENTER_CLUSTER] = "cluster",
                                    [VCENTER_FOLDER] = "folder"};

struct api_request *vcenter_login(enum vcenter_dialect dialect)
{
    return api_request_new(API_POST, sessions[dialect]);
}

struct api_request *vcenter_logout(enum vcenter_dialect dialect)
{
    return api_request_new(API_DELETE, sessions[dialect]);
}

struct api_request *vcenter_get_vm(enum vcenter_dialect dialect, const char *id)
{
    CLEANUP_FREE char *path = str_printf("%s/vcenter/vm/%s", roots[dialect], id);

    return path == NULL ? NULL : api_request_new(API_GET, path);
}

struct api_request *vcenter_list(enum vcenter_dialect dialect, enum vcenter_kind kind)
{
    CLEANUP_FREE char *path = str_printf("%s/vcenter/%s", roots[dialect], kinds[kind]);

    return path == NULL ? NULL : api_request_new(API_GET, path);
}

int vcenter_add_filter(struct api_request *list, enum vcenter_dialect dialect, const char *key,
                       const char *value)
{
    CLEANUP_FREE char *name = str_printf("%s%s", dialect == VCENTER_REST ? "filter." : "", key);

    return name == NULL ? -ENOMEM : api_request_add(list, name, value);
}

char *vcenter_file_name(const struct vcenter_item *vm)
{
    CLEANUP(buf_fini) struct buf name = BUF_INIT(0);

    for (const char *at = vm->name; *at != '\0' && name.len < FILE_NAME_PART_MAX; at++) {
        bool safe = ascii_is_alnum(*at) || *at == '-' || *at == '_' || (*at == '.' && name.len > 0);

        buf_addc(&name, safe ? *at : '_');
    }
    buf_addf(&name, "%s%s.json", name.len > 0 ? "." : "", vm->id);
    return buf_steal(&name);
}

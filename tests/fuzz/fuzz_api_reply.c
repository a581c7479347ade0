/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Any answer ends in data or in one line of valid UTF-8. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "core/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 400, 401, 500, 501, 595, 596, 301};
    CLEANUP_FREE char *reason = size == 0 ? NULL : str_ndup((const char *)data, data[0] % size);
    CLEANUP(api_reply_fini) struct api_reply reply = {0};
    json_t *line;

    if (size == 0) {
        return 0;
    }
    assert(api_reply_parse(statuses[data[0] % ARRAY_SIZE(statuses)], reason, (const char *)data + 1,
                           size - 1, &reply) == 0);
    assert((reply.result == API_OK) == (reply.message == NULL));
    line = json_string(reply.message == NULL ? "" : reply.message);
    assert(line != NULL && (reply.message == NULL || strpbrk(reply.message, "\r\n\t") == NULL));
    json_decref(line);
    return 0;
}

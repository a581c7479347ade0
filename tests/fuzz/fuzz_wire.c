/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames as a stranger may send them: calls, replies, and the hook's two messages within. */
#include <stddef.h>
#include <stdint.h>

#include "core/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_call(const char *frame, size_t len)
{
    struct wire_call call = {0};
    struct wire_hook_call hook;
    const char *bad = NULL;
    json_t *again;

    if (wire_parse_call(frame, len, &call, NULL) < 0) {
        return;
    }
    if (wire_hook_call_from_json(call.parameters, &hook, &bad)) {
        again = wire_hook_call_to_json(&hook);
        if (again == NULL || !wire_hook_call_from_json(again, &hook, &bad)) {
            __builtin_trap(); /* what was accepted can be said again */
        }
        json_decref(again);
    }
    wire_call_fini(&call);
}

static void try_reply(const char *frame, size_t len)
{
    struct wire_reply reply = {0};
    struct wire_hook_reply hook;

    if (wire_parse_reply(frame, len, &reply, NULL) < 0) {
        return;
    }
    if (wire_hook_reply_from_json(reply.parameters, &hook, NULL) == 0) {
        wire_hook_reply_fini(&hook);
    }
    wire_reply_fini(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf in = BUF_INIT(0);
    size_t len = 0;

    buf_add(&in, data, size);
    while (in.error == 0 && wire_find_frame(&in, WIRE_CALL_MAX, &len) == 1) {
        try_call(in.data, len);
        try_reply(in.data, len);
        buf_consume(&in, len + 1);
    }
    buf_fini(&in);
    try_call((const char *)data, size);
    try_reply((const char *)data, size);
    return 0;
}

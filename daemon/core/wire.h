/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The Varlink wire: JSON objects with a NUL byte behind each. Frames, calls, replies, the hook's
 * question and its answer as values; sockets are elsewhere. The interface is
 * conf/io.pvehwid.varlink.
 *
 * Strict on both sides: one JSON object per frame, no duplicate or unknown key, no NUL in strings.
 */
#ifndef CORE_WIRE_H
#define CORE_WIRE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/notes.h"

enum {
    WIRE_CALL_MAX = 64 * 1024,    /* bytes of a frame from a client: nobody sends us files */
    WIRE_REPLY_MAX = 1024 * 1024, /* from us: longer lists come in several replies */
    WIRE_NAME_MAX = 255,          /* of a method or an error */
    WIRE_VMID_MIN = 100,          /* PVE's own bounds */
    WIRE_VMID_MAX = 999999999,
};

/* --- frames --- */

/* 1: a whole frame lies at in->data, *ret_len bytes without its NUL; 0: not yet; -EFBIG: more than
 * `max` bytes and still no NUL. */
int wire_find_frame(const struct buf *in, size_t max, size_t *ret_len);

/* --- calls and replies --- */

struct wire_call {
    char *method;       /* "io.pvehwid.Status" */
    json_t *parameters; /* own reference to an object, never NULL */
    bool oneway;        /* wants no reply at all */
    bool more;          /* may get several */
};

struct wire_reply {
    char *error;        /* "io.pvehwid.Busy"; NULL: success */
    json_t *parameters; /* own reference to an object, never NULL */
    bool continues;     /* more replies to the same call follow */
};

/* -EINVAL with a sentence; -ENOMEM. */
int wire_parse_call(const char *frame, size_t len, struct wire_call *ret_call, struct err *err);
int wire_parse_reply(const char *frame, size_t len, struct wire_reply *ret_reply, struct err *err);
void wire_call_fini(struct wire_call *call);
void wire_reply_fini(struct wire_reply *reply);

/* Appends the frame with its NUL; out->error tells of a full or failed buffer. Parameters are
 * borrowed; NULL stands for {}. */
void wire_add_call(struct buf *out, const char *method, const json_t *parameters, bool more);
void wire_add_reply(struct buf *out, const json_t *parameters, bool continues);
void wire_add_error(struct buf *out, const char *error, const json_t *parameters);

/* --- reading parameters --- */

/*
 * Takes the fields of an object one after the other; the first one that is missing, of another type
 * or out of range sticks in `bad`, and at the end also a field nobody asked for. null is absent.
 *     struct wire_fields f = {.object = parameters};
 *     int64_t vmid = wire_get_int(&f, "vmid", WIRE_NEEDED, 100, 999999999);
 *     if (!wire_fields_done(&f)) ... f.bad is the name for org.varlink.service.InvalidParameter
 */
struct wire_fields {
    const json_t *object;
    size_t seen;     /* fields asked for that are there */
    const char *bad; /* borrowed from the caller or the object; NULL: none */
};

enum wire_need { WIRE_OPTIONAL, WIRE_NEEDED };

/* 0, NULL, false, where absent or bad. */
int64_t wire_get_int(struct wire_fields *fields, const char *key, enum wire_need need, int64_t min,
                     int64_t max);
const char *wire_get_string(struct wire_fields *fields, const char *key, enum wire_need need);
bool wire_get_bool(struct wire_fields *fields, const char *key, enum wire_need need);
const json_t *wire_get_array(struct wire_fields *fields, const char *key, enum wire_need need);
bool wire_fields_done(struct wire_fields *fields);

/* --- the hook --- */

enum wire_phase { WIRE_PRE_START, WIRE_POST_START, WIRE_PRE_STOP, WIRE_POST_STOP };

const char *wire_phase_name(enum wire_phase phase);
bool wire_phase_parse(const char *name, enum wire_phase *ret_phase);

enum {
    WIRE_NODE_SIZE = 64,        /* a host name label is at most 63 bytes */
    WIRE_WORKER_TYPE_SIZE = 32, /* PVE's longest is about 20 */
};

struct wire_hook_call {
    uint32_t vmid;
    enum wire_phase phase;
    char migrated_from[WIRE_NODE_SIZE];      /* "": no migration */
    char worker_type[WIRE_WORKER_TYPE_SIZE]; /* "qmstart"; "": no PVE task among the ancestors */
    int32_t worker_pid;                      /* 0: unknown */
    uint64_t worker_start;                   /* clock ticks since boot, from /proc; 0: unknown */
};

enum wire_hook_exit { WIRE_HOOK_GO = 0, WIRE_HOOK_RESTART = 75, WIRE_HOOK_REFUSE = 78 };

struct wire_hook_reply {
    enum wire_hook_exit exit_code;
    struct notes lines; /* for the task log, without prefix and newline */
};

#define WIRE_HOOK_METHOD "io.pvehwid.Hook"

/* New reference to the parameters; NULL: no memory (or a string that is not UTF-8). */
json_t *wire_hook_call_to_json(const struct wire_hook_call *call);
/* false: *ret_bad names the field. */
bool wire_hook_call_from_json(const json_t *json, struct wire_hook_call *ret_call,
                              const char **ret_bad);
json_t *wire_hook_reply_to_json(const struct wire_hook_reply *reply);
/* -EINVAL, also for any other exit code than the three; -ENOMEM. */
int wire_hook_reply_from_json(const json_t *json, struct wire_hook_reply *ret_reply,
                              struct err *err);
void wire_hook_reply_fini(struct wire_hook_reply *reply);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See vcenter.h: the VMs, several at a time. Each answer is a file before the next one is read, so
 * what is in memory is the list of names and VCENTER_PARALLEL answers. Where vCenter is busy or
 * breaks off, all of us pause, longer each time, and the VM goes to the end of the queue. A session
 * that ended is opened again once nothing is under way.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "cli/vcenter.h"
#include "io/clock.h"

enum {
    BAD_ROUNDS_MAX = 9,  /* pauses without one answer between them: about 45 s */
    IDLE_LOGINS_MAX = 3, /* sessions without one answer in them */
};

struct fetch;

struct slot {
    struct fetch *fetch;
    size_t vm; /* of run->vms */
    bool busy;
};

struct fetch {
    struct vcenter_run *run;
    struct slot slots[VCENTER_PARALLEL];
    size_t under_way;
    size_t *queue; /* a ring of as many as there are VMs */
    size_t head, queued;
    uint8_t *tries;
    bool session_ended;
    unsigned idle_logins;
    unsigned bad_rounds;
    uint64_t pause_until_ms; /* 0: none */
    int fatal;
    struct err err; /* of `fatal` */
};

static void fetch_fini(struct fetch *fetch)
{
    free(fetch->queue);
    free(fetch->tries);
}

static void enqueue(struct fetch *fetch, size_t vm)
{
    fetch->queue[(fetch->head + fetch->queued++) % fetch->run->vms.n] = vm;
}

static size_t dequeue(struct fetch *fetch)
{
    size_t vm = fetch->queue[fetch->head];

    fetch->head = (fetch->head + 1) % fetch->run->vms.n;
    fetch->queued--;
    return vm;
}

static void give_up_on(struct fetch *fetch, size_t vm, const char *message)
{
    struct vcenter_run *run = fetch->run;

    run->count.failed++;
    vcenter_tell_failure(run, &run->vms.items[vm], message);
}

static void end_with(struct fetch *fetch, int code)
{
    fetch->fatal = fetch->fatal != 0 ? fetch->fatal : code;
}

/* --- answers ---------------------------------------------------------------------------------- */

/* 0, or -errno of a folder that cannot be written: that concerns all. */
static int keep(struct fetch *fetch, size_t vm, const struct http_answer *answer)
{
    struct vcenter_run *run = fetch->run;
    const struct vcenter_item *item = &run->vms.items[vm];
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(notes_fini) struct notes notes = {0};
    char captured[CLOCK_TEXT_SIZE];
    struct err err = {""};

    clock_format(time(NULL), captured);
    if (vcenter_capture(answer->body, answer->len, item->name, captured, &fp, &notes, &err) < 0) {
        give_up_on(fetch, vm, err.text);
        return 0;
    }
    for (size_t i = 0; run->vms.n == 1 && i < notes.n; i++) {
        cli_note(run->cli, "%s", notes.items[i]);
    }
    return vcenter_folder_put(run, item, fp, &notes, &fetch->err);
}

/* All pause; the first failure behind a pause makes the next one longer. */
static void try_later(struct fetch *fetch, size_t vm, const struct http_answer *answer)
{
    uint64_t now = clock_monotonic_ms();
    struct err err = {""};

    if (answer->result == API_OK) {
        (void)vcenter_refuse(fetch->run, answer->status, answer->body, answer->len, &err);
    } else {
        (void)err_set(&err, 0, "%s", answer->error);
    }
    if (++fetch->tries[vm] >= VCENTER_TRIES) {
        give_up_on(fetch, vm, err.text);
    } else {
        enqueue(fetch, vm);
    }
    if (now >= fetch->pause_until_ms) {
        uint64_t pause = (uint64_t)VCENTER_PAUSE_MS
                         << (fetch->bad_rounds < 6 ? fetch->bad_rounds : 6);

        fetch->bad_rounds++;
        fetch->pause_until_ms =
            now + (pause < VCENTER_PAUSE_MAX_MS ? pause : (uint64_t)VCENTER_PAUSE_MAX_MS);
    }
    if (fetch->bad_rounds >= BAD_ROUNDS_MAX) {
        end_with(fetch, err_set(&fetch->err, -EIO,
                                "nothing but failures for a while, so the rest is left; the last "
                                "one: %s",
                                err.text));
    }
}

static void on_answer(void *userdata, const struct http_answer *answer)
{
    struct slot *slot = userdata;
    struct fetch *fetch = slot->fetch;
    struct err err = {""};

    slot->busy = false;
    fetch->under_way--;
    if (answer->result == API_OK && answer->status == 401) {
        fetch->session_ended = true;
        enqueue(fetch, slot->vm);
    } else if (vcenter_is_busy(answer->result, answer->status)) {
        try_later(fetch, slot->vm, answer);
    } else {
        fetch->bad_rounds = 0;
        fetch->idle_logins = 0;
        if (answer->status == 200) {
            end_with(fetch, keep(fetch, slot->vm, answer));
        } else {
            (void)vcenter_refuse(fetch->run, answer->status, answer->body, answer->len, &err);
            give_up_on(fetch, slot->vm, err.text);
        }
    }
    vcenter_tell_progress(fetch->run, false);
}

/* --- the loop --------------------------------------------------------------------------------- */

static void ask_next(struct fetch *fetch, struct slot *slot)
{
    struct vcenter_run *run = fetch->run;
    size_t vm = dequeue(fetch);
    CLEANUP(api_request_freep)
    struct api_request *request = vcenter_get_vm(run->dialect, run->vms.items[vm].id);
    int rc;

    if (request == NULL) {
        end_with(fetch, err_oom(&fetch->err));
        return;
    }
    slot->vm = vm;
    rc = http_send_with(run->http, run->secrets->session, request, on_answer, slot, &fetch->err);
    if (rc < 0) {
        end_with(fetch, rc);
        return;
    }
    slot->busy = true;
    fetch->under_way++;
}

static void ask_more(struct fetch *fetch)
{
    for (size_t i = 0; i < VCENTER_PARALLEL && fetch->queued > 0 && fetch->fatal == 0; i++) {
        if (!fetch->slots[i].busy) {
            ask_next(fetch, &fetch->slots[i]);
        }
    }
}

static void renew_session(struct fetch *fetch)
{
    fetch->session_ended = false;
    if (fetch->idle_logins++ >= IDLE_LOGINS_MAX) {
        end_with(fetch, err_set(&fetch->err, -EACCES,
                                "%s ends every session before it answered a single question",
                                fetch->run->url));
        return;
    }
    end_with(fetch, vcenter_log_in(fetch->run, &fetch->err));
}

/* One step: as much as can be asked for, then one event. */
static int step(struct fetch *fetch)
{
    uint64_t now = clock_monotonic_ms();
    uint64_t pause = fetch->pause_until_ms > now ? fetch->pause_until_ms - now : 0;
    int rc;

    if (fetch->session_ended) {
        if (fetch->under_way == 0) {
            renew_session(fetch);
            return 0;
        }
    } else if (pause == 0) {
        ask_more(fetch);
    }
    if (fetch->under_way == 0 && pause == 0) {
        return 0;
    }
    rc = sd_event_run(fetch->run->event, pause > 0 ? pause * 1000 : UINT64_MAX);
    return rc < 0 ? err_set(&fetch->err, rc, "the event loop failed: %s", strerror(-rc)) : 0;
}

static int run_all(struct fetch *fetch, struct err *err)
{
    struct vcenter_run *run = fetch->run;

    while (fetch->fatal == 0 && run->interrupted == 0 &&
           (fetch->under_way > 0 || fetch->queued > 0)) {
        end_with(fetch, step(fetch));
    }
    http_free(STEAL(run->http)); /* nothing comes into our slots any more */
    vcenter_tell_progress(run, true);
    if (fetch->fatal != 0) {
        return err_set(err, fetch->fatal, "%s", fetch->err.text);
    }
    return vcenter_check_interrupted(run, err);
}

int vcenter_fetch(struct vcenter_run *run, struct err *err)
{
    CLEANUP(fetch_fini) struct fetch fetch = {.run = run};

    fetch.queue = calloc(run->vms.n, sizeof(fetch.queue[0]));
    fetch.tries = calloc(run->vms.n, sizeof(fetch.tries[0]));
    if (fetch.queue == NULL || fetch.tries == NULL) {
        return err_oom(err);
    }
    for (size_t i = 0; i < VCENTER_PARALLEL; i++) {
        fetch.slots[i].fetch = &fetch;
    }
    for (size_t i = 0; i < run->vms.n; i++) {
        if (!vcenter_folder_has(run, &run->vms.items[i])) {
            enqueue(&fetch, i);
        }
    }
    return run_all(&fetch, err);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the VMs of other nodes carry. The daemon sees this node's files only (its mount namespace
 * shows it no others), so it asks the API: where all VMs are, then what each one on another node
 * carries; two questions at a time, so that no hook's question waits behind a thousand of these.
 *
 * Every ten minutes all are read, or less often where that takes long: never more than a twentieth
 * of the time. Before a change, where the last survey is not fresh, the list is asked for and only
 * those are read that are new, have moved, or stand in the way of a VM that waits. What cannot be
 * had is a gap: plans say so in a note, and nobody is kept from anything by it (law 9).
 *
 * The two questions go to two nodes, where there are two: one that hangs, for as long as our
 * patience with the API lasts, must not keep us from what the others have.
 *
 * VMs move meanwhile. One that is not on its node any more keeps what it carries until a list says
 * that it is nowhere: PVE is asked for another one, and what is elsewhere now is read there. One
 * that went from here meanwhile was in no list: those who waited then wait for one more survey.
 */
#include <errno.h>
#include <string.h>
#include <syslog.h>

#include "base/str.h"
#include "core/claims.h"
#include "core/survey.h"
#include "engine_impl.h"
#include "message_ids.h"

enum {
    PARALLEL = 2,
    FRESH_MS = 30000,       /* before a change */
    RIVALS_FRESH_MS = 3000, /* ... where a VM of another node is the obstacle */
    WAIT_MS = 15000,        /* a reconciliation waits no longer */
    ALL_EVERY_S = 600,
    SHARE = 20, /* of the time, one part */
    RETRY_S = 60,
    LISTS_MAX = 3, /* of one survey: VMs move while they are asked about */
};

struct reading {
    struct engine *engine;
    struct pve_call *call; /* NULL: idle */
    struct survey_vm vm;   /* borrowed from the list */
};

struct survey {
    struct pve_call *list_call;
    struct survey_vms vms;
    bool *taken; /* for each of vms: asked for, or not to be */
    size_t next; /* before this one all are taken */
    struct reading readings[PARALLEL];
    bool under_way;
    bool all;                    /* read them all; else what is new or in the way */
    unsigned lists;              /* PVE was asked so often in this survey where all VMs are */
    bool moved;                  /* one was not where the last list had it */
    struct claims_rivals rivals; /* to be read in any case */
    struct notes away;           /* nodes that did not answer in this survey */
    struct notes heard;          /* nodes that did */
    size_t unread;               /* VMs whose configuration could not be had */
    char *why;                   /* of the first one */
    int64_t begun_ms, ended_ms;  /* of the last one; 0: never */
    bool doubt;                  /* a VM went somewhere */
    sd_event_source *timer, *limit;
};

static void ask_on(struct engine *engine);
static void ask_for_list(struct engine *engine);

int engine_survey_new(struct engine *engine)
{
    engine->survey = calloc(1, sizeof(*engine->survey));
    if (engine->survey == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < PARALLEL; i++) {
        engine->survey->readings[i].engine = engine;
    }
    return 0;
}

static void forget_list(struct survey *survey)
{
    survey_vms_fini(&survey->vms);
    free(survey->taken);
    survey->taken = NULL;
    survey->next = 0;
}

void engine_survey_free(struct engine *engine)
{
    struct survey *survey = engine->survey;

    if (survey == NULL) {
        return;
    }
    engine_cancel(survey->list_call);
    for (size_t i = 0; i < PARALLEL; i++) {
        engine_cancel(survey->readings[i].call);
    }
    sd_event_source_disable_unref(survey->timer);
    sd_event_source_disable_unref(survey->limit);
    forget_list(survey);
    claims_rivals_fini(&survey->rivals);
    notes_fini(&survey->away);
    notes_fini(&survey->heard);
    free(survey->why);
    free(survey);
    engine->survey = NULL;
}

void engine_survey_doubt(struct engine *engine)
{
    engine->survey->doubt = true;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Those who wait now; whoever waits again after that waits for the next one. */
static void let_go(struct engine *engine)
{
    struct vm *vm;

    engine->survey->limit = sd_event_source_disable_unref(engine->survey->limit);
    for (vm = engine->vms; vm != NULL; vm = vm->next) {
        vm->survey_over = vm->awaits_survey;
        vm->awaits_survey = false;
    }
    vm = engine->vms;
    while (vm != NULL) {
        if (vm->survey_over) {
            vm->survey_over = false;
            engine_drive_resume(vm); /* may free it, and others */
            vm = engine->vms;
        } else {
            vm = vm->next;
        }
    }
}

/* `late`: some may be missing, since it is not over yet. NULL: all is known, or no memory. */
static char *describe_gap(const struct survey *survey, bool late)
{
    const char *why = survey->why;

    if (survey->unread == 0 && !late) {
        return NULL;
    }
    why = why == NULL && late ? "asking PVE's API takes long" : why;
    return str_printf("whether a VM of another node has this identity is not fully known: %s",
                      why == NULL ? "PVE's API did not tell" : why);
}

static void note_gap(struct engine *engine, bool late)
{
    CLEANUP_FREE char *gap = describe_gap(engine->survey, late);

    if (claims_set_gap(engine->claims, gap) < 0) {
        (void)claims_set_gap(engine->claims, NULL); /* without memory nothing is said */
    }
    if (gap != NULL) {
        engine_say(engine, 0, LOG_NOTICE, MESSAGE_OTHERS_UNKNOWN, "%s", gap);
    }
}

static void end(struct engine *engine, bool complete)
{
    struct survey *survey = engine->survey;
    int64_t took = engine_now() - survey->begun_ms;
    unsigned next = complete ? ALL_EVERY_S : RETRY_S;
    bool all = survey->all; /* of those who are let go one may begin another */

    note_gap(engine, false); /* also takes back what on_limit() said meanwhile */
    survey->under_way = false;
    survey->ended_ms = engine_now();
    claims_rivals_fini(&survey->rivals);
    forget_list(survey);
    if (all) {
        engine_survey_in(engine,
                         next > took * SHARE / 1000 ? next : (unsigned)(took * SHARE / 1000));
    }
    let_go(engine);
    if (all) { /* a small one was for those who waited */
        engine->refused_again = true;
        engine_queue_kick(engine);
    }
}

static void miss(struct survey *survey, const char *node, const struct api_reply *reply)
{
    survey->unread++;
    if (survey->why == NULL) {
        survey->why = str_printf("%s%s%s", node == NULL ? "" : node, node == NULL ? "" : ": ",
                                 reply->message == NULL ? "no answer" : reply->message);
    }
}

/* --- one VM after the other --------------------------------------------------------------------
 */

static bool is_among(const struct notes *nodes, const char *node)
{
    for (size_t i = 0; i < nodes->n; i++) {
        if (str_equal(nodes->items[i], node)) {
            return true;
        }
    }
    return false;
}

/* No memory: it is asked more, or less, than need be. */
static void add_node(struct notes *nodes, const char *node)
{
    if (!is_among(nodes, node)) {
        (void)notes_add(nodes, "%s", node);
    }
}

static bool is_being_asked(const struct survey *survey, const char *node)
{
    for (size_t i = 0; i < PARALLEL; i++) {
        if (survey->readings[i].call != NULL && str_equal(survey->readings[i].vm.node, node)) {
            return true;
        }
    }
    return false;
}

static int take_config(struct engine *engine, const struct survey_vm *vm, const json_t *data)
{
    struct identity ids[2] = {{0}, {0}};
    struct claims_owner owner = {.vmid = vm->vmid, .where = CLAIMS_CONFIG, .node = vm->node};
    int rc = survey_read_pending(data, &ids[0], &ids[1]);

    owner.is_template = ids[0].is_template;
    rc = rc < 0 ? rc : claims_set(engine->claims, &owner, ids, ARRAY_SIZE(ids));
    identity_fini(&ids[0]);
    identity_fini(&ids[1]);
    return rc;
}

static void on_config(void *userdata, const struct api_reply *reply)
{
    struct reading *reading = userdata;
    struct survey *survey = reading->engine->survey;
    const struct survey_vm *vm = &reading->vm;

    reading->call = NULL;
    if (reply->result == API_OK) {
        add_node(&survey->heard, vm->node);
        if (take_config(reading->engine, vm, reply->data) < 0) {
            miss(survey, vm->node, &(struct api_reply){.message = (char[]){"no usable answer"}});
        }
    } else if (requests_vm_is_gone(reply)) {
        survey->moved = true;
    } else {
        miss(survey, vm->node, reply);
        /* One that is down is not asked again for each of its VMs: that would take minutes. */
        if (reply->result != API_REFUSED || reply->status >= 502) {
            add_node(&survey->away, vm->node);
        }
    }
    ask_on(reading->engine);
}

static bool is_wanted(const struct engine *engine, const struct survey_vm *vm)
{
    const struct survey *survey = engine->survey;
    struct claims_owner owner;

    if ((survey->all && survey->lists == 1) ||
        !claims_find(engine->claims, vm->vmid, CLAIMS_CONFIG, &owner) ||
        !str_equal(owner.node, vm->node)) {
        return true;
    }
    for (size_t i = 0; i < survey->rivals.n; i++) {
        if (survey->rivals.vmids[i] == vm->vmid) {
            return true;
        }
    }
    return false;
}

/* Is number `i` of the list still to be read? What is not, or cannot be had, is done with. */
static bool is_left(struct engine *engine, size_t i)
{
    struct survey *survey = engine->survey;
    const struct survey_vm *vm = &survey->vms.items[i];

    if (survey->taken[i]) {
        return false;
    }
    if (!is_wanted(engine, vm)) {
        survey->taken[i] = true;
    } else if (is_among(&survey->away, vm->node)) {
        survey->taken[i] = true;
        survey->unread++;
    }
    return !survey->taken[i];
}

/* The next VM that is to be read, of a node that is not being asked if there is one; two questions
 * to one node only if that has answered before. NULL: no more, or not now. */
static const struct survey_vm *next_vm(struct engine *engine)
{
    struct survey *survey = engine->survey;
    size_t found = survey->vms.n;

    for (size_t i = survey->next; i < survey->vms.n; i++) {
        const char *node = survey->vms.items[i].node;

        if (!is_left(engine, i)) {
            survey->next += i == survey->next;
        } else if (!is_being_asked(survey, node)) {
            found = i;
            break;
        } else if (found == survey->vms.n && is_among(&survey->heard, node)) {
            found = i;
        }
    }
    if (found == survey->vms.n) {
        return NULL;
    }
    survey->taken[found] = true;
    return &survey->vms.items[found];
}

/* All of the list are read. Where one had moved, another list tells where to. */
static void close_list(struct engine *engine)
{
    struct survey *survey = engine->survey;
    bool moved = survey->moved;

    if (moved && survey->lists < LISTS_MAX) {
        forget_list(survey);
        ask_for_list(engine);
        return;
    }
    if (moved) {
        miss(survey, NULL, &(struct api_reply){.message = (char[]){"VMs move from node to node"}});
    }
    end(engine, true);
}

static void ask_on(struct engine *engine)
{
    struct survey *survey = engine->survey;
    bool busy = false;

    for (size_t i = 0; i < PARALLEL; i++) {
        struct reading *reading = &survey->readings[i];
        const struct survey_vm *vm = reading->call == NULL ? next_vm(engine) : NULL;

        if (vm != NULL) {
            struct requests_vm target = {.node = vm->node, .vmid = vm->vmid};

            reading->vm = *vm;
            if (engine_send(engine, requests_pending(target), on_config, reading, &reading->call) <
                0) {
                reading->call = NULL;
                miss(survey, vm->node, &(struct api_reply){.message = (char[]){"out of memory"}});
            }
        }
        busy = busy || reading->call != NULL;
    }
    if (!busy) {
        close_list(engine);
    }
}

/* --- where they all are ------------------------------------------------------------------------
 */

/* What another node had and is not in the list is destroyed, or here by now: then our own look must
 * not be older. */
static void drop_gone(struct engine *engine)
{
    struct claims_owner owner;
    size_t at = 0;

    while (claims_next(engine->claims, &at, &owner)) {
        if (owner.where == CLAIMS_CONFIG && owner.node != NULL &&
            survey_find(&engine->survey->vms, owner.vmid) == NULL) {
            claims_drop(engine->claims, owner.vmid, CLAIMS_CONFIG);
            engine->configs_ms = 0;
        }
    }
}

static void on_list(void *userdata, const struct api_reply *reply)
{
    struct engine *engine = userdata;
    struct survey *survey = engine->survey;

    survey->list_call = NULL;
    if (reply->result != API_OK || survey_read_vms(reply->data, engine->node, &survey->vms) < 0) {
        miss(survey, NULL, reply);
        end(engine, false);
        return;
    }
    survey->taken = calloc(survey->vms.n + 1, sizeof(survey->taken[0]));
    if (survey->taken == NULL) {
        miss(survey, NULL, &(struct api_reply){.message = (char[]){"out of memory"}});
        end(engine, false);
        return;
    }
    drop_gone(engine);
    ask_on(engine);
}

static void ask_for_list(struct engine *engine)
{
    struct survey *survey = engine->survey;

    survey->lists++;
    survey->moved = false;
    survey->doubt = false; /* what goes from here after this is not in that list */
    if (engine_send(engine, requests_vms(), on_list, engine, &survey->list_call) < 0) {
        survey->list_call = NULL;
        miss(survey, NULL, &(struct api_reply){.message = (char[]){"out of memory"}});
        end(engine, false);
    }
}

static void begin(struct engine *engine, bool all)
{
    struct survey *survey = engine->survey;

    if (survey->under_way) {
        if (all && !survey->all) { /* what was passed over is wanted now */
            survey->lists = 1;
        }
        if (all && !survey->all && survey->taken != NULL) {
            memset(survey->taken, 0, survey->vms.n * sizeof(survey->taken[0]));
            survey->next = 0;
        }
        survey->all = survey->all || all;
        return;
    }
    survey->under_way = true;
    survey->all = all;
    survey->lists = 0;
    survey->next = 0;
    survey->unread = 0;
    free(survey->why);
    survey->why = NULL;
    notes_fini(&survey->away);
    notes_fini(&survey->heard);
    survey->begun_ms = engine_now();
    ask_for_list(engine);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct engine *engine = userdata;

    (void)source, (void)usec;
    engine->survey->timer = sd_event_source_disable_unref(engine->survey->timer);
    if (engine->loaded) {                    /* else it is being done, a little at a time */
        (void)engine_claims_refresh(engine); /* the copies on this node are told of, too */
    }
    begin(engine, true);
    return 0;
}

void engine_survey_in(struct engine *engine, unsigned seconds)
{
    struct survey *survey = engine->survey;

    survey->timer = sd_event_source_disable_unref(survey->timer);
    /* Without the timer the next change asks. */
    (void)sd_event_add_time_relative(engine->event, &survey->timer, CLOCK_MONOTONIC,
                                     (uint64_t)seconds * 1000000, 1000000, on_timer, engine);
}

/* --- those who wait ----------------------------------------------------------------------------
 */

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct engine *engine = userdata;

    (void)source, (void)usec;
    note_gap(engine, true);
    for (struct vm *vm = engine->vms; vm != NULL; vm = vm->next) {
        vm->surveys = ENGINE_SURVEYS_MAX;
    }
    let_go(engine);
    return 0;
}

/* Refused by VMs of other nodes: are they so still? */
static bool add_rivals(struct vm *vm)
{
    struct survey *survey = vm->engine->survey;
    CLEANUP(assessment_freep) struct assessment *a = NULL;

    if (engine_assess(vm->engine, vm->vmid, &a, NULL) < 0 || !a->elsewhere) {
        return false;
    }
    /* Without memory the old answer stands until the next survey. */
    (void)claims_rivals(vm->engine->claims, vm->vmid, a->fp, CLAIMS_CONFIG, &survey->rivals);
    return true;
}

bool engine_survey_needed_again(struct vm *vm)
{
    if (vm->surveys >= ENGINE_SURVEYS_MAX) {
        return false;
    }
    (void)engine_claims_refresh(vm->engine); /* notices one that went */
    return vm->engine->survey->doubt && engine_survey_needed(vm);
}

bool engine_survey_needed(struct vm *vm)
{
    struct engine *engine = vm->engine;
    struct survey *survey = engine->survey;
    int64_t age = engine_now() - survey->ended_ms;
    bool rivals;

    if (vm->memory.open) {
        return false; /* in the midst of it: the identity went first, or is not part of it */
    }
    rivals = add_rivals(vm);
    if (!survey->under_way && survey->ended_ms != 0 && !survey->doubt &&
        age < (rivals ? RIVALS_FRESH_MS : FRESH_MS)) {
        return false;
    }
    begin(engine, false);
    if (!survey->under_way) {
        return false;
    }
    if (survey->limit == NULL &&
        sd_event_add_time_relative(engine->event, &survey->limit, CLOCK_MONOTONIC,
                                   (uint64_t)WAIT_MS * 1000, 100000, on_limit, engine) < 0) {
        return false; /* nobody waits without an end */
    }
    vm->surveys++;
    return true;
}

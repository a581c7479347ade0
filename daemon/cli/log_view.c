/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See log_view.h. */
#include "cli/log_view.h"

#include <errno.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/smbios1.h"

/* One record, and the calls of the change set that it belongs to. */
struct view {
    const json_t *record;
    const json_t *steps; /* array; NULL: not known */
};

static const char *text_of(const json_t *record, const char *key)
{
    const char *text = json_string_value(json_object_get(record, key));

    return text != NULL ? text : "";
}

/* --- what a record says -----------------------------------------------------------------------
 */

/* What brought a change set about, in words; as the daemon names it where it is a newer one. */
static const char *cause_of(const char *name)
{
    static const char *const words[][2] = {
        {"fingerprint", "to be as its fingerprint says"},
        {"post-stop", "after a stop"},
        {"daemon-start", "when pve-hwidd was started"},
        {"retry", "tried again"},
        {"apply", "by apply"},
        {"pre-start", "for the start that was stopped (pre-start)"},
        {"recovery", "after pve-hwidd had been killed"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (str_equal(words[i][0], name)) {
            return words[i][1];
        }
    }
    return name;
}

static void say_begin(struct buf *line, const struct view *view)
{
    const char *undoes = text_of(view->record, "undoes");
    const char *cause = text_of(view->record, "cause");

    buf_addf(line, "change set %s", text_of(view->record, "txn"));
    if (*undoes != '\0') {
        buf_addf(line, ", undo of %s", undoes);
    } else if (*cause != '\0') {
        buf_addf(line, ", %s", cause_of(cause));
    }
}

/* "scsi0 -> sata0, boot": which options one call set, and the slot that it emptied. */
static void say_options(struct buf *line, const json_t *step)
{
    const char *removed = text_of(step, "remove");
    const json_t *set;
    size_t i;

    buf_addf(line, ": %s%s", removed, *removed != '\0' ? " -> " : "");
    json_array_foreach (json_object_get(step, "sets"), i, set) {
        const char *option = json_string_value(json_array_get(set, 0));

        buf_addf(line, "%s%s", i > 0 ? ", " : "", option != NULL ? option : "?");
    }
}

static void say_step(struct buf *line, const struct view *view)
{
    json_int_t number = json_integer_value(json_object_get(view->record, "step"));
    size_t n = json_array_size(view->steps);
    const char *message = text_of(view->record, "message");
    bool applied = json_is_true(json_object_get(view->record, "applied"));

    buf_addf(line, "%lld", (long long)number + 1); /* people count from 1 */
    if (number >= 0 && (size_t)number < n) {
        buf_addf(line, " of %zu", n);
        say_options(line, json_array_get(view->steps, (size_t)number));
    }
    buf_addf(line, "%s%s%s", applied ? ": done" : ": not done", *message != '\0' ? ": " : "",
             message);
}

static void say_held(struct buf *line, const struct view *view)
{
    buf_addf(line, "a start was stopped: %s", text_of(view->record, "why"));
}

static void say_stuck(struct buf *line, const struct view *view)
{
    const char *keys = text_of(view->record, "keys");

    buf_addf(line, "%s%s%s", keys, *keys != '\0' ? ": " : "", text_of(view->record, "message"));
}

static void say_end(struct buf *line, const struct view *view)
{
    const char *message = text_of(view->record, "message");

    buf_addf(line, "%s%s%s", text_of(view->record, "outcome"), *message != '\0' ? ": " : "",
             message);
}

static void say_start(struct buf *line, const struct view *view)
{
    (void)view;
    buf_adds(line, "PVE is asked to start it again");
}

static void say_started(struct buf *line, const struct view *view)
{
    const char *upid = text_of(view->record, "upid");

    buf_addf(line, "it was started again%s%s", *upid != '\0' ? ": " : "", upid);
}

static void say_dropped(struct buf *line, const struct view *view)
{
    buf_addf(line, "it is not started again: %s", text_of(view->record, "why"));
}

static void say_in_sync(struct buf *line, const struct view *view)
{
    (void)view;
    buf_adds(line, "a start went on: it is as its fingerprint says");
}

static void say_hold(struct buf *line, const struct view *view)
{
    buf_adds(line, text_of(view->record, "why"));
}

static void say_resume(struct buf *line, const struct view *view)
{
    (void)view;
    buf_adds(line, "on hold no more");
}

enum { SAID_MAX = 3 };

static const struct sentence {
    const char *type;
    void (*say)(struct buf *line, const struct view *view);
    const char *said[SAID_MAX]; /* the fields that are in it */
} sentences[] = {
    {"held", say_held, {"why"}},
    {"begin", say_begin, {"cause", "undoes"}},
    {"step", say_step, {"step", "applied", "message"}},
    {"stuck", say_stuck, {"keys", "message"}},
    {"end", say_end, {"outcome", "message"}},
    {"start", say_start, {NULL}},
    {"started", say_started, {"upid"}},
    {"dropped", say_dropped, {"why"}},
    {"in-sync", say_in_sync, {NULL}},
    {"hold", say_hold, {"why"}},
    {"resume", say_resume, {NULL}},
};

static const struct sentence *find_sentence(const char *type)
{
    for (size_t i = 0; i < ARRAY_SIZE(sentences); i++) {
        if (str_equal(sentences[i].type, type)) {
            return &sentences[i];
        }
    }
    return NULL;
}

static bool is_said(const struct sentence *sentence, const char *key)
{
    /* What a person wants of these is in the sentences and below them. */
    static const char *const hidden[] = {"v",     "time",    "type",  "vmid",  "key",
                                         "steps", "changes", "notes", "ctime", "machine"};

    for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
        if (str_equal(hidden[i], key)) {
            return true;
        }
    }
    for (size_t i = 0; sentence != NULL && i < SAID_MAX; i++) {
        if (str_equal(sentence->said[i], key)) {
            return true;
        }
    }
    return sentence != NULL && str_equal(key, "txn"); /* its `begin` has it */
}

/* "key=value", what is no text as JSON. */
static void add_field(struct buf *line, const char *key, const json_t *value)
{
    CLEANUP_FREE char *json = NULL;
    const char *text = json_string_value(value);

    if (text == NULL) {
        json = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        line->error = json == NULL && line->error == 0 ? -ENOMEM : line->error;
        text = json != NULL ? json : "";
    }
    buf_addf(line, "%s%s=%s", line->len > 0 ? " " : "", key, text);
}

/* --- what was changed -------------------------------------------------------------------------
 */

/* What PVE keeps as base64, as a person can read it: only the fields that changed, one a row.
 * False: shown as it is. */
static bool add_smbios1(struct out_table *table, const char *old, const char *new)
{
    CLEANUP(smbios1_fini) struct smbios1 before = {0};
    CLEANUP(smbios1_fini) struct smbios1 after = {0};

    if (smbios1_parse(old, &before, NULL) < 0 || smbios1_parse(new, &after, NULL) < 0) {
        return false;
    }
    for (unsigned i = 0; i < SMBIOS1_FIELDS; i++) {
        const char *was = before.fields[i], *is = after.fields[i];
        CLEANUP_FREE char *text = NULL;

        if (smbios1_field_equal((enum smbios1_field)i, was, is)) {
            continue;
        }
        text = str_printf("smbios1 %s: %s -> %s", smbios1_field_name((enum smbios1_field)i),
                          was != NULL ? was : "(not set)", is != NULL ? is : "(not set)");
        table->failed = table->failed || text == NULL;
        out_table_add_below(table, text);
    }
    return true;
}

static void add_change(struct out_table *table, const json_t *change)
{
    const char *option = json_string_value(json_object_get(change, "option"));
    const char *old = json_string_value(json_object_get(change, "old"));
    const char *new = json_string_value(json_object_get(change, "new"));
    CLEANUP_FREE char *text = NULL;

    if (str_equal(option, "smbios1") && add_smbios1(table, old, new)) {
        return;
    }
    text = str_printf("%s: %s -> %s", option != NULL ? option : "?",
                      old != NULL ? old : "(not set)", new != NULL ? new : "(not set)");
    table->failed = table->failed || text == NULL;
    out_table_add_below(table, text);
}

static void add_record(struct out_table *table, const struct view *view)
{
    CLEANUP(buf_fini) struct buf line = BUF_INIT(0);
    const char *type = json_string_value(json_object_get(view->record, "type"));
    const struct sentence *sentence = find_sentence(type);
    char when[OUT_TIME_SIZE];
    const char *key;
    json_t *value;
    size_t i;

    if (sentence != NULL) {
        sentence->say(&line, view);
    }
    json_object_foreach ((json_t *)view->record, key, value) { /* jansson's iterators: not const */
        if (!json_is_null(value) && !is_said(sentence, key)) {
            add_field(&line, key, value);
        }
    }
    table->failed = table->failed || line.error != 0;
    out_table_add(table, OUT_PLAIN,
                  out_iso_time(json_string_value(json_object_get(view->record, "time")), when));
    out_table_add(table, OUT_BOLD, type);
    out_table_add_said(table, line.data);
    json_array_foreach (json_object_get(view->record, "changes"), i, value) {
        add_change(table, value);
    }
    json_array_foreach (json_object_get(view->record, "notes"), i, value) {
        CLEANUP_FREE char *note = out_local_times(json_string_value(value));

        out_table_add_below(table, note);
    }
}

int log_view_print(const struct cli *cli, const json_t *records)
{
    static const char *const heads[] = {"TIME", "TYPE", "WHAT"};
    CLEANUP(out_table_fini) struct out_table table;
    struct view view = {NULL, NULL};
    const json_t *begin = NULL;
    size_t i;

    out_table_init(&table, heads, ARRAY_SIZE(heads));
    json_array_foreach (records, i, view.record) {
        if (str_equal(text_of(view.record, "type"), "begin")) {
            begin = view.record;
        }
        view.steps = str_equal(text_of(begin, "txn"), text_of(view.record, "txn"))
                         ? json_object_get(begin, "steps")
                         : NULL;
        add_record(&table, &view);
    }
    return out_table_print(&table, &cli->out);
}

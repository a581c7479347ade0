/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * `pve-hwid log`: the change journal of a VM (core/record.h). Time, type and sentence of a record
 * come first, its changes below it, one a line. What only machines want (keys, API calls) is left
 * to --json; fields that are not known here are shown as they are.
 */
#include <errno.h>

#include "base/buf.h"
#include "base/str.h"
#include "cli/args.h"
#include "cli/calls.h"
#include "cli/hold_file.h"
#include "cli/where.h"
#include "core/smbios1.h"

static bool is_one_of(const char *key, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_equal(key, words[i])) {
            return true;
        }
    }
    return false;
}

/* A sentence stands for itself; else "key=value", what is no text as JSON. */
static void add_field(struct buf *line, const char *key, const json_t *value)
{
    static const char *const hidden[] = {"v",     "time",    "type",  "vmid",  "key",
                                         "steps", "changes", "notes", "ctime", "machine"};
    static const char *const sentences[] = {"cause", "outcome", "why", "message"};
    CLEANUP_FREE char *json = NULL;
    const char *text = json_string_value(value);
    bool sentence = text != NULL && is_one_of(key, sentences, ARRAY_SIZE(sentences));

    if (json_is_null(value) || is_one_of(key, hidden, ARRAY_SIZE(hidden))) {
        return;
    }
    if (text == NULL) {
        json = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        line->error = json == NULL && line->error == 0 ? -ENOMEM : line->error;
        text = json != NULL ? json : "";
    }
    buf_addf(line, "%s%s%s%s", line->len > 0 ? (sentence ? ", " : " ") : "", sentence ? "" : key,
             sentence ? "" : "=", text);
}

/* A row below that of its record. */
static void add_below(struct out_table *table, const char *text)
{
    out_table_add(table, OUT_PLAIN, " ");
    out_table_add(table, OUT_PLAIN, " ");
    out_table_add(table, OUT_PLAIN, text);
}

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
        add_below(table, text);
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
    add_below(table, text);
}

static void add_record(struct out_table *table, json_t *record)
{
    CLEANUP(buf_fini) struct buf line = BUF_INIT(0);
    char when[OUT_TIME_SIZE];
    const char *key;
    json_t *value;
    size_t i;

    json_object_foreach (record, key, value) {
        add_field(&line, key, value);
    }
    table->failed = table->failed || line.error != 0;
    out_table_add(table, OUT_PLAIN,
                  out_iso_time(json_string_value(json_object_get(record, "time")), when));
    out_table_add(table, OUT_BOLD, json_string_value(json_object_get(record, "type")));
    out_table_add_said(table, line.data);
    json_array_foreach (json_object_get(record, "changes"), i, value) {
        add_change(table, value);
    }
    json_array_foreach (json_object_get(record, "notes"), i, value) {
        add_below(table, json_string_value(value));
    }
}

static enum cli_exit print_records(const struct cli *cli, const json_t *records)
{
    static const char *const heads[] = {"TIME", "TYPE", "WHAT"};
    CLEANUP(out_table_fini) struct out_table table;
    size_t i;
    json_t *record;

    out_table_init(&table, heads, ARRAY_SIZE(heads));
    json_array_foreach (records, i, record) {
        add_record(&table, record);
    }
    return out_table_print(&table, &cli->out) < 0 ? cli_oom(cli) : CLI_OK;
}

/* What was done to a VM that is gone can be read as long as its journal is there. */
static void tell_where(const struct cli *cli, uint32_t vmid)
{
    CLEANUP(settings_freep) struct settings *settings = NULL;
    CLEANUP(where_fini) struct where where = {0};

    if (hold_file_settings(cli->config, &settings, NULL) < 0) {
        return;
    }
    where_find(settings, vmid, &where);
    if (where.is == WHERE_ELSEWHERE) {
        cli_note(
            cli,
            "VM %u is on node %s now: this is what was changed while it was here; what was changed "
            "there is told there",
            (unsigned)vmid, where.node);
    } else if (where.is == WHERE_NOWHERE) {
        cli_note(cli,
                 "there is no VM %u in the cluster any more: this is what was changed while it was "
                 "here",
                 (unsigned)vmid);
    }
}

static enum cli_exit log_vm(const struct cli *cli, uint32_t vmid)
{
    json_auto_t *answer = NULL;
    json_t *records;
    json_int_t unreadable;
    enum cli_exit code;

    code = calls_vm(cli, "Log", vmid, "records", &answer);
    if (code != CLI_OK) {
        return code;
    }
    records = json_object_get(answer, "records");
    unreadable = json_integer_value(json_object_get(answer, "unreadable"));
    if (!json_is_array(records)) {
        return calls_bad_answer(cli, vmid, "it has no 'records'");
    }
    if (cli->json) {
        return cli_print_json(cli,
                              json_pack("{s:I,s:O,s:I}", "vmid", (json_int_t)vmid, "records",
                                        records, "unreadable", unreadable),
                              CLI_OK);
    }
    tell_where(cli, vmid);
    if (unreadable > 0) {
        cli_note(cli,
                 "VM %u: %lld line%s of the journal cannot be read and %s left out: "
                 "/var/lib/pve-hwid/journal/%u.jsonl",
                 (unsigned)vmid, (long long)unreadable, unreadable == 1 ? "" : "s",
                 unreadable == 1 ? "was" : "were", (unsigned)vmid);
    }
    if (json_array_size(records) == 0) {
        out_printf(&cli->out, OUT_PLAIN, "VM %u: nothing was changed so far.\n", (unsigned)vmid);
        return CLI_OK;
    }
    return print_records(cli, records);
}

static enum cli_exit log_run(struct cli *cli, int argc, char **argv)
{
    struct args args;
    enum cli_exit code;
    uint32_t vmid;

    if (args_parse(cli, NULL, 0, argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = args_need_vmid(cli, &args, &vmid);
    if (code != CLI_OK) {
        return code;
    }
    return log_vm(cli, vmid);
}

const struct verb verb_log = {
    .name = "log",
    .summary = "Shows what was changed in a VM, when and why",
    .usage = "log VMID [--json]",
    .details = "The change journal, oldest first; times are local, with\n"
               "their zone. --json has all of it, and UTC.\n\n"
               "Examples:\n"
               "  pve-hwid log 105\n"
               "  pve-hwid log 105 --json | jq '.records[-1]'\n",
    .online = true,
    .run = log_run,
};

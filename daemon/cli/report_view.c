/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See report_view.h. Cells wrap on a terminal; elsewhere each row is one line, for grep and awk. */
#include "cli/report_view.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "cli/calls.h"
#include "core/report.h"

enum { COLUMNS = 5, GAP = 2, COLUMN_MIN = 12, INDENT = 2, RESULT = COLUMNS - 1 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "-";
}

static int number_of(const json_t *object, const char *key)
{
    return (int)json_integer_value(json_object_get(object, key));
}

static enum out_style style_of(const char *verdict)
{
    if (str_equal(verdict, "equal")) {
        return OUT_GOOD;
    }
    if (str_equal(verdict, "substitute")) {
        return OUT_WARN;
    }
    return str_equal(verdict, "differs") ? OUT_BAD : OUT_DIM;
}

/* --- wrapping --------------------------------------------------------------------------------- */

/* A paragraph behind a "- ", its other lines below its first. */
static void print_item(const struct out *out, const char *text)
{
    size_t width = out->width > 4 * INDENT ? out->width - 2 * INDENT : 0;
    bool first = true;

    while (*text != '\0') {
        size_t bytes = width == 0 ? strlen(text) : out_line(text, width);

        out_printf(out, OUT_PLAIN, "%s%.*s\n", first ? "  - " : "    ", (int)bytes, text);
        text += bytes;
        text += strspn(text, " ");
        first = false;
    }
}

static void print_items(const struct out *out, const char *title, const json_t *items)
{
    size_t i;
    json_t *item;

    if (json_array_size(items) > 0) {
        out_printf(out, OUT_BOLD, "%s\n", title);
    }
    json_array_foreach (items, i, item) {
        print_item(out, json_is_string(item) ? json_string_value(item) : "");
    }
}

/* --- the table -------------------------------------------------------------------------------- */

static const char *const heads[COLUMNS] = {"ATTRIBUTE", "ON VMWARE", "NOW", "AFTER APPLY",
                                           "RESULT"};

static const char *cell(const json_t *row, size_t column)
{
    static const char *const keys[COLUMNS] = {"attribute", "vmware", "now", "after", "result"};

    return row == NULL ? heads[column] : text_of(row, keys[column]);
}

/* Natural widths, then the widest of the three in the middle gives way until all fit. */
static void measure(const struct out *out, const json_t *rows, size_t widths[COLUMNS])
{
    size_t i, total = (COLUMNS - 1) * GAP;
    json_t *row;

    for (size_t c = 0; c < COLUMNS; c++) {
        widths[c] = strlen(heads[c]);
        json_array_foreach (rows, i, row) {
            const char *text = cell(row, c);
            size_t width = out_columns(text, strlen(text));

            widths[c] = width > widths[c] ? width : widths[c];
        }
        total += widths[c];
    }
    while (out->width > 0 && total > out->width) {
        size_t widest = 1;

        for (size_t c = 2; c < RESULT; c++) {
            widest = widths[c] > widths[widest] ? c : widest;
        }
        if (widths[widest] <= COLUMN_MIN) {
            return; /* too narrow a terminal for any table */
        }
        widths[widest]--;
        total--;
    }
}

/* Nothing more to print on this line from column `c` on. */
static bool is_empty(const char *const rest[COLUMNS], size_t c)
{
    while (c < COLUMNS && *rest[c] == '\0') {
        c++;
    }
    return c == COLUMNS;
}

static void print_row(const struct out *out, const json_t *row, const size_t widths[COLUMNS])
{
    const char *rest[COLUMNS];
    bool more = true;

    for (size_t c = 0; c < COLUMNS; c++) {
        rest[c] = cell(row, c);
    }
    while (more) {
        more = false;
        for (size_t c = 0; c < COLUMNS; c++) {
            size_t bytes = out_line(rest[c], widths[c]);
            size_t columns = out_columns(rest[c], bytes);
            enum out_style style = row == NULL   ? OUT_BOLD
                                   : c == RESULT ? style_of(cell(row, RESULT))
                                                 : OUT_PLAIN;

            out_printf(out, style, "%.*s", (int)bytes, rest[c]);
            if (c < RESULT && !is_empty(rest, c + 1)) {
                out_printf(out, OUT_PLAIN, "%*s", (int)(widths[c] - columns + GAP), "");
            }
            rest[c] += bytes;
            rest[c] += strspn(rest[c], " ");
            more = more || *rest[c] != '\0';
        }
        out_text(out, "\n");
    }
}

static void print_rows(const struct out *out, const json_t *rows)
{
    size_t widths[COLUMNS], i;
    json_t *row;

    measure(out, rows, widths);
    print_row(out, NULL, widths);
    json_array_foreach (rows, i, row) {
        print_row(out, row, widths);
    }
}

/* --- the estimate, the licence ---------------------------------------------------------------- */

static int print_classes(const struct out *out, const json_t *classes)
{
    static const char *const names[] = {"CLASS", "WEIGHT", "NOW", "AFTER APPLY"};
    CLEANUP(out_table_fini) struct out_table table;
    size_t i;
    json_t *item;

    out_table_init(&table, names, ARRAY_SIZE(names));
    json_array_foreach (classes, i, item) {
        out_table_add(&table, OUT_PLAIN, text_of(item, "name"));
        out_table_addf(&table, OUT_PLAIN, "%d", number_of(item, "weight"));
        out_table_add(&table, style_of(text_of(item, "now")), text_of(item, "now"));
        out_table_add(&table, style_of(text_of(item, "after")), text_of(item, "after"));
    }
    return out_table_print(&table, out);
}

static void print_side(const struct out *out, const char *when, const json_t *estimate,
                       const json_t *side)
{
    int least = number_of(side, "score_min"), most = number_of(side, "score_max");
    const char *asks = text_of(side, "will_ask");

    out_printf(out, OUT_PLAIN,
               "%s: %d of %zu differ, %d unknown; more than %d, so that Windows asks "
               "for activation: ",
               when, number_of(side, "differ"),
               json_array_size(json_object_get(estimate, "classes")), number_of(side, "unknown"),
               number_of(estimate, "many"));
    out_printf(out,
               str_equal(asks, "no")    ? OUT_GOOD
               : str_equal(asks, "yes") ? OUT_BAD
                                        : OUT_WARN,
               "%s", asks);
    out_printf(out, OUT_PLAIN, "; weights ");
    if (least == most) {
        out_printf(out, OUT_PLAIN, "%d", least);
    } else {
        out_printf(out, OUT_PLAIN, "%d to %d", least, most);
    }
    out_printf(out, OUT_PLAIN, " of %d, %d needed\n", number_of(estimate, "total"),
               number_of(estimate, "threshold"));
}

static int print_estimate(const struct out *out, const json_t *estimate)
{
    out_printf(out, OUT_BOLD, "Activation (an estimate)\n");
    if (print_classes(out, json_object_get(estimate, "classes")) < 0) {
        return -ENOMEM;
    }
    print_side(out, "Now", estimate, json_object_get(estimate, "now"));
    print_side(out, "After apply", estimate, json_object_get(estimate, "after"));
    print_items(out, "Doubts", json_object_get(estimate, "doubts"));
    return 0;
}

static void print_license(const struct out *out, const json_t *license)
{
    static const char *const keys[] = {"said", "status", "product"};
    const char *key = json_string_value(json_object_get(license, "partial_key"));

    out_printf(out, OUT_BOLD, "\nLicence: %s", text_of(license, "channel"));
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const char *text = json_string_value(json_object_get(license, keys[i]));

        if (text != NULL && !str_equal(text, text_of(license, "channel"))) {
            out_printf(out, OUT_PLAIN, ", %s", text);
        }
    }
    if (key != NULL) {
        out_printf(out, OUT_PLAIN, ", key ending in %s", key);
    }
    out_text(out, "\n");
    print_items(out, "What to expect and do", json_object_get(license, "advice"));
}

static int print_report(const struct out *out, const json_t *report)
{
    int vmid = number_of(report, "vmid");

    if (vmid > 0) {
        out_printf(out, OUT_BOLD, "VM %d: what its guest sees\n\n", vmid);
    } else {
        out_printf(out, OUT_BOLD, "What the guest sees\n\n");
    }
    print_rows(out, json_object_get(report, "rows"));
    if (json_is_true(json_object_get(report, "refused"))) {
        out_printf(out, OUT_WARN,
                   "The plan is refused (see `plan`): applying would change nothing.\n");
    }
    out_text(out, "\n");
    if (print_estimate(out, json_object_get(report, "estimate")) < 0) {
        return -ENOMEM;
    }
    print_license(out, json_object_get(report, "license"));
    if (json_array_size(json_object_get(report, "hints")) > 0) {
        out_text(out, "\n");
    }
    print_items(out, "What could be improved by hand", json_object_get(report, "hints"));
    return 0;
}

static enum cli_exit exit_of(const json_t *report)
{
    if (json_is_true(json_object_get(report, "refused"))) {
        return CLI_REFUSED;
    }
    return number_of(report, "changes") > 0 ? CLI_DIFFERS : CLI_OK;
}

/* Gives `report` up. */
static enum cli_exit show(const struct cli *cli, json_t *report)
{
    enum cli_exit code = exit_of(report);

    if (cli->json) {
        return cli_print_json(cli, report, code);
    }
    if (report == NULL || print_report(&cli->out, report) < 0) {
        code = cli_oom(cli);
    }
    json_decref(report);
    return code;
}

enum cli_exit report_view_offline(const struct cli *cli, const struct plan_input *input,
                                  const struct plan *plan)
{
    CLEANUP(report_freep) struct report *report = NULL;
    const struct report_input about = {
        .vmid = input->vmid, .conf = input->conf, .fp = input->fp, .plan = plan};

    if (report_make(&about, &report, NULL) < 0) {
        return cli_oom(cli);
    }
    return show(cli, report_to_json(report));
}

enum cli_exit report_view_online(const struct cli *cli, uint32_t vmid)
{
    json_auto_t *answer = NULL;
    json_t *report;
    enum cli_exit code = calls_vm(cli, "Report", vmid, NULL, &answer);

    if (code != CLI_OK) {
        return code;
    }
    report = json_object_get(answer, "report");
    if (!json_is_array(json_object_get(report, "rows")) ||
        !json_is_object(json_object_get(report, "estimate"))) {
        return calls_bad_answer(cli, vmid, "it holds no report");
    }
    return show(cli, json_incref(report));
}

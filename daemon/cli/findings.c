/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See findings.h. */
#include "cli/findings.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/str.h"

static const struct {
    const char *shown, *name;
    enum out_style style;
} severities[] = {
    [FINDING_OK] = {"ok", "ok", OUT_GOOD},
    [FINDING_WARN] = {"warn", "warn", OUT_WARN},
    [FINDING_FAIL] = {"FAIL", "fail", OUT_BAD},
};

void findings_fini(struct findings *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->items[i].node);
        free(list->items[i].what);
        free(list->items[i].cure);
    }
    free(list->items);
    *list = (struct findings){0};
}

static char *format_text(const char *format, va_list args) PRINTF_LIKE(1, 0);
static char *format_text(const char *format, va_list args)
{
    char *text = NULL;

    return vasprintf(&text, format, args) < 0 ? NULL : text;
}

static struct finding *add(struct findings *list, const struct finding *finding)
{
    if (finding->what == NULL ||
        vec_reserve(&list->items, list->n, &list->cap, sizeof(list->items[0])) < 0) {
        free(finding->what);
        list->failed = true;
        return NULL;
    }
    list->items[list->n] = *finding;
    return &list->items[list->n++];
}

struct finding *findings_add(struct findings *list, const char *id, enum severity severity,
                             const char *format, ...)
{
    struct finding finding = {.id = id, .severity = severity};
    va_list args;

    va_start(args, format);
    finding.what = format_text(format, args);
    va_end(args);
    return add(list, &finding);
}

struct finding *findings_add_about(struct findings *list, const char *id, enum severity severity,
                                   struct finding_about about, const char *format, ...)
{
    struct finding finding = {.id = id, .severity = severity, .vmid = about.vmid};
    struct finding *added;
    va_list args;

    va_start(args, format);
    finding.what = format_text(format, args);
    va_end(args);
    added = add(list, &finding);
    if (added != NULL && about.node != NULL) {
        added->node = str_dup(about.node);
        list->failed = list->failed || added->node == NULL;
    }
    return added;
}

void findings_cure(struct findings *list, struct finding *finding, const char *format, ...)
{
    va_list args;

    if (finding == NULL) {
        return;
    }
    va_start(args, format);
    free(finding->cure);
    finding->cure = format_text(format, args);
    va_end(args);
    list->failed = list->failed || finding->cure == NULL;
}

/* --- telling ---------------------------------------------------------------------------------- */

static json_t *to_json(const struct finding *finding)
{
    return json_pack("{s:s,s:s,s:o,s:o,s:o,s:o}", "id", finding->id, "severity",
                     severities[finding->severity].name, "what", cli_json_text(finding->what),
                     "vmid", finding->vmid != 0 ? json_integer(finding->vmid) : json_null(), "node",
                     cli_json_text(finding->node), "cure", cli_json_text(finding->cure));
}

static enum cli_exit print_json(const struct cli *cli, const struct findings *list,
                                enum severity worst, enum cli_exit code)
{
    json_t *items = json_array();

    for (size_t i = 0; items != NULL && i < list->n; i++) {
        if (json_array_append_new(items, to_json(&list->items[i])) < 0) {
            json_decref(items);
            return cli_oom(cli);
        }
    }
    return cli_print_json(
        cli, json_pack("{s:s,s:o}", "result", severities[worst].name, "findings", items), code);
}

static void print_one(const struct out *out, const struct finding *finding)
{
    out_printf(out, severities[finding->severity].style, "%-4s",
               severities[finding->severity].shown);
    out_printf(out, OUT_PLAIN, "  %-12s  ", finding->id);
    if (finding->node != NULL) {
        out_printf(out, OUT_PLAIN, "node %s: ", finding->node);
    }
    if (finding->vmid != 0) {
        out_printf(out, OUT_PLAIN, "VM %u: ", (unsigned)finding->vmid);
    }
    out_printf(out, OUT_PLAIN, "%s\n", finding->what);
    if (finding->cure != NULL) {
        out_printf(out, OUT_PLAIN, "                    -> ");
        out_printf(out, OUT_BOLD, "%s\n", finding->cure);
    }
}

enum cli_exit findings_print(const struct cli *cli, const struct findings *list)
{
    static const enum cli_exit codes[] = {
        [FINDING_OK] = CLI_OK, [FINDING_WARN] = CLI_DIFFERS, [FINDING_FAIL] = CLI_ERROR};
    enum severity worst = FINDING_OK;
    size_t counts[] = {0, 0, 0};

    if (list->failed) {
        return cli_oom(cli);
    }
    for (size_t i = 0; i < list->n; i++) {
        enum severity severity = list->items[i].severity;

        counts[severity]++;
        worst = severity > worst ? severity : worst;
    }
    if (cli->json) {
        return print_json(cli, list, worst, codes[worst]);
    }
    for (size_t i = 0; i < list->n; i++) {
        print_one(&cli->out, &list->items[i]);
    }
    out_printf(&cli->out, OUT_PLAIN, "%zu ok, %zu warning%s, %zu failure%s\n", counts[FINDING_OK],
               counts[FINDING_WARN], counts[FINDING_WARN] == 1 ? "" : "s", counts[FINDING_FAIL],
               counts[FINDING_FAIL] == 1 ? "" : "s");
    return codes[worst];
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `pve-hwid status`: how the daemon is, for people and for monitoring. */
#include <errno.h>

#include "cli/args.h"
#include "cli/calls.h"
#include "core/wire.h"

struct status {
    const char *version, *node; /* borrowed from the answer, as all of these */
    int64_t uptime_s, fingerprints, queued_changes, queued_reads;
    bool api_ok;
    const char *api_url, *api_detail;
    const json_t *by_state; /* object of numbers */
    const json_t *problems; /* array of texts */
};

static int read_status(const json_t *answer, struct status *ret, struct err *err)
{
    struct wire_fields fields = {.object = answer};
    struct wire_fields api = {.object = json_object_get(answer, "api")};
    const char *bad;

    if (!json_is_object(api.object)) {
        return err_set(err, -EPROTO, "it has no 'api'");
    }
    *ret = (struct status){
        .version = wire_get_string(&fields, "version", WIRE_NEEDED),
        .node = wire_get_string(&fields, "node", WIRE_NEEDED),
        .uptime_s = wire_get_int(&fields, "uptime_s", WIRE_NEEDED, 0, INT64_MAX),
        .fingerprints = wire_get_int(&fields, "fingerprints", WIRE_NEEDED, 0, INT64_MAX),
        .queued_changes = wire_get_int(&fields, "queued_changes", WIRE_NEEDED, 0, INT64_MAX),
        .queued_reads = wire_get_int(&fields, "queued_reads", WIRE_NEEDED, 0, INT64_MAX),
        .problems = wire_get_array(&fields, "problems", WIRE_NEEDED),
        .by_state = json_object_get(answer, "by_state"),
        .api_ok = wire_get_bool(&api, "ok", WIRE_NEEDED),
        .api_url = wire_get_string(&api, "url", WIRE_NEEDED),
        .api_detail = wire_get_string(&api, "detail", WIRE_NEEDED),
    };
    bad = fields.bad != NULL ? fields.bad : api.bad;
    if (bad == NULL && !json_is_object(ret->by_state)) {
        bad = "by_state";
    }
    return bad == NULL ? 0 : err_set(err, -EPROTO, "it has no usable '%s'", bad);
}

/* "12 in-sync, 1 differs". */
static void print_states(const struct out *out, const json_t *by_state)
{
    const char *separator = " (";
    const char *state;
    json_t *count;

    json_object_foreach ((json_t *)by_state, state, count) { /* jansson's iterators: not const */
        out_printf(out, OUT_PLAIN, "%s%lld %s", separator, (long long)json_integer_value(count),
                   state);
        separator = ", ";
    }
    out_printf(out, OUT_PLAIN, "%s\n", json_object_size(by_state) > 0 ? ")" : "");
}

static void print_status(const struct out *out, const struct status *status)
{
    char uptime[OUT_TIME_SIZE];
    size_t i;
    json_t *problem;

    out_duration(status->uptime_s, uptime);
    out_printf(out, OUT_PLAIN, "pve-hwidd:     %s, up %s\n", status->version, uptime);
    out_printf(out, OUT_PLAIN, "Node:          %s\n", status->node);
    out_printf(out, OUT_PLAIN, "PVE API:       ");
    out_printf(out, status->api_ok ? OUT_GOOD : OUT_BAD, "%s",
               status->api_ok ? "answers" : "does not answer");
    out_printf(out, OUT_PLAIN, ", %s%s%s\n", status->api_url,
               *status->api_detail != '\0' ? ": " : "", status->api_detail);
    out_printf(out, OUT_PLAIN, "Fingerprints:  %lld", (long long)status->fingerprints);
    print_states(out, status->by_state);
    out_printf(out, OUT_PLAIN, "Queue:         %lld changes, %lld reads\n",
               (long long)status->queued_changes, (long long)status->queued_reads);
    if (json_array_size(status->problems) == 0) {
        out_text(out, "Problems:      none\n");
    }
    json_array_foreach (status->problems, i, problem) {
        const char *text = json_string_value(problem);

        out_printf(out, OUT_PLAIN, "%s", i == 0 ? "Problems:      " : "               ");
        out_printf(out, OUT_BAD, "%s\n", text != NULL ? text : "?");
    }
}

static enum cli_exit status_run(struct cli *cli, int argc, char **argv)
{
    json_auto_t *answer = NULL;
    struct args args;
    struct status status = {0};
    struct err err = {""};
    enum cli_exit code;

    if (args_parse(cli, NULL, 0, argc, argv, &args, &code) == ARGS_DONE) {
        return code;
    }
    code = args_none(cli, &args, true);
    if (code != CLI_OK) {
        return code;
    }
    code = calls_vm(cli, "Status", 0, NULL, &answer);
    if (code != CLI_OK) {
        return code;
    }
    if (read_status(answer, &status, &err) < 0) {
        return calls_bad_answer(cli, 0, err.text);
    }
    code = status.api_ok && json_array_size(status.problems) == 0 ? CLI_OK : CLI_ERROR;
    if (cli->json) {
        return cli_print_json(cli, STEAL(answer), code);
    }
    print_status(&cli->out, &status);
    return code;
}

const struct verb verb_status = {
    .name = "status",
    .summary = "Tells how the daemon is",
    .usage = "status [--json]",
    .details = "Exit: 0 all is well, 1 there are problems or the daemon does not answer.\n\n"
               "Examples:\n"
               "  pve-hwid status\n"
               "  pve-hwid status --json | jq .problems\n",
    .online = true,
    .run = status_run,
};

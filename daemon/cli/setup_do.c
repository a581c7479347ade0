/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See setup_do.h. Every step may be repeated: whoever is interrupted runs the command again, and
 * what was done is found to be done.
 */
#include "cli/setup_do.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "io/file.h"

/* What became of a step. */
enum outcome { DONE, ALREADY, WOULD_DO, YOURS, FAILED, NOT_TRIED, OUTCOMES };

static const struct {
    const char *words; /* for people */
    const char *name;  /* for programs */
    enum out_style style;
} outcomes[OUTCOMES] = {
    [DONE] = {"done", "done", OUT_GOOD},
    [ALREADY] = {"already so", "already", OUT_DIM},
    [WOULD_DO] = {"would do", "would-do", OUT_WARN},
    [YOURS] = {"for you", "yours", OUT_WARN},
    [FAILED] = {"failed", "failed", OUT_BAD},
    [NOT_TRIED] = {"not tried", "not-tried", OUT_DIM},
};

/* --- deeds ------------------------------------------------------------------------------------ */

static int run(const struct setup_step *step, json_t **ret, struct err *err)
{
    return admin_run((const char *const *)step->argv, ADMIN_COMMAND_MS, ret, err);
}

static int write_token(const struct admin *admin, const char *name, const char *value,
                       struct err *err)
{
    const char *path = admin->settings->token_file;
    char *text = str_printf("%s=%s\n", name, value);
    int rc = text == NULL ? err_oom(err) : file_replace(AT_FDCWD, path, 0600, text, err);

    if (text != NULL) {
        explicit_bzero(text, strlen(text));
        free(text);
    }
    return rc;
}

/*
 * The secret comes by a pipe and goes into the file: no argument, no terminal, no log. Where it
 * cannot be written it is lost, so the token is taken back: the next run makes another.
 */
static int make_token(const struct admin *admin, const struct setup_step *step, struct err *err)
{
    json_auto_t *answer = NULL;
    const char *name;
    json_t *value;
    int rc = run(step, &answer, err);

    if (rc < 0) {
        return rc;
    }
    name = json_string_value(json_object_get(answer, "full-tokenid"));
    value = json_object_get(answer, "value");
    if (name == NULL || json_string_length(value) == 0) {
        return err_set(err, -EPROTO, "pveum user token add: its answer has no token");
    }
    rc = write_token(admin, name, json_string_value(value), err);
    explicit_bzero((char *)json_string_value(value), json_string_length(value)); /* our own copy */
    if (rc < 0) {
        const char *const undo[] = {"pveum",    "user",        "token", "remove",
                                    SETUP_USER, step->argv[5], NULL};

        (void)admin_run(undo, ADMIN_COMMAND_MS, NULL, NULL); /* the first failure is told */
    }
    return rc;
}

/* The directory and those above it. Not below /etc/pve's root itself: pmxcfs has it. */
static int make_directory(const char *path, struct err *err)
{
    CLEANUP_FREE char *copy = str_dup(path);

    if (copy == NULL) {
        return err_oom(err);
    }
    for (char *slash = copy + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST) {
            return err_set(err, -errno, "%s: %s", copy, strerror(errno));
        }
        *slash = '/';
    }
    if (mkdir(copy, 0755) < 0 && errno != EEXIST) {
        return err_set(err, -errno, "%s: %s", copy, strerror(errno));
    }
    return 0;
}

/* Whole or not at all: a start that happens meanwhile finds the old one or the new one. */
static int copy_hook(const struct admin *admin, const char *path, struct err *err)
{
    CLEANUP(buf_fini) struct buf program = BUF_INIT(ADMIN_HOOK_MAX);
    CLEANUP_FREE char *dir = str_ndup(path, (size_t)(strrchr(path, '/') - path));
    int rc = dir == NULL ? err_oom(err) : make_directory(dir, err);

    rc = rc < 0 ? rc : file_read(AT_FDCWD, admin->hook_source, FILE_FOLLOW, &program, err);
    return rc < 0 ? rc : file_replace_bytes(AT_FDCWD, path, 0755, program.data, program.len, err);
}

/* Asked after a failure, which may have come after the deed: what is not known may have been done.
 */
static bool lacks_snippets(void)
{
    static const char *const ask[] = {"pvesh",           "get",  "/storage/" SETUP_STORAGE,
                                      "--output-format", "json", NULL};
    json_auto_t *storage = NULL;
    const char *content;

    if (admin_run(ask, ADMIN_COMMAND_MS, &storage, NULL) < 0) {
        return false;
    }
    content = json_string_value(json_object_get(storage, "content"));
    return content != NULL && !setup_has_word(content, "snippets");
}

static int remember(const struct setup_step *step, struct err *err)
{
    static const char text[] = "{ \"format\": 1, \"snippets_added_to\": \"" SETUP_STORAGE "\" }\n";
    int rc = file_replace(AT_FDCWD, step->path, 0644, text, err);

    rc = rc < 0 ? rc : run(step, NULL, err);
    if (rc < 0 && lacks_snippets()) {
        (void)unlink(step->path); /* nothing was added: nothing is to be remembered */
    }
    return rc;
}

static int remove_directory(const char *path, struct err *err)
{
    return rmdir(path) < 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EEXIST
               ? err_set(err, -errno, "%s: %s", path, strerror(errno))
               : 0;
}

static int carry_out(const struct admin *admin, const struct setup_step *step, struct err *err)
{
    switch (step->deed) {
    case SETUP_NOTHING:
        return 0;
    case SETUP_COMMAND:
        return run(step, NULL, err);
    case SETUP_TOKEN:
        return make_token(admin, step, err);
    case SETUP_DIRECTORY:
        return make_directory(step->path, err);
    case SETUP_HOOK:
        return copy_hook(admin, step->path, err);
    case SETUP_REMEMBER:
        return remember(step, err);
    case SETUP_REMOVE_FILE:
        return unlink(step->path) < 0 && errno != ENOENT
                   ? err_set(err, -errno, "%s: %s", step->path, strerror(errno))
                   : 0;
    case SETUP_REMOVE_DIR:
        return remove_directory(step->path, err);
    }
    return -EINVAL; /* not reached: all deeds are above */
}

/* --- telling ---------------------------------------------------------------------------------- */

static void print_step(const struct cli *cli, const struct setup_step *step, enum outcome outcome,
                       const char *problem)
{
    const struct out *out = &cli->out;

    if (cli->json) {
        return;
    }
    out_printf(out, outcomes[outcome].style, "%-10s", outcomes[outcome].words);
    out_printf(out, OUT_PLAIN, "  %s", step->what);
    if (problem[0] != '\0') {
        out_printf(out, OUT_BAD, ": %s", problem);
    } else if (step->remark != NULL && outcome != DONE) {
        out_printf(out, OUT_PLAIN, " (%s)", step->remark);
    }
    out_printf(out, OUT_PLAIN, "\n");
    if (outcome == WOULD_DO && step->argv[0] != NULL) {
        CLEANUP_FREE char *line = admin_command_line(step->argv);

        out_printf(out, OUT_DIM, "            %s\n", line != NULL ? line : "?");
    }
    (void)fflush(out->file); /* as it happens; main() looks for failures at the end */
}

static json_t *command_json(const struct setup_step *step)
{
    json_t *words = json_array();

    for (size_t i = 0; step->argv[i] != NULL; i++) {
        if (json_array_append_new(words, cli_json_text(step->argv[i])) < 0) {
            json_decref(words);
            return NULL;
        }
    }
    return words;
}

static int add_json(json_t *steps, const struct setup_step *step, enum outcome outcome,
                    const char *problem)
{
    const char *detail = problem[0] != '\0' ? problem : step->remark;
    json_t *item = json_pack("{s:s,s:o,s:s,s:o,s:o}", "id", step->id, "what",
                             cli_json_text(step->what), "state", outcomes[outcome].name, "command",
                             command_json(step), "detail", cli_json_text(detail));

    return json_array_append_new(steps, item) < 0 ? -ENOMEM : 0;
}

static enum outcome do_step(const struct admin *admin, const struct setup_step *step, bool dry_run,
                            bool failed, struct err *err)
{
    switch (step->state) {
    case SETUP_ALREADY:
        return ALREADY;
    case SETUP_YOURS:
        return YOURS;
    case SETUP_BLOCKED:
        (void)err_set(err, -EINVAL, "%s", step->remark);
        return FAILED;
    case SETUP_NEEDED:
        break;
    }
    if (failed) {
        return NOT_TRIED;
    }
    if (dry_run) {
        return WOULD_DO;
    }
    return carry_out(admin, step, err) < 0 ? FAILED : DONE;
}

static enum cli_exit exit_of(const size_t counts[OUTCOMES])
{
    if (counts[FAILED] > 0) {
        return CLI_ERROR;
    }
    return counts[WOULD_DO] > 0 ? CLI_DIFFERS : CLI_OK;
}

static enum cli_exit print_end(const struct cli *cli, const size_t counts[OUTCOMES], json_t *steps)
{
    enum cli_exit code = exit_of(counts);

    if (cli->json) {
        const char *result = code == CLI_ERROR     ? "failed"
                             : code == CLI_DIFFERS ? "would-do"
                             : counts[DONE] > 0    ? "done"
                                                   : "already";

        return cli_print_json(cli, json_pack("{s:s,s:O}", "result", result, "steps", steps), code);
    }
    if (code == CLI_ERROR) {
        (void)cli_fail(cli, code,
                       "not everything was done; mend what failed and run it again: "
                       "what is done stays so");
    } else if (code == CLI_DIFFERS) {
        out_printf(&cli->out, OUT_PLAIN, "%zu to do; nothing was changed\n", counts[WOULD_DO]);
    }
    return code;
}

enum cli_exit setup_do(const struct cli *cli, const struct admin *admin,
                       const struct setup_plan *plan, bool dry_run)
{
    json_auto_t *steps = json_array();
    size_t counts[OUTCOMES] = {0};

    for (size_t i = 0; i < plan->n; i++) {
        struct err err = {""};
        enum outcome outcome = do_step(admin, &plan->steps[i], dry_run, counts[FAILED] > 0, &err);

        counts[outcome]++;
        print_step(cli, &plan->steps[i], outcome, err.text);
        if (steps == NULL || add_json(steps, &plan->steps[i], outcome, err.text) < 0) {
            return cli_oom(cli);
        }
    }
    return print_end(cli, counts, steps);
}

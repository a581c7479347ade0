/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See args.h. */
#include "cli/args.h"

#include <assert.h>
#include <string.h>

#include "base/str.h"
#include "cli/help.h"
#include "cli/nearest.h"
#include "core/wire.h"

enum { TIMEOUT_MAX_S = 86400 };

/* What a verb's table and the options of all verbs have in common: one place to look. */
struct args_context {
    struct cli *cli;
    const struct arg_option *options;
    size_t n_options;
    bool help;
    const char *timeout;
    struct arg_option common[5];
    size_t n_common;
};

bool args_vmid(const char *word, uint32_t *ret_vmid)
{
    uint64_t value;

    if (!str_to_u64(word, WIRE_VMID_MAX, &value) || value < WIRE_VMID_MIN) {
        return false;
    }
    *ret_vmid = (uint32_t)value;
    return true;
}

static const struct arg_option *option_at(const struct args_context *context, size_t i)
{
    if (i < context->n_options) {
        return &context->options[i];
    }
    i -= context->n_options;
    return i < context->n_common ? &context->common[i] : NULL;
}

/* `name` has `len` bytes: it may end at a '='. */
static const struct arg_option *find_long(const struct args_context *context, const char *name,
                                          size_t len)
{
    const struct arg_option *option;

    for (size_t i = 0; (option = option_at(context, i)) != NULL; i++) {
        if (strlen(option->name) == len && memcmp(option->name, name, len) == 0) {
            return option;
        }
    }
    return NULL;
}

static const struct arg_option *find_letter(const struct args_context *context, char letter)
{
    const struct arg_option *option;

    for (size_t i = 0; (option = option_at(context, i)) != NULL; i++) {
        if (option->letter != '\0' && option->letter == letter) {
            return option;
        }
    }
    return NULL;
}

static enum cli_exit unknown_option(const struct args_context *context, const char *word)
{
    struct nearest nearest = nearest_begin(word + strspn(word, "-"));
    const struct arg_option *option;

    for (size_t i = 0; (option = option_at(context, i)) != NULL; i++) {
        nearest_offer(&nearest, option->name);
    }
    if (nearest.best != NULL && str_starts(word, "--")) {
        return cli_usage(context->cli, "%s does not know the option '%s'; did you mean --%s?",
                         context->cli->verb->name, word, nearest.best);
    }
    return cli_usage(context->cli, "%s does not know the option '%s'", context->cli->verb->name,
                     word);
}

static enum cli_exit store_value(const struct args_context *context,
                                 const struct arg_option *option, const char *value)
{
    switch (option->kind) {
    case ARG_FLAG:
        *(bool *)option->at = true;
        return CLI_OK;
    case ARG_TEXT:
        if (*value == '\0') {
            return cli_usage(context->cli, "the value of --%s is empty", option->name);
        }
        *(const char **)option->at = value;
        return CLI_OK;
    case ARG_VMID:
        if (!args_vmid(value, option->at)) {
            return cli_usage(context->cli, "--%s wants the number of a VM, e.g. 105, not '%s'",
                             option->name, value);
        }
        return CLI_OK;
    }
    return CLI_OK;
}

/* One option at argv[*at]; *at moves on where its value is the next word. */
static enum cli_exit take_option(const struct args_context *context, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    bool is_long = str_starts(word, "--");
    const char *equals = is_long ? strchr(word, '=') : NULL;
    const struct arg_option *option;

    if (is_long) {
        option = find_long(context, word + 2,
                           equals != NULL ? (size_t)(equals - word) - 2 : strlen(word + 2));
    } else {
        option = word[2] == '\0' ? find_letter(context, word[1]) : NULL;
    }
    if (option == NULL) {
        return unknown_option(context, word);
    }
    if (option->kind == ARG_FLAG) {
        return equals == NULL ? store_value(context, option, "")
                              : cli_usage(context->cli, "--%s takes no value", option->name);
    }
    if (equals != NULL) {
        return store_value(context, option, equals + 1);
    }
    if (*at + 1 >= argc) {
        return cli_usage(context->cli, "the option %s needs a value", word);
    }
    (*at)++;
    return store_value(context, option, argv[*at]);
}

/* Is the answer to be JSON? Asked first, so that a word before --json that is wrong is told so too.
 */
static bool wants_json(const struct args_context *context, int argc, char **argv)
{
    for (int i = 0; i < argc && !str_equal(argv[i], "--"); i++) {
        const struct arg_option *option = NULL;

        if (str_equal(argv[i], "--json")) {
            return true;
        }
        if (str_starts(argv[i], "--")) {
            option = find_long(context, argv[i] + 2, strlen(argv[i] + 2));
        } else if (argv[i][0] == '-' && argv[i][1] != '\0') {
            option = find_letter(context, argv[i][1]);
        }
        i += option != NULL && option->kind != ARG_FLAG; /* its value may look like an option */
    }
    return false;
}

static enum cli_exit take_all(const struct args_context *context, int argc, char **argv,
                              struct args *args)
{
    size_t operands = context->cli->verb->operands > 0 ? context->cli->verb->operands : 1;
    bool options = true;

    assert(operands <= ARGS_WORDS_MAX);
    for (int i = 0; i < argc; i++) {
        if (options && str_equal(argv[i], "--")) {
            options = false;
        } else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            enum cli_exit code = take_option(context, argc, argv, &i);

            if (code != CLI_OK) {
                return code;
            }
        } else if (args->n == operands) {
            return operands == 1 ? cli_usage(context->cli,
                                             "%s takes one operand at most: '%s' is one too many",
                                             context->cli->verb->name, argv[i])
                                 : cli_usage(context->cli,
                                             "%s takes %zu operands at most: '%s' is one too many",
                                             context->cli->verb->name, operands, argv[i]);
        } else {
            args->words[args->n++] = argv[i];
        }
    }
    return CLI_OK;
}

static void add_common(struct args_context *context, struct cli *cli)
{
    context->common[context->n_common++] = (struct arg_option){"json", '\0', ARG_FLAG, &cli->json};
    context->common[context->n_common++] = (struct arg_option){"help", 'h', ARG_FLAG,
                                                               &context->help};
    if (cli->verb->online) {
        context->common[context->n_common++] = (struct arg_option){"socket", '\0', ARG_TEXT,
                                                                   &cli->socket};
        context->common[context->n_common++] = (struct arg_option){"timeout", '\0', ARG_TEXT,
                                                                   &context->timeout};
        context->common[context->n_common++] = (struct arg_option){"config", '\0', ARG_TEXT,
                                                                   &cli->config};
    }
}

enum args_result args_parse(struct cli *cli, const struct arg_option *options, size_t n_options,
                            int argc, char **argv, struct args *ret, enum cli_exit *ret_code)
{
    struct args_context context = {.cli = cli, .options = options, .n_options = n_options};
    uint64_t timeout;

    *ret = (struct args){0};
    add_common(&context, cli);
    cli->json = wants_json(&context, argc, argv);
    *ret_code = take_all(&context, argc, argv, ret);
    if (*ret_code != CLI_OK) {
        return ARGS_DONE;
    }
    if (context.help) {
        *ret_code = help_verb(cli, cli->verb);
        return ARGS_DONE;
    }
    if (context.timeout != NULL) {
        if (!str_to_u64(context.timeout, TIMEOUT_MAX_S, &timeout) || timeout == 0) {
            *ret_code = cli_usage(cli, "--timeout wants seconds from 1 to %d, not '%s'",
                                  TIMEOUT_MAX_S, context.timeout);
            return ARGS_DONE;
        }
        cli->timeout_s = (long)timeout;
    }
    return ARGS_RUN;
}

enum cli_exit args_none(const struct cli *cli, const struct args *args, bool about_vms)
{
    uint32_t vmid;

    if (args->n == 0) {
        return CLI_OK;
    }
    if (about_vms && args_vmid(args->words[0], &vmid)) {
        return cli_usage(cli, "%s takes no operand; for one VM: pve-hwid check %u", cli->verb->name,
                         (unsigned)vmid);
    }
    return cli_usage(cli, "%s takes no operand: '%s' is one too many", cli->verb->name,
                     args->words[0]);
}

enum cli_exit args_take_vmid(const struct cli *cli, const char *word, uint32_t *ret_vmid)
{
    return args_vmid(word, ret_vmid)
               ? CLI_OK
               : cli_usage(cli, "'%s' is not the number of a VM, e.g. 105", word);
}

enum cli_exit args_need_vmid(const struct cli *cli, const struct args *args, uint32_t *ret_vmid)
{
    if (args->n == 0) {
        return cli_usage(cli, "%s needs the number of a VM, e.g. 105", cli->verb->name);
    }
    return args_take_vmid(cli, args->words[0], ret_vmid);
}

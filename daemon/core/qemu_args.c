/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See qemu_args.h. PVE splits `args` as a shell would (Text::ParseWords), without expansions. */
#include "core/qemu_args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

enum { WORD_MAX = 4096 };

/* One character of a word from **at on, quotes and backslashes undone; false at the word's end. */
static bool next_char(const char **at, char *quote, char *ret)
{
    for (;;) {
        char c = **at;

        if (c == '\0' || (*quote == '\0' && ascii_is_space(c))) {
            return false;
        }
        (*at)++;
        if (*quote == '\0' && (c == '"' || c == '\'')) {
            *quote = c;
        } else if (c == *quote) {
            *quote = '\0';
        } else {
            if (c == '\\' && *quote != '\'' && **at != '\0') {
                c = *(*at)++;
            }
            *ret = c;
            return true;
        }
    }
}

/* The next word: 1, 0 at the end, -ENOMEM. A word too long is cut: it is none of ours. */
static int next_word(const char **at, struct buf *word)
{
    char quote = '\0', c;

    buf_consume(word, word->len);
    *at += strspn(*at, " \t\r\n\v\f");
    if (**at == '\0') {
        return 0;
    }
    while (next_char(at, &quote, &c)) {
        if (word->len < WORD_MAX) {
            buf_addc(word, c);
        }
    }
    buf_adds(word, ""); /* '' is a word, too */
    return word->error != 0 ? -ENOMEM : 1;
}

/* Splits one option off "a=b,c=d", with ",," for a comma. False at the end. */
static bool next_option(const char **at, struct buf *option)
{
    buf_consume(option, option->len);
    if (**at == '\0') {
        return false;
    }
    for (; **at != '\0'; (*at)++) {
        if (**at == ',') {
            if ((*at)[1] != ',') {
                (*at)++;
                break;
            }
            (*at)++;
        }
        buf_addc(option, **at);
    }
    buf_adds(option, "");
    return true;
}

/* "key=value": the value; NULL: another key. */
static const char *value_of(const struct buf *option, const char *key)
{
    size_t len = strlen(key);

    return option->data != NULL && str_starts(option->data, key) && option->data[len] == '='
               ? option->data + len + 1
               : NULL;
}

static int read_smbios(const char *word, int type, const char *key, char **ret)
{
    CLEANUP(buf_fini) struct buf option = BUF_INIT(0);
    CLEANUP_FREE char *found = NULL;
    char wanted[16];
    bool same_type = false;

    (void)snprintf(wanted, sizeof(wanted), "%d", type); /* fits */
    while (next_option(&word, &option)) {
        const char *said_type = value_of(&option, "type");
        const char *value = value_of(&option, key);

        if (option.error != 0 || (value != NULL && str_replace(&found, value) < 0)) {
            return -ENOMEM;
        }
        same_type = said_type != NULL ? str_equal(said_type, wanted) : same_type;
    }
    if (same_type && found != NULL) {
        free(*ret);
        *ret = STEAL(found);
    }
    return 0;
}

int qemu_args_smbios(const char *args, int type, const char *key, char **ret)
{
    CLEANUP(buf_fini) struct buf word = BUF_INIT(0);
    CLEANUP_FREE char *found = NULL;
    bool ours = false;
    int rc;

    if (args == NULL) {
        *ret = NULL;
        return 0;
    }
    while ((rc = next_word(&args, &word)) > 0) {
        if (ours) {
            rc = read_smbios(word.data != NULL ? word.data : "", type, key, &found);
            if (rc < 0) {
                return rc;
            }
        }
        ours = !ours && (str_equal(word.data, "-smbios") || str_equal(word.data, "--smbios"));
    }
    if (rc == 0) {
        *ret = STEAL(found);
    }
    return rc;
}

int qemu_args_set(const char *args, const char *id, const char *property, char **ret)
{
    CLEANUP(buf_fini) struct buf word = BUF_INIT(0);
    CLEANUP_FREE char *found = NULL;
    CLEANUP_FREE char *prefix = str_printf("device.%s.%s=", id, property);
    bool ours = false;
    int rc;

    if (prefix == NULL) {
        return -ENOMEM;
    }
    if (args == NULL) {
        *ret = NULL;
        return 0;
    }
    while ((rc = next_word(&args, &word)) > 0) {
        const char *text = word.data != NULL ? word.data : "";

        if (ours && str_starts(text, prefix) && str_replace(&found, text + strlen(prefix)) < 0) {
            return -ENOMEM;
        }
        ours = !ours && (str_equal(text, "-set") || str_equal(text, "--set"));
    }
    if (rc == 0) {
        *ret = STEAL(found);
    }
    return rc;
}

/* --- a running QEMU ----------------------------------------------------------------------------
 */

/* The word behind the next `-option` from *at on; NULL: there is none. */
static const char *next_of(const char **at, const char *end, const char *option)
{
    bool ours = false;

    while (*at < end) {
        const char *word = *at;
        const char *nul = memchr(word, '\0', (size_t)(end - word));

        if (nul == NULL) {
            break; /* cut off: it says nothing whole */
        }
        *at = nul + 1;
        if (ours) {
            return word;
        }
        ours = word[0] == '-' && str_equal(word + 1 + (word[1] == '-'), option);
    }
    return NULL;
}

int qemu_argv_smbios(const char *argv, size_t len, int type, const char *key, char **ret)
{
    CLEANUP_FREE char *found = NULL;
    const char *at = argv;
    const char *word;

    while ((word = next_of(&at, argv + len, "smbios")) != NULL) {
        int rc = read_smbios(word, type, key, &found);

        if (rc < 0) {
            return rc;
        }
    }
    *ret = STEAL(found);
    return 0;
}

/* `key` of one device, if it is that one. */
static int read_device(const char *word, const char *id, const char *key, char **ret)
{
    CLEANUP(buf_fini) struct buf option = BUF_INIT(0);
    CLEANUP_FREE char *found = NULL;
    bool ours = false, first = true;

    for (; next_option(&word, &option); first = false) {
        const char *text = option.data != NULL ? option.data : "";
        const char *value = key == NULL ? (first ? text : NULL) : value_of(&option, key);

        if (option.error != 0 || (value != NULL && str_replace(&found, value) < 0)) {
            return -ENOMEM;
        }
        ours = ours || str_equal(value_of(&option, "id"), id);
    }
    if (ours) {
        free(*ret);
        *ret = STEAL(found);
    }
    return 0;
}

int qemu_argv_device(const char *argv, size_t len, const char *id, const char *key, char **ret)
{
    CLEANUP_FREE char *found = NULL;
    const char *at = argv;
    const char *word;

    while ((word = next_of(&at, argv + len, "device")) != NULL) {
        int rc = read_device(word, id, key, &found);

        if (rc < 0) {
            return rc;
        }
    }
    *ret = STEAL(found);
    return 0;
}

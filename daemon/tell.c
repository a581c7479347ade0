/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * journal_tell() of journal.h: messages with fields to the systemd journal, and in plain words to
 * stderr where that is not the journal already ($JOURNAL_STREAM is systemd's own sign for it): in
 * the foreground and in tests.
 */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "base/str.h"
#include "journal.h"

enum { FIELDS_MAX = 10 };

struct fields {
    struct iovec items[FIELDS_MAX];
    int n;
};

static void fields_fini(struct fields *fields)
{
    for (int i = 0; i < fields->n; i++) {
        free(fields->items[i].iov_base);
    }
}

/* A field there is no memory for is left out: the message matters more. */
static void add_field(struct fields *fields, const char *name, const char *value)
{
    char *text = value == NULL ? NULL : str_printf("%s=%s", name, value);

    if (text != NULL) {
        fields->items[fields->n++] = (struct iovec){.iov_base = text, .iov_len = strlen(text)};
    }
}

static const char *priority_name(int priority)
{
    static const char *const names[] = {"emergency", "alert",  "critical", "error",
                                        "warning",   "notice", "info",     "debug"};

    return priority >= 0 && (size_t)priority < ARRAY_SIZE(names) ? names[priority] : "info";
}

void journal_tell(const struct journal_message *message, const char *format, ...)
{
    CLEANUP(fields_fini) struct fields fields = {.n = 0};
    CLEANUP_FREE char *text = NULL;
    char number[sizeof("4294967295")];
    const char *words;
    va_list args;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0) {
        text = NULL; /* its value is undefined after a failure */
    }
    va_end(args);
    words = text != NULL ? text : format;
    add_field(&fields, "MESSAGE", words);
    (void)snprintf(number, sizeof(number), "%d", message->priority); /* one digit */
    add_field(&fields, "PRIORITY", number);
    add_field(&fields, "SYSLOG_IDENTIFIER", "pve-hwidd");
    add_field(&fields, "MESSAGE_ID", message->message_id);
    (void)snprintf(number, sizeof(number), "%u", message->vmid); /* fits by its size */
    add_field(&fields, "PVE_HWID_VMID", message->vmid != 0 ? number : NULL);
    add_field(&fields, "PVE_HWID_TXN", message->txn);
    add_field(&fields, "PVE_HWID_OPTION", message->option);
    add_field(&fields, "PVE_HWID_OLD", message->old);
    add_field(&fields, "PVE_HWID_NEW", message->new);
    (void)sd_journal_sendv(fields.items, fields.n); /* nobody left to tell */
    if (getenv("JOURNAL_STREAM") == NULL) {
        (void)fprintf(stderr, "%s: %s\n", priority_name(message->priority), words); /* likewise */
    }
}

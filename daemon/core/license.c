/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See license.h. */
#include "core/license.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

enum { PARTIAL_KEY_LEN = 5 };

/* By the beginning of Windows' word, the longer one first. */
static const struct {
    const char *prefix, *channel;
} channels[] = {
    {"Volume:GVLK", "Volume:GVLK"},
    {"Volume:MAK", "Volume:MAK"},
    {"Volume:CSVLK", "Volume:CSVLK"},
    {"Retail", "Retail"},
    {"OEM", "OEM"},
    {"VOLUME_KMSCLIENT", "Volume:GVLK"},
    {"VOLUME_MAK", "Volume:MAK"},
    {"VOLUME_KMS", "Volume:CSVLK"},
};

/* `word` ends at a blank or at its end. */
static void set_channel(struct builder *b, const char *word, size_t len)
{
    CLEANUP_FREE char *copy = str_ndup(word, len);

    if (copy == NULL) {
        b->error = -ENOMEM;
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(channels); i++) {
        if (str_istarts(copy, channels[i].prefix)) {
            builder_set(b, &b->fp->license_channel, channels[i].channel);
            return;
        }
    }
    builder_text(b, &b->fp->license_channel, copy, FINGERPRINT_STRING_MAX, "the licence channel");
}

void license_channel(struct builder *b, const char *channel, const char *description)
{
    const char *comma = description != NULL ? strrchr(description, ',') : NULL;

    if (b->error != 0) {
        return;
    }
    if (channel != NULL && *channel != '\0') {
        set_channel(b, channel, strlen(channel));
    } else if (comma != NULL) {
        comma += 1 + strspn(comma + 1, " ");
        set_channel(b, comma, strcspn(comma, " "));
    }
}

const char *license_status_name(long status)
{
    static const char *const names[] = {"unlicensed",    "licensed",         "oob-grace",
                                        "oot-grace",     "nongenuine-grace", "notification",
                                        "extended-grace"};

    return status < 0 || status >= (long)ARRAY_SIZE(names) ? NULL : names[status];
}

void license_partial_key(struct builder *b, const char *key)
{
    if (key == NULL || *key == '\0' || b->error != 0) {
        return;
    }
    if (strlen(key) != PARTIAL_KEY_LEN) {
        builder_note(b, "the partial product key does not have five characters and was left out");
        return;
    }
    builder_text(b, &b->fp->license_partial_key, key, PARTIAL_KEY_LEN, "the partial product key");
}

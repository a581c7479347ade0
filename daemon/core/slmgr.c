/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * See slmgr.h. Labels are translated, most values are not: the channel stands in an untranslated
 * description, the key has five characters, minutes and days stand in a form of their own. So only
 * the status is read by its words; one that is not known is kept as it is.
 */
#include "core/slmgr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/builder.h"
#include "core/fingerprint_priv.h"
#include "core/license.h"
#include "core/utext.h"

enum { SHOWN_MAX = 64, KEY_LEN = 5, NUMBER_SIZE = 24 };

static const char windows_id[] = "55c92734-d682-4d71-983e-d6ec3f16059f"; /* ApplicationID */

struct slmgr {
    struct builder b;
    bool has_name;    /* of the first product; what follows a second one is of another */
    bool has_sku;     /* the rearm count of the SKU goes over that of Windows */
    bool has_channel; /* from ProductKeyChannel, which goes over the description */
};

static bool contains(const char *text, const char *word)
{
    for (; *text != '\0'; text++) {
        if (str_istarts(text, word)) {
            return true;
        }
    }
    return false;
}

/* The words of English and German, by their beginnings; the order is that of LicenseStatus. */
static long status_of(const char *value)
{
    static const struct {
        const char *word;
        long status;
    } words[] = {
        {"Unlicensed", 0},       {"Nicht lizenziert", 0}, {"Licensed", 1},    {"Lizenziert", 1},
        {"Initial grace", 2},    {"Additional grace", 3}, {"Non-genuine", 4}, {"Notification", 5},
        {"Benachrichtigung", 5}, {"Extended grace", 6},
    };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (str_istarts(value, words[i].word)) {
            return words[i].status;
        }
    }
    return -1;
}

static void take_status(struct slmgr *s, const char *value)
{
    const char *name = license_status_name(status_of(value));

    if (name != NULL) {
        builder_set(&s->b, &s->b.fp->license_status, name);
        return;
    }
    builder_text(&s->b, &s->b.fp->license_status, value, FINGERPRINT_STRING_MAX, "the status");
    builder_note(&s->b, "the licence status \"%.*s\" is not known here and was kept as it is",
                 SHOWN_MAX, value);
}

/* The digits at *at, which moves behind them; false: none, or more than `max`. */
static bool take_number(const char **at, uint64_t max, uint64_t *ret)
{
    char digits[NUMBER_SIZE] = "";
    size_t n = strspn(*at, "0123456789");

    if (n == 0 || n >= sizeof(digits)) {
        return false;
    }
    memcpy(digits, *at, n);
    *at += n;
    return str_to_u64(digits, max, ret);
}

static void take_rearms(struct slmgr *s, const char *label, const char *value)
{
    bool sku = contains(label, "SKU");
    uint64_t number;

    if ((s->has_sku && !sku) || contains(label, "App") ||
        !take_number(&value, FINGERPRINT_REARMS_MAX, &number)) {
        return;
    }
    s->has_sku = s->has_sku || sku;
    s->b.fp->has_license_rearms = true;
    s->b.fp->license_remaining_rearms = (int)number;
}

/* "243720 minute(s) (169 day(s))": of all the minutes only these have days behind them. */
static void take_grace(struct slmgr *s, const char *value)
{
    uint64_t minutes;

    if (take_number(&value, FINGERPRINT_GRACE_MINUTES_MAX, &minutes) &&
        contains(value, " minute") && contains(value, "(") &&
        (contains(value, " day") || contains(value, " tag"))) {
        s->b.fp->has_license_grace = true;
        s->b.fp->license_grace_minutes = (long)minutes;
    }
}

/* "kms.example.com:1688" */
static bool is_host_with_port(const char *value)
{
    const char *colon = strrchr(value, ':');

    return colon != NULL && colon != value && ascii_is_digit(colon[1]) &&
           colon[1 + strspn(colon + 1, "0123456789")] == '\0' && strchr(value, ' ') == NULL &&
           strchr(value, '.') != NULL;
}

static bool is_partial_key(const char *value)
{
    for (const char *at = value; *at != '\0'; at++) {
        if (!ascii_is_digit(*at) && (*at < 'A' || *at > 'Z')) {
            return false;
        }
    }
    return strlen(value) == KEY_LEN;
}

static void take_channel(struct slmgr *s, const char *channel, const char *description)
{
    if (!s->has_channel) {
        license_channel(&s->b, channel, description);
    }
    s->has_channel = s->has_channel || channel != NULL;
}

/* "OEM:DM", "Retail", ...: what stands behind "Product Key Channel:" in any language. */
static bool is_channel(const char *value)
{
    return str_starts(value, "Volume:") || str_starts(value, "OEM:") || str_equal(value, "Retail");
}

static void take_pair(struct slmgr *s, const char *label, const char *value)
{
    struct fingerprint *fp = s->b.fp;

    if (str_ends(value, " channel")) {
        take_channel(s, NULL, value);
    } else if (is_channel(value)) {
        take_channel(s, value, NULL);
    } else if (contains(label, "product key") && is_partial_key(value)) {
        license_partial_key(&s->b, value);
    } else if (str_iequal(label, "License Status") || str_iequal(label, "Lizenzstatus")) {
        take_status(s, value);
    } else if (contains(label, "rearm")) {
        take_rearms(s, label, value);
    } else if (contains(label, "KMS") && is_host_with_port(value)) {
        builder_text(&s->b, &fp->license_kms_host, value, FINGERPRINT_STRING_MAX, "the KMS host");
    } else {
        take_grace(s, value);
    }
}

/* False: another product begins, and the first one is known. */
static bool take_line(struct slmgr *s, char *line)
{
    char *colon = strchr(line, ':');
    const char *value;

    if (colon == NULL) {
        return true;
    }
    *colon = '\0';
    value = colon + 1 + strspn(colon + 1, " \t");
    if (!str_equal(line, "Name")) {
        take_pair(s, line, value);
        return true;
    }
    if (s->has_name) {
        builder_note(&s->b, "there are several licences in it; only the first one was taken");
        return false;
    }
    s->has_name = true;
    builder_text(&s->b, &s->b.fp->license_product, value, FINGERPRINT_STRING_MAX, "the product");
    return true;
}

static void read_text(struct slmgr *s, char *text)
{
    bool more = true;

    for (char *line = text; *line != '\0' && more && s->b.error == 0;) {
        size_t len = strcspn(line, "\n");
        char *next = line[len] != '\0' ? line + len + 1 : line + len;

        for (; len > 0 && ascii_is_space(line[len - 1]); len--) {
        }
        line[len] = '\0';
        more = take_line(s, line + strspn(line, " \t"));
        line = next;
    }
}

static int capture(struct slmgr *s, char *text, struct fingerprint **ret_fp, struct err *err)
{
    const struct fingerprint *fp = s->b.fp;

    read_text(s, text);
    if (s->b.error != 0) {
        return err_oom(err);
    }
    if (fp->license_channel == NULL && fp->license_status == NULL) {
        return err_set(err, -EINVAL,
                       "neither a channel nor a status of a licence is in it; write it with: "
                       "cscript //nologo %%windir%%\\system32\\slmgr.vbs /dlv > licence.txt");
    }
    builder_machine(&s->b);
    builder_note(&s->b,
                 "slmgr tells nothing of the hardware: complete this with the .vmx, an OVF or "
                 "vCenter (capture --merge), or use capture-windows.ps1, which tells both");
    return builder_finish(&s->b, ret_fp, err);
}

int slmgr_capture(const char *text, size_t len, const char *captured, struct fingerprint **ret_fp,
                  struct notes *notes, struct err *err)
{
    CLEANUP_FREE char *copy = NULL;
    struct slmgr s = {0};
    size_t copy_len;
    int rc = utext_decode(text, len, &copy, &copy_len, err);

    if (rc < 0) {
        return rc;
    }
    rc = builder_init(&s.b, "slmgr", captured, notes);
    rc = rc < 0 ? err_oom(err) : capture(&s, copy, ret_fp, err);
    builder_fini(&s.b);
    return rc;
}

bool slmgr_recognises(const char *head, size_t len)
{
    CLEANUP_FREE char *text = NULL;
    size_t text_len;

    return utext_decode(head, len, &text, &text_len, NULL) == 0 &&
           (contains(text, windows_id) || strstr(text, "Partial Product Key:") != NULL ||
            (strstr(text, " channel") != NULL && strstr(text, "Windows(R)") != NULL));
}

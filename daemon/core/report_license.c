/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See report.h: what to expect of the licence, and what to do, by its channel. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/report_priv.h"

enum { MINUTES_OF_A_DAY = 24 * 60 };

const char *report_channel_name(enum report_channel channel)
{
    static const char *const names[] = {"unknown", "MAK", "KMS", "OEM", "Retail"};

    return names[channel];
}

/* Without regard to case, anywhere. */
static bool holds(const char *text, const char *word)
{
    for (; *text != '\0'; text++) {
        if (str_istarts(text, word)) {
            return true;
        }
    }
    return false;
}

enum report_channel report_channel_of(const char *said)
{
    static const struct {
        const char *word;
        enum report_channel channel;
    } words[] = {
        {"MAK", REPORT_MAK}, {"GVLK", REPORT_KMS}, {"CSVLK", REPORT_KMS},
        {"KMS", REPORT_KMS}, {"OEM", REPORT_OEM},  {"Retail", REPORT_RETAIL},
    };

    for (size_t i = 0; said != NULL && i < ARRAY_SIZE(words); i++) {
        if (holds(said, words[i].word)) {
            return words[i].channel;
        }
    }
    return REPORT_CHANNEL_UNKNOWN;
}

static void advise_mak(struct report_builder *b, struct notes *advice)
{
    report_note(b, advice,
                "MAK: if Windows asks, activate online (slmgr /ato) or by telephone "
                "(slui 4)");
    report_note(b, advice,
                "each activation takes one from the key's count: look at what is left "
                "(Microsoft 365 admin center, or VAMT) before many VMs move; pve-hwid "
                "cannot see it");
}

static void advise_kms(struct report_builder *b, struct notes *advice)
{
    const char *host = b->in->fp->license_kms_host;

    if (holds(b->in->fp->license_channel, "CSVLK")) {
        report_note(b, advice,
                    "this machine is a KMS host itself: activate it online (slmgr /ato) or "
                    "by telephone (slui 4), and give its clients the new address if it "
                    "changes");
        return;
    }
    report_note(b, advice,
                "KMS: the guest must reach %s%s on TCP port 1688 from its new network, and the key "
                "must stay the GVLK of its edition",
                host != NULL ? "its KMS host " : "its KMS host (DNS: _vlmcs._tcp)",
                host != NULL ? host : "");
    report_note(b, advice,
                "after the first start: slmgr /ato; it lasts 180 days and renews itself. "
                "KMS clients are said to mind a changed hard disk most");
}

static void advise_oem(struct report_builder *b, struct notes *advice)
{
    report_note(b, advice,
                "OEM: this licence is bound to the firmware of the host it was bought "
                "with. It does not follow the VM, whatever its hardware looks like: ask "
                "for a volume licence before the move");
}

static void advise_retail(struct report_builder *b, struct notes *advice)
{
    report_note(b, advice,
                "Retail: if Windows asks, activate online (slmgr /ato) or by telephone "
                "(slui 4); have the product key at hand. Windows Server has no digital "
                "licence that could follow an account");
}

static void advise_unknown(struct report_builder *b, struct notes *advice)
{
    const char *said = b->in->fp->license_channel;

    if (said != NULL) {
        report_note(b, advice,
                    "the channel \"%s\" is not known here: ask who bought the licence how "
                    "it is activated again",
                    said);
        return;
    }
    report_note(b, advice,
                "how Windows is licensed is not known: while the VM still runs on VMware, "
                "run capture-windows.ps1 in it, and complete this fingerprint with "
                "pve-hwid capture --merge");
}

static void tell_state(struct report_builder *b, struct notes *advice)
{
    const struct fingerprint *fp = b->in->fp;

    if (fp->license_status != NULL && !str_iequal(fp->license_status, "licensed")) {
        report_note(b, advice,
                    "on VMware it was \"%s\": what was not activated there will not be "
                    "here",
                    fp->license_status);
    }
    if (fp->has_license_grace && fp->license_grace_minutes > 0) {
        report_note(b, advice,
                    "when it was captured, %ld days remained until the next activation "
                    "is due",
                    fp->license_grace_minutes / MINUTES_OF_A_DAY);
    }
    if (fp->has_license_rearms) {
        report_note(b, advice, "slmgr /rearm is left %d time%s: it buys time, no licence",
                    fp->license_remaining_rearms, fp->license_remaining_rearms == 1 ? "" : "s");
    }
}

static void keep_words(struct report_builder *b)
{
    const struct fingerprint *fp = b->in->fp;
    struct report *report = b->report;

    if (b->error == 0 && (str_replace(&report->license_said, fp->license_channel) < 0 ||
                          str_replace(&report->license_status, fp->license_status) < 0 ||
                          str_replace(&report->license_product, fp->license_product) < 0 ||
                          str_replace(&report->license_partial_key, fp->license_partial_key) < 0)) {
        b->error = -ENOMEM;
    }
}

void report_license(struct report_builder *b)
{
    struct notes *advice = &b->report->advice;

    keep_words(b);
    b->report->channel = report_channel_of(b->in->fp->license_channel);
    switch (b->report->channel) {
    case REPORT_CHANNEL_UNKNOWN:
        advise_unknown(b, advice);
        break;
    case REPORT_MAK:
        advise_mak(b, advice);
        break;
    case REPORT_KMS:
        advise_kms(b, advice);
        break;
    case REPORT_OEM:
        advise_oem(b, advice);
        break;
    case REPORT_RETAIL:
        advise_retail(b, advice);
        break;
    }
    tell_state(b, advice);
}

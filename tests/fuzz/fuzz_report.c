/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A configuration and a fingerprint that somebody wrote, parted by a line of "%%": there is a
 * report about any of them; it can be shown, its figures hold together, and it says "equal" of
 * nothing that the fingerprint does not name. The same two are matched as well.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/match.h"
#include "core/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char parting[] = "\n%%\n";

static void must(bool truth)
{
    if (!truth) {
        __builtin_trap();
    }
}

static void check_side(const struct report_side *side)
{
    must(side->differ >= 0 && side->unknown >= 0 && side->differ + side->unknown <= REPORT_CLASSES);
    must(0 <= side->score_min && side->score_min <= side->score_max &&
         side->score_max <= REPORT_TOTAL);
    for (int i = 0; i < REPORT_CLASSES; i++) {
        must(side->classes[i] != REPORT_SUBSTITUTE);
    }
}

static void check_report(const struct report *report)
{
    json_t *json = report_to_json(report);

    must(json != NULL);
    json_decref(json);
    must(report->doubts.n > 0 && report->advice.n > 0);
    check_side(&report->now);
    check_side(&report->after);
    for (size_t i = 0; i < report->n; i++) {
        const struct report_row *row = &report->rows[i];

        must(row->vmware != NULL ||
             (row->verdict != REPORT_EQUAL && row->verdict_now != REPORT_EQUAL));
    }
}

static void check_match(const struct fingerprint *fp, const struct pveconf *conf)
{
    const struct match_fingerprint fps[] = {{"a", fp}};
    const struct match_vm vms[] = {{105, "n", conf}};
    const struct match_input input = {fps, 1, vms, 1, NULL, 0};
    CLEANUP(match_freep) struct match *match = NULL;

    must(match_make(&input, &match, NULL) == 0);
    must(match->n == 1 && match->pairs[0].sure != MATCH_AMBIGUOUS && match->conflicts.n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = str_ndup((const char *)data, size);
    CLEANUP(pveconf_freep) struct pveconf *raw = NULL;
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
    CLEANUP(plan_freep) struct plan *plan = NULL;
    CLEANUP(report_freep) struct report *report = NULL;
    char *json = text == NULL ? NULL : strstr(text, parting);

    if (json == NULL) {
        return 0;
    }
    *json = '\0';
    json += strlen(parting);
    if (pveconf_parse(text, strlen(text), &raw, NULL) < 0 ||
        pveconf_apply_pending(raw, &conf) < 0 ||
        fingerprint_parse(json, strlen(json), &fp, NULL) < 0) {
        return 0;
    }
    must(plan_make(&(struct plan_input){.vmid = 105, .conf = conf, .fp = fp}, &plan, NULL) == 0);
    must(report_make(&(struct report_input){105, conf, fp, plan}, &report, NULL) == 0);
    check_report(report);
    check_match(fp, conf);
    return 0;
}

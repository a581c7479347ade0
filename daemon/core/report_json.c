/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A report as JSON: the VmReport of conf/io.pvehwid.varlink, and the one shape that is rendered. */
#include "core/jsonwrite.h"
#include "core/report.h"

/* More than three of about ten? What is not known may tip it. */
static const char *will_ask(const struct report_side *side)
{
    if (side->differ > REPORT_MANY) {
        return "yes";
    }
    return side->differ + side->unknown > REPORT_MANY ? "perhaps" : "no";
}

static json_t *row_json(const struct report_row *row)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:s, s:s}", "attribute", row->attribute, "vmware",
                     jsonwrite_text(row->vmware), "now", jsonwrite_text(row->now), "after",
                     jsonwrite_text(row->after), "result_now",
                     report_verdict_name(row->verdict_now), "result",
                     report_verdict_name(row->verdict));
}

static json_t *rows_json(const struct report *report)
{
    json_t *array = json_array();

    for (size_t i = 0; array != NULL && i < report->n; i++) {
        if (json_array_append_new(array, row_json(&report->rows[i])) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *classes_json(const struct report *report)
{
    json_t *array = json_array();

    for (int i = 0; array != NULL && i < REPORT_CLASSES; i++) {
        json_t *item = json_pack("{s:s, s:i, s:s, s:s}", "name",
                                 report_class_name((enum report_class)i), "weight",
                                 report_class_weight((enum report_class)i), "now",
                                 report_verdict_name(report->now.classes[i]), "after",
                                 report_verdict_name(report->after.classes[i]));

        if (json_array_append_new(array, item) < 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *side_json(const struct report_side *side)
{
    return json_pack("{s:i, s:i, s:s, s:i, s:i}", "differ", side->differ, "unknown", side->unknown,
                     "will_ask", will_ask(side), "score_min", side->score_min, "score_max",
                     side->score_max);
}

static json_t *estimate_json(const struct report *report)
{
    return json_pack("{s:i, s:i, s:i, s:o, s:o, s:o, s:o}", "threshold", REPORT_THRESHOLD, "total",
                     REPORT_TOTAL, "many", REPORT_MANY, "now", side_json(&report->now), "after",
                     side_json(&report->after), "classes", classes_json(report), "doubts",
                     jsonwrite_notes(&report->doubts));
}

static json_t *license_json(const struct report *report)
{
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o}", "channel", report_channel_name(report->channel), "said",
        jsonwrite_text(report->license_said), "status", jsonwrite_text(report->license_status),
        "product", jsonwrite_text(report->license_product), "partial_key",
        jsonwrite_text(report->license_partial_key), "advice", jsonwrite_notes(&report->advice));
}

json_t *report_to_json(const struct report *report)
{
    return json_pack("{s:I, s:I, s:b, s:o, s:o, s:o, s:o}", "vmid", (json_int_t)report->vmid,
                     "changes", (json_int_t)report->changes, "refused", report->refused, "rows",
                     rows_json(report), "estimate", estimate_json(report), "license",
                     license_json(report), "hints", jsonwrite_notes(&report->hints));
}

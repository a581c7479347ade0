/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A plan as text and as one line. Values come from a file that anybody may have written
 * and end up in task logs and terminals: whatever is not printable ASCII becomes a '?'.
 */
#include "core/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/drive.h"
#include "core/smbios1.h"

enum { COLUMNS = 100 };

/* --- text ------------------------------------------------------------------------------------- */

static void add_ascii(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        buf_addc(out, ascii_is_print(text[i]) ? text[i] : '?');
    }
}

static void add_text(struct buf *out, const char *text)
{
    add_ascii(out, text, strlen(text));
}

/* `head`, then the words of `text`, broken at COLUMNS and indented below the head. */
static void add_wrapped(struct buf *out, const char *head, const char *text)
{
    size_t indent = strlen(head);
    size_t column = indent;
    bool first = true;

    buf_adds(out, head);
    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        if (!first && column + 1 + len > COLUMNS) {
            buf_addf(out, "\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        if (!first) {
            buf_addc(out, ' ');
            column++;
        }
        add_ascii(out, text, len);
        column += len;
        first = false;
        text += len;
        text += *text == ' ' ? 1 : 0;
    }
    buf_addc(out, '\n');
}

static void add_value(struct buf *out, const char *head, const char *value)
{
    buf_adds(out, head);
    add_text(out, value == NULL ? "(not set)" : value);
    buf_addc(out, '\n');
}

/* One smbios1 field, old -> new, on two lines where it is long. */
static void add_field(struct buf *out, enum smbios1_field field, const char *old, const char *new)
{
    const char *name = smbios1_field_name(field);
    size_t width = strlen("    : \"\" -> \"\"") + strlen(name);

    if (old == NULL && new == NULL) {
        return;
    }
    width += (old == NULL ? 0 : strlen(old)) + (new == NULL ? 0 : strlen(new));
    buf_addf(out, "    %s: ", name);
    if (old == NULL) {
        buf_adds(out, "(not set)");
    } else {
        buf_addc(out, '"');
        add_text(out, old);
        buf_addc(out, '"');
    }
    if (smbios1_field_equal(field, old, new)) {
        buf_adds(out, " (stays)\n");
        return;
    }
    buf_adds(out, width > COLUMNS ? "\n        -> " : " -> ");
    if (new == NULL) {
        buf_adds(out, "(not set)\n");
        return;
    }
    buf_addc(out, '"');
    add_text(out, new);
    buf_adds(out, "\"\n");
}

static int add_smbios1(struct buf *out, const struct plan_change *change)
{
    CLEANUP(smbios1_fini) struct smbios1 old = {0};
    CLEANUP(smbios1_fini) struct smbios1 new = {0};
    int rc = smbios1_parse(change->old, &old, NULL);

    if (rc == 0) {
        rc = smbios1_parse(change->new, &new, NULL);
    }
    if (rc == -ENOMEM) {
        return rc;
    }
    if (rc < 0) { /* a plan from somewhere else: the raw values will do */
        add_value(out, "    old: ", change->old);
        add_value(out, "    new: ", change->new);
        return 0;
    }
    for (unsigned i = 0; i < SMBIOS1_FIELDS; i++) {
        add_field(out, (enum smbios1_field)i, old.fields[i], new.fields[i]);
    }
    return 0;
}

/* Is `change` with the next one a disk that moves? */
static bool is_move(const struct plan *plan, size_t i)
{
    const struct plan_change *change = &plan->changes[i];
    struct drive_slot slot;

    return i + 1 < plan->n_changes &&
           change->new == NULL &&change[1].old == NULL &&drive_slot_parse(change->option, &slot) &&
           drive_slot_parse(change[1].option, &slot);
}

/* Adds the block and tells how many changes it took. */
static int add_block(struct buf *out, const struct plan *plan, size_t i, size_t *ret_used)
{
    bool move = is_move(plan, i);
    const struct plan_change *first = &plan->changes[i];
    const struct plan_change *last = &plan->changes[move ? i + 1 : i];
    int rc = 0;

    add_text(out, first->option);
    if (move) {
        buf_adds(out, " -> ");
        add_text(out, last->option);
    }
    buf_adds(out, last->match == PLAN_SUBSTITUTE ? " (substitute)\n" : "\n");
    if (str_equal(first->option, "smbios1")) {
        rc = add_smbios1(out, first);
    } else {
        add_value(out, "    old: ", first->old);
        add_value(out, "    new: ", last->new);
    }
    add_wrapped(out, "    why: ", last->why);
    buf_addc(out, '\n');
    *ret_used = move ? 2 : 1;
    return rc;
}

static void add_notes(struct buf *out, const char *title, const struct notes *notes)
{
    if (notes->n == 0) {
        return;
    }
    buf_addf(out, "%s:\n", title);
    for (size_t i = 0; i < notes->n; i++) {
        add_wrapped(out, "  - ", notes->items[i]);
    }
    buf_addc(out, '\n');
}

static void add_heading(struct buf *out, const struct plan *plan)
{
    size_t blocks = 0;

    for (size_t i = 0; i < plan->n_changes; i++, blocks++) {
        i += is_move(plan, i) ? 1 : 0;
    }
    buf_adds(out, "VM");
    if (plan->vmid > 0) {
        buf_addf(out, " %u", plan->vmid);
    }
    if (plan->n_changes > 0) {
        buf_addf(out, ": %zu change%s", blocks, blocks == 1 ? "" : "s");
    }
    if (plan->n_changes > 0 &&
        plan->n_steps > 0) { /* a plan that came over the wire has no steps */
        buf_addf(out, " in %zu call%s", plan->n_steps, plan->n_steps == 1 ? "" : "s");
    }
    buf_adds(out, "\n\n");
}

int plan_to_text(const struct plan *plan, char **ret_text, struct err *err)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(0);
    char *text;

    add_heading(&out, plan);
    for (size_t i = 0, used = 0; i < plan->n_changes; i += used) {
        if (add_block(&out, plan, i, &used) < 0) {
            return err_oom(err);
        }
    }
    add_notes(&out, "notes", &plan->notes);
    add_notes(&out, "refused, so nothing is changed", &plan->refusals);
    if (plan_is_empty(plan)) {
        buf_adds(&out, "nothing to do\n");
    } else if (out.error == 0) {
        out.data[--out.len] = '\0'; /* the blank line behind the last block */
    }
    text = buf_steal(&out);
    if (text == NULL) {
        return err_oom(err);
    }
    *ret_text = text;
    return 0;
}

/* --- one line --------------------------------------------------------------------------------- */

/* Puts ", item" if the line with what must still fit behind it stays within the limit. */
static bool add_item(struct buf *out, const char *from, const char *to)
{
    static const char tail[] = ", and more";
    size_t need = strlen(from) + (to == NULL ? 0 : strlen(" -> ") + strlen(to)) + 2;

    if (out->len + need + strlen(tail) > PLAN_SUMMARY_MAX) {
        buf_adds(out, tail);
        return false;
    }
    buf_adds(out, out->len > 0 ? ", " : "");
    add_text(out, from);
    if (to != NULL) {
        buf_adds(out, " -> ");
        add_text(out, to);
    }
    return true;
}

static void add_items(struct buf *out, const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_changes; i++) {
        const char *option = plan->changes[i].option;
        bool more = true;

        if (is_move(plan, i)) {
            more = add_item(out, option, plan->changes[i + 1].option);
            i++;
        } else if (!str_equal(option, "boot") && !str_equal(option, "bootdisk")) {
            more = add_item(out, option, NULL);
        }
        if (!more) {
            return;
        }
    }
}

char *plan_summary(const struct plan *plan)
{
    CLEANUP(buf_fini) struct buf out = BUF_INIT(0);

    if (plan->refusals.n > 0) {
        buf_adds(&out, "refused: ");
        add_text(&out, plan->refusals.items[0]);
        if (out.len > PLAN_SUMMARY_MAX) {
            out.len = PLAN_SUMMARY_MAX - 3;
            out.data[out.len] = '\0';
            buf_adds(&out, "...");
        }
    } else if (plan->n_changes == 0) {
        buf_adds(&out, "nothing to do");
    } else {
        add_items(&out, plan);
    }
    return buf_steal(&out);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The answer to a pre-start: each combination of whose start, what the files say, policy, memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "core/prestart.h"
#include "scenarios.h"

#define DIFFERS  "scsi0: local:105/a.raw,size=1G\nsmbios1: serial=x\n"
#define FP(x)    "{\"format\":1," SCENARIO_OTHER_SMBIOS x "}"
#define REFUSE   ",\"policy\":{\"on_error\":\"refuse\"}"
#define DRIFT(x) ",\"policy\":{\"on_drift\":\"" x "\"}"

struct row {
    const char *name;
    const char *config, *fingerprint;
    enum guard_verdict verdict;
    bool changing, ours, stuck, held, settled, on_hold;
    enum prestart_answer answer;
    const char *says; /* the last line holds this; NULL: no line */
};

static const struct row rows[] = {
    {"no fingerprint", DIFFERS, NULL, .answer = PRESTART_GO},
    {"no config", NULL, FP(""), .answer = PRESTART_GO},
    {"in sync", "scsi0: local:105/a.raw\n",
     "{\"format\":1,\"disks\":[{\"controller\":\"lsilogic\","
     "\"bus\":0,\"unit\":0}],\"policy\":{\"disks\":\"keep\"}}",
     .answer = PRESTART_GO},
    {"differs", DIFFERS, FP(""), .answer = PRESTART_HOLD, .says = "pve-hwid log 105"},
    {"drift: refuse", DIFFERS, FP(DRIFT("refuse")), .answer = PRESTART_REFUSE,
     .says = "pve-hwid apply 105"},
    {"drift: start", DIFFERS, FP(DRIFT("start")), .answer = PRESTART_WARN,
     .says = "pve-hwid apply 105"},
    {"held before", DIFFERS, FP(""), .held = true, .answer = PRESTART_WARN,
     .says = "pve-hwid log 105"},
    {"held before, refuse", DIFFERS, FP(REFUSE), .held = true, .answer = PRESTART_REFUSE,
     .says = "on_error: refuse"},
    {"settled", DIFFERS, FP(""), .settled = true, .answer = PRESTART_WARN,
     .says = "the volume is away"},
    {"settled, refuse", DIFFERS, FP(REFUSE), .settled = true, .answer = PRESTART_REFUSE,
     .says = "the volume is away"},
    {"settled, drift: refuse", DIFFERS, FP(DRIFT("refuse")), .settled = true,
     .answer = PRESTART_WARN, .says = "the volume is away"},
    {"our own start", DIFFERS, FP(""), .ours = true, .answer = PRESTART_WARN,
     .says = "no start is stopped twice"},
    {"bad fingerprint", DIFFERS, "{", .answer = PRESTART_WARN, .says = "/fp.json"},
    {"bad config", "a\001b: c\n\0", "{", .answer = PRESTART_WARN, .says = "WARNING"},
    {"bad line", "bad line\n" DIFFERS, FP(""), .answer = PRESTART_WARN, .says = "line 1"},
    {"bad line, refuse", "bad line\n" DIFFERS, FP(REFUSE), .answer = PRESTART_REFUSE,
     .says = "line 1"},
    {"stuck", DIFFERS, FP(""), .stuck = true, .answer = PRESTART_REFUSE, .says = "qm config 105"},
    {"stuck, no fingerprint any more", DIFFERS, NULL, .stuck = true, .answer = PRESTART_REFUSE,
     .says = "pve-hwid log 105"},
    {"stuck and changing", DIFFERS, FP(""), .stuck = true, .changing = true,
     .answer = PRESTART_REFUSE, .says = "must not start"},
    {"changing", DIFFERS, FP(""), .changing = true, .answer = PRESTART_HOLD,
     .says = "as soon as that is done"},
    {"changing, drift: start", DIFFERS, FP(DRIFT("start")), .changing = true,
     .answer = PRESTART_HOLD, .says = "as soon as that is done"},
    {"on hold", DIFFERS, FP(""), .on_hold = true, .answer = PRESTART_GO,
     .says = "on hold since 2026-11-26T22:00:00Z by root@pve1 (M??ller looks): it starts as it is; "
             "differs in smbios1; to end the hold: pve-hwid resume 105"},
    {"on hold, in sync", "scsi0: local:105/a.raw\n",
     "{\"format\":1,\"disks\":[{\"controller\":\"lsilogic\","
     "\"bus\":0,\"unit\":0}],\"policy\":{\"disks\":\"keep\"}}",
     .on_hold = true, .answer = PRESTART_GO, .says = "as its fingerprint says"},
    {"on hold, whatever the policies", DIFFERS, FP(REFUSE), .on_hold = true, .settled = true,
     .answer = PRESTART_GO, .says = "differs in smbios1"},
    {"on hold, drift: refuse", DIFFERS, FP(DRIFT("refuse")), .on_hold = true, .answer = PRESTART_GO,
     .says = "differs in smbios1"},
    {"on hold, bad fingerprint", DIFFERS, "{", .on_hold = true, .answer = PRESTART_GO,
     .says = "/fp.json"},
    {"on hold, refused by the plan", "bad line\n" DIFFERS, FP(""), .on_hold = true,
     .answer = PRESTART_GO, .says = "it starts as it is; refused: "},
    {"on hold, no fingerprint", DIFFERS, NULL, .on_hold = true, .answer = PRESTART_GO},
    {"on hold, but stuck", DIFFERS, FP(""), .on_hold = true, .stuck = true,
     .answer = PRESTART_REFUSE, .says = "qm config 105"},
    {"on hold, but what was begun is being ended", DIFFERS, FP(""), .on_hold = true,
     .changing = true, .answer = PRESTART_HOLD, .says = "as soon as that is done"},
    {"changing, no fingerprint any more", DIFFERS, NULL, .changing = true, .answer = PRESTART_HOLD,
     .says = "as soon as that is done"},
};

static const char hold[] = "{\"format\":1,\"since\":\"2026-11-26T22:00:00Z\",\"by\":\"root@pve1\","
                           "\"why\":\"M\u00fcller looks\"}";

static struct assessment *make_assessment(const struct row *row)
{
    const struct assess_texts texts = {
        .config = row->config,
        .config_len = row->config == NULL ? 0 : strlen(row->config),
        .config_path = "/105.conf",
        .fingerprint = row->fingerprint,
        .fingerprint_len = row->fingerprint == NULL ? 0 : strlen(row->fingerprint),
        .fingerprint_path = "/fp.json",
        .hold = row->on_hold ? hold : NULL,
        .hold_len = strlen(hold),
        .hold_path = "/105.hold",
    };
    const struct assess_params params = {.vmid = 105};
    struct assessment *a = NULL;

    assert_int_equal(assess(&texts, &params, NULL, 0, &a, NULL), 0);
    return a;
}

static struct record_memory memory_of(const struct row *row, const struct assessment *a)
{
    static char why[] = "the volume is away";
    struct record_memory m = {0};

    if (row->held) {
        memcpy(m.held_key, a->key, sizeof(m.held_key));
    }
    if (row->settled) {
        memcpy(m.settled_key, a->key, sizeof(m.settled_key));
        m.settled_why = why;
    }
    return m;
}

static void check_lines(const struct row *row, const struct prestart *p)
{
    for (size_t i = 0; i < p->lines.n; i++) {
        const char *line = p->lines.items[i];

        if (strstr(line, "105") == NULL) {
            fail_msg("%s: no VMID in: %s", row->name, line);
        }
        for (const char *c = line; *c != '\0'; c++) {
            assert_true(ascii_is_print(*c));
        }
    }
    if (row->says == NULL
            ? p->lines.n > 0
            : p->lines.n == 0 || strstr(p->lines.items[p->lines.n - 1], row->says) == NULL) {
        fail_msg("%s: said: %s", row->name,
                 p->lines.n == 0 ? "(nothing)" : p->lines.items[p->lines.n - 1]);
    }
}

static void each_row_has_its_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct row *row = &rows[i];
        CLEANUP(assessment_freep) struct assessment *a = make_assessment(row);
        struct record_memory memory = memory_of(row, a);
        const struct prestart_input input = {.vmid = 105,
                                             .verdict = row->verdict,
                                             .assessment = a,
                                             .memory = &memory,
                                             .changing = row->changing,
                                             .ours = row->ours,
                                             .stuck = row->stuck};
        CLEANUP(prestart_fini) struct prestart p = {0};

        assert_int_equal(prestart_decide(&input, &p), 0);
        if (p.answer != row->answer) {
            fail_msg("%s: answer %d instead of %d", row->name, (int)p.answer, (int)row->answer);
        }
        assert_int_equal(p.in_sync, str_ends(row->name, "in sync"));
        check_lines(row, &p);
    }
}

static void a_start_that_is_not_ours_always_goes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP(assessment_freep) struct assessment *a = make_assessment(&rows[i]);
        struct record_memory memory = memory_of(&rows[i], a);

        for (int v = GUARD_ORDINARY + 1; v <= GUARD_UNKNOWN_WORKER; v++) {
            const struct prestart_input input = {.vmid = 105,
                                                 .verdict = (enum guard_verdict)v,
                                                 .assessment = a,
                                                 .memory = &memory,
                                                 .changing = rows[i].changing,
                                                 .stuck = rows[i].stuck};
            CLEANUP(prestart_fini) struct prestart p = {0};

            assert_int_equal(prestart_decide(&input, &p), 0);
            assert_int_equal(p.answer, PRESTART_GO);
            assert_false(p.in_sync);
            assert_int_equal(p.lines.n, rows[i].fingerprint == NULL ? 0 : 1);
        }
    }
}

/* The journal ends in the middle of a disk's move, and the disk is nowhere, though nothing says
 * stuck: nobody is at work on the VM, and its fingerprint may be gone. */
static void a_disk_that_the_journal_knows_to_be_nowhere_is_not_started_without(void **state)
{
    static const char journal[] =
        "[{\"type\":\"begin\",\"txn\":\"t\",\"ctime\":1795397075,\"machine\":\"m\","
        "\"steps\":[{\"remove\":\"scsi0\",\"probe\":\"scsi0\",\"present\":\"local:105/a.raw\","
        "\"sets\":[[\"sata0\",\"local:105/a.raw\",null]]}]}]";
    static const struct {
        struct row row;
        bool ended;
    } cases[] = {
        {{"no fingerprint", "unused0: local:105/a.raw\n", NULL, .answer = PRESTART_REFUSE,
          .says = "its disk scsi0 (local:105/a.raw)"},
         false},
        {{"its deletion is pending", "scsi0: local:105/a.raw\n\n[PENDING]\ndelete: scsi0\n", NULL,
          .answer = PRESTART_REFUSE, .says = "its disk scsi0"},
         false},
        {{"on hold, and drift: start", "smbios1: serial=x\nunused0: local:105/a.raw\n",
          FP(DRIFT("start")), .on_hold = true, .answer = PRESTART_REFUSE, .says = "its disk scsi0"},
         false},
        {{"it is being put back", "unused0: local:105/a.raw\n", NULL, .changing = true,
          .answer = PRESTART_HOLD, .says = "as soon as that is done"},
         false},
        {{"its change set has ended", "unused0: local:105/a.raw\n", NULL, .answer = PRESTART_GO},
         true},
        {{"somebody took it away", "net0: e1000\n", NULL, .answer = PRESTART_GO}, false},
        {{"somebody attached it", "sata3: local:105/a.raw\n", NULL, .answer = PRESTART_GO}, false},
        {{"another machine", "meta: ctime=1795399999\nunused0: local:105/a.raw\n", NULL,
          .answer = PRESTART_GO},
         false},
        {{"another machine, and stuck", "meta: ctime=1795399999\nunused0: local:105/a.raw\n", NULL,
          .stuck = true, .answer = PRESTART_GO},
         false},
        {{"not on this node", NULL, NULL, .answer = PRESTART_GO}, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct row *row = &cases[i].row;
        CLEANUP(assessment_freep) struct assessment *a = make_assessment(row);
        CLEANUP(record_memory_fini) struct record_memory memory = {0};
        json_t *records = json_loads(journal, 0, NULL);
        CLEANUP(prestart_fini) struct prestart p = {0};
        const struct prestart_input input = {.vmid = 105,
                                             .assessment = a,
                                             .memory = &memory,
                                             .changing = row->changing,
                                             .stuck = row->stuck};

        if (cases[i].ended) {
            assert_int_equal(json_array_append_new(records, json_pack("{ss}", "type", "end")), 0);
        }
        assert_int_equal(record_replay(records, &memory), 0);
        json_decref(records);
        assert_int_equal(prestart_decide(&input, &p), 0);
        if (p.answer != row->answer) {
            fail_msg("%s: answer %d instead of %d", row->name, (int)p.answer, (int)row->answer);
        }
        check_lines(row, &p);
    }
}

static void a_hold_that_cannot_be_done_follows_on_error(void **state)
{
    static const struct row start = {.name = "start", .config = DIFFERS, .fingerprint = FP("")};
    static const struct row refuse = {
        .name = "refuse", .config = DIFFERS, .fingerprint = FP(REFUSE)};
    const struct row *both[] = {&start, &refuse};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        CLEANUP(assessment_freep) struct assessment *a = make_assessment(both[i]);
        struct record_memory memory = {0};
        const struct prestart_input input = {.vmid = 105, .assessment = a, .memory = &memory};
        CLEANUP(prestart_fini) struct prestart p = {0};

        assert_int_equal(prestart_without_hold(&input, "PVE is on holiday; call it back", &p), 0);
        assert_int_equal(p.answer, i == 0 ? PRESTART_WARN : PRESTART_REFUSE);
        assert_int_equal(p.lines.n, 1);
        assert_non_null(strstr(p.lines.items[0], "PVE is on holiday; call it back"));
        assert_non_null(strstr(p.lines.items[0], "smbios1"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_has_its_answer),
        cmocka_unit_test(a_start_that_is_not_ours_always_goes),
        cmocka_unit_test(a_disk_that_the_journal_knows_to_be_nowhere_is_not_started_without),
        cmocka_unit_test(a_hold_that_cannot_be_done_follows_on_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

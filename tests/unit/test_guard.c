/* SPDX-License-Identifier: GPL-3.0-or-later */
/* core/guard, against every recorded pre-start (README of the recordings, hook-context-*). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "base/str.h"
#include "core/guard.h"

/* conf NULL: the file is not in /etc/pve/qemu-server. */
static const struct {
    const char *what;
    const char *worker;
    const char *migrated_from;
    const char *conf;
    enum guard_verdict verdict;
} recorded[] = {
    {"vzdump of the stopped VM", "vzdump", "", "lock: backup\n", GUARD_BACKUP},
    {"API: restore and start", "qmstart", "", "cores: 1\n", GUARD_ORDINARY},
    {"vzdump --mode stop, VM stopped", "vzdump", "", "lock: backup\n", GUARD_BACKUP},
    {"API: vzdump mode=stop, VM stopped", "vzdump", "", "lock: backup\n", GUARD_BACKUP},
    {"vzdump --mode stop, VM running", "vzdump", "", "lock: backup\n", GUARD_BACKUP},
    {"incoming migration", "qmstart", "othernode", NULL, GUARD_MIGRATION},
    {"incoming migration, refused", "qmstart", "othernode", NULL, GUARD_MIGRATION},
    {"API: start of the suspended VM", "qmstart", "", "lock: suspended\nvmstate: local:x\n",
     GUARD_RESUME},
    {"API: start of the suspended VM again", "qmstart", "", "lock: suspended\n", GUARD_RESUME},
    {"qm reboot", "qmstart", "", "cores: 1\n", GUARD_ORDINARY},
    {"API: reboot with a pending change", "qmstart", "", "machine: q35\n", GUARD_ORDINARY},
    {"rollback with RAM, VM running", "qmrollback", "", "cores: 1\n", GUARD_ROLLBACK},
    {"API: rollback with RAM, VM stopped", "qmrollback", "", "cores: 1\n", GUARD_ROLLBACK},
    {"rollback without RAM --start 1", "qmstart", "", "cores: 1\n", GUARD_ORDINARY},
    {"rollback refused", "qmrollback", "", "cores: 1\n", GUARD_ROLLBACK},
    {"start after the refused rollback", "qmstart", "", "cores: 1\n", GUARD_ORDINARY},
    {"qm start", "qmstart", "", "cores: 1\n", GUARD_ORDINARY},
    {"API: start", "qmstart", "", "cores: 1\n", GUARD_ORDINARY},
    {"pvesh create status/start", "qmstart", "", "cores: 1\n", GUARD_ORDINARY},
    {"API: startall", "qmstart", "", "cores: 1\n", GUARD_ORDINARY},
    {"qm start of the suspended VM", "qmstart", "", "lock: suspended\n", GUARD_RESUME},
    {"API: start of the suspended VM, token", "qmstart", "", "lock: suspended\n", GUARD_RESUME},
    {"API: resume of the suspended VM", "qmresume", "", "lock: suspended\n", GUARD_RESUME},
    /* Not recorded: */
    {"vmstate without a lock", "qmstart", NULL, "vmstate: local:x\n", GUARD_RESUME},
    {"resume worker, nothing else", "qmresume", NULL, "cores: 1\n", GUARD_RESUME},
    {"backup lock below a plain start", "qmstart", NULL, "lock: backup\n", GUARD_BACKUP},
    {"any other lock", "qmstart", NULL, "lock: snapshot\n", GUARD_LOCKED},
    {"template", "qmstart", NULL, "template: 1\n", GUARD_TEMPLATE},
    {"no template", "qmstart", NULL, "template: 0\n", GUARD_ORDINARY},
    {"called by hand", NULL, NULL, "cores: 1\n", GUARD_NO_WORKER},
    {"called by hand", "", "", "cores: 1\n", GUARD_NO_WORKER},
    {"live restore", "qmrestore", "", "cores: 1\n", GUARD_UNKNOWN_WORKER},
    {"no file, not migrated", "qmstart", "", NULL, GUARD_FOREIGN_CONFIG},
    {"no file, by hand", NULL, NULL, NULL, GUARD_FOREIGN_CONFIG},
    {"a snapshot's lock counts nothing", "qmstart", "", "cores: 1\n[s1]\nvmstate: local:x\n",
     GUARD_ORDINARY},
};

static void every_recorded_start_has_its_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(recorded); i++) {
        CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
        struct guard_signs signs = {.migrated_from = recorded[i].migrated_from,
                                    .worker_type = recorded[i].worker};
        enum guard_verdict verdict;

        if (recorded[i].conf != NULL) {
            assert_int_equal(pveconf_parse(recorded[i].conf, strlen(recorded[i].conf), &conf, NULL),
                             0);
        }
        signs.conf = conf;
        verdict = guard_decide(&signs);
        if (verdict != recorded[i].verdict) {
            fail_msg("%s: %d instead of %d", recorded[i].what, (int)verdict,
                     (int)recorded[i].verdict);
        }
    }
}

static void each_verdict_has_its_own_ascii_reason(void **state)
{
    (void)state;
    for (int a = GUARD_ORDINARY; a <= GUARD_UNKNOWN_WORKER; a++) {
        const char *reason = guard_reason((enum guard_verdict)a);

        assert_true(*reason != '\0');
        for (const char *c = reason; *c != '\0'; c++) {
            assert_true(ascii_is_print(*c));
        }
        for (int b = GUARD_ORDINARY; b < a; b++) {
            assert_string_not_equal(reason, guard_reason((enum guard_verdict)b));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recorded_start_has_its_verdict),
        cmocka_unit_test(each_verdict_has_its_own_ascii_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

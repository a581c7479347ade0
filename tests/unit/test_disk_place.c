/* SPDX-License-Identifier: GPL-3.0-or-later */
/* disk_place: what a journal that ends in the middle of a move says about the disk; record_lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "core/disk_place.h"
#include "core/record_lines.h"

#define MOVE(n)                                                                                    \
    "{\"remove\":\"scsi" n "\",\"probe\":\"scsi" n "\",\"present\":\"local:1/d" n ",size=1G\","    \
    "\"sets\":[[\"sata" n "\",\"local:1/d" n ",size=1G\",null]]}"
#define BEGIN                                                                                      \
    "{\"type\":\"begin\",\"txn\":\"t\",\"ctime\":1000,\"machine\":\"m\",\"steps\":[" MOVE(         \
        "0") "," MOVE("1") "]}\n"
#define DONE "{\"type\":\"step\",\"applied\":true}\n"
#define END  "{\"type\":\"end\",\"outcome\":\"failed\"}\n"

/* "": nothing is astray; else its slot and where it is. */
static void astray(const char *journal, const char *config, const char *slot, const char *unused)
{
    CLEANUP(record_memory_fini) struct record_memory memory = {0};
    CLEANUP(disk_astray_fini) struct disk_astray disk = {0};
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    json_t *records = json_array();
    size_t bad = 0;

    assert_int_equal(record_lines_parse(journal, strlen(journal), records, &bad), 0);
    assert_int_equal(record_replay(records, &memory), 0);
    json_decref(records);
    assert_int_equal(pveconf_parse(config, strlen(config), &conf, NULL), 0);
    assert_int_equal(disk_place_look(&memory, conf, &disk), *slot != '\0');
    assert_string_equal(disk.slot == NULL ? "" : disk.slot, slot);
    assert_string_equal(disk.unused == NULL ? "" : disk.unused, unused);
}

static void disk_of_the_step_under_way_is_looked_for(void **state)
{
    (void)state;
    astray(BEGIN, "unused0: local:1/d0\nscsi1: local:1/d1\n", "scsi0", "unused0");
    astray(BEGIN DONE, "sata0: local:1/d0\nunused3: local:1/d1\n", "scsi1", "unused3");
    astray(BEGIN DONE DONE, "sata0: local:1/d0\nunused3: local:1/d1\n", "scsi1", "unused3");
    astray(BEGIN, "scsi0: local:1/d0\n\n[PENDING]\ndelete: scsi0\n", "scsi0", "");
}

static void what_is_in_a_slot_or_nowhere_is_well(void **state)
{
    (void)state;
    astray(BEGIN, "scsi0: local:1/d0\n", "", "");
    astray(BEGIN, "sata4: local:1/d0,size=2G\n", "", "");
    astray(BEGIN, "scsi0: local:1/d0\n\n[PENDING]\ndelete: net0\n", "", "");
    astray(BEGIN, "scsi0: local:1/other\nunused0: local:1/d00\n", "", "");
}

static void disks_of_other_steps_are_others_business(void **state)
{
    (void)state;
    astray(BEGIN, "scsi0: local:1/d0\nunused0: local:1/d1\n", "", "");
    astray(BEGIN DONE, "unused0: local:1/d0\nscsi1: local:1/d1\n", "", "");
}

static void closed_change_set_and_another_vm_say_nothing(void **state)
{
    static const char unused[] = "unused0: local:1/d0\n";

    (void)state;
    astray(BEGIN END, unused, "", "");
    astray("", unused, "", "");
    astray(BEGIN, "meta: ctime=1000\nunused0: local:1/d0\n", "scsi0", "unused0");
    astray(BEGIN, "meta: ctime=1001\nunused0: local:1/d0\n", "", "");
}

static void what_is_no_journal_says_nothing(void **state)
{
    static const char unused[] = "unused0: local:1/d0\n";

    (void)state;
    astray("{\"type\":\"begin\",\"steps\":[{\"remove\":1}]}\n", unused, "", "");
    astray("{\"type\":\"begin\",\"steps\":7}\n", unused, "", "");
    astray("{\"type\":\"begin\",\"steps\":[{\"remove\":\"$(x)\",\"probe\":\"$(x)\",\"present\":"
           "\"local:1/d0\",\"sets\":[[\"a\",\"b\",null]]}]}\n",
           unused, "", "");
}

static void lines_that_were_cut_do_not_count(void **state)
{
    static const char text[] = "{\"a\":1}\n{\"b\":#torn\nnonsense\n[1]\n{\"c\":2}\n{\"d\":3}";
    json_t *records = json_array();
    size_t bad = 0;

    (void)state;
    assert_int_equal(record_lines_parse(text, sizeof(text) - 1, records, &bad), 0);
    assert_int_equal(json_array_size(records), 2);
    assert_int_equal(bad, 2); /* the torn one, and what has no end, were never acknowledged */
    json_decref(records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disk_of_the_step_under_way_is_looked_for),
        cmocka_unit_test(what_is_in_a_slot_or_nowhere_is_well),
        cmocka_unit_test(disks_of_other_steps_are_others_business),
        cmocka_unit_test(closed_change_set_and_another_vm_say_nothing),
        cmocka_unit_test(what_is_no_journal_says_nothing),
        cmocka_unit_test(lines_that_were_cut_do_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

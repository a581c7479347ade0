/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The calls of PVE's API: exactly these, and never `force`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/requests.h"

static const struct requests_vm vm = {.node = "pve1", .vmid = 105};

static struct plan_set sets[] = {
    {.option = (char[]){"sata0"}, .value = (char[]){"local:105/a.raw,size=1G"}},
    {.option = (char[]){"boot"}, .value = (char[]){"order=sata0;net0"}},
};
static const struct plan_step move = {
    .sets = sets,
    .n_sets = ARRAY_SIZE(sets),
    .remove = (char[]){"scsi0"},
    .probe = (char[]){"scsi0"},
    .probe_value = (char[]){"local:105/a.raw,iothread=1,size=1G"},
};
static const struct plan_step identity = {.sets = sets, .n_sets = 1};

/* One request as one line; frees it. */
static void check(struct api_request *request, const char *expected)
{
    static const char *const methods[] = {
        [API_GET] = "GET", [API_PUT] = "PUT", [API_POST] = "POST"};
    CLEANUP(buf_fini) struct buf line = BUF_INIT(0);

    assert_non_null(request);
    assert_int_equal(request->changing, request->method != API_GET);
    buf_addf(&line, "%s %s", methods[request->method], request->path);
    for (size_t i = 0; i < request->n_params; i++) {
        assert_string_not_equal(request->params[i].key, "force");
        assert_string_not_equal(request->params[i].key, "skiplock");
        buf_addf(&line, " %s=%s", request->params[i].key, request->params[i].value);
    }
    assert_string_equal(line.data, expected);
    api_request_free(request);
}

static void reads_have_no_parameters(void **state)
{
    (void)state;
    check(requests_status(vm), "GET /nodes/pve1/qemu/105/status/current");
    check(requests_config(vm), "GET /nodes/pve1/qemu/105/config");
    check(requests_pending(vm), "GET /nodes/pve1/qemu/105/pending");
    check(requests_permissions(vm), "GET /access/permissions path=/vms/105");
    check(requests_machines("pve1"), "GET /nodes/pve1/capabilities/qemu/machines");
    check(requests_task(vm, "UPID:pve1:1:"), "GET /nodes/pve1/tasks/UPID:pve1:1:/status");
}

static void starts_are_looked_for_since_a_second(void **state)
{
    (void)state;
    check(requests_starts(vm, 1795428000),
          "GET /nodes/pve1/tasks vmid=105 typefilter=qmstart source=all since=1795428000");
    check(requests_starts(vm, -1),
          "GET /nodes/pve1/tasks vmid=105 typefilter=qmstart source=all since=0");
}

static void changes_carry_what_they_change_and_a_digest(void **state)
{
    const struct api_param slot = {.key = (char[]){"scsi0"},
                                   .value = (char[]){"local:105/a.raw,iothread=1,size=1G"}};

    (void)state;
    check(requests_start(vm), "POST /nodes/pve1/qemu/105/status/start");
    check(requests_probe(vm, &move, "d1"), "PUT /nodes/pve1/qemu/105/config "
                                           "scsi0=local:105/a.raw,iothread=1,size=1G digest=d1");
    check(requests_step(vm, &move, "d1"),
          "PUT /nodes/pve1/qemu/105/config delete=scsi0 sata0=local:105/a.raw,size=1G "
          "boot=order=sata0;net0 digest=d1");
    check(requests_step(vm, &identity, "d1"),
          "PUT /nodes/pve1/qemu/105/config sata0=local:105/a.raw,size=1G digest=d1");
    check(requests_revert(vm, "boot,scsi0", NULL, 0, "d1"),
          "PUT /nodes/pve1/qemu/105/config revert=boot,scsi0 digest=d1");
    check(requests_set_back(vm, &slot, "order=scsi0", "sata0", "d1"),
          "PUT /nodes/pve1/qemu/105/config scsi0=local:105/a.raw,iothread=1,size=1G "
          "boot=order=scsi0 revert=sata0 digest=d1");
    check(requests_set_back(vm, &slot, NULL, NULL, NULL),
          "PUT /nodes/pve1/qemu/105/config scsi0=local:105/a.raw,iothread=1,size=1G");
}

static void privileges_are_those_of_the_recordings(void **state)
{
    static const char *const wanted[] = {"VM.Audit",          "VM.Config.HWType",  "VM.Config.Disk",
                                         "VM.Config.Network", "VM.Config.Options", "VM.PowerMgmt"};

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        assert_string_equal(requests_privileges[i], wanted[i]);
    }
    assert_null(requests_privileges[ARRAY_SIZE(wanted)]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_have_no_parameters),
        cmocka_unit_test(starts_are_looked_for_since_a_second),
        cmocka_unit_test(changes_carry_what_they_change_and_a_digest),
        cmocka_unit_test(privileges_are_those_of_the_recordings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Without memory: who else has the identity, which VM a fingerprint is for, what other nodes
 * answer, and the plan of an undo.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "alloc_fail.h"
#include "base/str.h"
#include "core/claims.h"
#include "core/match.h"
#include "core/survey.h"
#include "driver.h"
#include "scenarios.h"

static const char wanted[] = "{\"format\":1," SCENARIO_SMBIOS "}";
static const char config[] = "name: vm105\nnet0: vmxnet3=00:50:56:8A:01:02,bridge=vmbr0\n"
                             "smbios1: uuid=9b1a4d56-1100-3322-4455-66778899aabb\n";

struct parsed {
    struct fingerprint *fp;
    struct pveconf *conf;
};

static void parsed_fini(struct parsed *p)
{
    fingerprint_free(p->fp);
    pveconf_free(p->conf);
}

static int parse(struct parsed *ret)
{
    int rc = fingerprint_parse(wanted, strlen(wanted), &ret->fp, NULL);

    return rc < 0 ? rc : pveconf_parse(config, strlen(config), &ret->conf, NULL);
}

static int claim(struct claims *claims, uint32_t vmid, const struct parsed *p)
{
    const struct claims_owner by_fp = {.vmid = vmid, .where = CLAIMS_FINGERPRINT};
    const struct claims_owner by_conf = {.vmid = vmid, .where = CLAIMS_CONFIG, .node = "pve2"};
    struct identity id = {0};
    int rc = identity_of_fingerprint(p->fp, &id);

    rc = rc < 0 ? rc : claims_set(claims, &by_fp, &id, 1);
    identity_fini(&id);
    id = (struct identity){0};
    rc = rc < 0 ? rc : identity_of_config(p->conf, &id);
    rc = rc < 0 ? rc : claims_set(claims, &by_conf, &id, 1);
    identity_fini(&id);
    return rc;
}

static int judge(void *data)
{
    CLEANUP(claims_freep) struct claims *claims = NULL;
    CLEANUP(parsed_fini) struct parsed p = {0};
    struct claims_findings findings = {0};
    struct claims_rivals rivals = {0};
    int rc = parse(&p);

    (void)data;
    rc = rc < 0 ? rc : claims_new(&claims);
    rc = rc < 0 ? rc : claim(claims, 105, &p);
    rc = rc < 0 ? rc : claim(claims, 106, &p);
    rc = rc < 0 ? rc : claims_bind(claims, 105, 1, "some machine");
    rc = rc < 0 ? rc : claims_set_gap(claims, "node pve3 does not answer");
    rc = rc < 0 ? rc : claims_judge(claims, 107, p.fp, p.conf, &findings);
    claims_findings_fini(&findings);
    rc = rc < 0 ? rc : claims_rivals(claims, 105, p.fp, CLAIMS_CONFIG, &rivals);
    claims_rivals_fini(&rivals);
    return rc;
}

static int find_the_vm(void *data)
{
    CLEANUP(parsed_fini) struct parsed p = {0};
    CLEANUP(match_freep) struct match *match = NULL;
    CLEANUP_FREE char *by = NULL;
    int rc = parse(&p);
    const struct match_fingerprint fingerprints[] = {{"a.json", p.fp}, {"b.json", p.fp}};
    const struct match_vm vms[] = {{105, "pve1", p.conf}, {106, "pve1", p.conf}};
    const struct match_placed placed = {107, p.fp};
    const struct match_input input = {.fingerprints = fingerprints,
                                      .n_fingerprints = 2,
                                      .vms = vms,
                                      .n_vms = 2,
                                      .placed = &placed,
                                      .n_placed = 1};

    (void)data;
    rc = rc < 0 ? rc : match_make(&input, &match, NULL);
    if (rc == 0) {
        by = match_by_text(match->pairs[0].by);
        rc = by == NULL ? -ENOMEM : 0;
    }
    return rc;
}

static int read_survey(void *data)
{
    const json_t *answers = data;
    struct survey_vms vms = {0};
    struct identity now = {0}, next = {0};
    int rc = survey_read_vms(json_array_get(answers, 0), "pve1", &vms);

    survey_vms_fini(&vms);
    rc = rc < 0 ? rc : survey_read_pending(json_array_get(answers, 1), &now, &next);
    identity_fini(&now);
    identity_fini(&next);
    return rc;
}

struct undoing {
    json_t *journal;
    char *text;
};

static int plan_undo(void *data)
{
    const struct undoing *u = data;
    CLEANUP(undo_freep) struct undo *undo = NULL;
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(plan_freep) struct plan *plan = NULL;
    int rc = undo_find(u->journal, 105, NULL, &undo, NULL);

    rc = rc < 0 ? rc : pveconf_parse(u->text, strlen(u->text), &conf, NULL);
    return rc < 0 ? rc : undo_plan(undo, 105, conf, &plan);
}

static void a_judgement_survives_any_lack_of_memory(void **state)
{
    (void)state;
    assert_true(alloc_fail_each(judge, NULL, ALLOC_FAIL_OWN) > 20);
    assert_true(alloc_fail_each(find_the_vm, NULL, ALLOC_FAIL_OWN) > 20);
}

static void answers_of_other_nodes_survive_any_lack_of_memory(void **state)
{
    json_t *answers = json_loads(
        "[[{\"vmid\":105,\"node\":\"pve2\",\"type\":\"qemu\"},"
        "{\"vmid\":106,\"node\":\"pve3\",\"type\":\"qemu\"}],"
        "[{\"key\":\"smbios1\",\"value\":\"uuid=9b1a4d56-1100-3322-4455-66778899aabb\","
        "\"pending\":\"uuid=9b1a4d56-1100-3322-4455-66778899aacc\"},"
        "{\"key\":\"net0\",\"value\":\"vmxnet3=00:50:56:8A:01:02,bridge=vmbr0\"}]]",
        0, NULL);

    (void)state;
    assert_non_null(answers);
    assert_true(alloc_fail_each(read_survey, answers, ALLOC_FAIL_OWN) > 4);
    json_decref(answers);
}

static void an_undo_survives_any_lack_of_memory(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++) {
        struct undoing u;
        struct driver d;

        driver_init(&d, scenarios[i].config, scenarios[i].fingerprint);
        driver_run(&d, RECONCILE_FOR_FINGERPRINT);
        assert_string_equal(d.pve.problem, "");
        u = (struct undoing){.journal = d.journal, .text = fake_pve_text(&d.pve)};
        assert_true(alloc_fail_each(plan_undo, &u, ALLOC_FAIL_OWN) > 20);
        free(u.text);
        driver_fini(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_judgement_survives_any_lack_of_memory),
        cmocka_unit_test(answers_of_other_nodes_survive_any_lack_of_memory),
        cmocka_unit_test(an_undo_survives_any_lack_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

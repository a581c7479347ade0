/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every allocation of the identity guard fails in turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>

#include "alloc_fail.h"
#include "core/claims.h"
#include "core/survey.h"

#define UUID "9b1a4d56-1100-3322-4455-66778899aabb"

static const char wanted[] = "{\"format\":1,\"smbios\":{\"uuid\":\"" UUID "\",\"serial\":\"S1\"},"
                             "\"nics\":[{\"model\":\"e1000\",\"mac\":\"00:50:56:8a:01:02\"}]}";
static const char mine[] = "meta: ctime=5\nsmbios1: serial=UzE=,base64=1\n";
static const char theirs[] = "smbios1: uuid=" UUID ",serial=UzE=,base64=1\n"
                             "net0: e1000=00:50:56:8A:01:02\ntemplate: 0\n";

struct texts {
    struct fingerprint *fp;
    struct pveconf *mine, *theirs;
};

static int claim(struct claims *claims, const struct texts *texts, uint32_t vmid, const char *node)
{
    CLEANUP(identity_fini) struct identity id = {0};
    const struct claims_owner owner = {.vmid = vmid, .where = CLAIMS_CONFIG, .node = node};
    int rc = identity_of_config(texts->theirs, &id);

    return rc < 0 ? rc : claims_set(claims, &owner, &id, 1);
}

static int claim_and_judge(void *data)
{
    const struct texts *texts = data;
    CLEANUP(claims_freep) struct claims *claims = NULL;
    CLEANUP(identity_fini) struct identity id = {0};
    CLEANUP(claims_findings_fini) struct claims_findings found = {0};
    CLEANUP(claims_rivals_fini) struct claims_rivals rivals = {0};
    const struct claims_owner owner = {.vmid = 107, .where = CLAIMS_FINGERPRINT};
    char name[SMBIOS_UUID_SIZE] = "";
    int rc = claims_new(&claims);

    rc = rc < 0 ? rc : identity_of_fingerprint(texts->fp, &id);
    rc = rc < 0 ? rc : identity_name(&id, name);
    rc = rc < 0 ? rc : claims_set(claims, &owner, &id, 1);
    for (uint32_t vmid = 200; rc == 0 && vmid < 280; vmid++) { /* the tables grow */
        rc = claim(claims, texts, vmid, vmid % 2 == 0 ? "pve2" : NULL);
    }
    rc = rc < 0 ? rc : claims_bind(claims, 105, 4, name);
    rc = rc < 0 ? rc : claims_set_gap(claims, "a gap");
    rc = rc < 0 ? rc : claims_judge(claims, 105, texts->fp, texts->mine, &found);
    return rc < 0 ? rc : claims_rivals(claims, 105, texts->fp, CLAIMS_CONFIG, &rivals);
}

static void the_guard_survives_any_lack_of_memory(void **state)
{
    struct texts texts = {0};

    (void)state;
    assert_int_equal(fingerprint_parse(wanted, strlen(wanted), &texts.fp, NULL), 0);
    assert_int_equal(pveconf_parse(mine, strlen(mine), &texts.mine, NULL), 0);
    assert_int_equal(pveconf_parse(theirs, strlen(theirs), &texts.theirs, NULL), 0);
    assert_true(alloc_fail_each(claim_and_judge, &texts, ALLOC_FAIL_OWN) > 200);
    fingerprint_free(texts.fp);
    pveconf_free(texts.mine);
    pveconf_free(texts.theirs);
}

static int read_answers(void *data)
{
    json_t *const *answers = data;
    CLEANUP(survey_vms_fini) struct survey_vms vms = {0};
    struct identity now = {0}, next = {0};
    int rc = survey_read_vms(answers[0], "pve1", &vms);

    rc = rc < 0 ? rc : survey_read_pending(answers[1], &now, &next);
    identity_fini(&now);
    identity_fini(&next);
    return rc;
}

static void the_survey_survives_any_lack_of_memory(void **state)
{
    json_t *answers[] = {
        json_loads("[{\"type\":\"qemu\",\"vmid\":201,\"node\":\"pve2\"}]", 0, NULL),
        json_loads("[{\"key\":\"smbios1\",\"value\":\"serial=UzE=,base64=1\",\"pending\":"
                   "\"uuid=" UUID "\"},{\"key\":\"net0\",\"value\":\"e1000\"},"
                   "{\"key\":\"meta\",\"value\":\"ctime=4\"},{\"key\":\"template\",\"value\":1}]",
                   0, NULL)};

    (void)state;
    assert_non_null(answers[0]);
    assert_non_null(answers[1]);
    assert_true(alloc_fail_each(read_answers, answers, ALLOC_FAIL_OWN) > 10);
    json_decref(answers[0]);
    json_decref(answers[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_guard_survives_any_lack_of_memory),
        cmocka_unit_test(the_survey_survives_any_lack_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * tests/golden/plan/NAME/: 105.conf and fingerprint.json give expect.json (the plan), and where the
 * file is there expect.txt (as people see it) and expect.steps (the calls). `args` has lines
 * "machines 8.2 9.0" and "fixed SLOT WHY". 106.conf and 106.json are another VM's. Every plan is
 * also carried out, and a second one must be empty. PLAN_GOLDEN_WRITE=1 writes the expectations
 * instead: look at the difference before keeping.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/str.h"
#include "core/plan.h"
#include "pve_apply.h"

#define GOLDEN "tests/golden/plan"

enum { FIXED_MAX = 8 };

struct golden {
    char *dir;
    char *conf_text;
    char *args;
    struct fingerprint *fp;
    struct machine_list machines;
    struct plan_fixed fixed[FIXED_MAX];
    size_t n_fixed;
    struct claims *claims;
};

static char *read_file(const char *dir, const char *name)
{
    CLEANUP_FREE char *path = str_printf("%s/%s", dir, name);
    struct buf buf = BUF_INIT(0);
    char chunk[4096];
    FILE *f = fopen(path, "r");
    size_t n;

    if (f == NULL) {
        return NULL;
    }
    while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0) {
        buf_add(&buf, chunk, n);
    }
    (void)fclose(f); /* only read */
    return buf_steal(&buf);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    CLEANUP_FREE char *path = str_printf("%s/%s", dir, name);
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void read_args(struct golden *g)
{
    char *lines = NULL, *words = NULL;

    for (char *line = strtok_r(g->args, "\n", &lines); line != NULL;
         line = strtok_r(NULL, "\n", &lines)) {
        char *word = strtok_r(line, " ", &words);

        if (str_equal(word, "fixed")) {
            g->fixed[g->n_fixed].slot = strtok_r(NULL, " ", &words);
            g->fixed[g->n_fixed++].why = strtok_r(NULL, "", &words);
            continue;
        }
        assert_string_equal(word, "machines");
        while ((word = strtok_r(NULL, " ", &words)) != NULL) {
            struct machine_version version;

            assert_true(machine_version_parse(word, &version));
            assert_int_equal(machine_list_add(&g->machines, version), 0);
        }
    }
}

static void golden_fini(struct golden *g)
{
    free(g->dir);
    free(g->conf_text);
    free(g->args);
    fingerprint_free(g->fp);
    machine_list_fini(&g->machines);
    claims_free(g->claims);
}

/* VM 106, where the case has one. */
static void read_other(struct golden *g)
{
    static const char *const names[] = {"106.json", "106.conf"};

    assert_int_equal(claims_new(&g->claims), 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP_FREE char *text = read_file(g->dir, names[i]);
        CLEANUP(fingerprint_freep) struct fingerprint *fp = NULL;
        CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
        CLEANUP(identity_fini) struct identity id = {0};
        struct claims_owner owner = {.vmid = 106, .where = CLAIMS_FINGERPRINT};

        if (text == NULL) {
            continue;
        }
        if (i == 0) {
            assert_int_equal(fingerprint_parse(text, strlen(text), &fp, NULL), 0);
            assert_int_equal(identity_of_fingerprint(fp, &id), 0);
        } else {
            assert_int_equal(pveconf_parse(text, strlen(text), &conf, NULL), 0);
            assert_int_equal(identity_of_config(conf, &id), 0);
            owner.where = CLAIMS_CONFIG;
            owner.is_template = id.is_template;
        }
        assert_int_equal(claims_set(g->claims, &owner, &id, 1), 0);
    }
}

static void golden_read(const char *name, struct golden *g)
{
    CLEANUP_FREE char *fp_text = NULL;
    struct err err = {""};

    g->dir = str_printf(GOLDEN "/%s", name);
    g->conf_text = read_file(g->dir, "105.conf");
    fp_text = read_file(g->dir, "fingerprint.json");
    assert_non_null(g->conf_text);
    assert_non_null(fp_text);
    if (fingerprint_parse(fp_text, strlen(fp_text), &g->fp, &err) < 0) {
        fail_msg("%s: fingerprint.json: %s", name, err.text);
    }
    read_other(g);
    g->args = read_file(g->dir, "args");
    if (g->args != NULL) {
        read_args(g);
    }
}

static struct plan *make(const struct golden *g, const char *text)
{
    CLEANUP(pveconf_freep) struct pveconf *conf = NULL;
    CLEANUP(pveconf_freep) struct pveconf *applied = NULL;
    CLEANUP(claims_findings_fini) struct claims_findings others = {0};
    struct plan *plan = NULL;
    struct err err = {""};
    struct plan_input input = {.vmid = 105,
                               .others = &others,
                               .fp = g->fp,
                               .machines = &g->machines,
                               .fixed = g->fixed,
                               .n_fixed = g->n_fixed};

    assert_int_equal(pveconf_parse(text, strlen(text), &conf, &err), 0);
    assert_int_equal(pveconf_apply_pending(conf, &applied), 0);
    input.conf = applied;
    assert_int_equal(claims_judge(g->claims, 105, g->fp, applied, &others), 0);
    if (plan_make(&input, &plan, &err) < 0) {
        fail_msg("%s: %s", g->dir, err.text);
    }
    return plan;
}

static char *steps_to_text(const struct plan *plan)
{
    struct buf out = BUF_INIT(0);

    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct plan_step *step = &plan->steps[i];

        buf_addf(&out, "step\n");
        if (plan_step_is_disk(step)) {
            buf_addf(&out, "  probe %s=%s\n", step->probe, step->probe_value);
        }
        if (step->remove != NULL) {
            buf_addf(&out, "  delete=%s\n", step->remove);
        }
        for (size_t j = 0; j < step->n_sets; j++) {
            buf_addf(&out, "  %s=%s\n", step->sets[j].option, step->sets[j].value);
        }
    }
    return buf_steal(&out);
}

static int compare_text(const struct golden *g, const char *name, const char *got, bool optional)
{
    CLEANUP_FREE char *want = read_file(g->dir, name);

    if (getenv("PLAN_GOLDEN_WRITE") != NULL && (want != NULL || !optional)) {
        write_file(g->dir, name, got);
        return 0;
    }
    if (want == NULL) {
        return optional ? 0 : 1;
    }
    if (str_equal(want, got)) {
        return 0;
    }
    print_error("%s/%s: expected\n%s\nbut got\n%s\n", g->dir, name, want, got);
    return 1;
}

static int compare_json(const struct golden *g, const struct plan *plan)
{
    json_t *got = plan_to_json(plan);
    CLEANUP_FREE char *text = json_dumps(got, JSON_INDENT(2));
    CLEANUP_FREE char *line = str_printf("%s\n", text);
    int bad = 0;

    assert_non_null(got);
    bad = compare_text(g, "expect.json", line, false);
    json_decref(got);
    return bad;
}

/* Carries the plan out and plans again. */
static int check_second_plan(const struct golden *g, const struct plan *plan)
{
    CLEANUP(plan_freep) struct plan *second = NULL;
    CLEANUP_FREE char *after = NULL;
    struct err err = {""};

    if (plan->refusals.n > 0) {
        return plan->n_steps + plan->n_changes > 0 ? 1 : 0;
    }
    if (pve_apply_plan(g->conf_text, plan, &after, &err) < 0 ||
        pve_check_volumes(after, &err) < 0) {
        print_error("%s: %s\n", g->dir, err.text);
        return 1;
    }
    second = make(g, after);
    if (!plan_is_empty(second)) {
        CLEANUP_FREE char *text = NULL;

        assert_int_equal(plan_to_text(second, &text, NULL), 0);
        print_error("%s: the second plan is not empty:\n%s\n", g->dir, text);
        return 1;
    }
    return 0;
}

static int run_case(const char *name)
{
    CLEANUP(golden_fini) struct golden g = {0};
    CLEANUP(plan_freep) struct plan *plan = NULL;
    CLEANUP_FREE char *text = NULL;
    CLEANUP_FREE char *steps = NULL;
    int bad = 0;

    golden_read(name, &g);
    plan = make(&g, g.conf_text);
    assert_int_equal(plan_to_text(plan, &text, NULL), 0);
    steps = steps_to_text(plan);
    bad += compare_json(&g, plan);
    bad += compare_text(&g, "expect.txt", text, true);
    bad += compare_text(&g, "expect.steps", steps, true);
    bad += check_second_plan(&g, plan);
    return bad;
}

static int only_names(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void every_golden_plan_is_as_expected(void **state)
{
    struct dirent **names = NULL;
    int n = scandir(GOLDEN, &names, only_names, alphasort);
    int bad = 0;

    (void)state;
    assert_true(n >= 25);
    for (int i = 0; i < n; i++) {
        bad += run_case(names[i]->d_name);
        free(names[i]);
    }
    free(names);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_golden_plan_is_as_expected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

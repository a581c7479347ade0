/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What it costs to look at one VM: parse configuration and fingerprint, make the plan. Prints one
 * JSON object.     bench_plan CONFIG FINGERPRINT ROUNDS
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "core/assess.h"
#include "io/file.h"

static double now_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* this clock is always there */
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
    struct buf conf = BUF_INIT(PVECONF_MAX), fp = BUF_INIT(FINGERPRINT_MAX);
    struct assess_params params = {.vmid = 105};
    struct assess_texts texts = {0};
    struct err err = {""};
    size_t changes = 0;
    double begin;
    int rounds;

    if (argc != 4 || (rounds = atoi(argv[3])) < 1) {
        (void)fputs("usage: bench_plan CONFIG FINGERPRINT ROUNDS\n", stderr);
        return 2;
    }
    if (file_read(AT_FDCWD, argv[1], FILE_FOLLOW, &conf, &err) < 0 ||
        file_read(AT_FDCWD, argv[2], FILE_FOLLOW, &fp, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    texts = (struct assess_texts){.config = conf.data,
                                  .config_len = conf.len,
                                  .config_path = argv[1],
                                  .fingerprint = fp.data,
                                  .fingerprint_len = fp.len,
                                  .fingerprint_path = argv[2]};
    begin = now_us();
    for (int i = 0; i < rounds; i++) {
        CLEANUP(assessment_freep) struct assessment *a = NULL;

        if (assess(&texts, &params, NULL, 0, &a, &err) < 0 || a->plan == NULL) {
            (void)fprintf(stderr, "no plan: %s\n", a == NULL ? err.text : a->problem);
            return 1;
        }
        changes = a->plan->n_changes;
    }
    printf("{\"plan_us\": %.1f, \"changes\": %zu}\n", (now_us() - begin) / rounds, changes);
    buf_fini(&conf);
    buf_fini(&fp);
    return 0;
}

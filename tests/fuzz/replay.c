/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * main() for a fuzz target without a fuzzer: runs it over the files and folders that are named, or
 * over the corpus of its own name (replay_fuzz_vmx: tests/fuzz/corpus/vmx). So every input that
 * once broke something stays a test, with any compiler.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* The bytes in an allocation of exactly their size, so that ASan sees a read behind them. */
static int replay_file(const char *path)
{
    CLEANUP(buf_fini) struct buf buf = BUF_INIT(0);
    CLEANUP_FREE uint8_t *exact = NULL;
    FILE *file = fopen(path, "rbe");
    char chunk[4096];
    size_t len;

    if (file == NULL) {
        perror(path);
        return -1;
    }
    while ((len = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        buf_add(&buf, chunk, len);
    }
    (void)fclose(file); /* only read from */
    exact = malloc(buf.len > 0 ? buf.len : 1);
    if (buf.error != 0 || exact == NULL) {
        return -1;
    }
    if (buf.len > 0) {
        memcpy(exact, buf.data, buf.len);
    }
    (void)LLVMFuzzerTestOneInput(exact, buf.len); /* it always returns 0, or not at all */
    return 1;
}

/* How many files were replayed; -1: one could not be read. */
static int replay(const char *path)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, visible, alphasort);
    int total = 0;

    if (n < 0) {
        return errno == ENOTDIR ? replay_file(path) : -1;
    }
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *below = str_printf("%s/%s", path, entries[i]->d_name);
        int rc = total < 0 || below == NULL ? -1 : replay(below);

        total = rc < 0 ? -1 : total + rc;
        free(entries[i]);
    }
    free(entries);
    return total;
}

int main(int argc, char **argv)
{
    static const char prefix[] = "replay_fuzz_";
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash != NULL ? slash + 1 : argv[0];
    CLEANUP_FREE char *corpus = NULL;
    int total = 0;

    name += str_starts(name, prefix) ? strlen(prefix) : 0;
    corpus = str_printf("tests/fuzz/corpus/%s", name);
    for (int i = 1; i < argc && total >= 0; i++) {
        int rc = replay(argv[i]);

        total = rc < 0 ? -1 : total + rc;
    }
    if (argc == 1) {
        total = corpus == NULL ? -1 : replay(corpus);
    }
    if (total <= 0) {
        fprintf(stderr, "%s: nothing to replay in %s\n", name, argc > 1 ? argv[1] : corpus);
        return 1;
    }
    printf("%s: %d inputs replayed\n", name, total);
    return 0;
}

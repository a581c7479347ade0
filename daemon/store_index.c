/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See store_index.h. */
#include "store_index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/buf.h"
#include "base/str.h"
#include "io/file.h"

enum {
    NAME_SIZE = sizeof("4294967295.json"),
    LONG_PAST_S = 600, /* no two clocks of one cluster differ by so much */
};

void store_index_fini(struct store_index *index)
{
    free(index->items);
    *index = (struct store_index){0};
}

/* Where `vmid` is, or would have to be put in. */
static size_t index_position(const struct store_index *index, uint32_t vmid)
{
    size_t low = 0;
    size_t high = index->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (index->items[middle].vmid < vmid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct store_item *store_index_find(const struct store_index *index, uint32_t vmid)
{
    size_t at = index_position(index, vmid);

    return at < index->n && index->items[at].vmid == vmid ? &index->items[at] : NULL;
}

uint64_t store_index_stamp(const struct store_index *index, uint32_t vmid)
{
    const struct store_item *item = store_index_find(index, vmid);

    return item != NULL ? item->stamp : 0;
}

struct store_item *store_index_add(struct store_index *index, uint32_t vmid)
{
    size_t at = index_position(index, vmid);

    if (at < index->n && index->items[at].vmid == vmid) {
        return &index->items[at];
    }
    if (vec_reserve(&index->items, index->n, &index->cap, sizeof(index->items[0])) < 0) {
        return NULL;
    }
    memmove(&index->items[at + 1], &index->items[at], (index->n - at) * sizeof(index->items[0]));
    index->items[at] = (struct store_item){.vmid = vmid};
    index->n++;
    return &index->items[at];
}

void store_index_remove(struct store_index *index, uint32_t vmid)
{
    struct store_item *item = store_index_find(index, vmid);

    if (item != NULL) {
        index->n--;
        memmove(item, item + 1, (size_t)(&index->items[index->n] - item) * sizeof(*item));
    }
}

uint32_t store_vmid_of(const char *name, const char *suffix)
{
    size_t digits = strspn(name, "0123456789");
    char number[NAME_SIZE];
    uint64_t vmid = 0;

    if (digits == 0 || digits >= sizeof(number) || name[0] == '0' ||
        !str_equal(name + digits, suffix)) {
        return 0;
    }
    memcpy(number, name, digits);
    number[digits] = '\0';
    return str_to_u64(number, STORE_VMID_MAX, &vmid) ? (uint32_t)vmid : 0;
}

static uint64_t stamp_mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

/* ctime too: a fingerprint that was refused for its owner or mode becomes news by chown. No inode
 * number: FUSE may give a file another one each time it is looked at. */
static uint64_t stamp_of(const struct stat *st)
{
    uint64_t hash = stamp_mix(1, (uint64_t)st->st_size);

    hash = stamp_mix(hash, (uint64_t)st->st_mtim.tv_sec);
    hash = stamp_mix(hash, (uint64_t)st->st_mtim.tv_nsec);
    hash = stamp_mix(hash, (uint64_t)st->st_ctim.tv_sec);
    hash = stamp_mix(hash, (uint64_t)st->st_ctim.tv_nsec);
    return hash != 0 ? hash : 1;
}

/* Whole seconds, by chance or not. What is long past by any clock is as it is; so the first look at
 * ten thousand configurations is no reason to read them all a second time. */
static bool is_young(const struct stat *st)
{
    return st->st_mtim.tv_nsec == 0 && st->st_mtim.tv_sec > time(NULL) - LONG_PAST_S;
}

int store_stamp(int dir_fd, const char *suffix, struct store_item *item)
{
    char name[NAME_SIZE];
    struct stat st;

    (void)snprintf(name, sizeof(name), "%u%s", item->vmid, suffix); /* fits by NAME_SIZE */
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        item->stamp = stamp_of(&st);
        item->young = is_young(&st);
        return 0;
    }
    if (errno == ENOENT) {
        item->stamp = 0;
        item->young = false;
        return 0;
    }
    return -errno;
}

static int compare_items(const void *a, const void *b)
{
    uint32_t left = ((const struct store_item *)a)->vmid;
    uint32_t right = ((const struct store_item *)b)->vmid;

    return left < right ? -1 : left > right;
}

static int scan_entry(int dir_fd, const char *name, const char *suffix, struct store_index *found,
                      size_t *unseen)
{
    struct store_item item = {.vmid = store_vmid_of(name, suffix)};
    int rc;

    if (item.vmid == 0) {
        return 0;
    }
    rc = store_stamp(dir_fd, suffix, &item);
    if (rc < 0 && unseen != NULL) {
        (*unseen)++;
    } else if (rc < 0 || item.stamp == 0) {
        return rc; /* 0: gone meanwhile */
    }
    if (vec_reserve(&found->items, found->n, &found->cap, sizeof(item)) < 0) {
        return -ENOMEM;
    }
    found->items[found->n++] = item;
    return 0;
}

static void dir_closep(DIR **dir)
{
    if (*dir != NULL) {
        (void)closedir(*dir); /* read only */
    }
}

int store_scan(int dir_fd, const char *suffix, struct store_index *ret, size_t *ret_unseen)
{
    CLEANUP(store_index_fini) struct store_index found = {0};
    CLEANUP(dir_closep) DIR *dir = NULL;
    size_t unseen = 0;
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* the stream takes it over */
    int rc;

    dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        rc = -errno;
        if (fd >= 0) {
            (void)close(fd); /* read only */
        }
        return rc;
    }
    for (;;) {
        const struct dirent *entry;

        errno = 0;
        entry = readdir(dir);
        if (entry == NULL) {
            break;
        }
        rc = scan_entry(fd, entry->d_name, suffix, &found, ret_unseen != NULL ? &unseen : NULL);
        if (rc < 0) {
            return rc;
        }
    }
    if (errno != 0) {
        return -errno;
    }
    if (found.n > 0) {
        qsort(found.items, found.n, sizeof(found.items[0]), compare_items);
    }
    store_index_fini(ret);
    *ret = found;
    found = (struct store_index){0};
    if (ret_unseen != NULL) {
        *ret_unseen = unseen;
    }
    return 0;
}

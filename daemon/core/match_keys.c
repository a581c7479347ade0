/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See match_keys.h. */
#include "core/match_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

void match_keys_free(struct match_keys *keys, size_t n)
{
    for (size_t i = 0; keys != NULL && i < n; i++) {
        identity_fini(&keys[i].id);
        free(keys[i].name);
    }
    free(keys);
}

size_t match_keys_common_macs(const struct match_keys *a, const struct match_keys *b)
{
    size_t n = 0;

    for (size_t i = 0; i < a->id.n_macs; i++) {
        for (size_t j = 0; j < b->id.n_macs; j++) {
            if (memcmp(a->id.macs[i], b->id.macs[j], MAC_SIZE) == 0) {
                n++;
                break;
            }
        }
    }
    return n;
}

/* "Web 1 (prod)" and "web-1--prod-" are one name: PVE takes only host names. */
static int set_name(struct match_keys *keys, const char *name)
{
    size_t n = 0;
    char *text;

    if (name == NULL || *name == '\0') {
        return 0;
    }
    text = str_dup(name);
    if (text == NULL) {
        return -ENOMEM;
    }
    for (const char *at = name; *at != '\0'; at++) {
        char c = ascii_is_alnum(*at) || *at == '.' ? ascii_lower(*at) : '-';

        if (c != '-' || (n > 0 && text[n - 1] != '-')) {
            text[n++] = c;
        }
    }
    while (n > 0 && text[n - 1] == '-') {
        n--;
    }
    text[n] = '\0';
    if (n == 0) { /* nothing but foreign letters says nothing here */
        free(text);
        return 0;
    }
    keys->name = text;
    return 0;
}

int match_keys_of_fingerprint(const struct fingerprint *fp, struct match_keys *ret)
{
    int rc = identity_of_fingerprint(fp, &ret->id);

    return rc < 0 ? rc : set_name(ret, fp->source.name);
}

int match_keys_of_config(const struct pveconf *conf, struct match_keys *ret)
{
    int rc = identity_of_config(conf, &ret->id);

    return rc < 0 ? rc : set_name(ret, pveconf_get(conf, "name"));
}

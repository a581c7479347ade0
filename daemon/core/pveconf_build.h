/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How pveconf_parse.c fills a struct pveconf. Private to those two files. */
#ifndef CORE_PVECONF_BUILD_H
#define CORE_PVECONF_BUILD_H

#include "core/pveconf.h"

/* All: 0, -ENOMEM, or -E2BIG where a limit of pveconf.h is met. */
int pveconf_add_section(struct pveconf *conf, enum pveconf_kind kind, const char *name);
/* The last value of a key counts. */
int pveconf_section_set(struct pveconf_section *section, const char *key, const char *value,
                        unsigned line);
/* Beyond PVECONF_BAD_MAX: nothing, 0. */
int pveconf_add_bad(struct pveconf *conf, unsigned line, const char *text, const char *why);
void pveconf_section_clear(struct pveconf_section *section); /* no keys any more */
void pveconf_section_fini(struct pveconf_section *section);

#endif

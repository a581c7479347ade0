/* SPDX-License-Identifier: GPL-3.0-or-later */
/* See process.h. */
#include "io/process.h"

#include <sys/prctl.h>
#include <sys/resource.h>

void process_forbid_dumps(void)
{
    const struct rlimit none = {0, 0};

    (void)prctl(PR_SET_DUMPABLE, 0);     /* neither can fail: the value is one that there is, */
    (void)setrlimit(RLIMIT_CORE, &none); /* and a limit may always be lowered */
}

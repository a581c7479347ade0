/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a process may do to itself. */
#ifndef IO_PROCESS_H
#define IO_PROCESS_H

/* For who holds a secret: no core dump, and nobody but root looks into our memory (ptrace,
 * /proc/PID/mem, environ). A pipe in core_pattern ignores the limit, a file the flag: so both. */
void process_forbid_dumps(void);

#endif

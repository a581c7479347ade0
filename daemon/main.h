/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef PVE_HWID_MAIN_H
#define PVE_HWID_MAIN_H

/* The name that makes the one program of daemon and command line (cli/main.c) the daemon. */
#define DAEMON_NAME "pve-hwidd"

/* The daemon from its arguments to its exit code, for main(). */
int daemon_main(int argc, char **argv);

#endif

/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The daemon as a function: one file on the disk is both programs, since a good part of each is the
 * other's too. What it is called by says which one it is (cli/main.c).
 */
#ifndef MAIN_H
#define MAIN_H

#define DAEMON_NAME "pve-hwidd"

/* The whole life of pve-hwidd; returns its exit code. */
int daemon_main(int argc, char **argv);

#endif

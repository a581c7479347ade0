/* SPDX-License-Identifier: GPL-3.0-or-later */
/* For tests/test_pvesim_model.py: what the model of PVE makes of random calls, one case a line. */
#ifndef TESTS_PROPERTY_DUMP_H
#define TESTS_PROPERTY_DUMP_H

#include <stdint.h>

void property_dump(uint64_t first, uint64_t n);

#endif

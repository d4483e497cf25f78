// SPDX-License-Identifier: Apache-2.0
#ifndef NSP_TESTS_PART_H
#define NSP_TESTS_PART_H

#include <nanospan/config.h>

// The default that it found when it was loaded, which may be before libnanospan's constructor has run.
extern nsp_collector_mode part_early;

// Records a span, named "of the part".
void part_record(void);

#endif

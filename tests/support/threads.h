// SPDX-License-Identifier: Apache-2.0
//
// What the other threads of the process are doing.
#ifndef NSP_TESTS_THREADS_H
#define NSP_TESTS_THREADS_H

#include <stdbool.h>

// Does every other thread wait for something, rather than run or wait for a processor? True also if that
// cannot be found out.
bool other_threads_sleep(void);

#endif

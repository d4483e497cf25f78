// SPDX-License-Identifier: Apache-2.0
//
// A part of the bench that runs in a process of its own and leaves its findings in shared memory.
#ifndef NSP_BENCH_CHILD_H
#define NSP_BENCH_CHILD_H

#include <stddef.h>

#include "harness/setup.h"

// Zeroed memory that children share with this process, kept for good. NULL if there is none.
void *child_page(size_t bytes);

// Forks; the child runs `body`, which does not return but ends by _exit(0). Waits at most so many seconds, then kills it. Says in out
// what went wrong: false then.
bool child_run(void (*body)(void *), void *argument, unsigned seconds, bench_result *out);

#endif

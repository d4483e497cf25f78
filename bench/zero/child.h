// SPDX-License-Identifier: Apache-2.0
//
// Runs a part of the bench in its own process, which leaves its results in shared memory.
#ifndef NSP_BENCH_CHILD_H
#define NSP_BENCH_CHILD_H

#include <stddef.h>

#include "harness/setup.h"

// Zeroed memory that child processes share with this one; it is never freed. NULL on failure.
void *child_page(size_t bytes);

// Forks. The child runs `body`, which must not return, but end with _exit(0). Waits at most this many
// seconds, then kills it. False with a problem in out.
bool child_run(void (*body)(void *), void *argument, unsigned seconds, bench_result *out);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Waits for a process that measures, and shows its progress meanwhile.
#ifndef NSP_BENCH_WAIT_H
#define NSP_BENCH_WAIT_H

#include <sys/types.h>

#include "harness/setup.h"

// The process counts in *done, up to *of (both relaxed; 0: nothing to show yet). False if it had to be
// killed: it took longer than the patience, or the run was asked to stop.
bool wait_for_child(pid_t process, unsigned patience_s, const unsigned *done, const unsigned *of,
                    const bench_result *out);

#endif

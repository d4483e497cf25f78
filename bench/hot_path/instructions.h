// SPDX-License-Identifier: Apache-2.0
#ifndef NSP_BENCH_INSTRUCTIONS_H
#define NSP_BENCH_INSTRUCTIONS_H

#include <stddef.h>

#include "harness/setup.h"

// For an instruction counter: runs the operations on the list ("all": every one) `count` times and then twice
// as often, each time inside the function counted_run, and prints a line "NAME SPANS COUNT" for each call of
// it. The names order_CONDITION stand for the example engine (order_path/count.h). False if no operation
// matches or a session cannot be started.
bool instructions_run(const bench_setup *setup, const char *list, size_t count);

// Calls run(count) and does nothing else.
void counted_run(void (*run)(size_t), size_t count);

#endif

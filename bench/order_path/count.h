// SPDX-License-Identifier: Apache-2.0
#ifndef NSP_BENCH_ORDER_COUNT_H
#define NSP_BENCH_ORDER_COUNT_H

#include "harness/setup.h"

// True if the instructions of an order can be counted in this condition (an index of order_conditions): they
// must not depend on chance, so the engine's own sampler must record every order or none.
bool order_countable(size_t index);

// For an instruction counter (hot_path/instructions.h): lets the engine with tracing compiled out, and then
// the one under test, process the same messages, each inside the function counted_run, and prints a line
// "order_CONDITION 1 COUNT" for each, where COUNT is the number of orders that the condition applies to. So
// the difference of the two counts is what tracing adds to these orders. False, with a line on standard
// error, if it failed.
bool order_count(size_t index, const bench_setup *setup);

#endif

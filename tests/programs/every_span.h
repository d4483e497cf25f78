// SPDX-License-Identifier: Apache-2.0
//
// A set of spans with everything that a span can have, each of them noted (expectation.h).
#ifndef NSP_PROGRAMS_EVERY_SPAN_H
#define NSP_PROGRAMS_EVERY_SPAN_H

#include <stdint.h>

// Emits one set; the number stands in its root. Every reading of the clock is supplied, so that every nanosecond is known.
void emit_set(int64_t number);

#endif

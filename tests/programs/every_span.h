// SPDX-License-Identifier: Apache-2.0
//
// Spans that together have everything that a span can have. Each is noted (expectation.h).
#ifndef NSP_PROGRAMS_EVERY_SPAN_H
#define NSP_PROGRAMS_EVERY_SPAN_H

#include <stdint.h>

// Emits one set; its root carries the number. Every clock reading is supplied, so every nanosecond is known.
void emit_set(int64_t number);

#endif

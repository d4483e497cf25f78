// SPDX-License-Identifier: Apache-2.0
//
// Numbers in readable form. Each function writes at most 31 bytes and a NUL.
#ifndef NANOSPAN_SUPPORT_UNITS_H
#define NANOSPAN_SUPPORT_UNITS_H

#include <stdint.h>

enum { UNITS_SIZE = 32 };

void units_count(char out[UNITS_SIZE], uint64_t value); // 1,234,567
void units_bytes(char out[UNITS_SIZE], double value);   // 12.3 MiB

// 270 ns, 12.41 µs, 3.200 ms, 1.500 s: four digits; below a microsecond, whole nanoseconds.
void units_duration(char out[UNITS_SIZE], uint64_t nanoseconds);

// 98.5 %, -12.0 %, <0.1 % for what is less than half of that but not nothing, and >999 % or <-999 %; a dot for nothing.
void units_share(char out[UNITS_SIZE], double share);

// 5 s, 12 min, 3 h, 2 days: rounded down.
void units_age(char out[UNITS_SIZE], uint64_t nanoseconds);

// 2026-03-04 05:06:07.123456789, in UTC.
void units_time(char out[UNITS_SIZE], uint64_t unix_ns);

#endif

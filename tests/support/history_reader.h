// SPDX-License-Identifier: Apache-2.0
//
// For tests of history: reads it as shm/speculation.h says, in two halves between which the thread goes on, and looks
// whether what it has got is whole traces of history_trace.h.
#ifndef NSP_TESTS_HISTORY_READER_H
#define NSP_TESTS_HISTORY_READER_H

#include "support/history_trace.h"

enum { HISTORY_COPY_MAX = 8192 + HISTORY_RECORD_MAX };

// Cleared by the test.
typedef struct history_state {
    bool reading; // the first half has been read
    uint64_t from, end, middle;
    uint8_t bytes[2 * HISTORY_COPY_MAX];
    uint64_t wait, random; // the test's
    uint64_t looks, whole, overtaken, wrong;
} history_state;

extern history_state history_reader;

void history_read_first(const nsp__speculation *its);
void history_read_second(const nsp__speculation *its);

#endif

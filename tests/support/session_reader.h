// SPDX-License-Identifier: Apache-2.0
//
// A session as a stranger reads it: the files of an engine that may be dead, copied into private memory, nothing in them
// trusted. Counts finished and open spans, and fails where the session breaks its promises: every published record is whole,
// and no span is both finished and open.
#ifndef NSP_TESTS_SESSION_READER_H
#define NSP_TESTS_SESSION_READER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct session_reading {
    size_t slots;        // thread slots in shared memory
    size_t finished;     // records published and not yet drained
    size_t open;         // frames of spans that have begun and are not published
    size_t committed;    // frames that still look open, but whose record is published
    const char *trouble; // NULL if all promises are kept
} session_reading;

// Reads the session in this directory. False, with `trouble`, if it cannot be read as one.
bool session_read(const char *path, session_reading *out);

#endif

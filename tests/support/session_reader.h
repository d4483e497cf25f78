// SPDX-License-Identifier: Apache-2.0
//
// Reads a session from outside: it copies the files of an engine that may be dead into private memory and
// trusts nothing in them. It counts finished and open spans and fails if the session breaks its guarantees:
// every published record is complete, and no span is both finished and open.
#ifndef NSP_TESTS_SESSION_READER_H
#define NSP_TESTS_SESSION_READER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct session_reading {
    size_t slots;        // thread slots in shared memory
    size_t finished;     // records published and not yet drained
    size_t open;         // frames of spans that have begun and are not published
    size_t committed;    // frames that still look open, but whose record is published
    const char *trouble; // NULL if all guarantees hold
} session_reading;

// Reads the session in this directory. Returns false and sets `trouble` if it is not a readable session.
bool session_read(const char *path, session_reading *out);

#endif

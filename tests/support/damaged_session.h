// SPDX-License-Identifier: Apache-2.0
//
// For tests of what is left of a session whose files were damaged: an engine that was killed, its files as they were
// then, and as they are restored after each damage. There is one such session per process.
#ifndef NSP_TESTS_DAMAGED_SESSION_H
#define NSP_TESTS_DAMAGED_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/session_dir.h"

enum {
    DAMAGED_IN_A_BATCH = 10,  // spans
    DAMAGED_BATCHES = 2,      // in the pool
    DAMAGED_UNFINISHED = 4,   // the first half detached, the others on the stack of the first thread
    DAMAGED_OF_THE_OTHER = 12 // spans of the second thread; more than are exported of the first one
};

typedef struct damaged_plan {
    int64_t spans; // that finish
    bool drained;  // by a collector: into batches, as far as there are any
} damaged_plan;

enum { DAMAGED_CONTROL, DAMAGED_THREADS, DAMAGED_DETACHED, DAMAGED_BATCH_FILE, DAMAGED_FILES };

typedef struct damaged_session {
    char session[SESSION_PATH_MAX];
    size_t unsent; // spans that the engine had not exported
    struct {
        const char *name;
        int fd;
        uint8_t *bytes; // as the engine left them
        size_t size;
    } files[DAMAGED_FILES];
} damaged_session;

extern damaged_session damaged;

// Kills an engine in the folder of session_fixture.h. The first ten spans are exported. Of the others, all batches
// fill up, or, if there are not enough spans for that, the last batch is being filled; or all stay in the rings.
void damaged_session_make(damaged_plan planned);
void damaged_session_forget(void);

// Undoes what was done to the files, and forgets the recoveries since.
void damaged_session_restore(void);

#endif

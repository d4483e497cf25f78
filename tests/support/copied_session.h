// SPDX-License-Identifier: Apache-2.0
//
// For tests of the reader of sessions: the session of an engine that was killed, looks at it, and changes to its
// files.
#ifndef NSP_TESTS_COPIED_SESSION_H
#define NSP_TESTS_COPIED_SESSION_H

#include "outside/session/session_copy.h"
#include "support/session_dir.h"

extern char copied_session[SESSION_PATH_MAX]; // its directory

// A cmocka setup and teardown. The session has a span in a batch, seven in the ring of its only thread, an open
// one, and a detached one.
int copied_session_make(void **state);
int copied_session_remove(void **state);

// Opens a copy, which the test closes; fails the test if the session cannot be read.
nsp__session_copy copied_open(void);

// What opening it says, and the problem; fails the test if the two do not agree.
nsp__session_state copied_look(char problem[160]);

// Fails the test unless it says this, with a problem that contains the text.
void copied_assert_look(nsp__session_state state, const char *text);

// Fails the test unless all that the engine recorded is read.
void copied_assert_whole(void);

// Fails the test unless the record's first attribute is "number", with this value.
void copied_assert_number(const nsp__session_copy *copy, const nsp__record *record, int64_t number);

// Of a file of the session. The path is valid until the next call.
const char *copied_path(const char *file);
uint64_t copied_size(const char *file);
void copied_write(const char *file, uint64_t at, const void *bytes, size_t length);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// A small session whose engine was killed, and changes to it, for fuzz_session and fuzz_drainer.
#ifndef NSP_TESTS_KILLED_SESSION_H
#define NSP_TESTS_KILLED_SESSION_H

#include <limits.h>
#include <nanospan/exporter.h>
#include <nanospan/nanospan.h>

typedef struct killed_session {
    char root[600], user[640]; // folders: the one that engines are given, and in it this user's
    int folder_fd;             // of `user`
    char name[NAME_MAX + 2];   // of the session, as it is now
    bool alive;                // somebody holds its engine's lock
    bool accessible;           // to other users
    bool shrunk;               // a file was cut short since the last restoration
} killed_session;

// Makes it, once in a process; it is removed at exit.
const killed_session *killed_session_make(void (*engine)(const char *shm_dir));

// Engines, which end by SIGKILL. This one drains itself.
void killed_engine(const char *shm_dir);
// This one is drained from outside, by a drainer that dies with it, and leaves batches in all states.
void killed_engine_outside(const char *shm_dir);

// Makes the changes that these bytes describe (fuzz_session.c says how), but none behind the first LATER.
// Returns how many bytes that were.
size_t killed_session_change(const uint8_t *bytes, size_t size);

// Notes that somebody else writes to the files.
void killed_session_written(void);

// Undoes all changes.
void killed_session_restore(void);

// The exporter of killed_engine: a batch holds the identifiers of its spans, and cannot be sent.
extern const nsp_exporter killed_session_exporter;

#endif

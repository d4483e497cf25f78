// SPDX-License-Identifier: Apache-2.0
//
// What a settlement writes into its session: all of it is put together first, noted in the session's file `settlement`,
// and then made. If the recovery dies in between, the next one makes it, and so each span is taken out of its place,
// counted as attempted and counted as exported, or none of this.
#ifndef NSP_OUTSIDE_RECOVER_WRITES_H
#define NSP_OUTSIDE_RECOVER_WRITES_H

#include "outside/session/session_copy.h"

typedef enum nsp__written_file {
    NSP__WRITTEN_THREADS,
    NSP__WRITTEN_DETACHED,
    NSP__WRITTEN_BATCHES,
    NSP__WRITTEN_FILES
} nsp__written_file;

// In the order in which they are made. All zero: none.
typedef struct nsp__writes {
    uint8_t *bytes; // as they are noted
    size_t length, capacity;
} nsp__writes;

// Forgets those that were put before.
void nsp__writes_clear(nsp__writes *writes);
void nsp__writes_free(nsp__writes *writes);

// False with errno ENOMEM: no memory.
bool nsp__writes_put(nsp__writes *writes, nsp__written_file file, const void *bytes, size_t length,
                     uint64_t at);
// How many bytes they take, to be handed to nsp__writes_make.
size_t nsp__writes_end(const nsp__writes *writes);

// Notes them in the session, with what its counters become afterwards. interrupted: the mark `settling` stays when they
// are made, because it says something of an earlier recovery. False: there is no room, or no memory, and no note.
bool nsp__writes_note(nsp__writes *writes, const nsp__session_copy *copy, const nsp__counters *after,
                      bool interrupted);
// Makes those that were put between these two ends; 0: the beginning. False with errno set: one of them cannot be made.
bool nsp__writes_make(const nsp__writes *writes, const nsp__session_copy *copy, size_t from, size_t to);
// False with errno set.
bool nsp__counters_write(const nsp__session_copy *copy, const nsp__counters *counters);
void nsp__writes_forget(int directory);

// Makes what a recovery that died has noted, and forgets it. The caller has the lock of the session's consumer. True: the
// session is another one than the copy says.
bool nsp__writes_complete(const nsp__session_copy *copy);

#endif

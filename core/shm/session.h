// SPDX-License-Identifier: Apache-2.0
//
// A session: the directory in shared memory that holds what the engine recorded, or private memory in its
// place.
#ifndef NSP_SHM_SESSION_H
#define NSP_SHM_SESSION_H

#include <nanospan/config.h>

#include "common/descriptor.h"
#include "shm/control.h"
#include "shm/slot.h"

typedef struct nsp__session {
    nsp__control *control;
    uint8_t
        *detached; // control->detached_count frames, control->detached_stride apart; NULL if there are none
    uint8_t *batches; // see batches.h
    uint64_t batches_bytes;
    char directory[512]; // absolute; "" if the session is private memory, and then everything below is empty
    nsp__file_id directory_id, control_id, threads_id; // for opening them again, since no descriptor is kept
    void *alive, *consumer;                            // the locks; consumer: NULL if others drain
    bool external;                                     // drained from outside
} nsp__session;

// Finds or creates the directory of this user's sessions and writes its path. size: that of `path`, about 100
// bytes more than shm_dir has. False if it cannot be used, with errno set, and for "none" and NULL.
bool nsp__sessions_directory(const char *shm_dir, char *path, size_t size);

// Creates the session's files and maps control, detached and batches. If that fails it logs so once, and uses
// private memory, except with NSP_COLLECTOR_EXTERNAL: nobody could drain that. Errors: NSP_ERR_NO_MEMORY;
// NSP_ERR_UNSUPPORTED: there is no shared memory for a session that is to be drained from outside.
nsp_status nsp__session_create(nsp__session *session, const nsp_config *config);

// Takes `bytes` of the file `threads` and maps them, populated, at *address. Uses private memory if there is
// no room, unless the session is drained from outside. Lock-free; takes a handful of system calls. False if there
// is no memory.
bool nsp__session_map_thread(nsp__session *session, uint64_t bytes, void **address, nsp__slot_place *place);

// True if the session lies in shared memory.
static inline bool nsp__session_shared(const nsp__session *session)
{
    return session->directory[0] != 0;
}

// Opens the session's file `control` for writing; the caller closes it. -1 if there is none.
int nsp__session_open_control(const nsp__session *session);

// True if some process drains the session at this moment, or is at work on it. For a session that is drained
// from outside; takes a handful of system calls.
bool nsp__session_has_drainer(const nsp__session *session);

// Retires the mappings, removes the files and releases the locks.
void nsp__session_destroy(nsp__session *session);

// Ends a session that is drained from outside, once the threads' slots are retired: says in it that nothing more
// comes, retires the mappings, and leaves the files to whoever drains or recovers them.
void nsp__session_leave(nsp__session *session);

// To be called in the child of a fork: forgets the session without touching the parent's files.
void nsp__session_abandon(nsp__session *session);

#endif

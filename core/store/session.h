// SPDX-License-Identifier: Apache-2.0
//
// A session: the directory in shared memory that holds what the engine recorded, or private memory in its place.
#ifndef NSP_STORE_SESSION_H
#define NSP_STORE_SESSION_H

#include <nanospan/config.h>

#include "store/control.h"
#include "store/slot.h"

typedef struct nsp__session {
    nsp__control *control;
    uint8_t
        *detached; // control->detached_count frames, control->detached_stride apart; NULL if there are none
    uint8_t *batches; // headers, then coverage, then data; see batch_pool.h
    uint64_t batches_bytes;
    char directory[512];                                             // "" where the session is private memory
    int directory_fd, control_fd, threads_fd, alive_fd, consumer_fd; // -1 where private
} nsp__session;

// Makes the session's files (or private memory, said once in the log) and maps control, detached and batches.
// batches_bytes: of the file `batches`. Errors: NSP_ERR_NO_MEMORY.
nsp_status nsp__session_create(nsp__session *session, const nsp_config *config, uint64_t batches_bytes);

// Takes `bytes` of the file `threads` and maps them at *address, populated; private memory if there is no room.
// Lock-free; one fallocate and one mmap. False if there is no memory at all.
bool nsp__session_map_thread(nsp__session *session, uint64_t bytes, void **address, nsp__slot_place *place);

// Is this the name of the directory of the present (or last) session of this very process? Its lock files must not be
// opened then: closing them would give up the locks. Lock-free.
bool nsp__session_is_own(const char *name);

// Retires the mappings, closes and removes the files.
void nsp__session_destroy(nsp__session *session);

// In the child of a fork: closes the descriptors without touching the parent's files.
void nsp__session_abandon(nsp__session *session);

#endif

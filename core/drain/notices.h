// SPDX-License-Identifier: Apache-2.0
//
// The notices of whoever drains. They are gathered while the drain lock is held, and logged afterwards with
// no lock held and nobody waiting, because the log callback belongs to the application and may block for as
// long as it likes.
#ifndef NSP_DRAIN_NOTICES_H
#define NSP_DRAIN_NOTICES_H

#include "shm/control.h"

enum { NSP__TROUBLES = 3 };

// Zeroed memory holds no notices.
typedef struct nsp__notices {
    bool any;
    struct {
        uint64_t bytes; // skipped
        uint32_t tid;   // thread of the last ring with damage
    } damaged;
    struct {
        uint64_t spans;
        size_t batch_bytes;
    } too_big;
    struct {
        bool changed;
        double rate;
        uint32_t rules;
    } policy;
    bool trouble[NSP__TROUBLES]; // with threads that attach
    bool paging;                 // a thread's memory is not as wanted (base/paging.h)
} nsp__notices;

// What had been seen at the last look.
typedef struct nsp__known {
    uint32_t generation; // of the policy
    uint32_t trouble[NSP__TROUBLES];
} nsp__known;

// Notes a damaged record in the ring of this thread.
void nsp__notices_damaged(nsp__notices *notices, uint32_t tid, uint64_t bytes);
// Notes a span that does not fit into a batch of this size.
void nsp__notices_too_big(nsp__notices *notices, size_t batch_bytes);
// To be called at a session's start, before threads attach to it, so that it does not report the trouble of
// earlier sessions.
void nsp__notices_begin(nsp__known *known);
// Notes what has changed in the session since the last look.
void nsp__notices_look(nsp__notices *notices, nsp__known *known, const nsp__control *control);

// Returns the notices and empties them.
nsp__notices nsp__notices_take(nsp__notices *notices);

// Logs the notices. Call it with no lock held.
void nsp__notices_log(const nsp__notices *notices);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// What whoever drains has to say. It is gathered while the drain lock is held and told afterwards, with no lock held
// and nothing waiting: the log callback is the application's, and may block for as long as it likes.
#ifndef NSP_DRAIN_NOTICES_H
#define NSP_DRAIN_NOTICES_H

#include "shm/control.h"

enum { NSP__TROUBLES = 3 };

// Zeroed memory is no notice.
typedef struct nsp__notices {
    bool any;
    struct {
        uint64_t bytes; // skipped
        uint32_t tid;   // of the last ring in which there were some
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
    bool trouble[NSP__TROUBLES]; // of attaching threads
} nsp__notices;

// What was known before.
typedef struct nsp__known {
    uint32_t generation; // of the policy
    uint32_t trouble[NSP__TROUBLES];
} nsp__known;

// A damaged record in the ring of this thread.
void nsp__notices_damaged(nsp__notices *notices, uint32_t tid, uint64_t bytes);
// A span that no batch of this size can hold.
void nsp__notices_too_big(nsp__notices *notices, size_t batch_bytes);
// At a session's start, before threads attach to it: the trouble that earlier sessions had is not its own.
void nsp__notices_begin(nsp__known *known);
// What changed in the session since it was last looked at.
void nsp__notices_look(nsp__notices *notices, nsp__known *known, const nsp__control *control);

// Empties it.
nsp__notices nsp__notices_take(nsp__notices *notices);

// Logs it. Call it with no lock held.
void nsp__notices_log(const nsp__notices *notices);

#endif

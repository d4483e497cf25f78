// SPDX-License-Identifier: Apache-2.0
//
// The notices of whoever drains. They are gathered while the drain lock is held, and logged afterwards with
// no lock held and nobody waiting, because the log callback belongs to the application and may block for as
// long as it likes.
#ifndef NSP_DRAIN_NOTICES_H
#define NSP_DRAIN_NOTICES_H

#include "base/log_limit.h"
#include "trace/policy_change.h"

enum { NSP__TROUBLES = 4, NSP__NOTICE_POLICY = 512 };

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
        uint32_t source, pid; // of the last change, as in nsp__tuning
        char name[NSP__TUNER_NAME];
        char what[NSP__NOTICE_POLICY]; // has changed; "": nothing
    } policy;
    bool trouble[NSP__TROUBLES]; // with threads that attach
    struct {
        int error; // not 0: why they are not recorded, as of nsp__switch_ring_open
        bool mapping;
    } switches;
    char path[160]; // "", or what is said of a path's declaration (path_plan.h)
    bool paging;    // a thread's memory is not as wanted (base/paging.h)
} nsp__notices;

// What had been seen at the last look.
typedef struct nsp__known {
    uint32_t generation;         // of the policy
    nsp__policy_draft policy[2]; // as it was said, and room for the next one
    uint32_t current;            // which of them
    bool read;                   // it was read
    bool unsaid;                 // it has changed since, and there were too many lines
    nsp__log_limit_entry lines;  // about it
    uint32_t trouble[NSP__TROUBLES];
} nsp__known;

// Notes a damaged record in the ring of this thread.
void nsp__notices_damaged(nsp__notices *notices, uint32_t tid, uint64_t bytes);
// Notes spans that do not fit into a batch of this size.
void nsp__notices_too_big(nsp__notices *notices, size_t batch_bytes, uint64_t spans);
// Notes what the plans have to say.
void nsp__notices_paths(nsp__notices *notices, char untold[160]);
// To be called at a session's start, before threads attach to it, so that it does not report the trouble of
// earlier sessions.
void nsp__notices_begin(nsp__known *known);
// Notes what has changed in the sampler's policy since the last time that this was noted: if there are too many changes
// for a line each, several become one, so that the log always comes to what is in force. True if one is in force that was not at the last look.
// The first one that is seen is no change: in an engine it is looked at before its own code can change it.
bool nsp__notices_policy(nsp__notices *notices, nsp__known *known, const nsp__policy_place *place);
// The same at a session's end, or at that of whoever drains it: what has not been said is noted now, however
// many lines there have been. `notices` holds no other line about the policy.
void nsp__notices_last(nsp__notices *notices, nsp__known *known, const nsp__policy_place *place);
// nsp__notices_policy, and what else has changed in this process's session since the last look. True if a
// policy is in force that was not at that time.
bool nsp__notices_look(nsp__notices *notices, nsp__known *known, nsp__control *control);

// Returns the notices and empties them.
nsp__notices nsp__notices_take(nsp__notices *notices);

// Logs the notices. Call it with no lock held. whose: the session that records are of, as in nsp__batch_pool.label;
// NULL: this process's own.
void nsp__notices_log(const nsp__notices *notices, const char *whose);

#endif

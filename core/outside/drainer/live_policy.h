// SPDX-License-Identifier: Apache-2.0
//
// The sampler's policy of a session that is mapped, and what follows a change of it: telling the threads' slots, and
// giving names their classes. A writer from outside does that (tune.c), and so does a drainer, in case the writer was
// killed before it was done. Nothing of the session is trusted.
#ifndef NSP_OUTSIDE_LIVE_POLICY_H
#define NSP_OUTSIDE_LIVE_POLICY_H

#include "outside/drainer/live_names.h"
#include "outside/drainer/session_live.h"
#include "trace/policy_change.h"

typedef struct nsp__live_policy {
    nsp__policy_place place;     // NULL: the session has another form, and its policy is not touched
    uint64_t told_at;            // from a slot's beginning to its number of the policy
    bool counts;                 // slots count roots in the way of this version
    uint32_t following, follows; // the generation that is being followed up, and the last one that was
    nsp_name next; // of the one that is being followed up: names before this one have their classes
} nsp__live_policy;

// False if the policy, or what a writer leaves beside it, has a form that this version does not write.
bool nsp__live_policy_init(nsp__live_policy *policy, const nsp__session_live *live);

// Tells all threads of the policy in force, those that have come since the last look too.
void nsp__live_policy_tell(const nsp__live_policy *policy, nsp__session_live *live,
                           nsp__ring_source *sources);

// Puts another factor in force, as nsp__sampler_lower does in an engine. What follows a change is left to
// nsp__live_policy_follow.
bool nsp__live_policy_lower(const nsp__live_policy *policy, const nsp__session_live *live,
                            nsp__policy_draft *draft, uint32_t generation, double factor);

// The number of names that there may be.
uint32_t nsp__live_policy_names(const nsp__live_names *names);

// Gives names from this one on their classes in the policy in force, until their texts have so many bytes together.
// Returns the next one.
nsp_name nsp__live_policy_classify(const nsp__live_policy *policy, const nsp__live_names *names,
                                   nsp_name from, size_t bytes);

// True if a policy is in force that was not followed up yet.
bool nsp__live_policy_new(const nsp__live_policy *policy);

// A part of that, small enough for one pass of a drainer.
void nsp__live_policy_follow(nsp__live_policy *policy, nsp__session_live *live, nsp__ring_source *sources,
                             const nsp__live_names *names);

#endif

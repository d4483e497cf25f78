// SPDX-License-Identifier: Apache-2.0
//
// What whoever drains counts for the limiter (limiter.h), pass by pass. Without a limit that is the traces alone.
#ifndef NSP_DRAIN_LIMIT_H
#define NSP_DRAIN_LIMIT_H

#include "drain/limiter.h"
#include "drain/ring_source.h"
#include "trace/policy_change.h"

// Traces count as being no longer than that. Users may give any time as their start.
#define NSP__LIMIT_TRACE_NS UINT64_C(10000000000)

// Of a thread slot, at the last look.
typedef struct nsp__limit_roots {
    uint64_t unsampled, refused;
} nsp__limit_roots;

// Zeroed memory, except for `roots`, is the state before the first look.
typedef struct nsp__limit {
    nsp__limiter limiter;
    uint64_t traces, trace_ns; // since the last look: how many have ended, and how long they took together
    nsp__limit_roots *roots;   // by thread slot
    bool remote;               // some of them have remote parents
    bool counting;             // there was a look with a limit
} nsp__limit;

// Counts a record that is taken out of a ring.
static inline void nsp__limit_count(nsp__limit *limit, const nsp__record *record, uint64_t ns)
{
    if ((record->flags & NSP__RECORD_DECIDED) != 0) {
        limit->traces++;
        limit->trace_ns += ns < NSP__LIMIT_TRACE_NS ? ns : NSP__LIMIT_TRACE_NS;
        limit->remote |= (record->flags & NSP__RECORD_PARENT_REMOTE) != 0;
    }
}

// Another factor than that in force, and the generation of the policy that it would take the place of.
typedef struct nsp__limit_wish {
    uint32_t generation;
    double factor;
} nsp__limit_wish;

// To be called after each pass, over these sources. behind: something was left in the rings. True if the policy
// should have another factor.
bool nsp__limit_look(nsp__limit *limit, const nsp__policy_place *place, const nsp__ring_source *sources,
                     uint32_t count, bool behind, nsp__limit_wish *wish);

// True if that has something to do, although nothing was recorded: roots that are left out count too.
bool nsp__limit_wakes(const nsp__limit *limit, uint64_t now_ns);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Encodes the spans of a path into the batch that is being filled: all of them, or none. All of this needs the drain
// lock.
#ifndef NSP_DRAIN_PATH_APPEND_H
#define NSP_DRAIN_PATH_APPEND_H

#include "drain/collector.h"

// What became of a path.
typedef struct nsp__path_appended {
    uint32_t spans;    // that it has in the batch
    uint32_t left_out; // that it has not, because nobody can tell what they are
    bool switched;     // some have context switches
} nsp__path_appended;

// slot: the thread's, whose context switches are added; UINT32_MAX: none are. False: there is no room, and the batch is
// as it was.
bool nsp__path_append(nsp__collector *collector, const nsp__record *record,
                      struct nsp__clock_segment *segment, uint32_t slot, nsp__path_appended *out);

// True if this many spans are to go into another batch than the one that is being filled, of which there is one: a path
// makes no batch larger than it may be, unless it has as many spans alone.
static inline bool nsp__path_wants_another(const nsp__collector *collector, uint32_t spans)
{
    const uint32_t before = collector->current->exported.spans;
    return before != 0 && before + spans > collector->options.config->batch_spans;
}

// Spends the budget for so many spans that are taken out together.
static inline void nsp__path_spend(nsp__collector *collector, size_t *budget, uint32_t spans)
{
    if (NSP__UNLIKELY(*budget < spans)) {
        collector->over += spans - *budget;
        *budget = 0;
    } else {
        *budget -= spans;
    }
}

#endif

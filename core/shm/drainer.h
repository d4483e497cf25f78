// SPDX-License-Identifier: Apache-2.0
//
// What an engine that is drained from outside (NSP_COLLECTOR_EXTERNAL) and its drainer tell each other. The lock
// of the file `consumer` says whether somebody drains at this moment; this says the rest. Each word has one
// writer: the engine, or the holder of that lock.
#ifndef NSP_SHM_DRAINER_H
#define NSP_SHM_DRAINER_H

#include <nanospan/name.h>

// The names of what context switches become in a span (drain/switches.h).
typedef struct nsp__switch_names {
    nsp_name off_cpu, preempted, waited;
} nsp__switch_names;

typedef struct nsp__drainer {
    uint32_t
        external; // 1: drained from outside, and not by the engine. Engine, before the magic number (MG1)
    // 1: the engine has ended in order, and records nothing any more. Engine (release DN1, acquire DN2)
    uint32_t ended;
    // The number of the last flush that somebody waits for. Engine: added to (release DN3, acquire DN4)
    uint64_t flush_wanted;
    // Everything that was published before flush_wanted reached this number is settled. A drainer loads
    // flush_wanted, then the published positions; drains up to them, closes the batch, and stores the number when
    // all of that is settled. Drainer (release DN5, acquire DN6)
    uint64_t flush_done;
    // CLOCK_MONOTONIC of a pass, renewed at least every NSP__DRAINER_PASS_NS and not at each pass; 0: nobody has
    // drained yet. Drainer
    uint64_t pass_ns;
    uint32_t pid; // of the drainer, as it sees itself. Drainer
    // 1: the context switches of the engine's threads are wanted. Engine (release DN7, acquire DN8)
    uint32_t switches;
    nsp__switch_names switch_names; // if they are. Engine
    uint8_t padding[76];
} nsp__drainer;

_Static_assert(sizeof(nsp__drainer) == 128, "it lies on lines of its own");

// How often a drainer renews pass_ns.
#define NSP__DRAINER_PASS_NS UINT64_C(100000000)

#endif

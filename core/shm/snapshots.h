// SPDX-License-Identifier: Apache-2.0
//
// What an engine that wants a snapshot of its history (nsp_snapshot) and whoever drains it tell each other, and how many
// spans came of it.
#ifndef NSP_SHM_SNAPSHOTS_H
#define NSP_SHM_SNAPSHOTS_H

#include <nanospan/base.h>

typedef struct nsp__snapshots {
    // Engine: the number of the last snapshot that was asked for (release SN1, acquire SN2).
    uint64_t wanted;
    // The earliest time that was asked for since a drainer has taken it: unix nanoseconds by the session's clock; 0: none
    // was. The engine makes it less, before it stores `wanted` (release SN3); a drainer takes it (acquire SN4).
    uint64_t since_ns;
    uint8_t padding[112];
    // A drainer: the number of the last one that is done.
    uint64_t done;
    uint64_t spans;     // that were put into batches: they are part of nsp_stats.attempted
    uint64_t overtaken; // records that were overwritten while they were read
    // Of `spans`, those that are just being noted in the header of a batch. For a reader after a crash.
    uint64_t noting;
    uint8_t padding_too[96];
} nsp__snapshots;

_Static_assert(sizeof(nsp__snapshots) == 256 && offsetof(nsp__snapshots, done) == 128, "lines, by writer");

#endif

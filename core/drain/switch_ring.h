// SPDX-License-Identifier: Apache-2.0
//
// The kernel's records of one thread's context switches: a software perf event with its ring (perf_event_open(2)).
#ifndef NSP_DRAIN_SWITCH_RING_H
#define NSP_DRAIN_SWITCH_RING_H

#include <nanospan/base.h>

struct perf_event_mmap_page;

// page NULL: there is none.
typedef struct nsp__switch_ring {
    struct perf_event_mmap_page *page;
    const uint8_t *bytes;
    uint64_t size;     // of the bytes; a power of two
    size_t mapped;     // of all, from page on
    uint64_t at, head; // positions: read up to here, and written up to there when it was last looked at
} nsp__switch_ring;

typedef enum nsp__switch_kind {
    NSP__SWITCH_IN,        // the thread runs again
    NSP__SWITCH_WAITS,     // it has gone to wait for something
    NSP__SWITCH_PREEMPTED, // it could have gone on, but another one runs
    NSP__SWITCH_LOST       // the ring was full: `lost` records are missing before this one
} nsp__switch_kind;

typedef struct nsp__switch_record {
    nsp__switch_kind kind;
    uint64_t monotonic; // CLOCK_MONOTONIC, ns
    uint64_t lost;
} nsp__switch_record;

// Opens the event of this thread and maps its ring, which keeps the event; no descriptor stays open. 0, or an errno.
// *mapping: it was the ring that could not be mapped, and not the event that could not be opened.
int nsp__switch_ring_open(nsp__switch_ring *ring, uint32_t tid, bool *mapping);
void nsp__switch_ring_close(nsp__switch_ring *ring);

// A ring in memory that is laid out like the kernel's: a page, and behind it as many bytes as this. For tests too.
void nsp__switch_ring_use(nsp__switch_ring *ring, void *page, size_t mapped);

// The next record; false: there is none at this time. What is not known is passed over. If it is damaged, everything
// up to the end counts as one lost record.
bool nsp__switch_ring_next(nsp__switch_ring *ring, nsp__switch_record *out);

// Gives the space of what was read back to the kernel.
void nsp__switch_ring_release(nsp__switch_ring *ring);

// True if it should be read soon.
bool nsp__switch_ring_fills(const nsp__switch_ring *ring);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Reads the records of a ring that another process can write at any time. A piece of the ring is copied into
// private memory, the window, before anything in it is looked at, so that what was checked is what is used.
#ifndef NSP_DRAIN_RING_WINDOW_H
#define NSP_DRAIN_RING_WINDOW_H

#include <nanospan/span.h>

#include "drain/ring_source.h"

// How much is copied at once, in bytes; more only for a record that is larger. Each byte is read a moment after it
// was copied, so a piece must lie in the first-level cache (32 KiB or more), beside what is encoded from it. With
// outside_3 and its like, pieces of 16 to 128 KiB were slower.
enum { NSP__RING_PIECE = 8 * 1024 };

typedef struct nsp__ring_window {
    uint8_t *bytes;    // aligned to 8; NULL: there is no window
    uint64_t size;     // at least the largest record
    uint64_t from, to; // the positions whose records it holds; equal: none
} nsp__ring_window;

// The record at position `at`, or NULL if none can be there. Valid until the next call. `end` is where the ring's
// records end.
const nsp__record *nsp__ring_window_record(nsp__ring_window *window, const nsp__ring_source *source,
                                           uint64_t at, uint64_t end);

#endif

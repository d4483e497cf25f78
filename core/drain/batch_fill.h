// SPDX-License-Identifier: Apache-2.0
//
// The batch that a collector is filling: opens it, notes in its header how far it is, and hands it over. All of
// this needs the drain lock.
#ifndef NSP_DRAIN_BATCH_FILL_H
#define NSP_DRAIN_BATCH_FILL_H

#include "drain/collector.h"

// Makes an empty batch the current one. False if the pool is used up.
bool nsp__batch_open(nsp__collector *collector);

// Notes what the current batch holds now: of this ring, the records up to this position. One store, that of
// `spans`, makes the new spans and their coverage valid together, so that a reader after a crash takes each record
// either from the batch or from the ring.
void nsp__batch_note(nsp__collector *collector, uint32_t slot, uint64_t position);

// Hands the batch that is being filled to the sender, if it contains anything.
void nsp__batch_close(nsp__collector *collector);

#endif

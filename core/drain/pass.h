// SPDX-License-Identifier: Apache-2.0
//
// One pass over all rings. For whoever holds the drain lock.
#ifndef NSP_DRAIN_PASS_H
#define NSP_DRAIN_PASS_H

#include "drain/collector.h"

// Drains what was published before the call: at most so many spans, and as far as there are batches.
void nsp__pass(nsp__collector *collector, size_t *budget);

// The last one: counts what is left in the rings and in the unfinished batch as discarded. Returns how many spans that
// were.
uint64_t nsp__pass_discarding(nsp__collector *collector);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// One pass over all rings. To be called with the drain lock held.
#ifndef NSP_DRAIN_PASS_H
#define NSP_DRAIN_PASS_H

#include "drain/collector.h"

// Drains what was published before the call (or, with collector->frozen, before an earlier one): at most *budget
// spans, and no more than the free batches hold.
void nsp__pass(nsp__collector *collector, size_t *budget);

// The last pass: counts what is left in the rings and in the unfinished batch as discarded. Returns the
// number of those spans.
uint64_t nsp__pass_discarding(nsp__collector *collector);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Adding up the histograms of threads.
#ifndef NSP_DRAIN_LATENCIES_H
#define NSP_DRAIN_LATENCIES_H

#include <nanospan/latency.h>

#include "shm/latencies.h"

// Adds the roots of one place to *out, of which `size` is set, and how many ticks they took to *ticks.
void nsp__latencies_add(nsp_latency *out, uint64_t *ticks, const nsp__latency_place *place);

// When all are added: the rest of *out. tick_rate: nsp__outlier_bounds.tick_rate.
void nsp__latencies_total(nsp_latency *out, uint64_t ticks, uint64_t tick_rate);

#endif

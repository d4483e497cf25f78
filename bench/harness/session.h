// SPDX-License-Identifier: Apache-2.0
//
// A session to measure in: the default configuration, whose batches are made by the real OTLP encoder and then go nowhere.
#ifndef NSP_BENCH_SESSION_H
#define NSP_BENCH_SESSION_H

#include <nanospan/config.h>
#include <nanospan/exporter.h>

#include "harness/cpus.h"
#include "harness/setup.h"

// Encodes as the exporter otlp does; a send says "exported" at once.
extern const nsp_exporter exporter_nowhere;

// Starts a session in this mode with sample rate 1 and attaches the calling thread. exporter NULL: exporter_nowhere.
// Says in out what went wrong.
bool session_start(const bench_setup *setup, nsp_collector_mode mode, const nsp_exporter *exporter,
                   bench_result *out);

// The same in two steps, for what else is to be configured.
void session_configure(const bench_setup *setup, nsp_config *out);
bool session_start_with(const nsp_config *config, bench_result *out);

// Ends it, and puts the final books into out; books that do not balance are a problem of that result.
void session_end(bench_result *out);

// Waits until the calling thread's ring is empty, or holds no more than so many bytes: awake for as long as the collector
// may pause, then asleep. False after ten seconds.
bool session_drained(void);
bool session_drained_to(uint64_t bytes);

// Bytes the calling thread has published in its ring so far, and the ring's size.
uint64_t session_published(void);
uint64_t session_ring_bytes(void);

// Spans of the calling thread that were lost or refused so far: a round in which that grows is invalid.
uint64_t session_losses(void);

#endif

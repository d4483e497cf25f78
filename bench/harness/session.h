// SPDX-License-Identifier: Apache-2.0
//
// A session to measure in: the default configuration. The real OTLP encoder makes the batches, which are then
// discarded.
#ifndef NSP_BENCH_SESSION_H
#define NSP_BENCH_SESSION_H

#include <nanospan/config.h>
#include <nanospan/exporter.h>

#include "harness/cpus.h"
#include "harness/setup.h"

// Encodes like the exporter otlp; its send reports "exported" immediately.
extern const nsp_exporter exporter_nowhere;

// Starts a session in this mode with sample rate 1, and attaches the calling thread. exporter NULL:
// exporter_nowhere. On failure, `out` gets the problem.
bool session_start(const bench_setup *setup, nsp_collector_mode mode, const nsp_exporter *exporter,
                   bench_result *out);

// The same in two steps, for changes of the configuration in between.
void session_configure(const bench_setup *setup, nsp_config *out);
bool session_start_with(const nsp_config *config, bench_result *out);

// Ends the session and stores the final span counters in `out`; if they do not balance, that is a problem of
// the result.
void session_end(bench_result *out);

// Waits until the calling thread's ring is empty, or contains at most this many bytes: without sleeping for
// as long as the collector may pause, then with sleeps. False after ten seconds.
bool session_drained(void);
bool session_drained_to(uint64_t bytes);

// The bytes that the calling thread has published in its ring so far, and the size of the ring.
uint64_t session_published(void);
uint64_t session_ring_bytes(void);

// The number of spans of the calling thread that were lost or refused so far. A round in which it grows is
// invalid.
uint64_t session_losses(void);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The accounting: what became of every span. Reading them takes less than 4 KiB of stack.
#ifndef NANOSPAN_STATS_H
#define NANOSPAN_STATS_H

#include <nanospan/base.h>

// Since nsp_init. At rest (after nsp_flush with no span open, after nsp_shutdown):
//   attempted = open + dropped + discarded + in_rings + in_batches + unconfirmed + rejected + exported + spooled
// While spans are being recorded, attempted is at least that sum.
typedef struct nsp_stats {
    size_t size;

    uint64_t attempted; // spans begun recording
    uint64_t open;      // begun, not ended
    uint64_t dropped;   // the sum of the causes that follow
    uint64_t dropped_ring_full;
    uint64_t dropped_too_deep;      // more open spans on a thread than nsp_config.open_spans
    uint64_t dropped_detached_full; // more detached spans than nsp_config.detached_spans
    uint64_t dropped_in_signal;     // begun in a signal handler that interrupted nanospan itself
    uint64_t dropped_no_thread;     // no slot or memory for the thread
    uint64_t dropped_invalid;       // records that a reader found damaged
    uint64_t discarded;             // exporter none, or sending given up: backend dead at shutdown
    uint64_t in_rings;
    uint64_t in_batches;  // encoded, not yet answered
    uint64_t unconfirmed; // sent, but the answer was lost or is not OTLP: the receiver may have them or not
    uint64_t rejected;    // refused by the receiver for good
    uint64_t exported;    // accepted by the receiver
    uint64_t spooled;     // kept on disk for later

    uint64_t roots_unsampled; // traces that the sampler left out
    uint64_t roots_refused;   // traces left out because a ring was above its watermark
    uint64_t leaked;          // spans ended by nsp_thread_reset or by their thread's exit
    uint64_t misused; // calls with a span that was ended already, or on the wrong thread, or out of order
    uint64_t names_overflowed; // texts that found the name table full

    uint64_t batches_sent;   // requests that were answered, whatever the answer
    uint64_t batches_failed; // attempts that failed, retries included
    uint64_t bytes_sent;     // of request bodies, after compression
    uint64_t bytes_encoded;  // of batches, before compression

    uint32_t threads;         // attached now
    uint32_t threads_private; // of these, the ones without shared memory
    uint32_t threads_peak;
    uint64_t clock_error_ns; // bound of the error of time stamps against CLOCK_REALTIME
    uint64_t clock_steps;    // steps of the wall clock seen

    uint64_t
        values_cut; // texts, byte strings and arrays cut because their span's record was full (nsp_config.record_bytes)
} nsp_stats;

#define NSP_STATS_INIT                                                                                       \
    {                                                                                                        \
        sizeof(nsp_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  \
            0, 0, 0, 0                                                                                       \
    }

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Fills *out, at most out->size bytes of it. Reads shared counters without stopping anybody. After
// nsp_shutdown: the last session's final accounting. NSP_ERR_NOT_INITIALISED before the first nsp_init,
// NSP_ERR_INVALID from within an exporter's create. Thread safe.
NSP_API nsp_status nsp_stats_get(nsp_stats *out);

#endif
NSP_END_DECLS
#endif

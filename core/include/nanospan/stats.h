// SPDX-License-Identifier: Apache-2.0
//
// The accounting: what happened to every span. Reading it uses less than 4 KiB of stack.
#ifndef NANOSPAN_STATS_H
#define NANOSPAN_STATS_H

#include <nanospan/base.h>

// Counts since nsp_init. After nsp_flush with no span open, and after nsp_shutdown:
//   attempted = open + dropped + discarded + in_rings + in_batches
//             + unconfirmed + rejected + exported + spooled
// While spans are being recorded, attempted is at least that sum. Initialise with NSP_STATS_INIT.
typedef struct nsp_stats {
    size_t size;

    uint64_t attempted; // sampled spans that were begun
    uint64_t open;      // begun, but not ended
    uint64_t dropped;   // the sum of the six causes that follow
    uint64_t dropped_ring_full;
    uint64_t dropped_too_deep;      // more open spans on a thread than nsp_config.open_spans
    uint64_t dropped_detached_full; // more detached spans than nsp_config.detached_spans
    uint64_t dropped_in_signal;     // begun in a signal handler that interrupted nanospan itself
    uint64_t dropped_no_thread;     // no slot or memory for the thread
    uint64_t dropped_invalid;       // records that turned out to be damaged when they were read
    uint64_t discarded;             // never sent: the exporter is none, or time ran out at shutdown
    uint64_t in_rings;              // ended, not yet encoded
    uint64_t in_batches;            // encoded, not yet answered
    uint64_t unconfirmed; // sent, but the answer was lost or is not OTLP: the receiver may have them
    uint64_t rejected;    // refused by the receiver for good
    uint64_t exported;    // accepted by the receiver
    uint64_t spooled;     // kept on disk for later; always 0 in this version

    uint64_t roots_unsampled; // traces that the sampler left out
    uint64_t roots_refused;   // traces left out because a ring was filled above its watermark
    uint64_t leaked;          // spans ended by nsp_thread_reset or by their thread's exit
    // Calls with a span that had ended, on the wrong thread, or in the wrong order; so too marks of a path's phase that
    // was marked before, or passed over.
    uint64_t misused;
    uint64_t names_overflowed; // texts that were not interned because the table of names was full

    uint64_t batches_sent;   // requests that were answered, whatever the answer
    uint64_t batches_failed; // attempts that failed, retries included
    uint64_t bytes_sent;     // bytes of request bodies, after compression
    uint64_t bytes_encoded;  // bytes of batches, before compression

    uint32_t threads;         // attached now
    uint32_t threads_private; // those of them that have no shared memory
    uint32_t threads_peak;    // the most that were attached at once
    uint64_t clock_error_ns;  // upper bound of the time stamps' error against CLOCK_REALTIME, in nanoseconds
    uint64_t clock_steps;     // steps of the wall clock that were seen

    // Texts, byte strings and arrays that were cut because their span's record was full (nsp_config.record_bytes), and
    // texts of paths that were longer than their field's capacity.
    uint64_t values_cut;

    // How sending and draining go; all of it is 0 until there is something to tell.
    uint64_t answers;           // requests that were answered, whatever the answer; a list's count as one
    uint64_t answer_ns;         // how long all of these took together, in nanoseconds
    uint64_t answer_last_ns;    // the last one
    uint64_t answer_longest_ns; // the longest one
    uint64_t retries;           // attempts to send a batch again
    uint64_t pass_ns;           // when the last pass over the rings ended: CLOCK_MONOTONIC, in nanoseconds
    // How long records had waited in their rings, at most, when the last pass ended: since the pass before it, or
    // longer if that one had to leave records there. 0: no ring had any.
    uint64_t lag_ns;
    uint64_t lag_longest_ns; // the most that any pass found

    // Traces of which it is decided at their end whether they are kept (docs/outliers.md). They are outside of the
    // account above until they are kept; from then on they are in `attempted` too. At rest:
    //   speculated = speculating + taken_back + kept
    uint64_t speculated;      // spans begun in such traces
    uint64_t taken_back;      // those of them that were not kept
    uint64_t kept;            // those that were
    uint64_t kept_incomplete; // traces that were kept without some of their spans
    uint64_t speculating;     // spans of traces that are not decided yet
    uint64_t kept_limited;    // traces that were not kept because of their rule's limit

    // With nsp_config.switches: context switches of the threads that record. Lost are those that were not read, and
    // spans that began before what is known of their thread.
    uint64_t switches; // those that were read, in spans or not
    uint64_t switches_lost;
    // What nsp_snapshot has exported: spans, which are part of `attempted`, and of `taken_back` too, since that is what
    // their threads did with them; and records that their threads had overwritten while they were read, about.
    uint64_t snapshot, snapshot_overtaken;

    uint64_t paths_overflowed; // declarations of paths that did not fit into their table (<nanospan/path.h>)
    // Detached paths that were not recorded and found no place of their own, as the pool (nsp_config.detached_spans) was
    // used up: their fields went into one struct of the process. Nothing is lost by that but their identity.
    uint64_t paths_shared;
} nsp_stats;

#define NSP_STATS_INIT                                                                                       \
    {                                                                                                        \
        sizeof(nsp_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  \
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                           \
    }

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Fills *out, at most out->size bytes of it, without stopping any thread. After nsp_shutdown it gives the
// last session's final accounting. Errors: NSP_ERR_NOT_INITIALISED (before the first nsp_init),
// NSP_ERR_INVALID (out->size is not set, or the caller is an exporter's create), NSP_ERR_UNSUPPORTED (during
// a fork, see lifecycle.h). Thread safe; takes a lock, so it is not signal safe.
NSP_API nsp_status nsp_stats_get(nsp_stats *out);

#endif
NSP_END_DECLS
#endif

// SPDX-License-Identifier: Apache-2.0
//
// Sends the orders of a file, over and over with fresh ids, and reads the answers.
//
// Open loop: each order has a moment at which it is due, whatever the engine does, and its latency counts from there. So
// a slow answer makes the next ones late instead of making them disappear. With rate 0 there is no such moment; a window of
// unanswered orders keeps the engine busy.
#ifndef FEED_REPLAY_H
#define FEED_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/histogram.h"
#include "shared/stream.h"
#include "feed/ledger.h"
#include "feed/order_file.h"

struct rate_change {
    uint64_t after; // orders sent before it
    double rate;    // of sampling, from there on, in both processes
};

enum { RATE_CHANGES_MAX = 16 };

struct replay {
    const struct order_file *file;
    double orders_per_second; // 0: as fast as answers come
    uint32_t window;          // unanswered orders at most
    uint64_t patience_ns;     // without any answer, then it gives up
    struct rate_change changes[RATE_CHANGES_MAX];
    unsigned change_count;

    struct ledger ledger;
    struct histogram round_trip; // from due to answered, ns
    struct stream stream;
    double rate_at_start; // of sampling
    uint64_t with_context, spans_traced, started_ns, ended_ns;
    unsigned changes_made, changes_confirmed;
    // Where the sample rate changed for the first time: what had been asked and done before, all at the first rate.
    uint64_t fills_before_change, units_before_change;
    uint64_t most_in_flight;
};

// Runs to the end. False, with a line on standard error, if the engine went away, was silent for too long or talks nonsense.
bool replay_run(struct replay *replay);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Sends the orders of a file, repeatedly and with new ids each time, and reads the answers.
//
// Open loop: each order has a time at which it is due, whatever the engine does, and its latency counts from
// there. A slow answer therefore makes the next orders late instead of hiding the delay. With rate 0 there
// are no due times; a window of unanswered orders keeps the engine busy.
//
// In a pause nothing is on its way: each order before it has been sent, decided by the samplers and answered.
// So what somebody changes meanwhile concerns the orders after it, and only those.
#ifndef FEED_REPLAY_H
#define FEED_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/histogram.h"
#include "shared/stream.h"
#include "feed/ledger.h"
#include "feed/order_file.h"

struct pause {
    uint64_t after; // number of orders sent and answered before it
    double rate;    // this process's sample rate when it went on
};

enum { PAUSES_MAX = 16 };

struct replay {
    const struct order_file *file;
    double orders_per_second;        // 0: as fast as the answers come
    uint32_t window;                 // limit of unanswered orders
    uint64_t patience_ns;            // it gives up after this time without any answer
    struct pause pauses[PAUSES_MAX]; // in ascending order
    unsigned pause_count;

    struct ledger ledger;
    struct histogram round_trip; // from due to answered, ns
    struct stream stream;
    double rate_at_start;          // sample rate
    uint64_t started_ns, ended_ns; // a pause moves the start by its length, so it is in no figure
    uint64_t with_context, spans_traced;
    unsigned pauses_made;
    // Totals of the orders before the first pause, which all have the first sample rate.
    uint64_t fills_before_pause, units_before_pause;
    uint64_t most_in_flight;
};

// Runs to the end. A pause ends with the next line on standard input, or with its end. If the engine
// disconnects, is silent for too long or sends an invalid message, prints a line on standard error and returns
// false.
bool replay_run(struct replay *replay);

#endif

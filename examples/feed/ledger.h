// SPDX-License-Identifier: Apache-2.0
//
// What the feed knows about each order it sent, and whether the engine's answers agree with it: each order
// message is answered exactly once, no order is filled beyond its size, the remaining quantity is right to
// the unit, and both sides of each trade have the same size.
#ifndef FEED_LEDGER_H
#define FEED_LEDGER_H

#include <nanospan/nanospan.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/protocol.h"

struct entry {
    uint64_t due_ns; // when it should have been sent, CLOCK_MONOTONIC
    nsp_span *span;  // open until the answer arrives; NULL if the order carries no context
    uint64_t target; // for a cancel: the order to cancel
    uint32_t quantity;
    uint32_t leaves; // units open in the engine's book, according to the answers
    bool cancel, sent, answered;
};

struct ledger {
    struct entry *entries; // order id n is entries[n - 1]
    size_t count;
    uint64_t sent, answered;
    uint64_t results[RESULT_REJECTED + 1];          // by enum result
    uint64_t reasons[REASON_NOT_OWNER + 1];         // by enum reason
    uint64_t taker_fills, taker_units, taker_value; // from reports
    uint64_t maker_fills, maker_units, maker_value; // from fills
    uint64_t errors; // answers that cannot be right; the first few are printed on standard error
};

bool ledger_init(struct ledger *ledger, size_t count);
void ledger_free(struct ledger *ledger);

// Records an answer of the engine. Returns the entry concerned, or NULL if the answer cannot be right.
struct entry *ledger_report(struct ledger *ledger, const struct message_report *report);
struct entry *ledger_fill(struct ledger *ledger, const struct message_fill *fill);

// True if everything was answered and both sides of all trades agree. Prints what does not agree on standard
// error.
bool ledger_check(const struct ledger *ledger);

#endif

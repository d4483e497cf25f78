// SPDX-License-Identifier: Apache-2.0
#include "feed/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

bool ledger_init(struct ledger *ledger, size_t count)
{
    *ledger = (struct ledger){.entries = calloc(count, sizeof(struct entry)), .count = count};
    return ledger->entries != NULL;
}

void ledger_free(struct ledger *ledger)
{
    free(ledger->entries);
    *ledger = (struct ledger){0};
}

static struct entry *wrong(struct ledger *ledger, uint64_t order_id, const char *what)
{
    if (++ledger->errors <= 5)
        fprintf(stderr, "feed: order %" PRIu64 ": %s\n", order_id, what);
    return NULL;
}

static struct entry *entry_of(struct ledger *ledger, uint64_t order_id)
{
    return order_id >= 1 && order_id <= ledger->count ? &ledger->entries[order_id - 1] : NULL;
}

// Checks the answer to a new order: the filled and the remaining quantity must fit its size and its result.
static const char *judge_new(const struct entry *entry, const struct message_report *report)
{
    uint64_t accepted = (uint64_t)report->filled + report->leaves; // the engine rounds sizes down
    bool none_left = report->leaves == 0, none_filled = report->filled == 0;
    if (accepted > entry->quantity || none_filled != (report->fills == 0))
        return "its answer covers more than was ordered";
    switch (report->result) {
    case RESULT_RESTING:
        return none_filled && !none_left ? NULL
                                         : "was answered as resting, but its quantities do not fit that";
    case RESULT_PARTIALLY_FILLED:
        return !none_filled && !none_left
                   ? NULL
                   : "was answered as partially filled, but its quantities do not fit that";
    case RESULT_FILLED:
        return !none_filled && none_left ? NULL
                                         : "was answered as filled, but its quantities do not fit that";
    case RESULT_EXPIRED: return !none_left ? NULL : "was answered as expired, but nothing was left to expire";
    case RESULT_REJECTED:
        return none_filled && none_left && report->reason
                   ? NULL
                   : "was answered as rejected, but has a quantity or no reason";
    default: return "was answered with a result that a new order cannot have";
    }
}

struct entry *ledger_report(struct ledger *ledger, const struct message_report *report)
{
    struct entry *entry = entry_of(ledger, report->order_id);
    if (entry == NULL || !entry->sent)
        return wrong(ledger, report->order_id, "was answered, but never sent");
    if (entry->answered)
        return wrong(ledger, report->order_id, "was answered twice");
    if (report->result < RESULT_RESTING || report->result > RESULT_REJECTED ||
        report->reason > REASON_NOT_OWNER)
        return wrong(ledger, report->order_id, "was answered with an unknown result or reason");
    entry->answered = true;
    ledger->answered++;
    ledger->results[report->result]++;
    if (report->result == RESULT_REJECTED)
        ledger->reasons[report->reason]++;
    if (entry->cancel) {
        if (report->result == RESULT_REJECTED)
            return entry;
        struct entry *target = entry_of(ledger, entry->target);
        if (report->result != RESULT_CANCELLED || target == NULL || target->leaves != report->leaves)
            return wrong(ledger, report->order_id, "cancelled a different quantity from the one that rested");
        target->leaves = 0;
        return entry;
    }
    const char *complaint = judge_new(entry, report);
    if (complaint != NULL)
        return wrong(ledger, report->order_id, complaint);
    if (report->result == RESULT_RESTING || report->result == RESULT_PARTIALLY_FILLED)
        entry->leaves = report->leaves;
    ledger->taker_fills += report->fills;
    ledger->taker_units += report->filled;
    ledger->taker_value += report->value;
    return entry;
}

struct entry *ledger_fill(struct ledger *ledger, const struct message_fill *fill)
{
    struct entry *maker = entry_of(ledger, fill->order_id), *taker = entry_of(ledger, fill->taker_id);
    if (maker == NULL || !maker->answered || taker == NULL || !taker->sent || taker->answered)
        return wrong(ledger, fill->order_id, "traded, although one side of the trade was not open");
    if (fill->quantity == 0 || maker->leaves < fill->quantity ||
        maker->leaves - fill->quantity != fill->leaves)
        return wrong(ledger, fill->order_id, "traded more than rested, or its remaining quantity is wrong");
    maker->leaves = fill->leaves;
    ledger->maker_fills++;
    ledger->maker_units += fill->quantity;
    ledger->maker_value += (uint64_t)fill->quantity * fill->price;
    return maker;
}

static bool same(const char *what, uint64_t left, uint64_t right)
{
    if (left != right)
        fprintf(stderr, "feed: %s: %" PRIu64 " is not %" PRIu64 "\n", what, left, right);
    return left == right;
}

bool ledger_check(const struct ledger *ledger)
{
    bool good = same("orders sent and orders answered", ledger->sent, ledger->answered);
    good &= same("orders to send and orders sent", ledger->count, ledger->sent);
    good &= same("trades on both sides", ledger->taker_fills, ledger->maker_fills);
    good &= same("units on both sides", ledger->taker_units, ledger->maker_units);
    good &= same("value on both sides", ledger->taker_value, ledger->maker_value);
    return same("wrong answers", ledger->errors, 0) && good;
}

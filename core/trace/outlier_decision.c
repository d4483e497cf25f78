// SPDX-License-Identifier: Apache-2.0
#include "trace/outlier_decision.h"

#include <nanospan/outlier.h>
#include <string.h>

#include "base/testpoint.h"
#include "clock/clock.h"
#include "shm/control.h"

nsp_name nsp__outlier_key_kept, nsp__outlier_key_left_out, nsp__outlier_key_history;

void nsp__outlier_keys_prepare(void)
{
    nsp__outlier_key_kept = nsp_intern("nanospan.kept", sizeof "nanospan.kept" - 1);
    nsp__outlier_key_history = nsp_intern("nanospan.history", sizeof "nanospan.history" - 1);
    nsp__outlier_key_left_out = nsp_intern("nanospan.left_out", sizeof "nanospan.left_out" - 1);
}

// As whoever receives the span computes its duration: the difference of two times.
static uint64_t duration_ns(const nsp__producer *producer, nsp_ticks start, nsp_ticks end)
{
    struct nsp__clock_segment segment;
    if (end <= start)
        return 0;
    nsp__clock_segment_at(&producer->control->clock, end, &segment);
    return nsp__clock_convert(&segment, end) - nsp__clock_convert(&segment, start);
}

static bool is_slow(const nsp__producer *producer, const nsp__ruled_class *rule, nsp_ticks start,
                    nsp_ticks end)
{
    return (rule->conditions & NSP__OUTLIER_SLOWER) != 0 && end > start &&
           duration_ns(producer, start, end) >= rule->slower_ns;
}

// The bound holds for the rules of one policy, and not before whoever drains has looked.
static bool is_among_slowest(const nsp__producer *producer, const nsp__ruled_class *rule, uint64_t ticks)
{
    const nsp__outlier_bounds *bounds = &producer->control->outlier_bounds;
    return (rule->conditions & NSP__OUTLIER_SLOWEST) != 0 &&
           __atomic_load_n(&bounds->generation, __ATOMIC_RELAXED) == rule->generation &&
           ticks >= __atomic_load_n(rule->slowest, __ATOMIC_RELAXED);
}

const char *nsp__outlier_why(const nsp__producer *producer, const nsp__ruled_class *rule, nsp_ticks start,
                             nsp_ticks end, uint64_t marks)
{
    const uint64_t ticks = end > start ? end - start : 0;
    if (ticks >= rule->bound && is_slow(producer, rule, start, end))
        return "slow";
    if (is_among_slowest(producer, rule, ticks))
        return "slowest";
    if ((marks & NSP__TRACE_ERRORS) != 0 && (rule->conditions & NSP__OUTLIER_ERRORS) != 0)
        return "error";
    return (marks & NSP__TRACE_ASKED) != 0 ? "asked" : NULL;
}

void nsp__outlier_tell(const nsp__producer *producer, const nsp__frame *frame, nsp_ticks end, const char *why)
{
    if (why != NULL && strncmp(why, "slow", 4) == 0) // or "slowest"
        nsp_outlier_kept(nsp_name_text(frame->record.name, NULL),
                         duration_ns(producer, frame->record.start, end));
}

// By rule: when the next kept trace would come if they came exactly at the limit, in ticks (the generic cell rate
// algorithm, ITU-T I.371). One second's worth may come before its time.
static struct limit {
    uint64_t identity; // whose it is: rules come and go, and get the numbers of others
    uint64_t due;
} limits[NSP__CLASSES];

// The word of this rule, which begins anew if it was another one's. Threads that still have the old rule, for a root or
// two, make it begin anew once more.
static uint64_t *limit_of(const nsp__ruled_class *rule)
{
    struct limit *its = &limits[rule->rule % NSP__CLASSES];
    uint64_t known = __atomic_load_n(&its->identity, __ATOMIC_RELAXED);
    if (known != rule->identity && __atomic_compare_exchange_n(&its->identity, &known, rule->identity, false,
                                                               __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        __atomic_store_n(&its->due, 0, __ATOMIC_RELAXED);
    return &its->due;
}

bool nsp__outlier_within_limit(const nsp__ruled_class *rule, nsp_ticks end)
{
    if (rule->interval == 0)
        return true;
    const uint64_t burst = rule->second > rule->interval ? rule->second - rule->interval : 0;
    uint64_t *next = limit_of(rule);
    uint64_t at = __atomic_load_n(next, __ATOMIC_RELAXED);
    for (int tries = 0; tries < 2; tries++) {
        // Further ahead than the burst leads: from a reading that somebody supplied, or before another limit. Not at
        // once, since ends do not come here in the order of the clock.
        const bool impossible = (int64_t)(at - end) > (int64_t)(burst + rule->interval + rule->second);
        const uint64_t from = impossible || (int64_t)(at - end) < 0 ? end : at;
        if (from - end > burst)
            return false;
        NSP__TESTPOINT("outlier: limit read");
        if (__atomic_compare_exchange_n(next, &at, from + rule->interval, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

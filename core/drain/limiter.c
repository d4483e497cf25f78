// SPDX-License-Identifier: Apache-2.0
#include "drain/limiter.h"

#include <math.h>
#include <string.h>

#include "common/time.h"

// How far back the load is looked at: over LOAD_LONG, but if it is another one than that in the last LOAD_SHORT, over
// that. The second is also how long bursts of the load may be without being taken for a change of it.
static const double load_long = 1, load_short = 0.1;
// P is remembered over so many seconds, and at least so many traces.
static const double share_memory = 4, share_traces = 400;
// And tested for a change over this time, or some times as long as a trace takes, but not longer than that.
static const double test_short = 0.05, test_long = 2, test_traces = 4, settle_traces = 3;
// Two counts differ if such a difference comes by chance once in some 100000 times: the logarithm of how much less
// likely they are if they are of the same kind.
static const double unlikely = 12;
// The factor follows at once from `far` on, and from `near` on after a second.
static const double far = 0.05, near = 0.005;
// From this on it is another one, and what was sampled by the one before tells nothing about it.
static const double much = 0.25;
// So that a session with nothing in it does not divide by zero.
static const double least_factor = 0x1p-40;

static double term(double seen, double expected)
{
    return seen > 0 ? seen * log(seen / expected) : 0;
}

// True if the events of these two do not come at the same rate.
static bool differ(const nsp__limiter_count *a, const nsp__limiter_count *b)
{
    const double seen = a->seen + b->seen, per = a->per + b->per;
    if (seen == 0 || a->per == 0 || b->per == 0)
        return false;
    return term(a->seen, seen * a->per / per) + term(b->seen, seen * b->per / per) > unlikely;
}

static void add(nsp__limiter_count *to, const nsp__limiter_count *more)
{
    to->seen += more->seen;
    to->per += more->per;
}

static void fade(nsp__limiter_count *count, double seconds, double memory)
{
    const double left = exp(-seconds / memory);
    count->seen *= left;
    count->per *= left;
}

// ---- the load ----

// Of the last looks.
static nsp__limiter_count load_now(const nsp__limiter *limiter)
{
    nsp__limiter_count now = {0, 0};
    for (uint32_t i = 1; i <= NSP__LIMITER_LOOKS && i <= limiter->look && now.per < load_short; i++) {
        const uint32_t at = (limiter->look - i) % NSP__LIMITER_LOOKS;
        now.seen += limiter->looks[at].roots;
        now.per += limiter->looks[at].seconds;
    }
    return now;
}

static void note_load(nsp__limiter *limiter, double roots, double seconds)
{
    fade(&limiter->load, seconds, load_long);
    add(&limiter->load, &(nsp__limiter_count){roots, seconds});
    const nsp__limiter_count now = load_now(limiter);
    const double ratio = now.seen * limiter->load.per / (now.per * limiter->load.seen);
    if (!(ratio < 1.1 && ratio > 0.9) && differ(&now, &limiter->load))
        limiter->load = now;
}

// ---- the share ----

static void note_traces(nsp__limiter *limiter, const nsp__limiter_look *look, double seconds)
{
    const double traces = (double)look->traces;
    if (traces > 0) {
        const double weight = traces < 50 ? traces / 50 : 1;
        limiter->trace_seconds += (look->trace_seconds / traces - limiter->trace_seconds) * weight;
    }
    if (look->now_ns < limiter->settled_ns)
        return;
    add(&limiter->pending, &(nsp__limiter_count){traces, look->factor * (double)look->roots});
    limiter->recent_seconds += seconds;
    if (look->behind)
        return;
    double memory = fmax(share_memory, fmax(share_traces / look->limit, 2 * limiter->trace_seconds));
    fade(&limiter->share, seconds, memory);
    add(&limiter->recent, &limiter->pending);
    limiter->pending = (nsp__limiter_count){0, 0};
    const double enough = fmin(test_traces * limiter->trace_seconds, test_long);
    if (limiter->recent_seconds < enough)
        return;
    // Half a trace more: there are some, even if none was sampled yet.
    if (differ(&limiter->recent, &limiter->share))
        limiter->share = (nsp__limiter_count){limiter->recent.seen + 0.5, limiter->recent.per};
    else if (limiter->recent_seconds < test_short)
        return;
    else
        add(&limiter->share, &limiter->recent);
    limiter->recent = (nsp__limiter_count){0, 0};
    limiter->recent_seconds = 0;
}

// True if traces are so short that they end in the look in which they begin, more or less.
static bool at_once(const nsp__limiter *limiter)
{
    return limiter->trace_seconds * (double)NSP__SECOND < (double)NSP__LIMITER_LOOK_NS / 5;
}

// A trace is counted when it ends, its root when it begins. So after another factor, the two are not compared until those
// have ended that began before it.
static void unsettle(nsp__limiter *limiter)
{
    const double wait = settle_traces * limiter->trace_seconds;
    if (at_once(limiter))
        return;
    limiter->settled_ns = limiter->changed_ns + (uint64_t)(wait * (double)NSP__SECOND);
    limiter->pending = limiter->recent = (nsp__limiter_count){0, 0};
    limiter->recent_seconds = 0;
}

// No more than the highest rate, with a margin: whatever was counted too late or too early, the factor does not fall
// further than that. If most roots have remote parents, which are only seen when they are sampled, it seems to be more.
static double share_now(const nsp__limiter *limiter, double rate_max)
{
    nsp__limiter_count all = limiter->share;
    if (at_once(limiter))
        add(&all, &limiter->recent);
    const double share = all.seen / all.per;
    return limiter->remote ? share : fmin(share, 2 * rate_max);
}

// ---- both ----

bool nsp__limiter_due(const nsp__limiter *limiter, uint64_t now_ns, uint64_t traces)
{
    const uint64_t since_ns = now_ns - limiter->looked_ns;
    return since_ns >= NSP__LIMITER_LOOK_NS ||
           (since_ns >= NSP__LIMITER_LOOK_NS / 10 && (double)traces > 20 + limiter->limit / 10);
}

static void begin(nsp__limiter *limiter, const nsp__limiter_look *look)
{
    const uint64_t looked_ns = limiter->looked_ns;
    memset(limiter, 0, sizeof *limiter);
    limiter->looked_ns = looked_ns;
    limiter->limit = look->limit;
    // As if one trace had been seen of roots that all have the highest rate.
    limiter->share = (nsp__limiter_count){1, 1 / fmax(look->rate_max, least_factor)};
}

double nsp__limiter_step(nsp__limiter *limiter, const nsp__limiter_look *look)
{
    const double seconds = (double)(look->now_ns - limiter->looked_ns) / (double)NSP__SECOND;
    const bool first = limiter->looked_ns == 0;
    if (look->limit != limiter->limit)
        begin(limiter, look);
    limiter->looked_ns = look->now_ns;
    limiter->remote = limiter->remote || look->remote;
    if (look->limit == 0)
        return 1;
    if (first || seconds <= 0)
        return look->factor;
    const uint32_t at = limiter->look++ % NSP__LIMITER_LOOKS;
    limiter->looks[at].roots = (double)look->roots;
    limiter->looks[at].seconds = seconds;
    note_load(limiter, (double)look->roots, seconds);
    note_traces(limiter, look, seconds);
    const double all = share_now(limiter, look->rate_max) * limiter->load.seen / limiter->load.per;
    const double wanted = all <= look->limit ? 1 : fmax(look->limit / all, least_factor);
    const double off = fabs(wanted / look->factor - 1);
    const bool rested = look->now_ns - limiter->changed_ns >= NSP__SECOND;
    if (off < near || (off < far && !rested))
        return look->factor;
    limiter->changed_ns = look->now_ns;
    if (off >= much)
        unsettle(limiter);
    return wanted;
}

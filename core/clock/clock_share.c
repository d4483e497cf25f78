// SPDX-License-Identifier: Apache-2.0
#include "clock/clock_share.h"

#define FIRST(published) ((uint32_t)((published) >> 32))
#define END(published) ((uint32_t)(published))

// Beyond these nobody writes, and calculations with them could overflow.
#define RATE_MAX ((uint64_t)1 << 62)
#define DRIFT_MAX ((uint64_t)1 << 48)

const nsp__clock nsp__clock_of_nanoseconds = {
    .published = 1,
    .latest_tick = INT64_MAX,
    .breakpoints = {{.rate = UINT64_C(1) << NSP__CLOCK_RATE_BITS,
                     .led_rate = UINT64_C(1) << NSP__CLOCK_RATE_BITS}},
};

static bool rate_sane(uint64_t rate)
{
    return rate != 0 && rate <= RATE_MAX;
}

bool nsp__clock_sane(const nsp__clock *copy)
{
    const uint32_t first = FIRST(copy->published), count = END(copy->published) - first;
    if (count == 0 || count > NSP__CLOCK_BREAKPOINTS || !rate_sane(copy->rate) || copy->drift_ppb > DRIFT_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const nsp__clock_breakpoint *at = &copy->breakpoints[(first + i) % NSP__CLOCK_BREAKPOINTS],
                                    *before = &copy->breakpoints[(first + i - 1) % NSP__CLOCK_BREAKPOINTS];
        if (!rate_sane(at->rate) || !rate_sane(at->led_rate) || at->bend < at->tick ||
            (i != 0 && at->tick < before->tick))
            return false;
    }
    return true;
}

static void put(uint64_t *to, uint64_t value)
{
    __atomic_store_n(to, value, __ATOMIC_RELAXED);
}

static void put_reading(nsp__clock_reading *to, const nsp__clock_reading *from)
{
    put(&to->tick, from->tick);
    put(&to->monotonic, from->monotonic);
    put(&to->realtime, from->realtime);
    put(&to->monotonic_error, from->monotonic_error);
    put(&to->realtime_error, from->realtime_error);
}

// As the keeper does, with one breakpoint at a time.
static void put_breakpoints(nsp__clock *shared, const nsp__clock *copy, uint64_t published)
{
    uint32_t first = FIRST(published);
    for (uint32_t end = END(published); end != END(copy->published); end++) {
        // CW0: withdrawn before it is written; with CR1, CR2
        if (end - first >= NSP__CLOCK_BREAKPOINTS)
            __atomic_store_n(&shared->published, (uint64_t)++first << 32 | end, __ATOMIC_RELEASE);
        const nsp__clock_breakpoint *from = &copy->breakpoints[end % NSP__CLOCK_BREAKPOINTS];
        nsp__clock_breakpoint *to = &shared->breakpoints[end % NSP__CLOCK_BREAKPOINTS];
        // CW1: each field released, so that none is seen before CW0; with CR1.
        __atomic_store_n(&to->tick, from->tick, __ATOMIC_RELEASE);
        __atomic_store_n(&to->ns, from->ns, __ATOMIC_RELEASE);
        __atomic_store_n(&to->rate, from->rate, __ATOMIC_RELEASE);
        __atomic_store_n(&to->led_rate, from->led_rate, __ATOMIC_RELEASE);
        __atomic_store_n(&to->bend, from->bend, __ATOMIC_RELEASE);
        __atomic_store_n(&to->offset, from->offset, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&shared->published, copy->published, __ATOMIC_RELEASE); // CW2: all are whole; with CR0
}

void nsp__clock_publish(nsp__clock *shared, const nsp__clock *copy, uint64_t *published)
{
    if (copy->published != *published)
        put_breakpoints(shared, copy, *published);
    *published = copy->published;
    put(&shared->error, copy->error);
    put(&shared->error_past, copy->error_past);
    put(&shared->drift_ppb, copy->drift_ppb);
    put(&shared->latest_tick, copy->latest_tick);
    put(&shared->steps, copy->steps);
    put(&shared->rate, copy->rate);
    put(&shared->spacing_ns, copy->spacing_ns);
    put(&shared->best_error, copy->best_error);
    put(&shared->wild_rates, copy->wild_rates);
    put_reading(&shared->last, &copy->last);
    put_reading(&shared->base, &copy->base);
    put_reading(&shared->next_base, &copy->next_base);
}

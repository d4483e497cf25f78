// SPDX-License-Identifier: Apache-2.0
//
// Keeps the map accurate; run by the drainer. docs/clock.md describes the method.
#include "clock/clock.h"

#define MICROSECOND ((uint64_t)1000)
#define MILLISECOND ((uint64_t)1000000)

#define CALIBRATION_NS (10 * MILLISECOND)
#define FIRST_TRIES 16              // bracketed readings at each end of the calibration
#define ANCHOR_TRIES 4              // the same for later anchors
#define LEAST_ANCHOR_NS MILLISECOND // least time between anchors
#define NOTICE_NS MILLISECOND       // a breakpoint is announced this long before its tick
#define TOLERANCE_NS 100 // a deviation this small, beyond the readings' own errors, is not worth a breakpoint
#define LEAST_SPACING_NS (10 * MILLISECOND)  // of breakpoints, while the clocks change
#define MOST_SPACING_NS (1000 * MILLISECOND) // of breakpoints, once the clocks have settled
#define LEAD_TIME_NS (200 * MILLISECOND)     // the time in which an error is worked off
#define STEP_NS (10 * MICROSECOND) // if CLOCK_REALTIME moves this much against CLOCK_MONOTONIC, it was set
#define JUMP_NS MILLISECOND        // if the map is this wrong, leading it would take too long
#define SLEW_PPB 500000            // the highest rate at which kernels slew, and at which we lead
#define WILD_PPB 1000000           // no kernel slews this fast, so somebody stopped a clock

#define NS_RATE ((uint64_t)1 << NSP__CLOCK_RATE_BITS) // one nanosecond per tick
#define MOST_RATE ((uint64_t)1 << 62)

static uint64_t distance(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0 ? b - a : a - b;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t parts_per_billion(uint64_t value, uint64_t ppb)
{
    return (uint64_t)((nsp__int128)value * (nsp__int128)ppb / 1000000000);
}

// --- Shared words ------------------------------------------------------------------------------------------

static uint64_t get(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

// Statistics. Readers may see values from two adjacent anchors, which is harmless.
static void put(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static uint64_t pack(uint32_t first, uint32_t end)
{
    return (uint64_t)first << 32 | end;
}

// Writes the next breakpoint into its slot, where nobody reads it yet. If the writer never gets further than
// this, the next one simply writes it again.
static void stage_breakpoint(nsp__clock *clock, const nsp__clock_breakpoint *breakpoint)
{
    uint64_t published = get(&clock->published);
    uint32_t first = (uint32_t)(published >> 32), end = (uint32_t)published;
    if (end - first >=
        NSP__CLOCK_BREAKPOINTS) // CW0: withdraw the oldest before its slot is written; with CR1, CR2
        __atomic_store_n(&clock->published, pack(end - NSP__CLOCK_BREAKPOINTS + 1, end), __ATOMIC_RELEASE);
    nsp__clock_breakpoint *slot = &clock->breakpoints[end % NSP__CLOCK_BREAKPOINTS];
    // CW1: each field released, so that none is seen before CW0; with CR1.
    __atomic_store_n(&slot->tick, breakpoint->tick, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->ns, breakpoint->ns, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->rate, breakpoint->rate, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->led_rate, breakpoint->led_rate, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->bend, breakpoint->bend, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->offset, breakpoint->offset, __ATOMIC_RELEASE);
}

// Makes the staged breakpoint part of the map; with `forget`, the only part.
static void publish_breakpoint(nsp__clock *clock, bool forget)
{
    uint64_t published = get(&clock->published);
    uint32_t end = (uint32_t)published;
    uint32_t first = forget ? end : (uint32_t)(published >> 32);
    __atomic_store_n(&clock->published, pack(first, end + 1),
                     __ATOMIC_RELEASE); // CW2: the breakpoint is whole; with CR0
}

static const nsp__clock_breakpoint *newest_breakpoint(const nsp__clock *clock)
{
    return &clock->breakpoints[((uint32_t)get(&clock->published) - 1) % NSP__CLOCK_BREAKPOINTS];
}

// Continuous nanoseconds on the newest breakpoint's line.
static uint64_t value_at(const nsp__clock_breakpoint *breakpoint, uint64_t tick)
{
    if (tick < breakpoint->bend)
        return breakpoint->ns + nsp__clock_scale(tick - breakpoint->tick, breakpoint->led_rate);
    uint64_t bend_ns =
        breakpoint->ns + nsp__clock_scale(breakpoint->bend - breakpoint->tick, breakpoint->led_rate);
    return bend_ns + nsp__clock_scale(tick - breakpoint->bend, breakpoint->rate);
}

static uint64_t ticks_in(const nsp__clock *clock, uint64_t ns)
{
    return (uint64_t)(((nsp__int128)ns << NSP__CLOCK_RATE_BITS) / (nsp__int128)clock->rate);
}

// --- Readings ----------------------------------------------------------------------------------------------

static uint64_t read_ticks(const nsp__clock *clock)
{
    const nsp__clock_source *source = nsp__clock_source_get();
    return clock->counter ? source->counter() : source->monotonic();
}

// One bracketed reading: the tick lies between two readings of each clock. False if a clock was set
// meanwhile, which is worth another try.
static bool read_once(const nsp__clock *clock, nsp__clock_reading *out)
{
    const nsp__clock_source *source = nsp__clock_source_get();
    uint64_t monotonic = source->monotonic();
    uint64_t realtime = source->realtime();
    uint64_t tick = read_ticks(clock);
    uint64_t realtime_width = source->realtime() - realtime;
    uint64_t monotonic_width = source->monotonic() - monotonic;
    bool sound = realtime_width <= monotonic_width + MICROSECOND;
    if (!sound)
        realtime_width = monotonic_width;
    *out = (nsp__clock_reading){
        .tick = tick,
        .monotonic = monotonic + monotonic_width / 2,
        .realtime = realtime + realtime_width / 2,
        // A tick has a length of its own, and begins before it is read.
        .monotonic_error = monotonic_width / 2 + 1 + (clock->rate >> NSP__CLOCK_RATE_BITS),
        .realtime_error = realtime_width / 2 + 1 + (clock->rate >> NSP__CLOCK_RATE_BITS),
    };
    return sound;
}

// The best of several tries; false if none was sound. Stops at a reading that is about as good as they get.
// The best error so far is remembered, and slowly forgotten.
static bool read_clocks(nsp__clock *clock, int tries, nsp__clock_reading *best)
{
    bool any = false;
    uint64_t good = clock->best_error + clock->best_error / 4;
    while (tries-- > 0) {
        nsp__clock_reading reading;
        bool sound = read_once(clock, &reading);
        if (!any || (sound && reading.realtime_error < best->realtime_error))
            *best = reading;
        any |= sound;
        if (sound && reading.realtime_error <= good)
            break;
    }
    if (any && (clock->best_error == 0 || best->realtime_error < clock->best_error))
        clock->best_error = best->realtime_error;
    else
        clock->best_error += clock->best_error / 64 + 1;
    return any;
}

// Nanoseconds per tick between two readings, by CLOCK_MONOTONIC; 0 if it cannot be measured. *error: in
// either direction.
static uint64_t measure_rate(const nsp__clock_reading *from, const nsp__clock_reading *to, uint64_t *error)
{
    uint64_t ticks = to->tick - from->tick, ns = to->monotonic - from->monotonic;
    uint64_t ns_error = from->monotonic_error + to->monotonic_error;
    if ((int64_t)ticks <= 0 || (int64_t)ns <= 0 || ns_error >= ns)
        return 0;
    nsp__int128 rate = ((nsp__int128)ns << NSP__CLOCK_RATE_BITS) / (nsp__int128)ticks;
    if (rate <= 0 || rate > (nsp__int128)MOST_RATE)
        return 0;
    *error = (uint64_t)(rate * (nsp__int128)ns_error / (nsp__int128)ns) + 1;
    return (uint64_t)rate;
}

// The growth of the error: how far off the rate may be now, and how much the kernel may change it until the
// next reading.
static uint64_t drift_of(uint64_t rate, uint64_t rate_error)
{
    return SLEW_PPB + (uint64_t)((nsp__int128)rate_error * 1000000000 / (nsp__int128)rate);
}

// --- The map's beginning, also after the ticks went backwards ----------------------------------------------

static void begin_map(nsp__clock *clock, const nsp__clock_reading *at, const nsp__clock_reading *now)
{
    nsp__clock_breakpoint breakpoint = {
        .tick = at->tick, .bend = at->tick, .rate = clock->rate, .led_rate = clock->rate};
    breakpoint.ns = now->realtime - nsp__clock_scale(now->tick - at->tick, clock->rate);
    stage_breakpoint(clock, &breakpoint);
    publish_breakpoint(clock, true);
    clock->base = clock->next_base = *at;
    clock->last = *now;
    clock->spacing_ns = LEAST_SPACING_NS;
    clock->wild_rates = 0;
    put(&clock->error, now->realtime_error);
    put(&clock->error_past, now->realtime_error);
    put(&clock->latest_tick, now->tick);
}

void nsp__clock_calibrate(nsp__clock *clock)
{
    nsp__clock_reading start, end;
    uint64_t rate_error = 0;
    clock->counter = nsp__clock_is_counter;
    clock->rate = clock->counter ? 0 : NS_RATE;
    clock->best_error = 0;
    read_clocks(clock, FIRST_TRIES, &start);
    end = start;
    if (clock->counter) {
        nsp__clock_source_get()->pause(CALIBRATION_NS);
        read_clocks(clock, FIRST_TRIES, &end);
        // The length of a tick was unknown when these were read.
        uint64_t tick_ns = measure_rate(&start, &end, &rate_error) >> NSP__CLOCK_RATE_BITS;
        start.monotonic_error += tick_ns;
        end.monotonic_error += tick_ns;
        end.realtime_error += tick_ns;
        clock->rate = measure_rate(&start, &end, &rate_error);
        if (clock->rate == 0) // the counter does not count; if it begins to, the anchors will notice
            clock->rate = rate_error = NS_RATE;
    }
    put(&clock->drift_ppb, drift_of(clock->rate, rate_error));
    put(&clock->steps, 0);
    begin_map(clock, &start, &end);
}

// --- Bending it --------------------------------------------------------------------------------------------

// A straight line from this reading on, with an offset of the wall clock that makes it exact now.
static void open_segment(nsp__clock *clock, const nsp__clock_reading *now, uint64_t surprise)
{
    const nsp__clock_breakpoint *line = newest_breakpoint(clock);
    nsp__clock_breakpoint breakpoint = {
        .tick = now->tick, .bend = now->tick, .rate = clock->rate, .led_rate = clock->rate};
    breakpoint.ns = value_at(line, now->tick);
    breakpoint.offset = line->offset + surprise;
    stage_breakpoint(clock, &breakpoint);
    publish_breakpoint(clock, false);
    put(&clock->steps, clock->steps + 1);
}

// Continues with the rate as it is known now, and leads the map to where it should be. The breakpoint's tick
// lies ahead, so that nobody can have converted a later tick before. If we are delayed until that tick has
// passed, a later anchor makes the breakpoint.
static void bend_map(nsp__clock *clock, const nsp__clock_reading *now)
{
    const nsp__clock_breakpoint *line = newest_breakpoint(clock);
    nsp__clock_breakpoint breakpoint = {
        .tick = now->tick + ticks_in(clock, NOTICE_NS), .rate = clock->rate, .offset = line->offset};
    breakpoint.ns = value_at(line, breakpoint.tick);
    uint64_t should = now->realtime + nsp__clock_scale(breakpoint.tick - now->tick, clock->rate);
    int64_t wrong = (int64_t)(should - (breakpoint.ns + breakpoint.offset));

    uint64_t size = distance(should, breakpoint.ns + breakpoint.offset);
    uint64_t most = parts_per_billion(clock->rate, SLEW_PPB);
    uint64_t lead =
        smaller((uint64_t)((nsp__int128)size * (nsp__int128)clock->rate / (nsp__int128)LEAD_TIME_NS), most);
    breakpoint.led_rate = wrong < 0 ? clock->rate - lead : clock->rate + lead;
    breakpoint.bend = breakpoint.tick;
    if (lead)
        breakpoint.bend += (uint64_t)(((nsp__int128)size << NSP__CLOCK_RATE_BITS) / (nsp__int128)lead);

    stage_breakpoint(clock, &breakpoint);
    if ((int64_t)(breakpoint.tick - read_ticks(clock)) > 0)
        publish_breakpoint(clock, false);
}

// Takes over what CLOCK_MONOTONIC says about the rate, as far as its readings are exact. False: the rate is
// impossible.
static bool learn_rate(nsp__clock *clock, const nsp__clock_reading *now)
{
    uint64_t error = 0, rate = measure_rate(&clock->base, now, &error);
    if (rate == 0)
        return true; // nothing was measured
    bool wild = distance(rate, clock->rate) > parts_per_billion(clock->rate, WILD_PPB) + 2 * error;
    clock->wild_rates = wild ? clock->wild_rates + 1 : 0;
    if (wild && clock->wild_rates < 2)
        return false; // twice in a row means that our own rate is wrong
    uint64_t believed = larger(smaller(clock->rate, rate + error), rate - error);
    uint64_t drift = drift_of(believed, 2 * error);
    put(&clock->drift_ppb, wild ? drift : smaller(drift, clock->drift_ppb));
    put(&clock->rate, believed);
    return true;
}

static void measure_from_here(nsp__clock *clock, const nsp__clock_reading *now)
{
    clock->base = clock->next_base = *now;
}

static void follow(nsp__clock *clock, const nsp__clock_reading *now)
{
    const nsp__clock_breakpoint *line = newest_breakpoint(clock);
    uint64_t gap_ns = nsp__clock_scale(now->tick - clock->last.tick, clock->rate);
    if (now->realtime_error > clock->error + parts_per_billion(gap_ns, clock->drift_ppb))
        return; // the map is more accurate than this reading
    if ((int64_t)(now->tick - line->tick) <= 0)
        return; // the newest line has not begun yet

    // How wrong the map is, and how wrong beyond what its lead is about to correct.
    uint64_t value = value_at(line, now->tick) + line->offset;
    uint64_t error = distance(now->realtime, value) + now->realtime_error;
    uint64_t to_lead = now->tick < line->bend ? nsp__clock_scale(line->bend - now->tick, line->led_rate) -
                                                    nsp__clock_scale(line->bend - now->tick, line->rate)
                                              : 0;
    uint64_t surprise = now->realtime - value - to_lead;
    uint64_t size = distance(surprise, 0);

    uint64_t doubt = now->realtime_error + now->monotonic_error;
    uint64_t shift = distance(now->realtime - now->monotonic, clock->last.realtime - clock->last.monotonic);
    bool moved = shift > STEP_NS + doubt + clock->last.realtime_error + clock->last.monotonic_error;
    bool jumped = size > (moved ? STEP_NS : JUMP_NS) + doubt;

    bool measured = !moved && learn_rate(clock, now);
    uint64_t age_ns = nsp__clock_scale(now->tick - line->tick, clock->rate);
    uint64_t tolerance = TOLERANCE_NS + 2 * now->realtime_error;
    bool urgent = size > 10 * tolerance;
    if (jumped) {
        open_segment(clock, now, now->realtime - value);
        error = now->realtime_error;
    } else if (measured && size > tolerance && age_ns >= (urgent ? LEAST_SPACING_NS : clock->spacing_ns)) {
        bend_map(clock, now);
        clock->spacing_ns = urgent ? LEAST_SPACING_NS : smaller(2 * clock->spacing_ns, MOST_SPACING_NS);
        measure_from_here(clock, now);
    }
    if (!measured) { // a clock was set, or stood still while others ran: measure the rate anew
        measure_from_here(clock, now);
    } else if (now->monotonic - clock->next_base.monotonic >= MOST_SPACING_NS) {
        clock->base = clock->next_base;
        clock->next_base = *now;
    }

    uint64_t worst = larger(clock->error, error);
    put(&clock->error_past, worst + parts_per_billion(gap_ns, clock->drift_ppb) / 2);
    put(&clock->error, error);
    put(&clock->latest_tick, now->tick);
    clock->last = *now;
}

void nsp__clock_anchor(nsp__clock *clock)
{
    // A tick before the last one counts as far away, so it is examined.
    if (read_ticks(clock) - clock->last.tick < ticks_in(clock, LEAST_ANCHOR_NS))
        return;
    nsp__clock_reading now;
    if (!read_clocks(clock, ANCHOR_TRIES, &now))
        return;
    if ((int64_t)(now.tick - clock->last.tick) > 0) {
        follow(clock, &now);
    } else { // the counter was reset, for example by a sleep of the machine: earlier ticks lie on another map
        begin_map(clock, &now, &now);
        put(&clock->steps, clock->steps + 1);
    }
}

// --- Figures -----------------------------------------------------------------------------------------------

uint64_t nsp__clock_error_bound(const nsp__clock *clock)
{
    uint64_t age = read_ticks(clock) - get(&clock->latest_tick);
    if ((int64_t)age < 0)
        age = 0; // an anchor came in between
    uint64_t rate = get(&clock->rate), past = get(&clock->error_past);
    uint64_t now =
        get(&clock->error) + parts_per_billion(nsp__clock_scale(age, rate), get(&clock->drift_ppb));
    return larger(now, past);
}

uint64_t nsp__clock_steps(const nsp__clock *clock)
{
    return get(&clock->steps);
}

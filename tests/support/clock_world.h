// SPDX-License-Identifier: Apache-2.0
//
// Simulated clocks that replace the machine's, and helpers for tests of the clock.
#ifndef NSP_TESTS_CLOCK_WORLD_H
#define NSP_TESTS_CLOCK_WORLD_H

#include "common/seed.h"
#include "clock/clock.h"

#define US ((uint64_t)1000)
#define MS (1000 * US)
#define S (1000 * MS)

// Time passes when a clock is read and with clock_world_pass. Fractions are in units of 2^-32.
struct clock_world {
    nsp__int128 counter, monotonic; // ticks and ns
    uint64_t wall;                  // CLOCK_REALTIME - CLOCK_MONOTONIC
    double ticks_a_ns;
    double slew;         // of both clocks; 1e-6 is one ppm
    uint64_t read_ns;    // what a reading costs, and up to twice that
    bool interruptions;  // now and then a reading takes 50 us
    bool clocks_stopped; // CLOCK_MONOTONIC and CLOCK_REALTIME stand, the counter does not
    bool monotonic_stopped;
    uint64_t random;
};

extern struct clock_world clock_world;

// From here on the library uses a new simulated clock, with a counter of that speed.
void clock_world_begin(double ticks_a_ns);
// Restores the machine's clocks; a cmocka teardown.
int clock_world_end(void **state);

void clock_world_pass(uint64_t ns);
uint64_t clock_world_ticks(void);
uint64_t clock_world_unix(void);

// Lets time pass and runs one pass of the collector. The map must then be as exact as it claims, for now and
// for a span that ended halfway.
void clock_world_drain(nsp__clock *clock, uint64_t ns);
void clock_world_drain_for(nsp__clock *clock, uint64_t ns, uint64_t pass_ns);

// Fast and slow counters, in ticks per nanosecond.
#define CLOCK_WORLD_SPEEDS 5
extern const double clock_world_speeds[CLOCK_WORLD_SPEEDS];

nsp__clock *clock_world_new_clock(void);

static inline uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

// A pseudo-random sequence, determined by its initial state.
static inline uint64_t random_next(uint64_t *state)
{
    return nsp__random_splitmix(state);
}

static inline uint64_t random_below(uint64_t *state, uint64_t bound)
{
    return random_next(state) % bound;
}

static inline uint64_t convert(const nsp__clock *clock, nsp_ticks ticks)
{
    struct nsp__clock_segment segment;
    nsp__clock_segment_at(clock, ticks, &segment);
    return nsp__clock_convert(&segment, ticks);
}

// The times of a span, as an exporter gets them.
static inline uint64_t duration(const nsp__clock *clock, nsp_ticks start, nsp_ticks end)
{
    struct nsp__clock_segment segment;
    nsp__clock_segment_at(clock, end, &segment);
    return nsp__clock_convert(&segment, end) - nsp__clock_convert(&segment, start);
}

static inline unsigned breakpoints_of(const nsp__clock *clock)
{
    return (uint32_t)clock->published - (uint32_t)(clock->published >> 32);
}

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The map from ticks to unix nanoseconds: one a session, in shared memory, written by whoever drains, read by anyone.
// docs/clock.md describes the method.
//
//   who                     may run at the same time as
//   calibrate               nothing: before the clock is shared
//   anchor                  every reader; one writer at a time, which may be another process every time
//   segment_at, convert,    everything. Lock-free: a reader repeats a search only when the writer, meanwhile, reused the
//   error_bound, steps      very slot it was reading, which takes NSP__CLOCK_BREAKPOINTS breakpoints
#ifndef NSP_CLOCK_CLOCK_H
#define NSP_CLOCK_CLOCK_H

#include "clock/clock_source.h"
#include <nanospan/clock.h>

#define NSP__CLOCK_BREAKPOINTS 1024u // a power of two
#define NSP__CLOCK_RATE_BITS 48      // rates are nanoseconds a tick in units of 2^-48

__extension__ typedef __int128 nsp__int128;

// Where the map bends. From `tick` on it runs at `led_rate` until `bend`, then at `rate`, until the next breakpoint. `led_rate` is
// `rate` and a little, to work off what was wrong.
typedef struct nsp__clock_breakpoint {
    uint64_t tick;
    uint64_t ns; // at `tick`, on the continuous map, which knows no steps
    uint64_t rate, led_rate;
    uint64_t bend;
    uint64_t
        offset; // unix ns = continuous ns + offset (modulo 2^64), for spans that end under this breakpoint
} nsp__clock_breakpoint;

// The same instant by all clocks.
typedef struct nsp__clock_reading {
    uint64_t tick;
    uint64_t monotonic, realtime;             // ns
    uint64_t monotonic_error, realtime_error; // ns either way, against the tick
} nsp__clock_reading;

// Integers only; no state of the writer lies elsewhere, so the next writer goes on where the last one stopped or died.
typedef struct nsp__clock {
    // Numbers of the breakpoints that may be read: the first in the high half, the one after the last in the low half; a
    // breakpoint's slot is its number modulo NSP__CLOCK_BREAKPOINTS. Writer: the drainer. Readers: all.
    uint64_t published;

    // Readers: all, for the bound and the statistics. Writer: the drainer.
    uint64_t error;       // ns, at the last reading
    uint64_t error_past;  // ns, anywhere between the last two readings
    uint64_t drift_ppb;   // how fast the error may grow until the next reading
    uint64_t latest_tick; // of the last reading
    uint64_t steps;

    // The drainer's own.
    uint64_t counter;        // ticks are the counter's, not CLOCK_MONOTONIC's; fixed by calibrate
    uint64_t rate;           // best estimate from CLOCK_MONOTONIC
    uint64_t spacing_ns;     // least distance of breakpoints
    uint64_t best_error;     // the narrowest bracketed reading that can be expected
    uint64_t wild_rates;     // measured rates in a row that cannot be true
    nsp__clock_reading last; // the last reading
    nsp__clock_reading base; // where the rate is measured from
    nsp__clock_reading next_base;

    nsp__clock_breakpoint breakpoints[NSP__CLOCK_BREAKPOINTS]; // Writer: the drainer. Readers: all.
} nsp__clock;

_Static_assert(sizeof(nsp__clock) <= 64 * 1024, "the clock has its place in the control file");

// One straight piece of the map, with the offset of the wall clock that held in it.
//
// In a loop over many spans: get one after the pass's nsp__clock_anchor (an older one would go straight on where the map
// has meanwhile bent), then
//     if (!nsp__clock_segment_covers(&segment, end))
//         nsp__clock_segment_at(clock, end, &segment);
//     end_ns = nsp__clock_convert(&segment, end);
//     start_ns = nsp__clock_convert(&segment, start);
// Almost always the piece covers all ends of a pass.
struct nsp__clock_segment {
    nsp_ticks from;          // first tick of the piece
    uint64_t length;         // in ticks
    uint64_t tick, ns, rate; // the line: ns is unix time at `tick`
    uint64_t offset;
    const nsp__clock *clock;
};

// First readings; sleeps about 10 ms in counter mode. The clock is zeroed memory.
void nsp__clock_calibrate(nsp__clock *clock);

// Compares the map with the clocks and bends it if that is needed. Call it in every pass, after the published positions
// were taken: then no span of the pass ends after a bend that is made here. Does nothing within a millisecond of the last
// time; else costs some clock readings, 0.1 to 0.5 us.
void nsp__clock_anchor(nsp__clock *clock);

// The piece of the map, and by it the segment (the time between two steps of the wall clock), that a span's end lies in.
void nsp__clock_segment_at(const nsp__clock *clock, nsp_ticks end, struct nsp__clock_segment *out);

// Bound of |map - CLOCK_REALTIME| in ns, for what was converted since the last but one anchor, and for now.
uint64_t nsp__clock_error_bound(const nsp__clock *clock);

// How often the wall clock was stepped, or the map had to be.
uint64_t nsp__clock_steps(const nsp__clock *clock);

// The clock of the public conversions, a session's. Before the first: one of the process's own, made when it
// is needed.
void nsp__clock_set_active(const nsp__clock *clock);

// Before the active clock's memory goes away: a copy of its map takes its place until the next
// nsp__clock_set_active. Costs a copy of its breakpoints, often one, at most 1024. One caller at a time, of this
// and of nsp__clock_set_active.
void nsp__clock_keep(void);

// True for a reading that lies far ahead of the map's last one: only before a reset of the counter can it have been taken.
// For whoever has just called nsp__clock_anchor.
bool nsp__clock_before_reset(const nsp__clock *clock, nsp_ticks ticks);

// For ticks beyond the segment's piece.
uint64_t nsp__clock_convert_beyond(const struct nsp__clock_segment *segment, nsp_ticks ticks);

// Ticks to nanoseconds, rounded down also where the ticks are negative: so it never decreases.
static inline uint64_t nsp__clock_scale(uint64_t ticks, uint64_t rate)
{
    return (uint64_t)((nsp__int128)(int64_t)ticks * (int64_t)rate >> NSP__CLOCK_RATE_BITS);
}

static inline bool nsp__clock_segment_covers(const struct nsp__clock_segment *segment, nsp_ticks ticks)
{
    return ticks - segment->from < segment->length;
}

// Unix nanoseconds of a reading, in this segment of the wall clock whatever the reading's own.
static inline uint64_t nsp__clock_convert(const struct nsp__clock_segment *segment, nsp_ticks ticks)
{
    if (NSP__LIKELY(nsp__clock_segment_covers(segment, ticks)))
        return segment->ns + nsp__clock_scale(ticks - segment->tick, segment->rate);
    return nsp__clock_convert_beyond(segment, ticks);
}

#endif

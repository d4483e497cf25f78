// SPDX-License-Identifier: Apache-2.0
//
// The map from ticks to unix nanoseconds. There is one per session, in shared memory; whoever drains writes
// it, and anyone may read it. docs/clock.md describes the method.
//
//   who                     may run at the same time as
//   calibrate               nothing: before the clock is shared
//   anchor                  every reader; one writer at a time, which may be another process every time
//   segment_at, convert,    everything. Lock-free: a reader repeats a search only if the writer reused the
//   error_bound, steps      slot that it was reading, which takes NSP__CLOCK_BREAKPOINTS breakpoints
#ifndef NSP_CLOCK_CLOCK_H
#define NSP_CLOCK_CLOCK_H

#include "clock/clock_source.h"
#include <nanospan/clock.h>

#define NSP__CLOCK_BREAKPOINTS 1024u // a power of two
#define NSP__CLOCK_RATE_BITS 48      // rates are nanoseconds a tick in units of 2^-48

__extension__ typedef __int128 nsp__int128;

// A point where the map bends. From `tick` on the map runs at `led_rate` until `bend`, then at `rate`, until
// the next breakpoint. `led_rate` differs slightly from `rate`, to work off the map's error.
typedef struct nsp__clock_breakpoint {
    uint64_t tick;
    uint64_t ns; // at `tick`, on the continuous map, which has no steps
    uint64_t rate, led_rate;
    uint64_t bend;
    uint64_t
        offset; // unix ns = continuous ns + offset (modulo 2^64), for spans that end under this breakpoint
} nsp__clock_breakpoint;

// The same instant on all clocks.
typedef struct nsp__clock_reading {
    uint64_t tick;
    uint64_t monotonic, realtime;             // ns
    uint64_t monotonic_error, realtime_error; // ns in either direction, relative to the tick
} nsp__clock_reading;

// Integers only. The writer keeps no state elsewhere, so the next writer continues where the last one stopped
// or died.
typedef struct nsp__clock {
    // Numbers of the breakpoints that may be read: the first one in the high half, one past the last in the
    // low half. A breakpoint's slot is its number modulo NSP__CLOCK_BREAKPOINTS. Writer: the drainer.
    // Readers: all.
    uint64_t published;

    // For the error bound and the statistics. Readers: all. Writer: the drainer.
    uint64_t error;       // ns, at the last reading
    uint64_t error_past;  // ns, anywhere between the last two readings
    uint64_t drift_ppb;   // how fast the error may grow until the next reading
    uint64_t latest_tick; // of the last reading
    uint64_t steps;

    // Used by the drainer only.
    uint64_t counter;    // nonzero: ticks come from the counter, not from CLOCK_MONOTONIC; set by calibrate
    uint64_t rate;       // best estimate from CLOCK_MONOTONIC
    uint64_t spacing_ns; // least distance between breakpoints
    uint64_t best_error; // the narrowest bracketed reading that can be expected
    uint64_t wild_rates; // impossible rates measured in a row
    nsp__clock_reading last; // the last reading
    nsp__clock_reading base; // the start of the rate measurement
    nsp__clock_reading next_base;

    nsp__clock_breakpoint breakpoints[NSP__CLOCK_BREAKPOINTS]; // Writer: the drainer. Readers: all.
} nsp__clock;

_Static_assert(sizeof(nsp__clock) <= 64 * 1024, "the clock has its place in the control file");

// One straight piece of the map, with the wall clock's offset during it.
//
// In a loop over many spans, get a segment after the pass's nsp__clock_anchor (an older one would continue
// straight where the map has bent since), then do
//     if (!nsp__clock_segment_covers(&segment, end))
//         nsp__clock_segment_at(clock, end, &segment);
//     end_ns = nsp__clock_convert(&segment, end);
//     start_ns = nsp__clock_convert(&segment, start);
// The piece almost always covers all ends of a pass.
struct nsp__clock_segment {
    nsp_ticks from;          // first tick of the piece
    uint64_t length;         // in ticks
    uint64_t tick, ns, rate; // the line: ns is unix time at `tick`
    uint64_t offset;
    const nsp__clock *clock;
};

// Takes the first readings. Sleeps about 10 ms in counter mode. The clock is zeroed memory.
void nsp__clock_calibrate(nsp__clock *clock);

// Compares the map with the clocks and bends it if necessary. Call it in every pass, after the published
// positions were taken, so that no span of the pass ends after a bend that is made here. Does nothing within
// a millisecond of the last call; otherwise it reads the clocks a few times, which takes 0.1 to 0.5 us.
void nsp__clock_anchor(nsp__clock *clock);

// The piece of the map that the span's end lies in, and with it the segment (the time between two steps of
// the wall clock).
void nsp__clock_segment_at(const nsp__clock *clock, nsp_ticks end, struct nsp__clock_segment *out);

// A bound of |map - CLOCK_REALTIME| in ns, for everything converted since the last anchor but one, and for
// now.
uint64_t nsp__clock_error_bound(const nsp__clock *clock);

// How often the wall clock was stepped, or the map had to be stepped.
uint64_t nsp__clock_steps(const nsp__clock *clock);

// Sets the clock of the public conversions to that of a session. Before the first session they use a clock of
// the process's own, which is made when it is needed.
void nsp__clock_set_active(const nsp__clock *clock);

// To be called before the active clock's memory goes away: a copy of its map replaces it until the next
// nsp__clock_set_active. Copies the breakpoints: often one, at most 1024. One caller at a time, of this
// function and nsp__clock_set_active together.
void nsp__clock_keep(void);

// True for a reading that lies far ahead of the map's last one: it can only have been taken before a reset of
// the counter. To be called directly after nsp__clock_anchor.
bool nsp__clock_before_reset(const nsp__clock *clock, nsp_ticks ticks);

// For ticks beyond the segment's piece.
uint64_t nsp__clock_convert_beyond(const struct nsp__clock_segment *segment, nsp_ticks ticks);

// Ticks to nanoseconds, rounded down even for negative ticks, so that the result never decreases.
static inline uint64_t nsp__clock_scale(uint64_t ticks, uint64_t rate)
{
    return (uint64_t)((nsp__int128)(int64_t)ticks * (int64_t)rate >> NSP__CLOCK_RATE_BITS);
}

static inline bool nsp__clock_segment_covers(const struct nsp__clock_segment *segment, nsp_ticks ticks)
{
    return ticks - segment->from < segment->length;
}

// Unix nanoseconds of a reading, as this segment of the wall clock shows them, whichever segment the reading
// is from.
static inline uint64_t nsp__clock_convert(const struct nsp__clock_segment *segment, nsp_ticks ticks)
{
    if (NSP__LIKELY(nsp__clock_segment_covers(segment, ticks)))
        return segment->ns + nsp__clock_scale(ticks - segment->tick, segment->rate);
    return nsp__clock_convert_beyond(segment, ticks);
}

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Reading the map. clock_keeper.c writes it.
#include "clock/clock.h"

#include <sys/mman.h>

#include "base/call.h"
#include "base/fork.h"

#define FIRST(published) ((uint32_t)((published) >> 32))
#define END(published) ((uint32_t)(published))

static uint64_t read_published(const nsp__clock *clock)
{
    return __atomic_load_n(&clock->published,
                           __ATOMIC_ACQUIRE); // CR0: with CW2, the breakpoints that it announces
}

static const nsp__clock_breakpoint *slot_of(const nsp__clock *clock, uint32_t number)
{
    return &clock->breakpoints[number % NSP__CLOCK_BREAKPOINTS];
}

// CR1: each field is acquired, so that CR2 below is not read before it; with CW1 and CW0: who sees a field of
// the slot's next use sees there that the slot was withdrawn.
static uint64_t read_field(const uint64_t *field)
{
    return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

static nsp__clock_breakpoint read_breakpoint(const nsp__clock *clock, uint32_t number)
{
    const nsp__clock_breakpoint *slot = slot_of(clock, number);
    return (nsp__clock_breakpoint){
        .tick = read_field(&slot->tick),
        .ns = read_field(&slot->ns),
        .rate = read_field(&slot->rate),
        .led_rate = read_field(&slot->led_rate),
        .bend = read_field(&slot->bend),
        .offset = read_field(&slot->offset),
    };
}

// CR2: what was read from the breakpoints since CR0 is whole if the lowest of them has not been withdrawn by
// now.
static bool still_published(const nsp__clock *clock, uint32_t number)
{
    return (int32_t)(number - FIRST(__atomic_load_n(&clock->published, __ATOMIC_ACQUIRE))) >= 0;
}

// The number of breakpoints. Values from shared memory are not trusted.
static uint32_t breakpoint_count(uint64_t published)
{
    uint32_t count = END(published) - FIRST(published);
    return count < NSP__CLOCK_BREAKPOINTS ? count : NSP__CLOCK_BREAKPOINTS;
}

// The number of the breakpoint that governs a tick: the last one not after it, or else the oldest. Most calls
// ask about now, so the newest are tried first.
static uint32_t find_breakpoint(const nsp__clock *clock, uint64_t published, nsp_ticks ticks)
{
    uint32_t low = FIRST(published), high = low + breakpoint_count(published) - 1;
    for (int recent = 0; recent < 2; recent++, high--)
        if (high == low || ticks >= read_field(&slot_of(clock, high)->tick))
            return high;
    // The result is in [low, high].
    while (low != high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (ticks >= read_field(&slot_of(clock, middle)->tick))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

// The piece of a breakpoint's line before or after its bend.
static void piece_of(const nsp__clock *clock, const nsp__clock_breakpoint *breakpoint, bool bent, bool oldest,
                     uint64_t until, struct nsp__clock_segment *out)
{
    uint64_t lead_end = breakpoint->bend < until ? breakpoint->bend : until;
    out->clock = clock;
    out->offset = breakpoint->offset;
    out->ns = breakpoint->ns + breakpoint->offset;
    if (!bent) {
        out->tick = breakpoint->tick;
        out->rate = breakpoint->led_rate;
        out->from =
            oldest ? 0 : breakpoint->tick; // ticks before the map use its oldest line, extended backwards
        out->length = lead_end - out->from;
    } else {
        out->tick = lead_end;
        out->ns += nsp__clock_scale(lead_end - breakpoint->tick, breakpoint->led_rate);
        out->rate = breakpoint->rate;
        out->from = oldest && breakpoint->bend == breakpoint->tick ? 0 : lead_end;
        out->length = until - out->from;
    }
}

void nsp__clock_segment_at(const nsp__clock *clock, nsp_ticks end, struct nsp__clock_segment *out)
{
    for (;;) {
        uint64_t published = read_published(clock);
        if (breakpoint_count(published) == 0) {
            *out = (struct nsp__clock_segment){.length = UINT64_MAX, .clock = clock};
            return;
        }
        uint32_t number = find_breakpoint(clock, published, end);
        nsp__clock_breakpoint breakpoint = read_breakpoint(clock, number);
        bool oldest = number == FIRST(published), newest = number + 1 == END(published);
        uint64_t until = newest ? UINT64_MAX : read_field(&slot_of(clock, number + 1)->tick);
        if (!still_published(clock, number))
            continue;
        piece_of(clock, &breakpoint, end >= breakpoint.bend || breakpoint.bend == breakpoint.tick, oldest,
                 until, out);
        return;
    }
}

bool nsp__clock_before_reset(const nsp__clock *clock, nsp_ticks ticks)
{
    const uint64_t far =
        1000000000; // ns: no drainer is that late, and no user supplies a time that far in the future
    uint64_t ahead = ticks - __atomic_load_n(&clock->latest_tick, __ATOMIC_RELAXED);
    return (int64_t)ahead > 0 &&
           nsp__clock_scale(ahead, __atomic_load_n(&clock->rate, __ATOMIC_RELAXED)) > far;
}

uint64_t nsp__clock_convert_beyond(const struct nsp__clock_segment *segment, nsp_ticks ticks)
{
    struct nsp__clock_segment own;
    nsp__clock_segment_at(segment->clock, ticks, &own);
    // Convert along the continuous map, and from there into the wall clock of the requested segment.
    return own.ns + nsp__clock_scale(ticks - own.tick, own.rate) - own.offset + segment->offset;
}

// The tick of a unix time on one piece: the first that is not earlier. The result stays within the piece,
// except for times before the map.
static nsp_ticks tick_on(const struct nsp__clock_segment *piece, uint64_t unix_ns)
{
    if (piece->rate == 0)
        return 0;
    nsp__int128 scaled =
        (nsp__int128)(int64_t)(unix_ns - piece->ns) * ((nsp__int128)1 << NSP__CLOCK_RATE_BITS);
    nsp__int128 ticks = scaled / (nsp__int128)piece->rate;
    if (ticks * (nsp__int128)piece->rate < scaled)
        ticks++; // division rounds towards zero
    nsp_ticks result = piece->tick + (uint64_t)ticks;
    if (ticks > 0 && result - piece->from >= piece->length)
        return piece->from + piece->length; // the first tick after a step forward: these times never existed
    return result;
}

// If the wall clock showed a time twice, the later one is meant, so search from the newest piece backwards.
static nsp_ticks ticks_from_unix(const nsp__clock *clock, uint64_t unix_ns)
{
retry:;
    uint64_t published = read_published(clock), until = UINT64_MAX;
    uint32_t first = FIRST(published), number = first + breakpoint_count(published);
    while (number-- != first) {
        nsp__clock_breakpoint breakpoint = read_breakpoint(clock, number);
        if (!still_published(clock, number))
            goto retry;
        for (int bent = 1; bent >= 0; bent--) {
            if (bent ? until <= breakpoint.bend : breakpoint.bend == breakpoint.tick)
                continue; // no such piece
            struct nsp__clock_segment piece;
            piece_of(clock, &breakpoint, bent, number == first, until, &piece);
            bool last_chance = number == first && (!bent || breakpoint.bend == breakpoint.tick);
            if (last_chance || (int64_t)(unix_ns - piece.ns) >= 0)
                return tick_on(&piece, unix_ns);
        }
        until = breakpoint.tick;
    }
    return 0;
}

// ---- the clock of the public conversions ----
//
// This is the session's clock while there is a session. Its memory goes away with the session, and a forked
// child does not have it; from then on, until the next session, a copy of its map is used. There are two
// copies, written in turn. A reader starts again if the clock was changed while it was reading, since it may
// have read pages that were taken away or a copy that was being written. Nobody waits, and a signal handler
// that interrupts the change finds either clock complete.
static const nsp__clock *active_clock;
static uint32_t active_changes;
static nsp__clock copies[2];
static unsigned latest_copy;

// The process's own clock, for conversions before the first session. Several first callers at the same time
// each make one, and all use the one that is stored first: nobody waits, and a fork in between cannot leave a
// half-made one behind. NULL: no memory.
static const nsp__clock *own_clock(void)
{
    static nsp__clock *own;
    nsp__clock *found = __atomic_load_n(&own, __ATOMIC_ACQUIRE); // CO1: with CO0
    if (found != NULL)
        return found;
    NSP__NO_CANCEL;
    nsp__clock *made = mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                            0); // pages that are not used cost nothing
    if (made == MAP_FAILED)
        return NULL;
    nsp__clock_calibrate(made);
    // CO0: with CO1, who sees the clock sees it calibrated.
    if (__atomic_compare_exchange_n(&own, &found, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return made;
    munmap(made, sizeof *made);
    return found;
}

void nsp__clock_set_active(const nsp__clock *clock)
{
    __atomic_store_n(&active_clock, clock, __ATOMIC_RELEASE); // CA0: with CA1, the clock is calibrated
    // CA2: with CA3, before the clock that was active until now is touched.
    __atomic_fetch_add(&active_changes, 1, __ATOMIC_ACQ_REL);
}

// Every field is released, so that whoever sees one of them also sees, at CA3, that this copy is no longer
// the active clock.
static void copy_map(nsp__clock *to, const nsp__clock *from)
{
    uint64_t published;
    do {
        published = read_published(from);
        for (uint32_t i = 0, number = FIRST(published); i < breakpoint_count(published); i++, number++) {
            nsp__clock_breakpoint breakpoint = read_breakpoint(from, number),
                                  *slot = &to->breakpoints[number % NSP__CLOCK_BREAKPOINTS];
            __atomic_store_n(&slot->tick, breakpoint.tick, __ATOMIC_RELEASE);
            __atomic_store_n(&slot->ns, breakpoint.ns, __ATOMIC_RELEASE);
            __atomic_store_n(&slot->rate, breakpoint.rate, __ATOMIC_RELEASE);
            __atomic_store_n(&slot->led_rate, breakpoint.led_rate, __ATOMIC_RELEASE);
            __atomic_store_n(&slot->bend, breakpoint.bend, __ATOMIC_RELEASE);
            __atomic_store_n(&slot->offset, breakpoint.offset, __ATOMIC_RELEASE);
        }
    } while (!still_published(from, FIRST(published)));
    __atomic_store_n(&to->published, published, __ATOMIC_RELEASE); // CW2, of a copy: with CR0
}

void nsp__clock_keep(void)
{
    const nsp__clock *clock = __atomic_load_n(&active_clock, __ATOMIC_RELAXED);
    if (clock == NULL || clock == &copies[0] || clock == &copies[1])
        return;
    latest_copy ^= 1;
    copy_map(&copies[latest_copy], clock);
    nsp__clock_set_active(&copies[latest_copy]);
}

// Begins a read of the active clock. The result is valid if `unchanged` returns true afterwards.
static uint32_t begin_reading(const nsp__clock **clock)
{
    uint32_t changes = __atomic_load_n(&active_changes, __ATOMIC_ACQUIRE); // CA3: with CA2
    *clock = __atomic_load_n(&active_clock, __ATOMIC_ACQUIRE);             // CA1: with CA0
    // A child in which our fork handler has not run does not have the session's memory.
    if (NSP__UNLIKELY(*clock == NULL || nsp__process_copied()))
        *clock = own_clock();
    return changes;
}

static bool unchanged(uint32_t changes)
{
    // The map was read by acquire loads, so this load is not executed before them.
    return NSP__LIKELY(__atomic_load_n(&active_changes, __ATOMIC_ACQUIRE) == changes); // CA3
}

uint64_t nsp_ticks_to_unix_ns(nsp_ticks ticks)
{
    for (;;) {
        const nsp__clock *clock;
        uint32_t changes = begin_reading(&clock);
        if (clock == NULL)
            return 0;
        struct nsp__clock_segment segment;
        nsp__clock_segment_at(clock, ticks, &segment);
        uint64_t unix_ns = nsp__clock_convert(&segment, ticks);
        if (unchanged(changes))
            return unix_ns;
    }
}

nsp_ticks nsp_ticks_from_unix_ns(uint64_t unix_ns)
{
    for (;;) {
        const nsp__clock *clock;
        uint32_t changes = begin_reading(&clock);
        if (clock == NULL)
            return 0;
        nsp_ticks ticks = ticks_from_unix(clock, unix_ns);
        if (unchanged(changes))
            return ticks;
    }
}

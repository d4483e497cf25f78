// SPDX-License-Identifier: Apache-2.0
#include "drain/pass.h"

#include "common/time.h"
#include "drain/batch_fill.h"
#include "drain/outcome.h"
#include "drain/ring_walk.h"
#include "trace/sampler.h"
#include "trace/trace_state.h"

static void slot_drained(nsp__slot *slot, const nsp__ring_walk *walk)
{
    uint32_t closed = NSP__SLOT_CLOSED;
    if (walk->at == __atomic_load_n(&slot->published, __ATOMIC_RELAXED))
        __atomic_compare_exchange_n(&slot->state, &closed, NSP__SLOT_DRAINED, false, __ATOMIC_ACQ_REL, // SL2
                                    __ATOMIC_RELAXED);
}

static nsp__ring_source source_of(nsp__slot *slot, uint32_t index)
{
    const uint8_t *speculation = (const uint8_t *)slot + NSP__SPECULATION_OFFSET;
    const nsp__slot *buffer = &((const nsp__speculation *)(const void *)speculation)->slot;
    return (nsp__ring_source){
        .slot = slot,
        .bytes = (const uint8_t *)slot + slot->ring_offset,
        .ring_bytes = slot->ring_bytes,
        .record_bytes = slot->record_bytes,
        .latencies = nsp__slot_latencies(slot),
        .speculation = buffer->ring_bytes != 0 ? (const nsp__speculation *)(const void *)speculation : NULL,
        .buffer = speculation + buffer->ring_offset,
        .buffer_bytes = buffer->ring_bytes,
        .index = index,
        .consumed = slot->consumed,
        .available = true,
    };
}

// The rings of this process. A slot's memory stays where it is while the session lasts.
static uint32_t look_at_own(const nsp__control *control, nsp__ring_source *sources)
{
    uint32_t count = __atomic_load_n(&control->slot_count, __ATOMIC_ACQUIRE); // S4
    for (uint32_t i = 0; i < count; i++) {
        nsp__slot *slot;
        if (!sources[i].available && (slot = nsp__slot_at(i)) != NULL)
            sources[i] = source_of(slot, i);
    }
    return count;
}

static uint32_t look(nsp__collector *collector)
{
    const nsp__collector_options *options = &collector->options;
    return options->control != NULL ? look_at_own(options->control, collector->sources)
                                    : options->look(options->look_argument, collector->sources);
}

static void take_snapshot(nsp__collector *collector)
{
    const uint32_t count = collector->snapshot_count = look(collector);
    for (uint32_t i = 0; i < count; i++) {
        nsp__ring_source *source = &collector->sources[i];
        if (!source->available)
            continue;
        // R2: acquires R1: the records below this position are whole.
        collector->snapshot[i] = __atomic_load_n(&source->slot->published, __ATOMIC_ACQUIRE);
        if (NSP__UNLIKELY(collector->snapshot[i] - source->consumed > source->ring_bytes) &&
            collector->options.control == NULL) {
            collector->impossible = true;
            collector->snapshot[i] = source->consumed;
        }
    }
}

static void note_fill(const nsp__collector *collector, const nsp__ring_walk *walk)
{
    nsp__figures *figures = collector->options.figures;
    if (figures != NULL)
        nsp__figure_raise(&figures->ring_peak[walk->source->index], walk->end - walk->at);
}

// waited: something was in the rings. left: some of it still is.
static void note_pass(nsp__collector *collector, uint64_t begin_ns, bool waited, bool left)
{
    nsp__figures *figures = collector->options.figures;
    const uint64_t now = nsp__monotonic_ns();
    if (figures != NULL) {
        const uint64_t lag = waited ? now - collector->drained_ns : 0;
        nsp__figure_set(&figures->lag_ns, lag);
        nsp__figure_raise(&figures->lag_longest_ns, lag);
        nsp__figure_set(&figures->pass_ns, now);
    }
    collector->behind = left;
    if (!left && !collector->frozen)
        collector->drained_ns = begin_ns;
}

// A change of the policy is whole once its generation is published, also if its writer is killed right then: what is
// left to do is done here.
static void look_at_policy(nsp__collector *collector)
{
    nsp__control *control = collector->options.control;
    const nsp__policy_place place = nsp__policy_place_of(control);
    nsp__limit_wish wish;
    if (nsp__limit_look(&collector->limit, &place, collector->sources, collector->snapshot_count,
                        collector->behind, &wish))
        nsp__sampler_lower(wish.generation, wish.factor);
    const nsp__outlier_view view = {place, control->outliers, &control->outlier_bounds};
    nsp__outlier_watch_look(&collector->watch, &view, collector->sources, collector->snapshot_count,
                            collector->options.config->threads, nsp__monotonic_ns());
    if (nsp__notices_look(&collector->notices, &collector->known, control))
        nsp__sampler_follow_up();
}

void nsp__pass(nsp__collector *collector, size_t *budget)
{
    const nsp__collector_options *options = &collector->options;
    const uint64_t begin_ns = nsp__monotonic_ns();
    bool waited = false, left = false;
    collector->over = 0;
    if (NSP__LIKELY(!collector->frozen))
        take_snapshot(collector);
    const uint32_t count = collector->snapshot_count;
    // Comes after the snapshot, so that every span of this pass lies before the anchor.
    nsp__clock_anchor(options->clock);
    if (NSP__UNLIKELY(collector->switches != NULL))
        nsp__switches_read(collector->switches, collector->sources, count, options->clock, options->figures,
                           &collector->notices);
    // If the spans' process reads another clock than this one, the first span finds its own segment.
    struct nsp__clock_segment segment;
    nsp__clock_segment_at(options->clock, nsp_now(), &segment);
    collector->fill = 0;
    bool room = true; // in the pool of batches
    // Starts at another ring each time, so that when the budget or the pool runs out it is not always the
    // same ring that waits.
    uint32_t first = count != 0 ? collector->first++ % count : 0;
    uint32_t turn = 0;
    for (; turn < count && *budget != 0; turn++) {
        uint32_t i = (first + turn) % count;
        nsp__ring_source *source = &collector->sources[i];
        if (!source->available)
            continue;
        nsp__ring_walk walk = nsp__ring_walk_from(collector, source, collector->snapshot[i]);
        double fill = (double)(walk.end - walk.at) / (double)source->ring_bytes;
        if (fill > collector->fill)
            collector->fill = fill;
        note_fill(collector, &walk);
        waited |= walk.at != walk.end;
        if (walk.at != walk.end && options->exporter == NULL)
            nsp__ring_discard(collector, &walk, budget);
        else if (walk.at != walk.end && room)
            room = nsp__ring_drain(collector, &walk, &segment, budget);
        if (NSP__UNLIKELY(collector->damaged[i]))
            nsp__ring_count_lost(collector, &walk);
        if (__atomic_load_n(&source->slot->state, __ATOMIC_ACQUIRE) == NSP__SLOT_CLOSED) // SL2: acquires SL1
            slot_drained(source->slot, &walk);
        left |= walk.at != walk.end;
    }
    note_pass(collector, begin_ns, waited, left || turn != count);
    if (NSP__UNLIKELY(nsp__snapshot_waits(collector)))
        nsp__snapshot_pass(collector, &segment, budget, room);
    if (NSP__UNLIKELY(collector->paths.untold[0] != 0))
        nsp__notices_paths(&collector->notices, collector->paths.untold);
    nsp__batch *batch = collector->current;
    if (batch != NULL && batch->exported.spans != 0 &&
        nsp__monotonic_ns() - batch->exported.first_ns >= options->config->schedule_delay_ns)
        nsp__batch_close(collector);
    if (options->control != NULL)
        look_at_policy(collector);
}

uint64_t nsp__pass_discarding(nsp__collector *collector)
{
    nsp__counters *counters = collector->options.counters;
    uint64_t before = __atomic_load_n(&counters->discarded, __ATOMIC_RELAXED);
    if (collector->current != NULL) {
        const nsp__outcome outcome = {.discarded = collector->current->exported.spans};
        nsp__outcome_count(collector->current->header, counters, &outcome);
        collector->current->header->state = NSP__BATCH_EMPTY;
        collector->current = NULL;
    }
    size_t all = SIZE_MAX;
    const uint32_t count = look(collector);
    for (uint32_t i = 0; i < count; i++) {
        nsp__ring_source *source = &collector->sources[i];
        if (!source->available)
            continue;
        nsp__ring_walk walk = nsp__ring_walk_from(
            collector, source, __atomic_load_n(&source->slot->published, __ATOMIC_ACQUIRE)); // R2
        nsp__ring_discard(collector, &walk, &all);
        if (collector->damaged[i])
            nsp__ring_count_lost(collector, &walk);
    }
    return __atomic_load_n(&counters->discarded, __ATOMIC_RELAXED) - before;
}

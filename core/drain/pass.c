// SPDX-License-Identifier: Apache-2.0
#include "drain/pass.h"

#include "common/time.h"
#include "drain/ring_walk.h"
#include "trace/trace_state.h"

static void slot_drained(nsp__slot *slot, const nsp__ring_walk *walk)
{
    uint32_t closed = NSP__SLOT_CLOSED;
    if (walk->at == __atomic_load_n(&slot->published, __ATOMIC_RELAXED))
        __atomic_compare_exchange_n(&slot->state, &closed, NSP__SLOT_DRAINED, false, __ATOMIC_ACQ_REL, // SL2
                                    __ATOMIC_RELAXED);
}

void nsp__pass(nsp__collector *collector, size_t *budget)
{
    nsp__control *control = collector->session->control;
    uint32_t count = __atomic_load_n(&control->slot_count, __ATOMIC_ACQUIRE); // S4
    for (uint32_t i = 0; i < count; i++) {
        const nsp__slot *slot = nsp__slot_at(i);
        // R2: acquires R1: the records below this position are whole.
        collector->snapshot[i] = slot != NULL ? __atomic_load_n(&slot->published, __ATOMIC_ACQUIRE) : 0;
    }
    // Comes after the snapshot, so that every span of this pass lies before the anchor.
    nsp__clock_anchor(&control->clock);
    struct nsp__clock_segment segment;
    nsp__clock_segment_at(&control->clock, nsp_now(), &segment);
    collector->fill = 0;
    bool room = true; // in the pool of batches
    // Starts at another ring each time, so that when the budget or the pool runs out it is not always the
    // same ring that waits.
    uint32_t first = count != 0 ? collector->first++ % count : 0;
    for (uint32_t turn = 0; turn < count && *budget != 0; turn++) {
        uint32_t i = (first + turn) % count;
        nsp__slot *slot = nsp__slot_at(i);
        if (slot == NULL)
            continue;
        nsp__ring_walk walk = nsp__ring_walk_from(slot, collector->snapshot[i]);
        double fill = (double)(walk.end - walk.at) / (double)slot->ring_bytes;
        if (fill > collector->fill)
            collector->fill = fill;
        if (walk.at != walk.end && collector->exporter == NULL)
            nsp__ring_discard(collector, &walk, budget);
        else if (walk.at != walk.end && room)
            room = nsp__ring_drain(collector, &walk, &segment, budget);
        if (NSP__UNLIKELY(collector->damaged[i]))
            nsp__ring_count_lost(collector, &walk);
        if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == NSP__SLOT_CLOSED) // SL2: acquires SL1
            slot_drained(slot, &walk);
    }
    nsp__batch *batch = collector->current;
    if (batch != NULL && batch->exported.spans != 0 &&
        nsp__monotonic_ns() - batch->exported.first_ns >= collector->config->schedule_delay_ns)
        nsp__batch_close(collector);
    nsp__notices_look(&collector->notices, &collector->known, control);
}

uint64_t nsp__pass_discarding(nsp__collector *collector)
{
    nsp__control *control = collector->session->control;
    uint64_t before = __atomic_load_n(&control->counters.discarded, __ATOMIC_RELAXED);
    if (collector->current != NULL) {
        nsp__counters_add(&control->counters.discarded, collector->current->exported.spans);
        collector->current->header->state = NSP__BATCH_EMPTY;
        collector->current = NULL;
    }
    size_t all = SIZE_MAX;
    uint32_t count = __atomic_load_n(&control->slot_count, __ATOMIC_ACQUIRE); // S4
    for (uint32_t i = 0; i < count; i++) {
        nsp__slot *slot = nsp__slot_at(i);
        if (slot == NULL)
            continue;
        nsp__ring_walk walk =
            nsp__ring_walk_from(slot, __atomic_load_n(&slot->published, __ATOMIC_ACQUIRE)); // R2
        nsp__ring_discard(collector, &walk, &all);
        if (collector->damaged[i])
            nsp__ring_count_lost(collector, &walk);
    }
    return __atomic_load_n(&control->counters.discarded, __ATOMIC_RELAXED) - before;
}

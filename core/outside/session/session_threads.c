// SPDX-License-Identifier: Apache-2.0
#include "outside/session/session_threads.h"

#include "drain/stats.h"

static nsp_thread_state state_of(const nsp__slot *slot)
{
    return slot->state == NSP__SLOT_ACTIVE   ? NSP_THREAD_ATTACHED
           : slot->state == NSP__SLOT_CLOSED ? NSP_THREAD_ENDED
                                             : NSP_THREAD_DRAINED;
}

// A peak is what some drainer has written: anything can stand there.
static uint64_t peak_of(const nsp__session_copy *copy, uint32_t index, uint64_t fill, uint64_t ring_bytes)
{
    const uint64_t peak = copy->control->figures.ring_peak[index];
    return peak < fill || peak > ring_bytes ? fill : peak;
}

size_t nsp__session_threads(const nsp__session_copy *copy, const uint32_t *open, nsp_session_thread *out)
{
    size_t count = 0;
    for (uint32_t i = 0; i < copy->slot_count; i++) {
        nsp__slot *slot = &copy->slots[i];
        if (slot->ring_bytes == 0)
            continue;
        slot->name[sizeof slot->name - 1] = 0;
        nsp_stats stats = NSP_STATS_INIT;
        nsp__stats_add_ended(&stats, &slot->counters);
        nsp__stats_add_slot(&stats, slot);
        const uint64_t fill = slot->published - slot->consumed;
        out[count++] = (nsp_session_thread){
            .size = sizeof *out,
            .name = slot->name,
            .tid = slot->tid,
            .slot = i,
            .state = state_of(slot),
            .open = open[i],
            .attempted = stats.attempted + slot->counters.attempted,
            .dropped_ring_full = stats.dropped_ring_full,
            .dropped_too_deep = stats.dropped_too_deep,
            .dropped_detached_full = stats.dropped_detached_full,
            .dropped_in_signal = stats.dropped_in_signal,
            .roots_unsampled = stats.roots_unsampled,
            .roots_refused = stats.roots_refused,
            .ring_bytes = slot->ring_bytes,
            .ring_fill = fill,
            .ring_fill_peak = peak_of(copy, i, fill, slot->ring_bytes),
        };
    }
    return count;
}

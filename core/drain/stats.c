// SPDX-License-Identifier: Apache-2.0
#include "drain/stats.h"

#include <string.h>

#include "clock/clock.h"
#include "base/name.h"
#include "context/threshold.h"
#include "trace/trace_state.h"

static uint64_t get(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE); // C2: acquires C1
}

static const nsp__slot *slot_at(void *nobody, uint32_t index)
{
    (void)nobody;
    return index < NSP__THREADS_MAX ? nsp__slot_at(index) : NULL;
}

bool nsp__stats_open(const nsp__frame *frame, nsp__slot_finder find, void *argument)
{
    if ((__atomic_load_n(&frame->tag, __ATOMIC_ACQUIRE) & NSP__RECORDING) == 0) // F2: acquires F1
        return false;
    if (__atomic_load_n(&frame->record.threshold, __ATOMIC_RELAXED) == NSP__THRESHOLD_CODE_SPECULATIVE)
        return false; // it was not attempted
    const nsp__slot *slot = find(argument, __atomic_load_n(&frame->ring, __ATOMIC_RELAXED));
    uint64_t position = __atomic_load_n(&frame->position, __ATOMIC_ACQUIRE); // F2
    return position == 0 || slot == NULL || position > get(&slot->published);
}

uint64_t nsp__stats_settled(nsp_stats *out, const nsp__counters *counters)
{
    out->exported = get(&counters->exported);
    out->rejected = get(&counters->rejected);
    out->unconfirmed = get(&counters->unconfirmed);
    out->spooled = get(&counters->spooled);
    out->discarded = get(&counters->discarded);
    out->dropped_invalid = get(&counters->dropped_invalid);
    out->batches_sent = get(&counters->batches_sent);
    out->batches_failed = get(&counters->batches_failed);
    out->bytes_sent = get(&counters->bytes_sent);
    out->bytes_encoded = get(&counters->bytes_encoded);
    return out->exported + out->rejected + out->unconfirmed + out->spooled + out->discarded +
           out->dropped_invalid;
}

static uint64_t figure(const uint64_t *of)
{
    return __atomic_load_n(of, __ATOMIC_RELAXED);
}

void nsp__stats_figures(nsp_stats *out, const nsp__figures *figures)
{
    out->answers = figure(&figures->answers);
    out->answer_ns = figure(&figures->answer_ns);
    out->answer_last_ns = figure(&figures->answer_last_ns);
    out->answer_longest_ns = figure(&figures->answer_longest_ns);
    out->retries = figure(&figures->retries);
    out->pass_ns = figure(&figures->pass_ns);
    out->lag_ns = figure(&figures->lag_ns);
    out->lag_longest_ns = figure(&figures->lag_longest_ns);
    out->switches = figure(&figures->switches);
    out->switches_lost = figure(&figures->switches_lost);
}

void nsp__stats_add_ended(nsp_stats *out, const nsp__slot_counters *counters)
{
    out->dropped_ring_full += get(&counters->dropped_ring_full);
    out->dropped_in_signal += get(&counters->dropped_end_in_signal);
}

// The thread may be drawing skips at this moment, which changes two numbers; if so, read again.
uint64_t nsp__stats_roots_unsampled(const nsp__slot *slot)
{
    uint64_t skipped, roots;
    for (int tries = 0; tries < 8; tries++) {
        roots = skipped = get(&slot->counters.roots_skipped);
        for (uint32_t i = 0; i < NSP__CLASSES; i++)
            roots -= (uint64_t)__atomic_load_n(&slot->skips.left[i], __ATOMIC_ACQUIRE); // C2: acquires C1
        if (roots <= INT64_MAX && get(&slot->counters.roots_skipped) == skipped)
            return roots;
    }
    return roots <= INT64_MAX ? roots : 0;
}

void nsp__stats_add_slot(nsp_stats *out, const nsp__slot *slot)
{
    const nsp__slot_counters *counters = &slot->counters;
    out->dropped_too_deep += get(&counters->dropped_too_deep);
    out->dropped_detached_full += get(&counters->dropped_detached_full);
    uint64_t begun_in_signal = get(&counters->dropped_in_signal);
    out->dropped_in_signal += begun_in_signal;
    out->attempted += begun_in_signal;
    out->leaked += get(&counters->leaked);
    out->misused += get(&counters->misused);
    out->values_cut += get(&counters->values_cut);
    out->roots_refused += get(&counters->roots_refused);
    out->roots_unsampled += nsp__stats_roots_unsampled(slot);
    out->threads += __atomic_load_n(&slot->state, __ATOMIC_RELAXED) == NSP__SLOT_ACTIVE;
}

// Kept spans are read first and begun ones last, so that what is under way counts as speculating.
void nsp__stats_add_speculation(nsp_stats *out, const nsp__speculation *speculation)
{
    uint64_t apart_decided = get(&speculation->apart_kept), kept = get(&speculation->kept);
    uint64_t apart_taken_back = get(&speculation->apart_taken_back);
    uint64_t settled = get(&speculation->settled) - NSP__SPECULATED_FIRST;
    uint64_t begun = get(&speculation->slot.counters.attempted) - NSP__SPECULATED_FIRST;
    out->kept += kept + apart_decided;
    out->taken_back += (settled > kept ? settled - kept : 0) + apart_taken_back;
    out->speculated += begun + get(&speculation->apart_begun);
    out->kept_incomplete += get(&speculation->kept_incomplete);
    out->kept_limited += get(&speculation->kept_limited);
}

// Read once: those that come later are in neither sum.
void nsp__stats_add_snapshots(nsp_stats *out, const nsp__snapshots *snapshots, uint64_t *drained,
                              uint64_t *committed)
{
    const uint64_t spans = get(&snapshots->spans);
    out->snapshot = spans;
    out->snapshot_overtaken = get(&snapshots->overtaken);
    out->attempted += spans;
    *drained += spans;
    *committed += spans;
}

void nsp__stats_add_paths(nsp_stats *out, const nsp__paths *paths)
{
    out->paths_overflowed = get(&paths->overflowed);
    out->paths_shared = get(&paths->shared);
}

void nsp__stats_add_unattached(nsp_stats *out, const nsp__control *control)
{
    uint64_t attempted = get(&control->unattached_attempted);
    out->dropped_no_thread += attempted;
    out->attempted += attempted;
    out->misused += get(&control->unattached_misused);
    out->values_cut += get(&control->unattached_values_cut);
}

void nsp__stats_total(nsp_stats *out, uint64_t settled, uint64_t drained, uint64_t committed)
{
    const uint64_t decided = out->kept + out->taken_back;
    out->speculating = out->speculated > decided ? out->speculated - decided : 0;
    out->in_batches = drained > settled ? drained - settled : 0;
    out->in_rings = committed > drained ? committed - drained : 0;
    out->dropped = out->dropped_ring_full + out->dropped_too_deep + out->dropped_detached_full +
                   out->dropped_in_signal + out->dropped_no_thread + out->dropped_invalid;
}

static void add_slot(nsp_stats *out, nsp__slot *slot, const nsp__slot_place *place)
{
    for (uint32_t depth = 0; depth < slot->frame_count; depth++)
        out->open += nsp__stats_open(nsp__frame_at(slot, depth), slot_at, NULL);
    nsp__stats_add_slot(out, slot);
    nsp__stats_add_speculation(
        out, (const nsp__speculation *)(const void *)((const char *)slot + NSP__SPECULATION_OFFSET));
    out->threads_private +=
        place->is_private && __atomic_load_n(&slot->state, __ATOMIC_RELAXED) == NSP__SLOT_ACTIVE;
}

void nsp__stats_read(nsp_stats *out, const nsp__session *session)
{
    const nsp__control *control = session->control;
    memset(out, 0, sizeof *out);
    out->size = sizeof *out;
    uint64_t settled = nsp__stats_settled(out, &control->counters);
    uint32_t count = __atomic_load_n(&control->slot_count, __ATOMIC_ACQUIRE); // S4
    uint64_t drained = 0, committed = 0;
    for (uint32_t i = 0; i < count; i++) {
        const nsp__slot *slot = nsp__slot_at(i);
        drained += slot != NULL ? get(&slot->drained) : 0;
    }
    nsp__stats_add_snapshots(out, &control->snapshots, &drained, &committed);
    for (uint32_t i = 0; i < count; i++) {
        const nsp__slot *slot = nsp__slot_at(i);
        committed += slot != NULL ? get(&slot->counters.committed) : 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        const nsp__slot *slot = nsp__slot_at(i);
        if (slot != NULL)
            nsp__stats_add_ended(out, &slot->counters);
    }
    out->dropped_no_thread = get(&control->unattached_dropped);
    const nsp__detached_pool *pool = &nsp__trace_state.pool;
    uint32_t taken = nsp__detached_taken(pool);
    for (uint32_t i = 0; i < taken; i++)
        out->open += nsp__stats_open(nsp__detached_frame(pool, i), slot_at, NULL);
    for (uint32_t i = 0; i < count; i++) {
        nsp__slot *slot = nsp__slot_at(i);
        if (slot != NULL)
            add_slot(out, slot, &control->places[i]);
    }
    // Attempts are read last, including those of threads that have come since, because their detached spans
    // already count as open.
    count = __atomic_load_n(&control->slot_count, __ATOMIC_ACQUIRE); // S4
    nsp__stats_add_unattached(out, control);
    for (uint32_t i = 0; i < count; i++) {
        const nsp__slot *slot = nsp__slot_at(i);
        out->attempted += slot != NULL ? get(&slot->counters.attempted) : 0;
    }
    nsp__stats_total(out, settled, drained, committed);
    out->names_overflowed = nsp__name_overflowed();
    nsp__stats_add_paths(out, &control->paths);
    out->threads_peak = count;
    out->clock_error_ns = nsp__clock_error_bound(&control->clock);
    out->clock_steps = nsp__clock_steps(&control->clock);
    nsp__stats_figures(out, &control->figures);
}

// SPDX-License-Identifier: Apache-2.0
//
// Counters are read in the order of stats.c, from the end of the pipeline to its beginning, because the engine
// may be writing meanwhile.
#include "outside/session/session_stats.h"

#include "drain/stats.h"

// Counters of the slots. Unlike `published`, `drained` and `committed` are those of the first look.
static void add_ended(const nsp__session_copy *copy, nsp_stats *out, uint64_t *drained, uint64_t *committed)
{
    for (uint32_t i = 0; i < copy->slot_count; i++) {
        const nsp__slot_place *place = &copy->control->places[i];
        const nsp__slot *slot = &copy->slots[i];
        out->threads_private += place->used != 0 && place->is_private != 0;
        if (slot->ring_bytes == 0)
            continue;
        *drained += slot->drained;
        *committed += slot->counters.committed;
        nsp__stats_add_ended(out, &slot->counters);
    }
}

static bool count_detached(nsp__session_copy *copy, nsp_stats *out)
{
    const uint32_t count = nsp__session_copy_detached_count(copy);
    for (uint32_t i = 0; i < count; i++) {
        nsp__frame frame;
        if (!nsp__session_copy_detached(copy, i, &frame, sizeof frame))
            return nsp__session_copy_fail(copy, NSP__SESSION_DAMAGED,
                                          "its pool of detached spans cannot be read");
        if (nsp__stats_open(&frame, nsp__session_copy_slot, copy))
            out->open += 1 + nsp__session_copy_counted_phases(copy, &frame, copy->detached_fd,
                                                              nsp__session_copy_detached_at(copy, i));
    }
    return true;
}

// A thread opens its frames one above the other. So where one was never used, those above it were not either; in a
// session that nobody writes any more, all are looked at all the same, since one may be damaged.
static bool is_unused(const nsp__session_copy *copy, const nsp__frame *frame)
{
    return copy->alive && frame->record.start == 0 && frame->tag == 0;
}

static bool count_frames(nsp__session_copy *copy, nsp_stats *out, uint32_t *open)
{
    for (uint32_t i = 0; i < copy->slot_count; i++) {
        const nsp__slot *slot = nsp__session_copy_slot(copy, i);
        uint32_t here = 0;
        bool used = true;
        for (uint32_t depth = 0; slot != NULL && depth < slot->frame_count; depth++) {
            // The last one is for a root of any depth.
            if (!used && depth + 1 < slot->frame_count)
                continue;
            nsp__frame frame;
            if (!nsp__session_copy_frame(copy, i, depth, &frame, sizeof frame))
                return nsp__session_copy_fail(copy, NSP__SESSION_DAMAGED,
                                              "the frames of thread %u cannot be read", i);
            used = used && !is_unused(copy, &frame);
            if (!nsp__stats_open(&frame, nsp__session_copy_slot, copy))
                continue;
            here++;
            out->open += nsp__session_copy_counted_phases(copy, &frame, copy->threads_fd,
                                                          nsp__session_copy_frame_at(copy, i, depth));
        }
        out->open += here;
        if (open != NULL)
            open[i] = here;
    }
    return true;
}

// What was speculated. Where the engine died while it kept a trace, whose spans it had counted as attempted but not
// published, they do not count: *attempted is made less by them.
static void count_speculation(const nsp__session_copy *copy, nsp_stats *out, uint64_t *attempted)
{
    for (uint32_t i = 0; i < copy->slot_count; i++) {
        const nsp__slot *slot = &copy->slots[i];
        nsp__speculation speculation;
        if (slot->ring_bytes == 0 || !nsp__session_copy_speculation(copy, i, &speculation))
            continue;
        nsp__stats_add_speculation(out, &speculation);
        const uint64_t half_kept = copy->alive ? 0 : nsp__session_copy_half_kept(copy, i);
        *attempted -= half_kept <= *attempted ? half_kept : 0;
    }
}

// Threads for which shared memory had no room are in no slot, so their spans that wait in batches are missing
// from what the slots say was drained. While an engine runs, its batches change faster than they are read.
static void count_batches(const nsp__session_copy *copy, nsp_stats *out)
{
    uint64_t waiting = 0;
    if (copy->alive || out->threads_private == 0 || copy->batches_fd < 0)
        return;
    for (uint32_t i = 0; i < copy->control->batch_count; i++) {
        nsp__batch_header header;
        if (nsp__session_copy_batch(copy, i, &header))
            waiting += nsp__session_copy_batch_unsettled(&header);
    }
    if (waiting > out->in_batches)
        out->in_batches = waiting;
}

bool nsp__session_stats(nsp__session_copy *copy, nsp_stats *out, uint32_t *open)
{
    const nsp__control *control = copy->control;
    uint64_t drained = 0, committed = 0, attempted;
    *out = (nsp_stats)NSP_STATS_INIT;
    uint64_t settled = nsp__stats_settled(out, &control->counters);
    add_ended(copy, out, &drained, &committed);
    nsp__stats_add_snapshots(out, &control->snapshots, &drained, &committed);
    out->dropped_no_thread = control->unattached_dropped;
    if (!count_detached(copy, out) || !count_frames(copy, out, open))
        return false;
    for (uint32_t i = 0; i < copy->slot_count; i++)
        if (copy->slots[i].ring_bytes != 0)
            nsp__stats_add_slot(out, &copy->slots[i]);
    if (!nsp__session_copy_attempted(copy, &attempted))
        return false;
    count_speculation(copy, out, &attempted);
    nsp__stats_add_unattached(out, control);
    nsp__stats_add_paths(out, &control->paths);
    out->attempted += attempted;
    nsp__stats_total(out, settled, drained, committed);
    count_batches(copy, out);
    out->threads_peak = copy->slot_count;
    out->clock_error_ns = copy->alive ? nsp__clock_error_bound(&control->clock) : 0;
    out->clock_steps = nsp__clock_steps(&control->clock);
    nsp__stats_figures(out, &control->figures);
    return true;
}

uint64_t nsp__stats_unsent(const nsp_stats *stats)
{
    return stats->open + stats->in_rings + stats->in_batches;
}

// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>

#include "base/lock.h"
#include "common/time.h"
#include "drain/batch_fill.h"
#include "drain/collector.h"
#include "drain/pass.h"
#include "trace/trace_state.h"

// True if the collector's thread has made a pass for us, or the time is over. False if there is no such
// thread or it is inside the log callback.
static bool pass_by_thread(nsp__collector *collector, uint64_t deadline_ns)
{
    if (!collector->has_thread)
        return false;
    struct timespec until = nsp__timespec_of(deadline_ns);
    int error = 0;
    pthread_mutex_lock(&collector->sleep);
    uint64_t wanted = ++collector->passes_wanted;
    pthread_cond_signal(&collector->wake);
    while (collector->passes_done < wanted && !collector->stop && !collector->logging && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&collector->progress, &collector->sleep, &until);
    bool absent = collector->passes_done < wanted && collector->logging;
    pthread_mutex_unlock(&collector->sleep);
    return !absent;
}

// A pass takes milliseconds, but an exporter's encoder may take as long as it likes, so it is not waited for
// beyond the deadline.
static bool lock_drain(nsp__collector *collector, uint64_t deadline_ns)
{
    return nsp__lock_until(&collector->drain,
                           nsp__later(deadline_ns, nsp__monotonic_ns() + 20 * NSP__MILLISECOND));
}

// Makes one pass that closes the batch: on the collector's thread, or here if there is none or it is inside
// the log callback.
static void pass_for_flush(nsp__collector *collector, uint64_t deadline_ns)
{
    if (pass_by_thread(collector, deadline_ns) || !lock_drain(collector, deadline_ns))
        return;
    nsp__pass(collector, &(size_t){SIZE_MAX});
    nsp__batch_close(collector);
    pthread_mutex_unlock(&collector->drain);
}

static bool drained_up_to(const uint64_t *goal, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const nsp__slot *slot = nsp__slot_at(i);
        if (slot != NULL && __atomic_load_n(&slot->consumed, __ATOMIC_ACQUIRE) < goal[i]) // R4
            return false;
    }
    return true;
}

// A snapshot that was asked for before the flush is a part of what it waits for. Under the drain lock.
static bool snapshot_taken(const nsp__collector *collector, uint64_t wanted)
{
    return (int64_t)(collector->taking.done - wanted) >= 0;
}

bool nsp__collector_flush(nsp__collector *collector, uint64_t deadline_ns, const bool *stopping)
{
    const uint64_t slice_ns = 20 * NSP__MILLISECOND;
    nsp__sender *sender = collector->options.sender;
    uint32_t count = __atomic_load_n(&collector->options.control->slot_count, __ATOMIC_ACQUIRE); // S4
    uint64_t *goal = calloc(count + 1, sizeof *goal);
    if (goal == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const nsp__slot *slot = nsp__slot_at(i);
        goal[i] = slot != NULL ? __atomic_load_n(&slot->published, __ATOMIC_ACQUIRE) : 0; // R2
    }
    const uint64_t wanted =
        __atomic_load_n(&collector->options.control->snapshots.wanted, __ATOMIC_ACQUIRE); // SN2: acquires SN1
    bool settled = false, over;
    do {
        pass_for_flush(collector, deadline_ns);
        if (!lock_drain(collector, deadline_ns))
            break;
        bool drained = drained_up_to(goal, count) && snapshot_taken(collector, wanted);
        // The pass may have stopped because no batch was free, and another one may have drained the rest into
        // an open batch.
        if (drained)
            nsp__batch_close(collector);
        uint64_t sequence = collector->sequence;
        pthread_mutex_unlock(&collector->drain);
        // Waits in slices, because a shutdown that begins meanwhile must not wait for this flush's deadline,
        // and because, when the pool was used up, the next pass finds batches that have been settled since.
        do {
            uint64_t slice_end_ns = nsp__earlier(nsp__monotonic_ns() + slice_ns, deadline_ns);
            bool sent =
                sender == NULL || nsp__sender_wait(sender, collector->options.pool, sequence, slice_end_ns);
            settled = drained && sent;
            over =
                settled || nsp__monotonic_ns() >= deadline_ns || __atomic_load_n(stopping, __ATOMIC_RELAXED);
        } while (drained && !over);
    } while (!over);
    free(goal);
    return settled;
}

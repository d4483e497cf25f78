// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/external.h"

#include <nanospan/exporter.h>
#include <stdio.h>

#include "base/log.h"
#include "common/time.h"
#include "drain/stats.h"
#include "trace/trace_state.h"

void nsp__external_begin(const nsp_config *config)
{
    if (config->custom_exporter != NULL)
        nsp__log(NSP_LOG_WARN, "",
                 "the program's own exporter (%s) is not used, because the engine is drained from outside "
                 "(NSP_COLLECTOR=external): `nanospan agent` sends its spans",
                 config->custom_exporter->name);
}

// True if nothing is left in the rings and batches. `settled` is read first: whoever drains counts what it takes
// out before it releases the ring's space, and settles it afterwards.
static bool all_settled(const nsp__session *session)
{
    nsp_stats stats;
    uint64_t settled = nsp__stats_settled(&stats, &session->control->counters);
    uint64_t drained =
        __atomic_load_n(&session->control->snapshots.spans, __ATOMIC_ACQUIRE);         // C2: acquires C1
    uint32_t count = __atomic_load_n(&session->control->slot_count, __ATOMIC_ACQUIRE); // S4
    for (uint32_t i = 0; i < count; i++) {
        const nsp__slot *slot = nsp__slot_at(i);
        if (slot == NULL)
            continue;
        uint64_t published = __atomic_load_n(&slot->published, __ATOMIC_ACQUIRE); // R2
        if (__atomic_load_n(&slot->consumed, __ATOMIC_ACQUIRE) < published)       // R4
            return false;
        drained += __atomic_load_n(&slot->drained, __ATOMIC_ACQUIRE); // C2: acquires C1
    }
    return settled >= drained;
}

// Polls, because a drainer of another process wakes nobody.
bool nsp__external_flush(const nsp__session *session, uint64_t deadline_ns, const bool *stopping)
{
    enum { PAUSE_MIN_NS = 200000, PAUSE_MAX_NS = 5000000 };
    nsp__drainer *drainer = &session->control->drainer;
    // DN3: to DN4, where the drainer acquires what was published before.
    uint64_t number = __atomic_add_fetch(&drainer->flush_wanted, 1, __ATOMIC_RELEASE);
    for (uint64_t pause = PAUSE_MIN_NS;;) {
        if (__atomic_load_n(&drainer->flush_done, __ATOMIC_ACQUIRE) >= number || // DN6: acquires DN5
            all_settled(session))
            return true;
        uint64_t now = nsp__monotonic_ns();
        if (now >= deadline_ns || __atomic_load_n(stopping, __ATOMIC_RELAXED))
            return false;
        struct timespec sleep = {.tv_nsec = (long)nsp__earlier(pause, deadline_ns - now)};
        nanosleep(&sleep, NULL);
        pause = nsp__earlier(2 * pause, PAUSE_MAX_NS);
    }
}

void nsp__external_explain(const nsp__session *session, char *text, size_t size)
{
    if (nsp__session_has_drainer(session))
        snprintf(text, size,
                 "the process %u drains the session and has not settled them yet; they stay in it",
                 __atomic_load_n(&session->control->drainer.pid, __ATOMIC_RELAXED));
    else
        snprintf(text, size,
                 "no agent drains the session; they stay in it for `nanospan agent`, or after the engine's "
                 "end for "
                 "`nanospan recover`");
}

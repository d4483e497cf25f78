// SPDX-License-Identifier: Apache-2.0
#include <nanospan/outlier.h>

#include "base/fork.h"
#include "clock/clock.h"
#include "shm/control.h"
#include "trace/trace_state.h"

// The time of this process's clock, less before_ns. 1: all there is.
static uint64_t since(const nsp__control *control, uint64_t before_ns)
{
    struct nsp__clock_segment segment;
    const nsp_ticks now = nsp_now();
    nsp__clock_segment_at(&control->clock, now, &segment);
    const uint64_t now_ns = nsp__clock_convert(&segment, now);
    return before_ns != 0 && before_ns < now_ns ? now_ns - before_ns : 1;
}

nsp_status nsp_snapshot(uint64_t before_ns)
{
    nsp__control *control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4: acquires T3
    if (control == NULL || nsp__process_copied())
        return NSP_ERR_NOT_INITIALISED;
    nsp__snapshots *snapshots = &control->snapshots;
    const uint64_t from_ns = since(control, before_ns);
    uint64_t before = __atomic_load_n(&snapshots->since_ns, __ATOMIC_RELAXED);
    // Written even if it stays: whoever takes it along with another request finds what was recorded before this one too.
    // Another thread that makes it less comes in between at most as often as there are threads.
    while (!__atomic_compare_exchange_n(&snapshots->since_ns, &before,
                                        before == 0 || before > from_ns ? from_ns : before, false,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED)) // SN3: to SN4
        ;
    __atomic_fetch_add(&snapshots->wanted, 1, __ATOMIC_RELEASE); // SN1: to SN2
    return NSP_OK;
}

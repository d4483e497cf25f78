// SPDX-License-Identifier: Apache-2.0
#include "drain/notices.h"

#include <string.h>

#include "base/log.h"
#include "base/paging.h"
#include "context/threshold.h"
#include "trace/trace_state.h"

void nsp__notices_damaged(nsp__notices *notices, uint32_t tid, uint64_t bytes)
{
    notices->any = true;
    notices->damaged.tid = tid;
    notices->damaged.bytes += bytes;
}

void nsp__notices_too_big(nsp__notices *notices, size_t batch_bytes)
{
    notices->any = true;
    notices->too_big.batch_bytes = batch_bytes;
    notices->too_big.spans++;
}

static void look_at_policy(nsp__notices *notices, nsp__known *known, const nsp__control *control)
{
    uint32_t generation = __atomic_load_n(&control->policy_generation, __ATOMIC_ACQUIRE); // N1
    if (generation == known->generation || generation == 0)
        return;
    if (known->generation != 0) {
        // Its slot is rewritten two generations later. If that happens right now, the next look finds the new
        // generation.
        const nsp__policy *policy = &control->policies[generation & 1];
        notices->any = notices->policy.changed = true;
        notices->policy.rate = nsp__threshold_rate(__atomic_load_n(&policy->thresholds[0], __ATOMIC_RELAXED));
        notices->policy.rules = __atomic_load_n(&policy->rules, __ATOMIC_RELAXED);
    }
    known->generation = generation;
}

static void read_trouble(uint32_t trouble[NSP__TROUBLES])
{
    trouble[0] = __atomic_load_n(&nsp__trace_state.trouble.private_rings, __ATOMIC_RELAXED);
    trouble[1] = __atomic_load_n(&nsp__trace_state.trouble.no_slot, __ATOMIC_RELAXED);
    trouble[2] = __atomic_load_n(&nsp__trace_state.trouble.no_memory, __ATOMIC_RELAXED);
}

void nsp__notices_begin(nsp__known *known)
{
    known->generation = 0;
    read_trouble(known->trouble);
}

void nsp__notices_look(nsp__notices *notices, nsp__known *known, const nsp__control *control)
{
    look_at_policy(notices, known, control);
    uint32_t now[NSP__TROUBLES];
    read_trouble(now);
    for (int i = 0; i < NSP__TROUBLES; i++) {
        if (now[i] != known->trouble[i])
            notices->any = notices->trouble[i] = true;
        known->trouble[i] = now[i];
    }
    if (nsp__paging_unsaid())
        notices->any = notices->paging = true;
}

nsp__notices nsp__notices_take(nsp__notices *notices)
{
    nsp__notices taken = *notices;
    if (taken.any)
        memset(notices, 0, sizeof *notices);
    return taken;
}

void nsp__notices_log(const nsp__notices *notices)
{
    static const char *const troubles[NSP__TROUBLES] = {
        ("a thread's ring could not be put into shared memory (no space or file descriptor is left, the "
         "process's file size limit is too low, or the session's folder can no longer be reached): such "
         "threads use private rings, whose spans are lost in a crash"),
        ("more threads record spans than nsp_config.threads (NSP_THREADS) allows: the spans of the extra "
         "threads are dropped and counted"),
        "no memory for a thread's ring: the thread's spans are dropped and counted"};
    if (!notices->any)
        return;
    if (notices->damaged.bytes != 0)
        nsp__log(NSP_LOG_ERROR, "damaged",
                 "skipped %llu bytes of damaged records; the last were in the ring of thread %u",
                 (unsigned long long)notices->damaged.bytes, notices->damaged.tid);
    if (notices->too_big.spans != 0)
        nsp__log(NSP_LOG_WARN, "too big", "discarded %llu span%s too big for a batch of %zu bytes",
                 (unsigned long long)notices->too_big.spans, notices->too_big.spans == 1 ? "" : "s",
                 notices->too_big.batch_bytes);
    if (notices->policy.changed)
        nsp__log(NSP_LOG_INFO, "policy", "sampler changed: default rate %g, %u rule%s", notices->policy.rate,
                 notices->policy.rules, notices->policy.rules == 1 ? "" : "s");
    for (int i = 0; i < NSP__TROUBLES; i++)
        if (notices->trouble[i])
            nsp__log(NSP_LOG_WARN, troubles[i], "%s", troubles[i]);
    if (notices->paging)
        nsp__paging_report();
}

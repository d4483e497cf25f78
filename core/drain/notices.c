// SPDX-License-Identifier: Apache-2.0
#include "drain/notices.h"

#include <string.h>

#include "base/log.h"
#include "context/threshold.h"
#include "trace/producer.h"

void nsp__news_damaged(nsp__news *news, uint32_t tid, uint64_t bytes)
{
    news->any = true;
    news->damaged.tid = tid;
    news->damaged.bytes += bytes;
}

void nsp__news_too_big(nsp__news *news, size_t batch_bytes)
{
    news->any = true;
    news->too_big.batch_bytes = batch_bytes;
    news->too_big.spans++;
}

static void look_at_policy(nsp__news *news, nsp__known *known, const nsp__control *control)
{
    uint32_t generation = __atomic_load_n(&control->policy_generation, __ATOMIC_ACQUIRE); // N1
    if (generation == known->generation || generation == 0)
        return;
    if (known->generation != 0) {
        // Its slot is rewritten two generations on; should that happen just now, the next look finds that one.
        const nsp__policy *policy = &control->policies[generation & 1];
        news->any = news->policy.changed = true;
        news->policy.rate = nsp__threshold_rate(__atomic_load_n(&policy->thresholds[0], __ATOMIC_RELAXED));
        news->policy.rules = __atomic_load_n(&policy->rules, __ATOMIC_RELAXED);
    }
    known->generation = generation;
}

void nsp__news_look(nsp__news *news, nsp__known *known, const nsp__control *control)
{
    look_at_policy(news, known, control);
    const uint32_t now[NSP__TROUBLES] = {
        __atomic_load_n(&nsp__trace_state.trouble.private_rings, __ATOMIC_RELAXED),
        __atomic_load_n(&nsp__trace_state.trouble.no_slot, __ATOMIC_RELAXED),
        __atomic_load_n(&nsp__trace_state.trouble.no_memory, __ATOMIC_RELAXED)};
    for (int i = 0; i < NSP__TROUBLES; i++) {
        if (now[i] != known->trouble[i])
            news->any = news->trouble[i] = true;
        known->trouble[i] = now[i];
    }
}

nsp__news nsp__news_take(nsp__news *news)
{
    nsp__news taken = *news;
    if (taken.any)
        memset(news, 0, sizeof *news);
    return taken;
}

void nsp__news_tell(const nsp__news *news)
{
    static const char *const troubles[NSP__TROUBLES] = {
        ("no ring in shared memory for another thread (no room, the process's limit of file sizes, or its "
         "folder "
         "cannot be reached any more): such threads have private ones, which a crash loses"),
        ("more threads than nsp_config.threads (NSP_THREADS) record spans: what the others record is dropped "
         "and counted"),
        "no memory for a thread's ring: what it records is dropped and counted"};
    if (!news->any)
        return;
    if (news->damaged.bytes != 0)
        nsp__log(NSP_LOG_ERROR, "damaged",
                 "damaged records, the last in the ring of thread %u: %llu bytes are skipped",
                 news->damaged.tid, (unsigned long long)news->damaged.bytes);
    if (news->too_big.spans != 0)
        nsp__log(NSP_LOG_WARN, "too big", "too big for a batch of %zu bytes and discarded: %llu spans",
                 news->too_big.batch_bytes, (unsigned long long)news->too_big.spans);
    if (news->policy.changed)
        nsp__log(NSP_LOG_INFO, "policy", "sampler: default rate %g, %u rules", news->policy.rate,
                 news->policy.rules);
    for (int i = 0; i < NSP__TROUBLES; i++)
        if (news->trouble[i])
            nsp__log(NSP_LOG_WARN, troubles[i], "%s", troubles[i]);
}

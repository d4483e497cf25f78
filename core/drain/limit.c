// SPDX-License-Identifier: Apache-2.0
#include "drain/limit.h"

#include "common/time.h"
#include "context/threshold.h"
#include "drain/stats.h"

// What the policy in force says about the limit.
typedef struct in_force {
    uint32_t generation;
    double limit, factor, rate_max;
} in_force;

// False if there is no policy, or it is just being changed.
static bool read_policy(const nsp__policy_place *place, in_force *out)
{
    out->generation = __atomic_load_n(place->generation, __ATOMIC_ACQUIRE); // N1: acquires N2
    const nsp__policy *policy = &place->policies[out->generation & 1];
    const nsp__tuning *tuning = &place->tunings[out->generation & 1];
    nsp__tuning seen;
    __atomic_load(&tuning->limit, &seen.limit, __ATOMIC_RELAXED);
    __atomic_load(&tuning->factor, &seen.factor, __ATOMIC_RELAXED);
    const uint32_t rules = __atomic_load_n(&policy->rules, __ATOMIC_RELAXED) & (NSP__CLASSES - 1);
    uint64_t least = NSP__THRESHOLD_NEVER;
    for (uint32_t i = 0; i <= rules && seen.limit != 0; i++) {
        uint64_t threshold = __atomic_load_n(&policy->thresholds[i], __ATOMIC_RELAXED);
        least = threshold < least ? threshold : least;
    }
    out->limit = seen.limit;
    out->factor = seen.factor;
    out->rate_max = nsp__threshold_rate(least);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); // N1: it was read before the generation is read again
    return out->generation != 0 && nsp__tuning_valid(&seen) &&
           __atomic_load_n(place->generation, __ATOMIC_RELAXED) == out->generation;
}

typedef struct counted {
    uint64_t unsampled, refused;
} counted;

// What has come since the last look. A thread that is just drawing may give an older number; it is right the next time.
static counted count_roots(nsp__limit *limit, const nsp__ring_source *sources, uint32_t count)
{
    counted all = {0, 0};
    for (uint32_t i = 0; i < count; i++) {
        if (!sources[i].available)
            continue;
        const uint64_t refused =
            __atomic_load_n(&sources[i].slot->counters.roots_refused, __ATOMIC_ACQUIRE); // C2
        const uint64_t unsampled = nsp__stats_roots_unsampled(sources[i].slot);
        nsp__limit_roots *known = &limit->roots[i];
        all.unsampled += unsampled > known->unsampled ? unsampled - known->unsampled : 0;
        all.refused += refused > known->refused ? refused - known->refused : 0;
        known->unsampled = unsampled > known->unsampled ? unsampled : known->unsampled;
        known->refused = refused;
    }
    return all;
}

static void count_from_now(nsp__limit *limit)
{
    limit->traces = limit->trace_ns = 0;
    limit->remote = false;
}

bool nsp__limit_look(nsp__limit *limit, const nsp__policy_place *place, const nsp__ring_source *sources,
                     uint32_t count, bool behind, nsp__limit_wish *wish)
{
    in_force policy;
    const uint64_t now_ns = nsp__monotonic_ns();
    if (!nsp__limiter_due(&limit->limiter, now_ns, limit->traces) || !read_policy(place, &policy))
        return false;
    if (policy.limit == 0) {
        limit->counting = false;
        limit->limiter.looked_ns = now_ns;
        count_from_now(limit);
        return false;
    }
    const counted roots = count_roots(limit, sources, count);
    const bool first = !limit->counting;
    const nsp__limiter_look look = {
        .now_ns = now_ns,
        .limit = policy.limit,
        .factor = policy.factor,
        .rate_max = policy.rate_max,
        .roots = first ? 0 : roots.unsampled + roots.refused + limit->traces,
        .traces = first ? 0 : limit->traces + roots.refused,
        .trace_seconds = (double)limit->trace_ns / (double)NSP__SECOND,
        .behind = behind,
        .remote = limit->remote && !first,
    };
    if (first)
        limit->limiter.looked_ns = 0;
    limit->counting = true;
    count_from_now(limit);
    *wish = (nsp__limit_wish){policy.generation, nsp__limiter_step(&limit->limiter, &look)};
    return wish->factor != policy.factor;
}

bool nsp__limit_wakes(const nsp__limit *limit, uint64_t now_ns)
{
    return limit->counting && now_ns - limit->limiter.looked_ns >= 2 * NSP__LIMITER_LOOK_NS;
}

// SPDX-License-Identifier: Apache-2.0
//
// Head sampling that decides first: each thread draws how many roots to leave out until the next hit
// (geometrically distributed, by the class's threshold), so that an unsampled root costs one decrement. On a
// hit the trace id is drawn from the ids that the threshold samples. The joint distribution is the same as if
// each root drew an id and compared it with the threshold, but no id is drawn only to be thrown away.
#include "trace/sampler.h"

#include <math.h>

#include "base/hot.h"
#include "base/testpoint.h"
#include "context/threshold.h"
#include "trace/ruled_class.h"

NSP__HOT void nsp__sampler_draw(nsp__producer *producer, uint32_t name_class)
{
    int64_t *left = &producer->home.slot->skips.left[name_class];
    uint64_t unused = (uint64_t)*left;
    uint64_t skip = nsp__random_skip(&producer->random, producer->inverse_logs[name_class]);
    if (skip > INT64_MAX)
        skip = INT64_MAX;                                    // as good as never
    __atomic_store_n(left, (int64_t)skip, __ATOMIC_RELEASE); // C1: after the previous draw; to C2
    // Modulo 2^64: what counts is the sum minus what is left.
    uint64_t *skipped = &producer->home.slot->counters.roots_skipped;
    __atomic_store_n(skipped, *skipped - unused + skip, __ATOMIC_RELEASE); // C1
}

// Brings the thread's number of the policy up to date, and returns it. Either this thread sees a new generation, or
// whoever publishes it sees this thread's slot and writes its number afterwards: both write, then read, in one
// order for all.
static uint32_t follow(nsp__producer *producer)
{
    uint32_t generation, *own = &producer->home.slot->skips.generation;
    do {
        generation =
            __atomic_load_n(&producer->control->policy_generation, __ATOMIC_ACQUIRE); // N1: acquires N2
        NSP__TESTPOINT("policy: generation read");
        if (__atomic_load_n(own, __ATOMIC_RELAXED) != generation)
            __atomic_store_n(own, generation, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST); // N4: at N5
    } while (__atomic_load_n(&producer->control->policy_generation, __ATOMIC_RELAXED) != generation);
    return generation;
}

// What a policy says of a rule of its own. A name's class may be one that the policy does not have, because whoever
// added the name was overtaken by a change: the default is in force for it until its class is written again.
static void rate_read(const nsp__control *control, uint32_t generation, uint32_t rule, uint64_t *threshold,
                      double *inverse_log)
{
    const nsp__policy *policy = &control->policies[generation & 1];
    const nsp__tuning *tuning = &control->tunings[generation & 1];
    uint32_t i = rule <= __atomic_load_n(&policy->rules, __ATOMIC_RELAXED) ? rule : 0;
    *threshold = __atomic_load_n(&tuning->thresholds[i], __ATOMIC_RELAXED);
    __atomic_load(&tuning->inverse_logs[i], inverse_log, __ATOMIC_RELAXED);
}

// True if the policy of this generation is still in force, and what was read of it is therefore consistent.
static bool generation_holds(const nsp__producer *producer, uint32_t generation)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE); // N1: the policy was read before the generation is read again
    return __atomic_load_n(&producer->control->policy_generation, __ATOMIC_RELAXED) == generation;
}

// The skips that were not used go out of the count (C1), class by class. They go first, and then what is left: whoever
// reads in between counts too few roots, as within a draw, and never a whole skip of roots that did not begin.
static void undraw(nsp__producer *producer)
{
    uint64_t *skipped = &producer->home.slot->counters.roots_skipped, counted = *skipped;
    for (uint64_t drawn = producer->drawn; drawn != 0; drawn &= drawn - 1) {
        unsigned name_class = (unsigned)__builtin_ctzll(drawn);
        int64_t *left = &producer->home.slot->skips.left[name_class];
        counted -= (uint64_t)*left;
        producer->thresholds[name_class] = NSP__THRESHOLD_UNDRAWN;
        __atomic_store_n(skipped, counted, __ATOMIC_RELEASE); // C1
        NSP__TESTPOINT("policy: a skip is half given up");
        __atomic_store_n(left, 0, __ATOMIC_RELEASE); // C1
    }
    producer->drawn = 0;
}

void nsp__sampler_fetch(const nsp__producer *producer, nsp_name name)
{
    const nsp__control *control = producer->control;
    const uint32_t slot = __atomic_load_n(&producer->home.slot->skips.generation, __ATOMIC_RELAXED) & 1;
    const nsp__policy *policy = &control->policies[slot];
    const uint32_t name_class = nsp__sampler_class(producer, name); // most changes leave it as it is
    __builtin_prefetch(&control->policy_generation);
    __builtin_prefetch(&policy->rules);
    __builtin_prefetch(&control->outliers[slot].rules);
    __builtin_prefetch(&control->tunings[slot].thresholds[name_class]);
    __builtin_prefetch(&policy->classes[name & (NSP_NAME_MAX - 1)]);
    __builtin_prefetch(&control->tunings[slot].inverse_logs[name_class]);
}

bool nsp__sampler_refresh(nsp__producer *producer)
{
    const nsp__control *control = producer->control;
    uint32_t generation, rules;
    bool ruled;
    // A policy's slot is rewritten only two generations later, so if the generation is still the same after
    // something was read, that is consistent.
    do {
        generation = follow(producer);
        if (generation == 0)
            return false;
        ruled = nsp__outliers_count(nsp__outliers_of(control, generation)) != 0;
        const nsp__policy *policy = &control->policies[generation & 1];
        rules = __atomic_load_n(&policy->rules, __ATOMIC_RELAXED) & (NSP__CLASSES - 1);
        producer->parent_policy = __atomic_load_n(&policy->parent_policy, __ATOMIC_RELAXED);
        rules |= nsp__outliers_count(nsp__outliers_of(control, generation));
        producer->hot.classes = rules != 0 ? policy->classes : nsp__no_classes(producer);
    } while (!generation_holds(producer, generation));
    undraw(producer);
    nsp__ruled_class_save(producer);
    producer->outliers = producer->outliers || ruled;
    producer->hot.generation = generation;
    return true;
}

bool nsp__sampler_copy_class(nsp__producer *producer, uint32_t name_class)
{
    uint64_t threshold;
    double inverse_log;
    const uint32_t generation = producer->hot.generation;
    const nsp__outliers *outliers = nsp__outliers_of(producer->control, generation);
    nsp__outlier_class outlier;
    rate_read(producer->control, generation, nsp__outliers_rate_rule(outliers, name_class), &threshold,
              &inverse_log);
    nsp__outliers_copy_class(outliers, name_class, &outlier);
    NSP__TESTPOINT("policy: a class is read");
    if (!generation_holds(producer, generation)) {
        if (nsp__sampler_refresh(producer))
            return false;
        threshold = NSP__THRESHOLD_NEVER;
        inverse_log = -HUGE_VAL;
        outlier = (nsp__outlier_class){.rule = 0};
    }
    producer->thresholds[name_class] = threshold;
    producer->root_traits[name_class] = nsp__record_root_traits(nsp__threshold_encode(threshold));
    producer->inverse_logs[name_class] = inverse_log;
    producer->drawn |= UINT64_C(1) << name_class;
    if (NSP__UNLIKELY(outlier.rule != 0))
        nsp__ruled_class_set(producer, name_class, &outlier);
    else
        nsp__sampler_draw(producer, name_class);
    return true;
}

uint32_t nsp__sampler_copied_class(nsp__producer *producer, nsp_name name)
{
    uint32_t name_class;
    do
        name_class = nsp__sampler_class(producer, name);
    while (!nsp__sampler_settle(producer, name_class));
    return name_class;
}

void nsp__sampler_begin_thread(nsp__producer *producer)
{
    if (!nsp__sampler_refresh(producer))
        return;
    // If the policy changes meanwhile, those that were drawn before are left for their first use.
    const uint32_t count =
        nsp__outliers_class_count(nsp__outliers_of(producer->control, producer->hot.generation));
    for (uint32_t i = 0; i < count; i++)
        nsp__sampler_settle(producer, i);
}

uint32_t nsp__sampler_least(const nsp__producer *producer, uint64_t *threshold, double *inverse_log)
{
    uint32_t generation =
        __atomic_load_n(&producer->control->policy_generation, __ATOMIC_ACQUIRE); // N1: acquires N2
    if (generation == 0)
        return 0;
    rate_read(producer->control, generation, 0, threshold, inverse_log);
    for (uint32_t i = 1; i < NSP__CLASSES; i++) {
        uint64_t other;
        double its_log;
        rate_read(producer->control, generation, i, &other, &its_log);
        if (other < *threshold) {
            *threshold = other;
            *inverse_log = its_log;
        }
    }
    return generation_holds(producer, generation) ? generation : 0;
}

NSP__HOT void nsp__sampler_trace_id(nsp__producer *producer, uint64_t threshold, bool sampled,
                                    uint64_t trace_id[2])
{
    const uint64_t whole = (uint64_t)1 << 56;
    uint64_t low = 0, width = whole;
    if (sampled && threshold < whole) {
        low = threshold;
        width = whole - threshold;
    } else if (!sampled && threshold != 0 && threshold <= whole) {
        width = threshold;
    }
    uint64_t high = nsp__random_next(&producer->random);
    uint64_t top = nsp__random_next(&producer->random);
    uint64_t randomness =
        width == whole ? top & (whole - 1) : nsp__random_below_range(&producer->random, low, width);
    uint64_t right = (top & ~(whole - 1)) | randomness;
    if (NSP__UNLIKELY((high | right) == 0))
        high = 1; // the all-zero id is invalid
    trace_id[0] = __builtin_bswap64(high);
    trace_id[1] = __builtin_bswap64(right);
}

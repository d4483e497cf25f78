// SPDX-License-Identifier: Apache-2.0
//
// Head sampling that decides first: each thread draws how many roots to leave out until the next hit
// (geometrically distributed, by the class's threshold), so that an unsampled root costs one decrement. On a
// hit the trace id is drawn from the ids that the threshold samples. The joint distribution is the same as if
// each root drew an id and compared it with the threshold, but no id is drawn only to be thrown away.
#include "trace/sampler.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/call.h"
#include "base/fork.h"
#include "base/hot.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/name.h"
#include "base/testpoint.h"
#include "common/descriptor.h"
#include "common/fnv.h"
#include "common/time.h"
#include "context/threshold.h"
#include "shm/session_lock.h"
#include "trace/trace_state.h"

// ---- the thread's side ----

NSP__HOT void nsp__sampler_draw(nsp__producer *producer, uint32_t name_class)
{
    int64_t *left = &producer->slot->skips.left[name_class];
    uint64_t unused = (uint64_t)*left;
    uint64_t skip = nsp__random_skip(&producer->random, producer->inverse_logs[name_class]);
    if (skip > INT64_MAX)
        skip = INT64_MAX;                                    // as good as never
    __atomic_store_n(left, (int64_t)skip, __ATOMIC_RELEASE); // C1: after the previous draw; to C2
    // Modulo 2^64: what counts is the sum minus what is left.
    uint64_t *skipped = &producer->slot->counters.roots_skipped;
    __atomic_store_n(skipped, *skipped - unused + skip, __ATOMIC_RELEASE); // C1
}

// Either this thread sees the new generation of the process, or whoever changes it sees this thread in the
// table and writes its copy afterwards: both write, then read, in one order for all.
void nsp__sampler_follow(nsp__producer *producer)
{
    uint32_t generation;
    do {
        generation = __atomic_load_n(producer->session_generation, __ATOMIC_ACQUIRE); // N1: acquires N2
        NSP__TESTPOINT("attach: generation read");
        __atomic_store_n(&producer->generation, generation, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST); // N4: at N5
    } while (__atomic_load_n(producer->session_generation, __ATOMIC_RELAXED) != generation);
}

bool nsp__sampler_refresh(nsp__producer *producer)
{
    const nsp__control *control = producer->control;
    const uint32_t *generation_now = producer->hot.generation_now;
    uint32_t generation, rules;
    // A policy's slot is rewritten only two generations later, so if the generation is still the same after
    // the copy, the copy is consistent.
    do {
        generation = __atomic_load_n(generation_now, __ATOMIC_ACQUIRE); // N1: acquires N2
        if (generation == 0)
            return false;
        const nsp__policy *policy = &control->policies[generation & 1];
        rules = __atomic_load_n(&policy->rules, __ATOMIC_RELAXED) & (NSP__CLASSES - 1);
        for (uint32_t i = 0; i <= rules; i++)
            producer->thresholds[i] = __atomic_load_n(&policy->thresholds[i], __ATOMIC_RELAXED);
        producer->parent_policy = __atomic_load_n(&policy->parent_policy, __ATOMIC_RELAXED);
        producer->hot.classes = rules != 0 ? policy->classes : nsp__no_classes(producer);
        __atomic_thread_fence(
            __ATOMIC_ACQUIRE); // N1: the policy was read before the generation is read again
    } while (__atomic_load_n(generation_now, __ATOMIC_RELAXED) != generation);

    for (uint32_t i = 0; i < NSP__CLASSES; i++) {
        if (i > rules)
            producer->thresholds[i] = producer->thresholds[0];
        producer->root_traits[i] = nsp__record_root_traits(nsp__threshold_encode(producer->thresholds[i]));
        producer->inverse_logs[i] = nsp__random_inverse_log(producer->thresholds[i]);
        nsp__sampler_draw(producer, i);
    }
    producer->hot.generation = generation;
    return true;
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

// ---- the policy's side ----

static pthread_mutex_t policy_mutex = PTHREAD_MUTEX_INITIALIZER;

// Copies word by word: one side is in shared memory, where an old policy may be overwritten while a thread
// reads it, which that thread finds out afterwards. The last byte is always zero.
static void pattern_copy(char to[NSP_SAMPLER_PATTERN_MAX + 1], const char from[NSP_SAMPLER_PATTERN_MAX + 1])
{
    for (size_t i = 0; i < (NSP_SAMPLER_PATTERN_MAX + 1) / 8; i++)
        __atomic_store_n((uint64_t *)(void *)to + i,
                         __atomic_load_n((const uint64_t *)(const void *)from + i, __ATOMIC_RELAXED),
                         __ATOMIC_RELAXED);
}

static uint8_t class_of(const nsp__policy *policy, uint32_t rules, const char *text, size_t length)
{
    for (uint32_t i = 1; i <= rules; i++) {
        _Alignas(8) char pattern[NSP_SAMPLER_PATTERN_MAX + 1];
        pattern_copy(pattern, policy->patterns[i]);
        if (nsp__pattern_match(pattern, text, length))
            return (uint8_t)i;
    }
    return 0;
}

static void classify_all(nsp__policy *policy)
{
    uint32_t count = nsp__name_count();
    for (nsp_name name = 1; name < count; name++) {
        size_t length;
        const char *text = nsp__name_ready(name) ? nsp_name_text(name, &length) : NULL;
        if (text != NULL)
            __atomic_store_n(&policy->classes[name], class_of(policy, policy->rules, text, length),
                             __ATOMIC_RELAXED);
    }
}

// Names may be added between the making of a policy and its publication. So whoever publishes a policy
// replays the names afterwards (nsp__name_replay): each name that was ready by then is classified again, and
// whoever was still adding one calls this function again and finds the new generation. A class that was
// written by the rules of a policy no longer in force, perhaps into the slot of the next policy but one, is
// written again. That repeats only if yet another policy was published meanwhile.
void nsp__sampler_classify(nsp_name name, const char *text, size_t length)
{
    nsp__control *control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4: acquires T3
    if (control == NULL || nsp__process_copied())
        return;
    uint32_t generation, seen = __atomic_load_n(&control->policy_generation, __ATOMIC_SEQ_CST); // N3: at N2
    do {
        generation = seen;
        if (generation == 0)
            return;
        nsp__policy *policy = &control->policies[generation & 1];
        uint32_t rules = __atomic_load_n(&policy->rules, __ATOMIC_RELAXED) & (NSP__CLASSES - 1);
        __atomic_store_n(&policy->classes[name], class_of(policy, rules, text, length), __ATOMIC_RELAXED);
        NSP__TESTPOINT("policy: a name has its class");
        __atomic_thread_fence(
            __ATOMIC_SEQ_CST); // the class is written before the generation is looked at again
        seen = __atomic_load_n(&control->policy_generation, __ATOMIC_SEQ_CST); // N3: at N2
    } while (seen != generation);
}

uint64_t nsp__sampler_checksum(const nsp__policy *policy)
{
    // Enough to tell a policy torn by a dying writer from a whole one.
    uint64_t hash = NSP__FNV_START;
    const uint8_t *parts[] = {(const uint8_t *)policy->thresholds, (const uint8_t *)&policy->rules,
                              (const uint8_t *)policy->patterns};
    const size_t sizes[] = {sizeof policy->thresholds, sizeof policy->rules + sizeof policy->parent_policy,
                            sizeof policy->patterns};
    for (size_t part = 0; part < 3; part++)
        hash = nsp__fnv(hash, parts[part], sizes[part]);
    return hash;
}

// The policy in force is copied here and changed; `publish` then copies it to the other slot of control.
static nsp__policy draft;

// All but the classes, which are not of interest to readers from outside.
static void policy_store(nsp__policy *to, const nsp__policy *from)
{
    for (uint32_t i = 0; i < NSP__CLASSES; i++)
        __atomic_store_n(&to->thresholds[i], from->thresholds[i], __ATOMIC_RELAXED);
    __atomic_store_n(&to->rules, from->rules, __ATOMIC_RELAXED);
    __atomic_store_n(&to->parent_policy, from->parent_policy, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < NSP__CLASSES; i++)
        pattern_copy(to->patterns[i], from->patterns[i]);
    to->checksum = from->checksum;
}

// N2: releases the policy to the threads' N1, in the process's copy of the generation first.
static void generation_store(uint32_t *of_process, uint32_t generation)
{
    __atomic_store_n(of_process, generation, __ATOMIC_RELEASE); // N2
    __atomic_thread_fence(__ATOMIC_SEQ_CST);                    // N5: at N4
    for (uint32_t i = 0; i < NSP__THREADS_MAX; i++) {
        nsp__producer *producer = nsp__producer_at(i);
        if (producer != NULL)
            __atomic_store_n(&producer->generation, generation, __ATOMIC_RELEASE); // N2
    }
}

static void publish(nsp__control *control)
{
    uint32_t generation = control->policy_generation + 1;
    if (generation == NSP__GENERATION_NONE)
        generation = 1; // not 0, which means "no session"; the low bit still alternates
    nsp__policy *policy = &control->policies[generation & 1];
    draft.checksum = nsp__sampler_checksum(&draft);
    memset(draft.classes, 0, sizeof draft.classes);
    classify_all(&draft);
    policy_store(policy, &draft);
    for (uint32_t i = 0; i < NSP_NAME_MAX; i++)
        __atomic_store_n(&policy->classes[i], draft.classes[i], __ATOMIC_RELAXED);
    NSP__TESTPOINT("policy: before it is published");
    // For readers from outside, and for N3. It is sequentially consistent because of nsp__name_replay, which
    // comes next: a thread that adds a name and does not see the round of the replay has to see this
    // generation.
    __atomic_store_n(&control->policy_generation, generation, __ATOMIC_SEQ_CST);
    generation_store(nsp__trace_state.session->generation, generation);
    // The next policy is written into the slot of the previous one. None of that may be seen before this
    // generation.
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void nsp__sampler_begin(nsp__control *control, double rate, nsp_parent_policy parent_policy)
{
    pthread_mutex_lock(&policy_mutex);
    memset(&draft, 0, sizeof draft);
    for (uint32_t i = 0; i < NSP__CLASSES; i++)
        draft.thresholds[i] = nsp__threshold_from_rate(rate);
    draft.parent_policy = (uint32_t)parent_policy;
    publish(control);
    pthread_mutex_unlock(&policy_mutex);
}

void nsp__sampler_end(nsp__control *control, uint32_t *generation)
{
    pthread_mutex_lock(&policy_mutex);
    // The low bit of 0 says that the first one is in force: readers from outside go on to find it there.
    if ((control->policy_generation & 1) != 0)
        policy_store(&control->policies[0], &control->policies[1]);
    // N2: to N1. A thread that sees this also sees that tracing is inactive, so it does not attach again.
    __atomic_store_n(&control->policy_generation, 0, __ATOMIC_RELEASE);
    generation_store(generation, 0);
    pthread_mutex_unlock(&policy_mutex);
}

// A lock on the control file keeps writers of other processes out. It is held as long as this descriptor of
// the file is open; -1 if there is no such file.
static int control_fd = -1;

static void change_end(bool changed)
{
    if (changed) {
        publish(nsp__trace_state.control);
        nsp__name_replay();
    }
    nsp__close(control_fd);
    control_fd = -1;
    pthread_mutex_unlock(&policy_mutex);
}

// How long a change of the rules waits for others, on other threads and in other processes.
static const uint64_t change_patience_ns = 1 * NSP__SECOND;

static nsp_status change_timed_out(void)
{
    return nsp__fail(NSP_ERR_TIMEOUT,
                     "another thread or process is changing the sampler's rules and has not finished "
                     "within 1 s");
}

static nsp_status change_begin(void)
{
    if (nsp__forking || nsp__process_copied())
        return nsp__fail(NSP_ERR_UNSUPPORTED,
                         "the sampler's rules cannot be changed in the middle of a fork");
    bool session = __atomic_load_n(&nsp__active, __ATOMIC_ACQUIRE) && // A2: acquires A1
                   (nsp__session_wanted == NULL || nsp__session_wanted());
    uint64_t deadline_ns = nsp__monotonic_ns() + change_patience_ns;
    if (!nsp__lock_until(&policy_mutex, deadline_ns))
        return change_timed_out();
    nsp__control *control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4: acquires T3
    if (!session || control == NULL || control->policy_generation == 0) {
        pthread_mutex_unlock(&policy_mutex);
        return nsp__fail(NSP_ERR_NOT_INITIALISED, "tracing is not running; call nsp_init first");
    }
    control_fd = nsp__session_open_control(nsp__trace_state.session);
    if (control_fd >= 0 && !nsp__file_lock_until(control_fd, deadline_ns)) {
        change_end(false);
        return change_timed_out();
    }
    // Leaves out the classes, which are computed again, and which other threads may be writing.
    memcpy(&draft, &control->policies[control->policy_generation & 1], offsetof(nsp__policy, classes));
    return NSP_OK;
}

static nsp_status rate_check(double rate)
{
    if (rate >= 0.0 && rate <= 1.0) // false for NaN
        return NSP_OK;
    return nsp__fail(NSP_ERR_INVALID, "the sample rate must be 0 to 1, not %g", rate);
}

static uint32_t rule_find(const char *pattern)
{
    for (uint32_t i = 1; i <= draft.rules; i++)
        if (strcmp(draft.patterns[i], pattern) == 0)
            return i;
    return 0;
}

nsp_status nsp_sampler_set_rate(double rate)
{
    NSP__COLD_CALL;
    nsp_status status = rate_check(rate);
    if (status == NSP_OK)
        status = change_begin();
    if (status != NSP_OK)
        return status;
    draft.thresholds[0] = nsp__threshold_from_rate(rate);
    change_end(true);
    return NSP_OK;
}

nsp_status nsp_sampler_set_rule(const char *pattern, double rate)
{
    NSP__COLD_CALL;
    size_t length = pattern != NULL ? strlen(pattern) : 0;
    if (length == 0 || length > NSP_SAMPLER_PATTERN_MAX)
        return nsp__fail(NSP_ERR_INVALID, "a pattern must have 1 to %d bytes; this one has %zu",
                         NSP_SAMPLER_PATTERN_MAX, length);
    nsp_status status = rate_check(rate);
    if (status == NSP_OK)
        status = change_begin();
    if (status != NSP_OK)
        return status;
    uint32_t rule = rule_find(pattern);
    if (rule == 0 && draft.rules < NSP_SAMPLER_RULES_MAX) {
        rule = ++draft.rules;
        memset(draft.patterns[rule], 0, sizeof draft.patterns[rule]);
        memcpy(draft.patterns[rule], pattern, length);
    }
    if (rule != 0)
        draft.thresholds[rule] = nsp__threshold_from_rate(rate);
    change_end(rule != 0);
    return rule != 0 ? NSP_OK
                     : nsp__fail(NSP_ERR_FULL, "there are already %d rules, which is the limit",
                                 NSP_SAMPLER_RULES_MAX);
}

nsp_status nsp_sampler_remove_rule(const char *pattern)
{
    NSP__COLD_CALL;
    if (pattern == NULL)
        return nsp__fail(NSP_ERR_INVALID, "the pattern is NULL");
    nsp_status status = change_begin();
    if (status != NSP_OK)
        return status;
    uint32_t rule = rule_find(pattern);
    if (rule != 0) {
        memmove(&draft.patterns[rule], &draft.patterns[rule + 1],
                (draft.rules - rule) * sizeof draft.patterns[0]);
        memmove(&draft.thresholds[rule], &draft.thresholds[rule + 1],
                (draft.rules - rule) * sizeof draft.thresholds[0]);
        memset(draft.patterns[draft.rules], 0, sizeof draft.patterns[0]);
        draft.rules--;
    }
    change_end(rule != 0);
    return rule != 0 ? NSP_OK : nsp__fail(NSP_ERR_NOT_FOUND, "no rule has the pattern \"%s\"", pattern);
}

nsp_status nsp_sampler_set_parent_policy(nsp_parent_policy policy)
{
    NSP__COLD_CALL;
    if (policy != NSP_PARENT_FOLLOW && policy != NSP_PARENT_DECIDE)
        return nsp__fail(NSP_ERR_INVALID,
                         "the parent policy must be NSP_PARENT_FOLLOW or NSP_PARENT_DECIDE, not %d",
                         (int)policy);
    nsp_status status = change_begin();
    if (status != NSP_OK)
        return status;
    draft.parent_policy = (uint32_t)policy;
    change_end(true);
    return NSP_OK;
}

void nsp__sampler_lock(void)
{
    pthread_mutex_lock(&policy_mutex);
}

void nsp__sampler_unlock(void)
{
    pthread_mutex_unlock(&policy_mutex);
}

double nsp_sampler_rate(void)
{
    if (nsp__forking || nsp__process_copied())
        return 0.0;
    NSP__COLD_CALL;
    pthread_mutex_lock(&policy_mutex);
    double rate = 0.0;
    const nsp__control *control =
        __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4: acquires T3
    if (__atomic_load_n(&nsp__active, __ATOMIC_ACQUIRE) && control != NULL &&
        control->policy_generation != 0) // A2
        rate = nsp__threshold_rate(control->policies[control->policy_generation & 1].thresholds[0]);
    pthread_mutex_unlock(&policy_mutex);
    return rate;
}

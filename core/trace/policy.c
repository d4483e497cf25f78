// SPDX-License-Identifier: Apache-2.0
//
// The sampler's policy: how it is changed, and which class each name has in it.
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/call.h"
#include "base/fork.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/name.h"
#include "base/testpoint.h"
#include "common/descriptor.h"
#include "common/time.h"
#include "context/threshold.h"
#include "shm/session_lock.h"
#include "trace/outlier_rules.h"
#include "trace/policy_change.h"
#include "trace/sampler.h"
#include "trace/trace_state.h"

static pthread_mutex_t policy_mutex = PTHREAD_MUTEX_INITIALIZER;

static void classify_all(nsp__policy_draft *made)
{
    nsp__policy *policy = &made->policy;
    uint32_t count = nsp__name_count();
    memset(policy->classes, 0, sizeof policy->classes);
    for (nsp_name name = 1; name < count; name++) {
        size_t length;
        const char *text = nsp__name_ready(name) ? nsp_name_text(name, &length) : NULL;
        if (text != NULL)
            policy->classes[name] = nsp__policy_class(policy, &made->outliers, text, length);
    }
}

void nsp__sampler_classify(nsp_name name, const char *text, size_t length)
{
    nsp__control *control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4: acquires T3
    if (control == NULL || nsp__process_copied())
        return;
    const nsp__policy_place place = nsp__policy_place_of(control);
    nsp__policy_classify(&place, name, text, length);
}

// The policy in force is copied here and changed; `publish` then copies it to the other slot of control.
static nsp__policy_draft draft;

// Tells each thread of the policy in force, by its slot. Two may do this at once, one of them late: so whoever is last
// looks whether what it wrote is still true.
static void slots_tell(const nsp__control *control)
{
    uint32_t generation, now = __atomic_load_n(&control->policy_generation, __ATOMIC_RELAXED);
    do {
        generation = now;
        for (uint32_t i = 0; i < NSP__THREADS_MAX; i++) {
            nsp__slot *slot = nsp__slot_at(i);
            if (slot != NULL)
                __atomic_store_n(&slot->skips.generation, generation, __ATOMIC_RELEASE); // N2
        }
        NSP__TESTPOINT("policy: slots told");
        __atomic_thread_fence(__ATOMIC_SEQ_CST); // N5: at N4
        now = __atomic_load_n(&control->policy_generation, __ATOMIC_RELAXED);
    } while (now != generation);
}

// Publishes a policy: in `control` first, and then in each thread's slot, which says that there is a new one.
static void generation_store(nsp__control *control, uint32_t generation)
{
    // N2: releases the policy to N1 and N3. It is sequentially consistent because of nsp__name_replay, which comes
    // next: a thread that adds a name and does not see the round of the replay has to see this generation.
    __atomic_store_n(&control->policy_generation, generation, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); // N5: at N4
    NSP__TESTPOINT("policy: published, but in no slot");
    slots_tell(control);
}

void nsp__sampler_follow_up(void)
{
    const nsp__control *control =
        __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4: acquires T3
    if (control == NULL)
        return;
    slots_tell(control);
    nsp__name_replay();
}

static void publish(nsp__control *control)
{
    const nsp__policy_place place = nsp__policy_place_of(control);
    uint32_t generation = nsp__policy_next(control->policy_generation);
    classify_all(&draft);
    nsp__policy_write(&place, generation, &draft);
    generation_store(control, generation);
}

void nsp__sampler_begin(nsp__control *control, const nsp__sampler_settings *settings)
{
    pthread_mutex_lock(&policy_mutex);
    nsp__policy_begin(&draft, settings->rate, settings->limit, settings->parent_policy,
                      settings->rate_source);
    draft.tuning.limit_source = settings->limit_source;
    const nsp__policy_change outliers = {.kind = NSP__CHANGE_OUTLIER_RULES, .outliers = settings->outliers};
    if (settings->outliers != NULL)
        nsp__policy_change_apply(&outliers, &draft, settings->outliers_source);
    draft.tuning.source = settings->rate_source;
    publish(control);
    pthread_mutex_unlock(&policy_mutex);
}

void nsp__sampler_end(nsp__control *control)
{
    pthread_mutex_lock(&policy_mutex);
    // The low bit of 0 says that the first one is in force: readers from outside go on to find it there.
    if ((control->policy_generation & 1) != 0) {
        nsp__policy_store(&control->policies[0], &control->policies[1]);
        nsp__tuning_store(&control->tunings[0], &control->tunings[1]);
        nsp__outliers_store(&control->outliers[0], &control->outliers[1]);
    }
    // A thread that sees this also sees that tracing is inactive, so it does not attach again.
    generation_store(control, 0);
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
static const uint64_t change_patience_ns = 100 * NSP__MILLISECOND;

static nsp_status change_timed_out(void)
{
    return nsp__fail(NSP_ERR_TIMEOUT,
                     "another thread or process is changing the sampler's rules and has not finished "
                     "within 100 ms; try again");
}

// True if the lock is held, or if files have no locks here, and so nobody can be kept out. Tries once: shutdown and
// fork wait for the mutex, and must not wait for what another process does.
static bool control_lock(void)
{
    control_fd = nsp__session_open_control(nsp__trace_state.session);
    return control_fd < 0 || nsp__file_lock_until(control_fd, 0) || errno != EAGAIN;
}

static nsp_status change_begin(void)
{
    if (nsp__forking || nsp__process_copied())
        return nsp__fail(NSP_ERR_UNSUPPORTED,
                         "the sampler's rules cannot be changed in the middle of a fork");
    bool session = __atomic_load_n(&nsp__active, __ATOMIC_ACQUIRE) && // A2: acquires A1
                   (nsp__session_wanted == NULL || nsp__session_wanted());
    uint64_t deadline_ns = nsp__monotonic_ns() + change_patience_ns;
    nsp__control *control;
    for (;;) {
        if (!nsp__lock_until(&policy_mutex, deadline_ns))
            return change_timed_out();
        control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4: acquires T3
        if (!session || control == NULL || control->policy_generation == 0) {
            pthread_mutex_unlock(&policy_mutex);
            return nsp__fail(NSP_ERR_NOT_INITIALISED, "tracing is not running; call nsp_init first");
        }
        if (control_lock())
            break;
        change_end(false);
        NSP__TESTPOINT("policy: another process is changing it");
        if (nsp__monotonic_ns() >= deadline_ns)
            return change_timed_out();
        nanosleep(&(struct timespec){.tv_nsec = (long)NSP__MILLISECOND}, NULL);
    }
    const nsp__policy_place place = nsp__policy_place_of(control);
    if (nsp__policy_copy(&draft, &place, control->policy_generation))
        return NSP_OK;
    change_end(false);
    return nsp__fail(NSP_ERR_DAMAGED, "somebody has overwritten the sampler's rules in the session");
}

static nsp_status change(const nsp__policy_change *wanted)
{
    NSP__COLD_CALL;
    nsp_status status = nsp__policy_change_check(wanted);
    if (status == NSP_OK)
        status = change_begin();
    if (status != NSP_OK)
        return status;
    status = nsp__policy_change_apply(wanted, &draft, NSP_SAMPLER_CODE);
    change_end(status == NSP_OK);
    return status;
}

bool nsp__sampler_lower(uint32_t generation, double factor)
{
    nsp__control *control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4: acquires T3
    if (control == NULL || pthread_mutex_trylock(&policy_mutex) != 0)
        return false;
    const nsp__policy_place place = nsp__policy_place_of(control);
    bool changes = control->policy_generation == generation && generation != 0 && control_lock();
    changes =
        changes && control->policy_generation == generation && nsp__policy_copy(&draft, &place, generation);
    if (changes) {
        nsp__policy_factor_set(&draft, factor);
        nsp__policy_classes_copy(&draft.policy, &control->policies[generation & 1]);
        nsp__policy_write(&place, nsp__policy_next(generation), &draft);
        generation_store(control, nsp__policy_next(generation));
    }
    nsp__close(control_fd);
    control_fd = -1;
    pthread_mutex_unlock(&policy_mutex);
    return changes;
}

nsp_status nsp_sampler_set_rate(double rate)
{
    return change(&(nsp__policy_change){.kind = NSP__CHANGE_RATE, .rate = rate});
}

nsp_status nsp_sampler_set_rule(const char *pattern, double rate)
{
    return change(&(nsp__policy_change){.kind = NSP__CHANGE_RULE, .pattern = pattern, .rate = rate});
}

nsp_status nsp_sampler_remove_rule(const char *pattern)
{
    return change(&(nsp__policy_change){.kind = NSP__CHANGE_REMOVE_RULE, .pattern = pattern});
}

nsp_status nsp_sampler_set_parent_policy(nsp_parent_policy policy)
{
    return change(&(nsp__policy_change){.kind = NSP__CHANGE_PARENT_POLICY, .parent_policy = policy});
}

nsp_status nsp_sampler_set_limit(double traces_per_second)
{
    return change(&(nsp__policy_change){.kind = NSP__CHANGE_LIMIT, .limit = traces_per_second});
}

nsp_status nsp_outlier_set_rule(const char *pattern, const nsp_outlier_rule *rule)
{
    return change(
        &(nsp__policy_change){.kind = NSP__CHANGE_OUTLIER_RULE, .pattern = pattern, .outlier = rule});
}

nsp_status nsp_outlier_remove_rule(const char *pattern)
{
    return change(&(nsp__policy_change){.kind = NSP__CHANGE_REMOVE_OUTLIER_RULE, .pattern = pattern});
}

nsp_status nsp_outlier_set_rules(const char *text)
{
    return change(&(nsp__policy_change){.kind = NSP__CHANGE_OUTLIER_RULES, .outliers = text});
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

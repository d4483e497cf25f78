// SPDX-License-Identifier: Apache-2.0
//
// The sampler: a policy in shared memory, and each thread's skips drawn from it.
#ifndef NSP_TRACE_SAMPLER_H
#define NSP_TRACE_SAMPLER_H

#include "trace/thread_state.h"

// The generation of a thread that has not copied any policy yet. No policy has this generation.
#define NSP__GENERATION_NONE UINT32_MAX

// Makes the first policy of a session (generation 1).
void nsp__sampler_begin(nsp__control *control, double rate, nsp_parent_policy parent_policy);

// Ends it: no policy is in force any more (generation 0, here and in the process's own copy).
void nsp__sampler_end(nsp__control *control, uint32_t *generation);

// Keeps writers of the policy out: while a session ends, and around fork.
void nsp__sampler_lock(void);
void nsp__sampler_unlock(void);

// The checksum of the policy's thresholds, rules and patterns. Its `checksum` is equal to it if it is whole.
uint64_t nsp__sampler_checksum(const nsp__policy *policy);

// The name hook: resolves the class of a new name. Wait-free.
void nsp__sampler_classify(nsp_name name, const char *text, size_t length);

// Brings the generation that the thread reads up to date, once the thread is in the table of those that record.
// From then on, whoever changes the policy does that.
void nsp__sampler_follow(nsp__producer *producer);

// Copies the policy in force into the thread and draws new skips. False if the session has ended.
bool nsp__sampler_refresh(nsp__producer *producer);

// Draws how many roots of the class are left out until the next hit, and counts them.
void nsp__sampler_draw(nsp__producer *producer, uint32_t name_class);

// Draws a trace id from the distribution that sampled (or unsampled) traces have if an id is drawn first and
// then compared with this threshold.
void nsp__sampler_trace_id(nsp__producer *producer, uint64_t threshold, bool sampled, uint64_t trace_id[2]);

// The same at threshold 0, where every id is sampled.
static inline void nsp__sampler_trace_id_any(nsp__producer *producer, uint64_t trace_id[2])
{
    uint64_t left;
    trace_id[1] = nsp__random_pair(&producer->random, &left);
    trace_id[0] = left | 1; // the all-zero id is invalid
}

static inline uint32_t nsp__sampler_class(const nsp__producer *producer, nsp_name name)
{
    return __atomic_load_n(&producer->hot.classes[name & (NSP_NAME_MAX - 1)], __ATOMIC_RELAXED) &
           (NSP__CLASSES - 1);
}

// True if the whole text matches a shell pattern of * ? and [...]. Linear in practice, bounded by
// pattern x text, no allocation.
bool nsp__pattern_match(const char *pattern, const char *text, size_t length);

#endif

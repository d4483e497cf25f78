// SPDX-License-Identifier: Apache-2.0
//
// The sampler: a policy in shared memory, and each thread's skips drawn from it.
#ifndef NSP_TRACE_SAMPLER_H
#define NSP_TRACE_SAMPLER_H

#include "trace/policy_change.h"
#include "trace/thread_state.h"

// The generation of a thread that has not copied any policy yet. No policy has this generation.
#define NSP__GENERATION_NONE UINT32_MAX

// What a session begins with, and who has set it.
typedef struct nsp__sampler_settings {
    double rate, limit; // limit: traces a second; 0: none
    nsp_parent_policy parent_policy;
    const char *outliers; // valid rules; NULL: none
    nsp_sampler_source rate_source, limit_source, outliers_source;
} nsp__sampler_settings;

// Makes the first policy of a session (generation 1).
void nsp__sampler_begin(nsp__control *control, const nsp__sampler_settings *settings);

// Ends it: no policy is in force any more (generation 0).
void nsp__sampler_end(nsp__control *control);

// Repeats what follows the publication of a policy: tells each slot of it, and gives each name its class. For whoever
// drains, with a policy that is new to it, since the writer may have been killed before it did that itself; and one
// in another process reaches no slot in private memory.
void nsp__sampler_follow_up(void);

// Puts another factor in force, if the policy of this generation still is. For whoever drains: waits for nobody, and
// does nothing if somebody else is changing the policy. Whoever drains follows it up. False if nothing has changed.
bool nsp__sampler_lower(uint32_t generation, double factor);

// Keeps writers of the policy out: while a session ends, and around fork.
void nsp__sampler_lock(void);
void nsp__sampler_unlock(void);

// The name hook: resolves the class of a new name. Wait-free.
void nsp__sampler_classify(nsp_name name, const char *text, size_t length);

// For a thread that attaches, before it begins spans: takes over the policy in force and draws its classes, so that
// its first roots neither pay for that nor meet code that nothing has fetched yet. Its slot is in the table by then:
// whoever changes the policy from then on says so there.
void nsp__sampler_begin_thread(nsp__producer *producer);

// Asks for all that a root of this name reads of a new policy. It lies in the caches of whoever wrote it, and would
// otherwise come piece by piece, each when the one before says that it is needed. Before nsp__sampler_refresh.
void nsp__sampler_fetch(const nsp__producer *producer, nsp_name name);

// Takes over the generation of the policy in force. No class is drawn then; each is at its first use, so that the
// root that meets a change does not pay for all of them. False if the session has ended. With the producer busy, or
// before the thread begins spans.
bool nsp__sampler_refresh(nsp__producer *producer);

// Copies a class from the policy and draws its first skip. False if the policy has changed again meanwhile: the
// thread has taken over that one, and a name may have another class there. In a session that has ended, the class
// never samples. With the producer busy, or before the thread begins spans.
bool nsp__sampler_copy_class(nsp__producer *producer, uint32_t name_class);

// The same, unless it was done since the policy changed.
static inline bool nsp__sampler_settle(nsp__producer *producer, uint32_t name_class)
{
    return NSP__LIKELY(producer->thresholds[name_class] != NSP__THRESHOLD_UNDRAWN) ||
           nsp__sampler_copy_class(producer, name_class);
}

// Copies the class of a root with this name from the policy, unless that was done since it changed. Returns that class.
// With the producer busy.
uint32_t nsp__sampler_copied_class(nsp__producer *producer, nsp_name name);

// Reads the highest rate that the policy in force gives to any class: that of the least threshold. Returns the
// policy's generation; 0 if the policy is just being changed, or the session has ended. Changes nothing.
uint32_t nsp__sampler_least(const nsp__producer *producer, uint64_t *threshold, double *inverse_log);

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

// The class of a root with this name, which has its skip. With the producer busy.
static inline uint32_t nsp__sampler_settled_class(nsp__producer *producer, nsp_name name)
{
    const uint32_t name_class = nsp__sampler_class(producer, name);
    return NSP__LIKELY(producer->thresholds[name_class] < NSP__THRESHOLD_RULED)
               ? name_class
               : nsp__sampler_copied_class(producer, name);
}

// True if the whole text matches a shell pattern of * ? and [...]. Linear in practice, bounded by
// pattern x text, no allocation.
bool nsp__pattern_match(const char *pattern, const char *text, size_t length);

#endif

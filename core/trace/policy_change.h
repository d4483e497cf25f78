// SPDX-License-Identifier: Apache-2.0
//
// How a policy of the sampler is changed: the same in the engine and in another process, which has the session mapped.
// The policy in force is copied into a draft, changed there, and written where the one before it lay. What happens
// after that, the publication, is up to the caller. Nothing here takes a lock: there is one writer at a time.
#ifndef NSP_TRACE_POLICY_CHANGE_H
#define NSP_TRACE_POLICY_CHANGE_H

#include <nanospan/outlier.h>

#include "shm/control.h"

// Where a session's policies lie.
typedef struct nsp__policy_place {
    uint32_t *generation;
    nsp__policy *policies; // two, as many as tunings and outliers
    nsp__tuning *tunings;
    nsp__outliers *outliers;
} nsp__policy_place;

// Those of this process's session.
static inline nsp__policy_place nsp__policy_place_of(nsp__control *control)
{
    return (nsp__policy_place){&control->policy_generation, control->policies, control->tunings,
                               control->outliers};
}

typedef enum nsp__policy_change_kind {
    NSP__CHANGE_RATE,
    NSP__CHANGE_RULE,
    NSP__CHANGE_REMOVE_RULE,
    NSP__CHANGE_PARENT_POLICY,
    NSP__CHANGE_LIMIT,
    NSP__CHANGE_OUTLIER_RULE,
    NSP__CHANGE_REMOVE_OUTLIER_RULE,
    NSP__CHANGE_OUTLIER_RULES, // all of them at once
    NSP__CHANGE_NONE           // is refused
} nsp__policy_change_kind;

typedef struct nsp__policy_change {
    nsp__policy_change_kind kind;
    const char *pattern; // of a rule
    double rate;
    nsp_parent_policy parent_policy;
    double limit;                    // traces a second; 0: none
    const nsp_outlier_rule *outlier; // of any size
    const char *outliers;            // rules as a text, or NULL
} nsp__policy_change;

// A state of the sampler that is being made.
typedef struct nsp__policy_draft {
    nsp__policy policy;
    nsp__tuning tuning; // without the logarithms and the thresholds in force
    nsp__outliers outliers;
} nsp__policy_draft;

// NSP_ERR_INVALID, with a detail, if no policy can be changed in this way.
nsp_status nsp__policy_change_check(const nsp__policy_change *change);

// A draft of a session's first policy: one rate for all roots, and a limit (0: none), without outlier rules. source: who
// has set the two.
void nsp__policy_begin(nsp__policy_draft *draft, double rate, double limit, nsp_parent_policy parent_policy,
                       uint32_t source);

// Changes the draft. source: who does that, nsp_sampler_source. NSP_ERR_FULL, NSP_ERR_NOT_FOUND, with a detail: the
// draft is not to be written then.
nsp_status nsp__policy_change_apply(const nsp__policy_change *change, nsp__policy_draft *draft,
                                    uint32_t source);

// Another factor, which the limiter has chosen: no change that somebody has made. Otherwise as above.
void nsp__policy_factor_set(nsp__policy_draft *draft, double factor);

// Copies the policy of this generation, without the classes. False if it is torn, or was never written.
// Without the writers' lock it may be overwritten meanwhile; then the generation in force is another one afterwards.
bool nsp__policy_copy(nsp__policy_draft *draft, const nsp__policy_place *place, uint32_t generation);

// True if the limit and the factor can be what they are. No checksum covers them.
bool nsp__tuning_valid(const nsp__tuning *tuning);

// The checksum of the policy's thresholds, rules and patterns. Its `checksum` is equal to it if it is whole.
uint64_t nsp__sampler_checksum(const nsp__policy *policy);

// The generation after this one.
uint32_t nsp__policy_next(uint32_t generation);

// The class of a name, by both kinds of rules.
uint8_t nsp__policy_class(const nsp__policy *policy, const nsp__outliers *outliers, const char *text,
                          size_t length);

// Copies the classes of names from a policy that has the same rules. A name that comes at this moment may be missing;
// it has its class once the policy was followed up.
void nsp__policy_classes_copy(nsp__policy *to, const nsp__policy *from);

// Writes the draft, which has all classes, to where the policy of this generation lies. That is not yet in force.
void nsp__policy_write(const nsp__policy_place *place, uint32_t generation, nsp__policy_draft *draft);

// Writes the thresholds, rules and patterns alone; and what lies beside a policy.
void nsp__policy_store(nsp__policy *to, const nsp__policy *from);
void nsp__tuning_store(nsp__tuning *to, const nsp__tuning *from);

// Gives a name its class in the policy in force, and repeats that until the policy is still the same afterwards. Any
// thread of any process may do so at any time. To be called after the name is where other processes find it (N6).
void nsp__policy_classify(const nsp__policy_place *place, nsp_name name, const char *text, size_t length);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "trace/policy_change.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/random.h"
#include "base/testpoint.h"
#include "base/words.h"
#include "common/fnv.h"
#include "common/time.h"
#include "context/threshold.h"
#include "trace/outlier_rules.h"
#include "trace/outlier_text.h"
#include "trace/sampler.h"

// ---- what is to be changed ----

static nsp_status rate_check(double rate)
{
    if (rate >= 0.0 && rate <= 1.0) // false for NaN
        return NSP_OK;
    return nsp__fail(NSP_ERR_INVALID, "the sample rate must be 0 to 1, not %g", rate);
}

static nsp_status rule_check(const char *pattern, double rate)
{
    size_t length = pattern != NULL ? strlen(pattern) : 0;
    if (length == 0 || length > NSP_SAMPLER_PATTERN_MAX)
        return nsp__fail(NSP_ERR_INVALID, "a pattern must have 1 to %d bytes; this one has %zu",
                         NSP_SAMPLER_PATTERN_MAX, length);
    return rate_check(rate);
}

static bool limit_valid(double limit)
{
    return limit == 0 || (limit >= NSP_SAMPLER_LIMIT_MIN && limit <= NSP_SAMPLER_LIMIT_MAX); // false for NaN
}

static nsp_status limit_check(double limit)
{
    if (limit_valid(limit))
        return NSP_OK;
    return nsp__fail(NSP_ERR_INVALID, "the limit must be %g to %g traces a second, or 0 for none, not %g",
                     NSP_SAMPLER_LIMIT_MIN, NSP_SAMPLER_LIMIT_MAX, limit);
}

static nsp_status outlier_rules_check(const char *text)
{
    char problem[320];
    return nsp__outlier_text_valid(text, problem, sizeof problem) ? NSP_OK
                                                                  : nsp__fail(NSP_ERR_INVALID, "%s", problem);
}

nsp_status nsp__policy_change_check(const nsp__policy_change *change)
{
    nsp_outlier_rule unused;
    switch (change->kind) {
    case NSP__CHANGE_RATE: return rate_check(change->rate);
    case NSP__CHANGE_RULE: return rule_check(change->pattern, change->rate);
    case NSP__CHANGE_REMOVE_RULE:
    case NSP__CHANGE_REMOVE_OUTLIER_RULE:
        return change->pattern != NULL ? NSP_OK : nsp__fail(NSP_ERR_INVALID, "the pattern is NULL");
    case NSP__CHANGE_PARENT_POLICY:
        if (change->parent_policy == NSP_PARENT_FOLLOW || change->parent_policy == NSP_PARENT_DECIDE)
            return NSP_OK;
        return nsp__fail(NSP_ERR_INVALID,
                         "the parent policy must be NSP_PARENT_FOLLOW or NSP_PARENT_DECIDE, not %d",
                         (int)change->parent_policy);
    case NSP__CHANGE_LIMIT: return limit_check(change->limit);
    case NSP__CHANGE_OUTLIER_RULE: return nsp__outlier_check(change->pattern, change->outlier, &unused);
    case NSP__CHANGE_OUTLIER_RULES: return outlier_rules_check(change->outliers);
    case NSP__CHANGE_NONE: break;
    }
    return nsp__fail(NSP_ERR_INVALID, "there is no such change of the sampler");
}

static uint32_t rule_find(const nsp__policy *policy, const char *pattern)
{
    for (uint32_t i = 1; i <= policy->rules; i++)
        if (strcmp(policy->patterns[i], pattern) == 0)
            return i;
    return 0;
}

static void rate_set(nsp__policy_draft *draft, uint32_t name_class, double rate, uint32_t source)
{
    draft->policy.thresholds[name_class] = nsp__threshold_from_rate(rate);
    draft->tuning.sources[name_class] = (uint8_t)source;
}

// Who makes the change.
static void sign(nsp__tuning *tuning, uint32_t source)
{
    tuning->source = source;
    tuning->pid = (uint32_t)getpid();
    tuning->unix_ns = nsp__clock_ns(CLOCK_REALTIME);
    memset(tuning->name, 0, sizeof tuning->name);
    strncpy(tuning->name, program_invocation_short_name, sizeof tuning->name - 1);
}

void nsp__policy_begin(nsp__policy_draft *draft, double rate, double limit, nsp_parent_policy parent_policy,
                       uint32_t source)
{
    memset(draft, 0, sizeof *draft);
    rate_set(draft, 0, rate, source);
    draft->policy.parent_policy = (uint32_t)parent_policy;
    draft->tuning.factor = 1;
    draft->tuning.limit = limit;
    draft->tuning.limit_source = source;
    nsp__outliers_find_classes(&draft->outliers, &draft->policy);
    sign(&draft->tuning, source);
}

static nsp_status rule_set(nsp__policy_draft *draft, const nsp__policy_change *change, uint32_t source)
{
    nsp__policy *policy = &draft->policy;
    uint32_t rule = rule_find(policy, change->pattern);
    if (rule == 0 && policy->rules == NSP_SAMPLER_RULES_MAX)
        return nsp__fail(NSP_ERR_FULL, "there are already %d rules, which is the limit",
                         NSP_SAMPLER_RULES_MAX);
    if (rule == 0) {
        rule = ++policy->rules;
        memset(policy->patterns[rule], 0, sizeof policy->patterns[rule]);
        memcpy(policy->patterns[rule], change->pattern, strlen(change->pattern));
    }
    rate_set(draft, rule, change->rate, source);
    return NSP_OK;
}

static nsp_status rule_remove(nsp__policy_draft *draft, const char *pattern)
{
    nsp__policy *policy = &draft->policy;
    uint32_t rule = rule_find(policy, pattern), after = policy->rules - rule;
    if (rule == 0)
        return nsp__fail(NSP_ERR_NOT_FOUND, "no rule has the pattern \"%s\"", pattern);
    memmove(&policy->patterns[rule], &policy->patterns[rule + 1], after * sizeof policy->patterns[0]);
    memmove(&policy->thresholds[rule], &policy->thresholds[rule + 1], after * sizeof policy->thresholds[0]);
    memmove(&draft->tuning.sources[rule], &draft->tuning.sources[rule + 1], after);
    memset(policy->patterns[policy->rules], 0, sizeof policy->patterns[0]);
    policy->rules--;
    return NSP_OK;
}

// The factor stays, so that a new limit takes hold from where the one before it was; whoever drains goes on from there.
static void limit_set(nsp__policy_draft *draft, double limit, uint32_t source)
{
    draft->tuning.limit = limit;
    draft->tuning.limit_source = source;
    if (limit == 0)
        draft->tuning.factor = 1;
}

static nsp_status outlier_set(nsp__policy_draft *draft, const nsp__policy_change *change, uint32_t source)
{
    nsp_outlier_rule rule;
    nsp_status status = nsp__outlier_check(change->pattern, change->outlier, &rule);
    return status == NSP_OK ? nsp__outlier_set(&draft->outliers, change->pattern, &rule, source) : status;
}

nsp_status nsp__policy_change_apply(const nsp__policy_change *change, nsp__policy_draft *draft,
                                    uint32_t source)
{
    nsp_status status = NSP_OK;
    switch (change->kind) {
    case NSP__CHANGE_RATE: rate_set(draft, 0, change->rate, source); break;
    case NSP__CHANGE_RULE: status = rule_set(draft, change, source); break;
    case NSP__CHANGE_REMOVE_RULE: status = rule_remove(draft, change->pattern); break;
    case NSP__CHANGE_PARENT_POLICY: draft->policy.parent_policy = (uint32_t)change->parent_policy; break;
    case NSP__CHANGE_LIMIT: limit_set(draft, change->limit, source); break;
    case NSP__CHANGE_OUTLIER_RULE: status = outlier_set(draft, change, source); break;
    case NSP__CHANGE_REMOVE_OUTLIER_RULE:
        status = nsp__outlier_remove(&draft->outliers, change->pattern);
        break;
    case NSP__CHANGE_OUTLIER_RULES:
        status = nsp__outliers_replace(&draft->outliers, change->outliers, source);
        break;
    case NSP__CHANGE_NONE: return NSP_ERR_INVALID; // was refused before
    }
    if (status == NSP_OK)
        status = nsp__outliers_find_classes(&draft->outliers, &draft->policy);
    sign(&draft->tuning, source);
    return status;
}

void nsp__policy_factor_set(nsp__policy_draft *draft, double factor)
{
    draft->tuning.factor = factor;
}

// ---- reading and writing ----

// The last byte is always zero.
static void pattern_copy(char to[NSP_SAMPLER_PATTERN_MAX + 1], const char from[NSP_SAMPLER_PATTERN_MAX + 1])
{
    nsp__words_copy(to, from, NSP_SAMPLER_PATTERN_MAX + 1);
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

bool nsp__tuning_valid(const nsp__tuning *tuning)
{
    return tuning->factor > 0 && tuning->factor <= 1 && limit_valid(tuning->limit);
}

bool nsp__policy_copy(nsp__policy_draft *draft, const nsp__policy_place *place, uint32_t generation)
{
    // Leaves out the classes, which are computed again, and which other threads may be writing.
    nsp__policy_store(&draft->policy, &place->policies[generation & 1]);
    nsp__tuning_store(&draft->tuning, &place->tunings[generation & 1]);
    nsp__outliers_store(&draft->outliers, &place->outliers[generation & 1]);
    // Whoever wrote it, its texts end. If they did not, the checksum is another one then.
    draft->tuning.name[NSP__TUNER_NAME - 1] = 0;
    for (uint32_t i = 0; i < NSP__CLASSES; i++)
        draft->policy.patterns[i][NSP_SAMPLER_PATTERN_MAX] = 0;
    return draft->policy.rules < NSP__CLASSES && nsp__tuning_valid(&draft->tuning) &&
           draft->policy.checksum == nsp__sampler_checksum(&draft->policy) &&
           nsp__outliers_valid(&draft->outliers, &draft->policy);
}

uint32_t nsp__policy_next(uint32_t generation)
{
    // Not 0, which means "no session"; the low bit still alternates.
    return generation + 1 != NSP__GENERATION_NONE ? generation + 1 : 1;
}

// All but the classes, which are not of interest to readers from outside.
void nsp__policy_store(nsp__policy *to, const nsp__policy *from)
{
    nsp__words_copy(to->thresholds, from->thresholds, sizeof to->thresholds);
    __atomic_store_n(&to->rules, __atomic_load_n(&from->rules, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
    __atomic_store_n(&to->parent_policy, __atomic_load_n(&from->parent_policy, __ATOMIC_RELAXED),
                     __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < NSP__CLASSES; i++)
        pattern_copy(to->patterns[i], from->patterns[i]);
    nsp__words_copy(&to->checksum, &from->checksum, sizeof to->checksum);
}

static uint64_t threshold_in_force(uint64_t threshold, double factor)
{
    return factor < 1 ? nsp__threshold_from_rate(nsp__threshold_rate(threshold) * factor) : threshold;
}

void nsp__tuning_store(nsp__tuning *to, const nsp__tuning *from)
{
    _Static_assert(sizeof(nsp__tuning) % 8 == 0, "whole words");
    nsp__words_copy(to, from, sizeof *to);
}

static void tuning_write(nsp__tuning *to, const nsp__policy_draft *from)
{
    const nsp__tuning *tuning = &from->tuning;
    double limit = tuning->limit, factor = tuning->factor;
    for (uint32_t i = 0; i <= from->policy.rules; i++) {
        uint64_t threshold = threshold_in_force(from->policy.thresholds[i], factor);
        double inverse_log = nsp__random_inverse_log(threshold);
        __atomic_store_n(&to->thresholds[i], threshold, __ATOMIC_RELAXED);
        __atomic_store(&to->inverse_logs[i], &inverse_log, __ATOMIC_RELAXED);
        __atomic_store_n(&to->sources[i], from->tuning.sources[i], __ATOMIC_RELAXED);
    }
    __atomic_store_n(&to->source, tuning->source, __ATOMIC_RELAXED);
    __atomic_store_n(&to->pid, tuning->pid, __ATOMIC_RELAXED);
    __atomic_store_n(&to->unix_ns, tuning->unix_ns, __ATOMIC_RELAXED);
    nsp__words_copy(to->name, tuning->name, sizeof to->name);
    __atomic_store(&to->limit, &limit, __ATOMIC_RELAXED);
    __atomic_store(&to->factor, &factor, __ATOMIC_RELAXED);
    __atomic_store_n(&to->limit_source, tuning->limit_source, __ATOMIC_RELAXED);
}

void nsp__policy_write(const nsp__policy_place *place, uint32_t generation, nsp__policy_draft *draft)
{
    nsp__policy *policy = &place->policies[generation & 1];
    // It lies where the previous policy lay. None of this may be seen before the generation of the policy in force.
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    draft->policy.checksum = nsp__sampler_checksum(&draft->policy);
    nsp__policy_store(policy, &draft->policy);
    NSP__TESTPOINT("policy: without its classes");
    for (uint32_t i = 0; i < NSP_NAME_MAX; i++)
        __atomic_store_n(&policy->classes[i], draft->policy.classes[i], __ATOMIC_RELAXED);
    tuning_write(&place->tunings[generation & 1], draft);
    NSP__TESTPOINT("policy: without its outlier rules");
    draft->outliers.checksum = nsp__outliers_checksum(&draft->outliers);
    nsp__outliers_store(&place->outliers[generation & 1], &draft->outliers);
    NSP__TESTPOINT("policy: before it is published");
}

// ---- classes ----

// The first rule that matches; 0: none does.
static uint32_t matching_rule(const nsp__policy *policy, const char *text, size_t length)
{
    uint32_t rules = __atomic_load_n(&policy->rules, __ATOMIC_RELAXED) & (NSP__CLASSES - 1);
    for (uint32_t i = 1; i <= rules; i++) {
        _Alignas(8) char pattern[NSP_SAMPLER_PATTERN_MAX + 1];
        pattern_copy(pattern, policy->patterns[i]);
        pattern[NSP_SAMPLER_PATTERN_MAX] = 0; // whoever wrote it
        if (nsp__pattern_match(pattern, text, length))
            return i;
    }
    return 0;
}

uint8_t nsp__policy_class(const nsp__policy *policy, const nsp__outliers *outliers, const char *text,
                          size_t length)
{
    return nsp__outliers_class(outliers, matching_rule(policy, text, length), text, length);
}

void nsp__policy_classes_copy(nsp__policy *to, const nsp__policy *from)
{
    for (uint32_t i = 0; i < NSP_NAME_MAX; i++)
        to->classes[i] = __atomic_load_n(&from->classes[i], __ATOMIC_RELAXED);
}

// Names may be added between the making of a policy and its publication. So whoever publishes a policy replays the
// names afterwards: each name that others can find by then is classified again, and whoever was still adding one finds
// the new generation here, since both write, then read, in one order for all. A class that was written by the rules of
// a policy no longer in force, perhaps into the place of the next policy but one, is written again. That repeats only
// if yet another policy was published meanwhile, and so more than TRIES times only if somebody means harm.
void nsp__policy_classify(const nsp__policy_place *place, nsp_name name, const char *text, size_t length)
{
    enum { TRIES = 1000 };
    int tries = 0;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);                                          // N6: at N7
    uint32_t generation, seen = __atomic_load_n(place->generation, __ATOMIC_SEQ_CST); // N3: at N2
    do {
        generation = seen;
        if (generation == 0)
            return;
        nsp__policy *policy = &place->policies[generation & 1];
        uint8_t its = nsp__policy_class(policy, &place->outliers[generation & 1], text, length);
        // Not written without need, since roots read the line.
        if (__atomic_load_n(&policy->classes[name], __ATOMIC_RELAXED) != its)
            __atomic_store_n(&policy->classes[name], its, __ATOMIC_RELAXED);
        NSP__TESTPOINT("policy: a name has its class");
        __atomic_thread_fence(
            __ATOMIC_SEQ_CST); // the class is written before the generation is looked at again
        seen = __atomic_load_n(place->generation, __ATOMIC_SEQ_CST); // N3: at N2
    } while (seen != generation && ++tries < TRIES);
}

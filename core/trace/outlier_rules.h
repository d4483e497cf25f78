// SPDX-License-Identifier: Apache-2.0
//
// Outlier rules: which rule a class of names has, how rules are changed, and which classes they make together with the
// sampler's rules.
#ifndef NSP_TRACE_OUTLIER_RULES_H
#define NSP_TRACE_OUTLIER_RULES_H

#include <nanospan/outlier.h>
#include <stdbool.h>

#include "shm/control.h"

// What the outlier rule of a class says, as a thread copies it.
typedef struct nsp__outlier_class {
    uint32_t rule;       // its number, from 1; 0: the class has no outlier rule, and all else is 0
    uint32_t conditions; // NSP__OUTLIER_...
    uint64_t slower_ns;  // with NSP__OUTLIER_SLOWER
    double limit;        // traces a second; 0: no limit
    uint64_t history_ns; // 0: without history
    uint64_t identity;   // of the pattern and the limit; never 0
} nsp__outlier_class;

// The state of this generation.
static inline const nsp__outliers *nsp__outliers_of(const nsp__control *control, uint32_t generation)
{
    return &control->outliers[generation & 1];
}

// The number of outlier rules in that state.
static inline uint32_t nsp__outliers_count(const nsp__outliers *outliers)
{
    return __atomic_load_n(&outliers->rules, __ATOMIC_RELAXED) & (NSP__CLASSES - 1);
}

// The number of classes.
static inline uint32_t nsp__outliers_class_count(const nsp__outliers *outliers)
{
    const uint32_t count = __atomic_load_n(&outliers->class_count, __ATOMIC_RELAXED);
    return count < NSP__CLASSES ? count : NSP__CLASSES;
}

// The sampler's rule of a class. A class that the state does not have counts as class 0 here and in all that follows,
// since whoever adds a name may have been overtaken by a change. Without outlier rules the two are the same.
static inline uint32_t nsp__outliers_rate_rule(const nsp__outliers *outliers, uint32_t name_class)
{
    if (nsp__outliers_count(outliers) == 0)
        return name_class;
    const uint32_t i = name_class < nsp__outliers_class_count(outliers) ? name_class : 0;
    return __atomic_load_n(&outliers->rate_rules[i], __ATOMIC_RELAXED);
}

// Reads the outlier rule of a class. Like the policy, what was read is right if the generation is still the same
// afterwards (sampler.c).
void nsp__outliers_copy_class(const nsp__outliers *outliers, uint32_t name_class, nsp__outlier_class *out);

// The class of a name, which has this rule of the sampler.
uint8_t nsp__outliers_class(const nsp__outliers *outliers, uint32_t rate_rule, const char *text,
                            size_t length);

// ---- changing them: by the writer alone, in a draft ----

// Reads a rule of a public call, of any size. NSP_ERR_INVALID, with a detail: it or its pattern cannot be a rule.
nsp_status nsp__outlier_check(const char *pattern, const nsp_outlier_rule *given, nsp_outlier_rule *out);

// The rule has been checked. NSP_ERR_FULL, NSP_ERR_NOT_FOUND, with a detail.
nsp_status nsp__outlier_set(nsp__outliers *outliers, const char *pattern, const nsp_outlier_rule *rule,
                            uint32_t source);
nsp_status nsp__outlier_remove(nsp__outliers *outliers, const char *pattern);

// Puts the rules of a text that is valid, or NULL, in the place of all others.
nsp_status nsp__outliers_replace(nsp__outliers *outliers, const char *text, uint32_t source);

// Finds the classes that these rules make with those of the policy. NSP_ERR_FULL, with a detail: there are too many.
nsp_status nsp__outliers_find_classes(nsp__outliers *outliers, const nsp__policy *policy);

// What a rule says, in the public form.
nsp_outlier_rule nsp__outlier_of(const nsp__outlier *rule);

// ---- reading and writing ----

// Equal to the member of this name if they are whole.
uint64_t nsp__outliers_checksum(const nsp__outliers *outliers);

// Copies what is in use.
void nsp__outliers_store(nsp__outliers *to, const nsp__outliers *from);

// True for a private copy that is whole, and has rules that can be beside this policy's. Ends all texts.
bool nsp__outliers_valid(nsp__outliers *outliers, const nsp__policy *policy);

#endif

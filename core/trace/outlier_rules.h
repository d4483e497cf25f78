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

// Reads the outlier rule of a class. Like the policy, what was read is right if the generation is still the same
// afterwards (sampler.c). A class that the state does not have is read as class 0.
void nsp__outliers_copy_class(const nsp__outliers *outliers, uint32_t name_class, nsp__outlier_class *out);

#endif

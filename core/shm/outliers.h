// SPDX-License-Identifier: Apache-2.0
//
// The rules that say which unsampled traces are kept all the same, and the classes that names fall into by them and by
// the sampler's rules. There are two states, as of the sampler (control.h), and one generation says of both which is in
// force.
//
// A name has the first of the sampler's rules that matches it, and the first outlier rule that matches it. Each pair of
// the two that can occur is a class. Where there are no outlier rules, a class is the sampler's rule of that number.
#ifndef NSP_SHM_OUTLIERS_H
#define NSP_SHM_OUTLIERS_H

#include <nanospan/sampler.h>

enum { NSP__CLASSES = 64 };

// What a rule looks at, as bits. A rule has at least one of them.
enum {
    NSP__OUTLIER_SLOWER = 1,  // keeps roots that take slower_ns and more
    NSP__OUTLIER_SLOWEST = 2, // keeps the slowest share of the roots
    NSP__OUTLIER_ERRORS = 4,  // keeps traces in which a span has the status ERROR
    NSP__OUTLIER_ASKED = 8,   // keeps traces for which the program asks (nsp_trace_keep)
    NSP__OUTLIER_MEASURE =
        16 // keeps nothing. Every rule measures the durations of its roots; this one needs no more
};
#define NSP__OUTLIER_KEEPS                                                                                   \
    ((uint32_t)(NSP__OUTLIER_SLOWER | NSP__OUTLIER_SLOWEST | NSP__OUTLIER_ERRORS | NSP__OUTLIER_ASKED))

typedef struct nsp__outlier {
    uint32_t conditions;
    uint32_t source;     // who has set it, an nsp_sampler_source
    uint64_t slower_ns;  // with SLOWER; otherwise 0
    double slowest;      // with SLOWEST: more than 0, at most 1; otherwise 0
    double limit;        // traces a second that the rule keeps at most; 0: no limit
    uint64_t history_ns; // how long what is not kept stays at least of interest; 0: it does not stay
    uint64_t reserved;
    char pattern[NSP_SAMPLER_PATTERN_MAX + 1] __attribute__((aligned(8)));
} nsp__outlier;

// Written by whoever changes the policy, before its generation is published (N2); constant while that is in force.
typedef struct nsp__outliers {
    uint32_t rules;       // 1 to rules are in use, in the order in which they are tried; 0: nothing is kept
    uint32_t class_count; // of the policy in force; from 1 to NSP__CLASSES
    // By class: the sampler's rule, 0 for the default rate; and the outlier rule, 0 for none. Class 0 is that of a name
    // which only "*" matches, or nothing.
    uint8_t rate_rules[NSP__CLASSES];
    uint8_t outlier_rules[NSP__CLASSES];
    nsp__outlier rule[NSP__CLASSES]; // [0] is not used
    uint64_t checksum;               // of all of the above
} nsp__outliers;

#endif

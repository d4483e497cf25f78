// SPDX-License-Identifier: Apache-2.0
//
// The sample rate, which can be changed while the program runs. A change takes effect at the next root of
// every thread. No call uses more than 4 KiB of stack. The functions that change something are thread safe,
// take a lock and are not signal safe, so they do not belong on a hot path. They wait at most about 1 s for
// other threads and processes that change something, then return NSP_ERR_TIMEOUT, and nothing has changed.
// Without a session they return NSP_ERR_NOT_INITIALISED.
#ifndef NANOSPAN_SAMPLER_H
#define NANOSPAN_SAMPLER_H

#include <nanospan/base.h>

// How a span with a remote parent is sampled. FOLLOW: the parent's sampled flag decides. DECIDE: the trace's
// randomness is compared with this process's threshold, which still gives the same decision for a trace
// everywhere. A parent that leaves the decision to this process (NSP_TRACE_FLAG_DEFERRED) is always treated
// in this second way. NSP_TRACE_FLAG_DEBUG overrides both.
typedef enum nsp_parent_policy { NSP_PARENT_FOLLOW = 0, NSP_PARENT_DECIDE = 1 } nsp_parent_policy;

enum {
    NSP_SAMPLER_RULES_MAX = 63,  // largest number of rules, in addition to the default rate
    NSP_SAMPLER_PATTERN_MAX = 95 // longest pattern in bytes
};

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Sets the rate of roots that match no rule, 0 to 1. It is quantised to a threshold of four significant
// hexadecimal digits, so a rate below 2^-56 counts as 0. NSP_ERR_INVALID for NaN, a negative rate or one
// above 1; nothing changes then.
NSP_API nsp_status nsp_sampler_set_rate(double rate);

// Sets the rate, 0 to 1, of local roots whose whole name matches a shell pattern (* ? [...]). If several
// patterns match, the one that was set first wins. Setting a pattern again changes its rate and keeps its
// place. NSP_ERR_FULL for more than NSP_SAMPLER_RULES_MAX rules; NSP_ERR_INVALID for a bad rate and for a
// pattern that is empty or too long.
NSP_API nsp_status nsp_sampler_set_rule(const char *pattern, double rate);

// Removes the rule with exactly this pattern. NSP_ERR_NOT_FOUND if there is none.
NSP_API nsp_status nsp_sampler_remove_rule(const char *pattern);

// Changes how spans with a remote parent are sampled. NSP_ERR_INVALID for any other value.
NSP_API nsp_status nsp_sampler_set_parent_policy(nsp_parent_policy policy);

// Returns the default rate that is in force, after quantisation.
NSP_API double nsp_sampler_rate(void);

#endif
NSP_END_DECLS
#endif

// SPDX-License-Identifier: Apache-2.0
//
// The live sample rate. Every call takes effect at the next root of every thread.
// No call takes more than 4 KiB of stack. The calls that change something wait at most about 1 s for other threads and
// processes that do the same, then return NSP_ERR_TIMEOUT, and nothing has changed. They return NSP_ERR_NOT_INITIALISED
// without a session.
#ifndef NANOSPAN_SAMPLER_H
#define NANOSPAN_SAMPLER_H

#include <nanospan/base.h>

// What a span with a remote parent does. FOLLOW: the parent's sampled flag decides. DECIDE: the trace's own randomness is
// compared with this process's threshold, so that one trace is still decided alike everywhere; a parent that leaves the
// decision to this process (NSP_TRACE_FLAG_DEFERRED) is treated so in any case. NSP_TRACE_FLAG_DEBUG beats both.
typedef enum nsp_parent_policy { NSP_PARENT_FOLLOW = 0, NSP_PARENT_DECIDE = 1 } nsp_parent_policy;

enum {
    NSP_SAMPLER_RULES_MAX = 63,  // rules beside the default
    NSP_SAMPLER_PATTERN_MAX = 95 // bytes of a pattern
};

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Sets the rate of roots that match no rule, 0 to 1. It is quantised to a threshold of four significant hexadecimal
// digits, so a rate under 2^-56 counts as 0. NaN, negative and over 1: NSP_ERR_INVALID, nothing changes.
// Thread safe; takes a lock; not for a hot path, not signal safe.
NSP_API nsp_status nsp_sampler_set_rate(double rate);

// Sets the rate of local roots whose name matches the pattern: a shell pattern (* ? [...]) on the whole name.
// Where several match, the one set first wins; setting a pattern again changes its rate in place. NSP_ERR_FULL over
// NSP_SAMPLER_RULES_MAX rules, NSP_ERR_INVALID for a bad rate, an empty or a too long pattern.
NSP_API nsp_status nsp_sampler_set_rule(const char *pattern, double rate);

// Removes a rule by its exact pattern; NSP_ERR_NOT_FOUND if there is none.
NSP_API nsp_status nsp_sampler_remove_rule(const char *pattern);

// Changes what remote parents mean, live.
NSP_API nsp_status nsp_sampler_set_parent_policy(nsp_parent_policy policy);

// The default rate in force, after quantisation.
NSP_API double nsp_sampler_rate(void);

#endif
NSP_END_DECLS
#endif

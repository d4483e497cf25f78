// SPDX-License-Identifier: Apache-2.0
//
// The sample rate and its limit, which can be changed while the program runs. A change takes effect at the next root of
// every thread. No call uses more than 4 KiB of stack. The functions that change something are thread safe,
// take a lock and are not signal safe, so they do not belong on a hot path. They wait at most 100 ms for
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

// Who has set something of the sampler, as nsp_session says it. What was set last is in force.
typedef enum nsp_sampler_source {
    NSP_SAMPLER_UNKNOWN = 0,     // the session does not say it
    NSP_SAMPLER_DEFAULT = 1,     // nobody: it is the default
    NSP_SAMPLER_ENVIRONMENT = 2, // the environment in which the engine began
    NSP_SAMPLER_CODE = 3,        // the engine: nsp_config, or a call of this header
    NSP_SAMPLER_TUNE = 4         // another process, by <nanospan/tune.h>
} nsp_sampler_source;

enum {
    NSP_SAMPLER_RULES_MAX = 63,  // largest number of rules, in addition to the default rate
    NSP_SAMPLER_PATTERN_MAX = 95 // longest pattern in bytes
};

// The least and the greatest limit, in traces a second.
#define NSP_SAMPLER_LIMIT_MIN 0.001
#define NSP_SAMPLER_LIMIT_MAX 1e9

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

// Limits how many traces a second this process begins; 0: no limit, which is the default. While there would be more,
// whoever drains lowers the probabilities of all roots by one common factor, and raises it again as soon as there are
// fewer: no trace is preferred because it came first, and each carries the probability it had, so that counts that are
// made from traces stay right. The limit is kept on average, from about 100 ms after the load has changed; what is
// recorded until then may be more.
//
// Traces of remote parents are limited only if this process decides on them (NSP_PARENT_DECIDE, or
// NSP_TRACE_FLAG_DEFERRED); those that follow their parent's decision are not, and do not count. Rates that are set
// later are subject to the limit at once. If nobody drains, the factor stays what it is. NSP_ERR_INVALID for NaN, and
// for anything but 0 and NSP_SAMPLER_LIMIT_MIN to NSP_SAMPLER_LIMIT_MAX; nothing changes then.
NSP_API nsp_status nsp_sampler_set_limit(double traces_per_second);

// Returns the default rate as it was set, after quantisation. A limit may lower what is in force.
NSP_API double nsp_sampler_rate(void);

#endif
NSP_END_DECLS
#endif

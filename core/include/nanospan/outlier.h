// SPDX-License-Identifier: Apache-2.0
//
// Outliers: which traces that head sampling leaves out are kept all the same, decided when they end. A rule names local
// roots by a shell pattern, and says what makes one of their traces worth keeping. docs/outliers.md says how to choose.
//
// The rules can be changed while the program runs, in the way of <nanospan/sampler.h>: a change takes effect at the
// next root of every thread, and what is true there of locks, waiting, stack and signals is true here.
#ifndef NANOSPAN_OUTLIER_H
#define NANOSPAN_OUTLIER_H

#include <nanospan/base.h>
#include <nanospan/sampler.h>

// What a rule keeps: traces that meet any of its conditions, and no more of them than its limit. It has at least one
// condition. Whatever they are, the durations of its roots are measured.
typedef struct nsp_outlier_rule {
    size_t size;        // sizeof(nsp_outlier_rule); 0 counts as this
    uint64_t slower_ns; // local roots that take so long, or longer; 0: not a condition
    double slowest; // the slowest share of the roots, such as 0.001 for one in a thousand; 0: not a condition
    bool errors;    // traces in which a span of this process has the status NSP_STATUS_ERROR
    bool asked;     // traces for which the program calls nsp_trace_keep
    bool measure;   // keeps nothing, for a rule that only measures
    double limit;   // the most traces a second that the rule keeps, on average over a second; 0: no limit
    // Traces that were not kept stay in the thread's buffer until they are overwritten. One that is kept keeps those
    // that ended on its thread in this time before it, as far as the buffer reaches. 0: nothing stays.
    uint64_t history_ns;
} nsp_outlier_rule;

#ifdef __cplusplus
static inline nsp_outlier_rule nsp__outlier_rule_sized()
{
    nsp_outlier_rule rule = nsp_outlier_rule();
    rule.size = sizeof rule;
    return rule;
}
#define NSP_OUTLIER_RULE_INIT nsp__outlier_rule_sized()
#else
#define NSP_OUTLIER_RULE_INIT                                                                                \
    {                                                                                                        \
        .size = sizeof(nsp_outlier_rule)                                                                     \
    }
#endif

enum {
    NSP_OUTLIER_RULES_MAX =
        63, // largest number of rules; patterns have NSP_SAMPLER_PATTERN_MAX bytes at most
    NSP_OUTLIER_RULE_TEXT_MAX = 256 // bytes that nsp_outlier_rule_text needs at most, with the zero
};

// The longest slower_ns, a day, and history_ns, a minute; the least share; and the least and the greatest limit.
#define NSP_OUTLIER_SLOWER_MAX UINT64_C(86400000000000)
#define NSP_OUTLIER_HISTORY_MAX UINT64_C(60000000000)
#define NSP_OUTLIER_SLOWEST_MIN 1e-9
#define NSP_OUTLIER_LIMIT_MIN NSP_SAMPLER_LIMIT_MIN
#define NSP_OUTLIER_LIMIT_MAX NSP_SAMPLER_LIMIT_MAX

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Sets the rule of local roots whose whole name matches a shell pattern (* ? [...]). If several patterns match, the one
// that was set first wins. Setting a pattern again changes its rule and keeps its place. NSP_ERR_INVALID for a pattern
// that is empty, NULL or too long, and for a rule that is NULL, or without a condition, or with a number that is out of
// range. NSP_ERR_FULL for more than NSP_OUTLIER_RULES_MAX rules, and if these rules and those of the sampler together
// would make more than 64 classes of names: there is one for each rate rule and outlier rule that may match the same
// name. After an error the rules are what they were.
NSP_API nsp_status nsp_outlier_set_rule(const char *pattern, const nsp_outlier_rule *rule);

// Removes the rule with exactly this pattern. NSP_ERR_NOT_FOUND if there is none.
NSP_API nsp_status nsp_outlier_remove_rule(const char *pattern);

// Puts these rules in the place of all others, by one change. The text is that of NSP_OUTLIERS, for example
// "order*: slower=50us, errors; *: slowest=0.1%, limit=20/s": rules are separated by semicolons, a pattern ends at the
// first ": ", conditions are separated by commas. NULL or "": no rules. NSP_ERR_INVALID for a text that cannot be read;
// nsp_error_detail says what is wrong, and at which character. NSP_ERR_FULL as above.
NSP_API nsp_status nsp_outlier_set_rules(const char *text);

// Reads the rules of such a text one by one, without setting them: the rule that begins at *at, which is 0 for the
// first one, and moves *at behind it. out->size has to be set, as NSP_OUTLIER_RULE_INIT does. NSP_ERR_NOT_FOUND: there
// is no further rule. NSP_ERR_INVALID: it cannot be read, as above, or an argument is NULL. That a pattern is there
// twice, or that there are too many rules, is not noticed here. Needs no session.
NSP_API nsp_status nsp_outlier_rule_read(const char *text, size_t *at,
                                         char pattern[NSP_SAMPLER_PATTERN_MAX + 1], nsp_outlier_rule *out);

// Writes a rule's conditions in the form of that text, such as "slower=50us, errors", zero terminated and cut at `size`
// bytes. They read back as the same rule. Returns their length. Needs no session.
NSP_API size_t nsp_outlier_rule_text(const nsp_outlier_rule *rule, char *text, size_t size);

// Keeps the trace of the current span, if it is one of which a rule decides at its end: one that a rule with a condition
// other than `measure` concerns. Such a rule need not have the condition `asked`, which only says that the traces of these
// roots are to be recorded for this function's sake. Returns true if the trace will be kept, unless the rule's limit is
// reached; false, without an effect, for every other trace. Signal safe; never waits.
NSP_API bool nsp_trace_keep(void);

// The library calls this function itself, for each trace that is kept because it was slow (`slower`, `slowest`), those
// included that the head sampled too, and it does nothing. It is a place for breakpoints, uprobes, bpftrace and
// magic-trace, and there is a USDT probe nanospan:outlier_kept with the same arguments in it, if <sys/sdt.h> was there
// when the library was built. It runs on the thread on which the root has ended, within that call, after the trace was
// published: what is stopped there has just lived through it. The name of the root is zero terminated and lives as long
// as the process. nanospan is at work on the thread meanwhile, so nothing that is put in its place may call nanospan.
NSP_API void nsp_outlier_kept(const char *name, uint64_t duration_ns);

// Exports what all threads did in the last before_ns nanoseconds and did not keep, as far as rules have `history` and the
// buffers reach: whole traces whose local roots ended since then, which get nanospan.kept = "snapshot". 0: all there is. A
// trace that is open is not exported, nor one that was already, by an earlier snapshot or with an outlier. Waits for
// nothing: whoever drains does it in its next passes, the agent for an engine that is drained from outside; nsp_flush and
// nsp_shutdown wait for it. Several requests until the next pass are one, for the longest of these times. Threads go on, and may overwrite the oldest of it meanwhile
// (nsp_stats.snapshot_overtaken). NSP_ERR_NOT_INITIALISED: there is no session. Thread safe, signal safe; never waits.
NSP_API nsp_status nsp_snapshot(uint64_t before_ns);

#endif
NSP_END_DECLS
#endif

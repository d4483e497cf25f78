// SPDX-License-Identifier: Apache-2.0
//
// The sampler of a running engine, in another process's hands. The engine does nothing for it: its threads obey at
// their next roots, as after the calls of <nanospan/sampler.h> in the engine itself. Only the session's owner may do
// this. `nanospan tune` uses it.
//
// What is changed at once is whole or not at all: if this process is killed in the middle, the policy of before is in
// force or, at the latest when the engine's spans are drained again, the new one, on all threads. A session that is
// damaged, or whose files shrink while they are mapped, is given up; for that, the first call of a process installs a
// handler of SIGBUS, which passes on what does not concern it.
//
// The session keeps who has changed it last: the process id, and the first 31 bytes of program_invocation_short_name.
//
// Nothing here needs nsp_init, and nothing here belongs on a hot path: the calls allocate, make system calls, and use
// up to 32 KiB of stack. None is signal safe. One thread at a time may be in a call of this header, whatever its
// nsp_tune.
#ifndef NANOSPAN_TUNE_H
#define NANOSPAN_TUNE_H

#include <nanospan/base.h>
#include <nanospan/outlier.h>
#include <nanospan/sampler.h>

// The session of an engine, opened to be tuned.
typedef struct nsp_tune nsp_tune;

typedef enum nsp_tune_kind {
    NSP_TUNE_RATE = 0,          // `value`: the rate of roots that match no rule, 0 to 1
    NSP_TUNE_RULE = 1,          // `pattern`, and in `value` the rate of roots whose name matches it, 0 to 1
    NSP_TUNE_REMOVE_RULE = 2,   // the rule with exactly this `pattern`
    NSP_TUNE_PARENT_POLICY = 3, // `parent_policy`
    NSP_TUNE_LIMIT = 4,         // `value`: traces a second, as in nsp_sampler_set_limit; 0: no limit
    NSP_TUNE_OUTLIER_RULE = 5,  // `pattern` and `outlier`: as in nsp_outlier_set_rule
    NSP_TUNE_REMOVE_OUTLIER_RULE = 6 // the outlier rule with exactly this `pattern`
} nsp_tune_kind;

// One change: what the call of nearly the same name does in the engine (<nanospan/sampler.h>, <nanospan/outlier.h>). Members that the kind
// does not need are not looked at.
typedef struct nsp_tune_change {
    nsp_tune_kind kind;
    nsp_parent_policy parent_policy;
    const char *pattern; // zero terminated; the caller's, until the call returns
    double value;
    const nsp_outlier_rule *outlier; // the caller's, until the call returns
} nsp_tune_change;

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Opens the session in this directory (nsp_session.directory) and writes a handle to *out, which the caller closes. If
// it fails, *out is NULL and `problem`, if it is not NULL and has `size` bytes, says why, as the end of a sentence.
// NSP_ERR_INVALID: out or directory is NULL, or the path is too long. NSP_ERR_NOT_FOUND: there is no such
// session. NSP_ERR_BUSY: its engine is just starting. NSP_ERR_NOT_INITIALISED: its engine has ended or died.
// NSP_ERR_UNSUPPORTED: it belongs to another version of nanospan, which can tune it. NSP_ERR_SYSTEM: it is
// another user's, or cannot be opened. NSP_ERR_DAMAGED. NSP_ERR_NO_MEMORY.
NSP_API nsp_status nsp_tune_open(nsp_tune **out, const char *directory, char *problem, size_t size);

// Makes `count` changes, one after the other, as a single one: a root is decided by all of them, or by none.
// NSP_ERR_INVALID: tune or changes is NULL, count is 0, or a change is none: a rate is not 0 to 1, a limit
// not one of nsp_sampler_set_limit, a pattern is empty,
// NULL, or longer than NSP_SAMPLER_PATTERN_MAX bytes, an outlier rule is none of nsp_outlier_set_rule, a kind or policy
// is unknown. NSP_ERR_NOT_FOUND: there is no rule to remove. NSP_ERR_FULL: there would be more than
// NSP_SAMPLER_RULES_MAX rules, or NSP_OUTLIER_RULES_MAX outlier rules, or both together would make too many classes of
// names. Of these errors, *failed is the index
// of the change that cannot be made. NSP_ERR_TIMEOUT: somebody else who changes the sampler has not finished within
// 100 ms. NSP_ERR_NOT_INITIALISED: the engine has ended. NSP_ERR_DAMAGED: the session is damaged. Where no change is to
// blame, *failed is `count`. Nothing has changed after an error, except that with NSP_ERR_DAMAGED nobody can tell.
// failed: NULL: not wanted.
NSP_API nsp_status nsp_tune_apply(nsp_tune *tune, const nsp_tune_change *changes, size_t count,
                                  size_t *failed);

// True if the engine has a name so far that a rule with this pattern would match. Names are those of spans
// and of attributes that its code has come to, so false says that no root can have had one, and that the
// pattern may be mistyped; true does not say that there was such a root. pattern: zero terminated, of any
// length; the caller's, and not kept. The names are read one by one until one matches, also those that have
// come since the session was opened; of an engine that has ended, those that it had. False too if tune or
// pattern is NULL, and for names that cannot be read, because the session is damaged or memory is short.
// Changes nothing, and leaves nsp_error_detail as it is.
NSP_API bool nsp_tune_matches(nsp_tune *tune, const char *pattern);

// Closes it; what was changed stays. NULL does nothing.
NSP_API void nsp_tune_close(nsp_tune *tune);

#endif
NSP_END_DECLS
#endif

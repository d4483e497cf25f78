// SPDX-License-Identifier: Apache-2.0
//
// What a change of the sampler's policy has changed, for people.
#ifndef NSP_TRACE_POLICY_TEXT_H
#define NSP_TRACE_POLICY_TEXT_H

#include "trace/policy_change.h"

// Writes what is different in `now`, as "rate 1 -> 0.1, rule risk_* 0.5 added"; "" if nothing is. What does not fit is
// counted ("and 3 more"). Control characters of patterns become visible. The policies are whole, but may be anybody's.
// The factor that a limit makes is no change. size: at least 200.
void nsp__policy_differences(char *out, size_t size, const nsp__policy_draft *before,
                             const nsp__policy_draft *now);

#endif

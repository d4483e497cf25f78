// SPDX-License-Identifier: Apache-2.0
//
// The span counters of a session that reports show: X(name) for each, where name is a member of nsp_stats.
#ifndef NSP_REPORT_ACCOUNTING_H
#define NSP_REPORT_ACCOUNTING_H

#define ACCOUNTING(X)                                                                                        \
    X(attempted)                                                                                             \
    X(exported)                                                                                              \
    X(dropped)                                                                                               \
    X(discarded)                                                                                             \
    X(rejected)                                                                                              \
    X(unconfirmed)                                                                                           \
    X(open)                                                                                                  \
    X(in_rings)                                                                                              \
    X(in_batches)                                                                                            \
    X(roots_unsampled)                                                                                       \
    X(roots_refused)                                                                                         \
    X(leaked)                                                                                                \
    X(misused)

#endif

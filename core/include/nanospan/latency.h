// SPDX-License-Identifier: Apache-2.0
//
// How long local roots take: all those that an outlier rule concerns (<nanospan/outlier.h>), whether they are
// sampled or not. Each thread counts them in histograms by name, and has room for the first 8 names that end
// on it. The steps of a histogram are at most 1/32 wide, so quantiles are right within 1.6 %, and the
// shortest steps are single ticks of the clock. A count is good for 2^32 roots of one name in one step on one
// thread; then it begins at 0 again.
#ifndef NANOSPAN_LATENCY_H
#define NANOSPAN_LATENCY_H

#include <nanospan/base.h>

enum { NSP_LATENCY_STEPS = 1024 };

// The roots of one name, since the session began. Longer ones than the last step, some 46 s at 3 GHz, count
// there; in sum_ns they are whole.
typedef struct nsp_latency {
    size_t size;
    uint64_t count;
    uint64_t sum_ns;
    uint64_t p50_ns, p90_ns, p99_ns, p999_ns, max_ns; // 0 if count is 0
    double tick_ns;                                   // nanoseconds of one tick, the unit of the steps
    uint64_t counts[NSP_LATENCY_STEPS];               // by step
} nsp_latency;

#define NSP_LATENCY_INIT                                                                                     \
    {                                                                                                        \
        sizeof(nsp_latency), 0, 0, 0, 0, 0, 0, 0, 0.0,                                                       \
        {                                                                                                    \
            0                                                                                                \
        }                                                                                                    \
    }

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Fills *out with the durations of local roots of this name, on all threads, without stopping any of them.
// NSP_ERR_NOT_FOUND if none of them was measured; NSP_ERR_NOT_INITIALISED if tracing is not running;
// NSP_ERR_INVALID if the name is NULL, or out->size is not set; NSP_ERR_UNSUPPORTED (during a fork, see
// lifecycle.h). Thread safe; takes a lock, so it is not signal safe.
NSP_API nsp_status nsp_latency_get(const char *name, nsp_latency *out);

// The shortest duration that counts in a step, in nanoseconds; for NSP_LATENCY_STEPS and above, one above
// all. Thread safe and signal safe.
NSP_API uint64_t nsp_latency_step_ns(const nsp_latency *latency, size_t step);

// The duration that this share of the roots, 0 to 1, does not exceed, by nearest rank: 0.5 gives the median,
// 1 the longest. Reads only `counts` and `tick_ns`, so that the differences of two histograms have quantiles
// too. 0 if there are no roots. Thread safe and signal safe.
NSP_API uint64_t nsp_latency_quantile_ns(const nsp_latency *latency, double share);

#endif
NSP_END_DECLS
#endif

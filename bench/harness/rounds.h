// SPDX-License-Identifier: Apache-2.0
//
// The rounds of a benchmark. A round is never left out for what the machine did meanwhile: that is recorded
// with each round, and splits the figures. It is left out if spans were lost in it, because then it says
// nothing about spans that are recorded.
#ifndef NSP_BENCH_ROUNDS_H
#define NSP_BENCH_ROUNDS_H

#include "harness/result.h"

enum { ROUNDS_LEAST = 15, ROUNDS_LIMIT = 1000 };

// Notes how many rounds count, of those that were measured. Fewer than ROUNDS_LEAST are a problem of the
// result. Adds to the rounds that were noted before.
void rounds_note(bench_result *out, size_t counted, size_t measured);

// The names of the figures: the median over rounds of one kind, their share, the median over the others.
typedef struct round_names {
    const char *of_kind, *percent, *of_others;
} round_names;

extern const round_names rounds_core;     // core_alone, core_alone_percent, core_shared
extern const round_names rounds_distance; // near, near_percent, far

// Splits a figure by what else used the core: adds the median of the values in rounds where the core was
// alone, the share of these rounds, and the median in the others. additions: bench_noise.additions of each
// round.
void rounds_by_core(bench_result *out, round_names names, const double *values, const double *additions,
                    size_t count);

// The median of the values in rounds where the core was alone; unknown (NAN) if these are fewer than
// ROUNDS_LEAST.
estimate rounds_alone(const double *values, const double *additions, size_t count);

// As rounds_by_core, by the distance of the collector's CPU: near or far (or unknown: NAN). Adds the median distance,
// too, as distance_ns; adds nothing if none is known.
void rounds_by_distance(bench_result *out, round_names names, const double *values, const double *distances,
                        size_t count);

// Notes in out that its rounds are now judged by the best that the machine has shown so far. The functions
// above do so.
void rounds_judged_by_core(bench_result *out);

// Call it when nothing is left to measure. Had the machine not yet shown how fast it is when the rounds were
// judged (the best was more than a tenth worse than it is by now), most of them would look as if the core had
// been alone in them, or the collector near. Their figures become unknown (NAN), and out->withdrawn says so.
// True if any did.
bool rounds_judge_again(bench_result *out);

#endif

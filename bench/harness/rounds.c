// SPDX-License-Identifier: Apache-2.0
#include "harness/rounds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/distance.h"
#include "harness/noise.h"

const round_names rounds_core = {"core_alone", "core_alone_percent", "core_shared"};
const round_names rounds_distance = {"near", "near_percent", "far"};

void rounds_note(bench_result *out, size_t counted, size_t measured)
{
    out->rounds += (unsigned)counted;
    out->invalid += (unsigned)(measured - counted);
    if (counted < ROUNDS_LEAST)
        result_fail(out, "spans were lost in all but %zu of %zu rounds, %d are needed", counted, measured,
                    ROUNDS_LEAST);
}

static void split(bench_result *out, round_names names, const double *values, const double *states,
                  bool (*of_kind)(double state), size_t count)
{
    // Those of the kind from the front, the others from the back.
    double *sorted = count != 0 ? malloc(count * sizeof *sorted) : NULL;
    if (sorted == NULL)
        return;
    size_t kinds = 0, others = 0;
    for (size_t i = 0; i < count; i++) {
        if (of_kind(states[i]))
            sorted[kinds++] = values[i];
        else
            sorted[count - ++others] = values[i];
    }
    result_add_estimate(out, names.of_kind, estimate_median(sorted, kinds));
    result_add(out, names.percent, 100.0 * (double)kinds / (double)count);
    result_add_estimate(out, names.of_others, estimate_median(sorted + kinds, others));
    free(sorted);
}

void rounds_by_core(bench_result *out, round_names names, const double *values, const double *additions,
                    size_t count)
{
    rounds_judged_by_core(out);
    split(out, names, values, additions, noise_core_alone, count);
}

estimate rounds_alone(const double *values, const double *additions, size_t count)
{
    estimate out = {NAN, NAN, NAN};
    double *alone = count != 0 ? malloc(count * sizeof *alone) : NULL;
    size_t kinds = 0;
    for (size_t i = 0; alone != NULL && i < count; i++)
        if (noise_core_alone(additions[i]))
            alone[kinds++] = values[i];
    if (kinds >= ROUNDS_LEAST)
        out = estimate_median(alone, kinds);
    free(alone);
    return out;
}

void rounds_by_distance(bench_result *out, round_names names, const double *values, const double *distances,
                        size_t count)
{
    double *known = count != 0 ? malloc(count * sizeof *known) : NULL;
    size_t looks = 0;
    for (size_t i = 0; known != NULL && i < count; i++)
        if (!isnan(distances[i]))
            known[looks++] = distances[i];
    if (looks != 0) {
        out->least_distance = fmax(out->least_distance, distance_least());
        split(out, names, values, distances, distance_near, count);
        result_add(out, "distance_ns", estimate_median(known, looks).value);
    }
    free(known);
}

// ---- the best of the whole run ----

void rounds_judged_by_core(bench_result *out)
{
    out->best_additions = fmax(out->best_additions, noise_best_seen().additions);
}

static void withdraw(bench_result *out, const char *prefix)
{
    for (size_t i = 0; i < out->count; i++)
        if (strncmp(out->figures[i].name, prefix, strlen(prefix)) == 0)
            out->figures[i].is = (estimate){NAN, NAN, NAN};
}

bool rounds_judge_again(bench_result *out)
{
    const double most = 1.1;
    bool core = out->best_additions > most * noise_best_seen().additions;
    bool distance = out->least_distance > most * distance_least();
    if (core) {
        withdraw(out, "core_alone");
        withdraw(out, "core_shared");
    }
    if (distance) {
        withdraw(out, "near");
        withdraw(out, "far");
    }
    if (core || distance)
        snprintf(out->withdrawn, sizeof out->withdrawn,
                 "%s%s%s are not known: only after these rounds did the machine show how fast it is",
                 core ? "core_alone and core_shared" : "", core && distance ? ", " : "",
                 distance ? "near and far" : "");
    return core || distance;
}

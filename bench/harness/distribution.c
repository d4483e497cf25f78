// SPDX-License-Identifier: Apache-2.0
#include "harness/distribution.h"

#include <math.h>

void distribution_plot(bench_result *out, const char *plot, const char *name, const uint32_t *samples,
                       size_t count, double unit_ns)
{
    enum { STEPS = 10 }; // steps per power of ten
    bench_series *line = result_add_series(out, plot, name, "percentile", "ns");
    for (int step = 0; count != 0; step++) {
        double x = pow(10, (double)step / STEPS);
        bool last = x >= (double)count;
        double ns = last ? samples[count - 1] : percentile(samples, count, 1 - 1 / x);
        series_add(line, last ? (double)count : x, (estimate){ns * unit_ns, NAN, NAN});
        if (last)
            break;
    }
}

// SPDX-License-Identifier: Apache-2.0
#include "result.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void result_add_estimate(bench_result *out, const char *name, estimate is)
{
    if (out->count < FIGURES_MAX)
        out->figures[out->count++] = (bench_figure){name, is};
}

void result_add(bench_result *out, const char *name, double value)
{
    result_add_estimate(out, name, (estimate){value, NAN, NAN});
}

void result_fail(bench_result *out, const char *format, ...)
{
    if (out->problem[0] != '\0')
        return; // the first one counts
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out->problem, sizeof out->problem, format, arguments);
    va_end(arguments);
}

const bench_figure *result_find(const bench_result *in, const char *name)
{
    for (size_t i = 0; i < in->count; i++)
        if (strcmp(in->figures[i].name, name) == 0)
            return &in->figures[i];
    return NULL;
}

// SPDX-License-Identifier: Apache-2.0
#include "harness/result.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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
        return; // the first problem is kept
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out->problem, sizeof out->problem, format, arguments);
    va_end(arguments);
}

void result_skip(bench_result *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out->skipped, sizeof out->skipped, format, arguments);
    va_end(arguments);
}

bench_series *result_add_series(bench_result *out, const char *plot, const char *name, const char *x,
                                const char *y)
{
    if (out->series_count == SERIES_MAX)
        return NULL;
    bench_series *series = &out->series[out->series_count++];
    *series = (bench_series){.plot = plot, .x = x, .y = y};
    snprintf(series->name, sizeof series->name, "%s", name);
    return series;
}

void series_add(bench_series *out, double x, estimate y)
{
    if (out == NULL)
        return;
    if (out->count == out->room) {
        size_t room = out->room != 0 ? out->room * 2 : 32;
        bench_point *points = realloc(out->points, room * sizeof *points);
        if (points == NULL)
            return;
        out->points = points;
        out->room = room;
    }
    out->points[out->count++] = (bench_point){x, y};
}

const bench_figure *result_find(const bench_result *in, const char *name)
{
    for (size_t i = 0; i < in->count; i++)
        if (strcmp(in->figures[i].name, name) == 0)
            return &in->figures[i];
    return NULL;
}

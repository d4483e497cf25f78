// SPDX-License-Identifier: Apache-2.0
#include "platform/load/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const double quantiles[] = {0.5, 0.9, 0.99, 0.999, 1};
static const char *const quantile_names[] = {"p50", "p90", "p99", "p99.9", "max"};
enum { QUANTILES = 5 };

static bool as_due(const struct answers *answers)
{
    const struct scenario *scenario = &scenarios[answers->scenario];
    return answers->status == scenario->status && strcmp(answers->result, scenario->result) == 0;
}

static void histogram_add(struct histogram *sum, const struct histogram *part)
{
    for (size_t i = 0; i < sizeof sum->buckets / sizeof *sum->buckets; i++)
        sum->buckets[i] += part->buckets[i];
    sum->count += part->count;
    if (part->max > sum->max)
        sum->max = part->max;
}

void report_add(struct report *report, const struct worker *worker)
{
    for (size_t i = 0; i < worker->answer_count; i++) {
        const struct answers *answers = &worker->answers[i];
        report->requests += answers->count;
        if (!answers->status)
            report->unanswered += answers->count;
        if (!as_due(answers))
            report->unexpected += answers->count;
        if (!answers_add(report->answers, &report->answer_count, answers))
            report->unexpected += answers->count;
    }
    report->requests += worker->overflowed;
    report->unexpected += worker->overflowed;
    for (int kind = 0; kind < SCENARIO_KINDS; kind++)
        histogram_add(&report->latency[kind], &worker->latency[kind]);
}

static double milliseconds(const struct histogram *latency, double fraction)
{
    return (double)histogram_quantile(latency, fraction) / 1000;
}

void report_print(const struct report *report)
{
    printf("load: %" PRIu64 " requests in %.1f s, %.0f a second, %" PRIu64 " unanswered\n", report->requests,
           report->seconds, report->seconds > 0 ? (double)report->requests / report->seconds : 0,
           report->unanswered);
    printf("  %-16s %6s  %-24s %9s\n", "asked for", "status", "result", "count");
    for (size_t scenario = 0; scenario < SCENARIOS; scenario++) {
        for (size_t i = 0; i < report->answer_count; i++) {
            const struct answers *answers = &report->answers[i];
            if (answers->scenario == scenario)
                printf("  %-16s %6u  %-24s %9" PRIu64 "%s\n", scenarios[scenario].name, answers->status,
                       answers->result, answers->count,
                       report->judged && !as_due(answers) ? "  unexpected" : "");
        }
    }
    printf("  %-16s", "latency, ms");
    for (int i = 0; i < QUANTILES; i++)
        printf(" %9s", quantile_names[i]);
    printf("\n");
    for (int kind = 0; kind < SCENARIO_KINDS; kind++) {
        if (!report->latency[kind].count)
            continue;
        printf("  %-16s", scenario_kind_names[kind]);
        for (int i = 0; i < QUANTILES; i++)
            printf(" %9.2f", milliseconds(&report->latency[kind], quantiles[i]));
        printf("\n");
    }
}

bool report_write_json(const struct report *report, const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        fprintf(stderr, "platform-load: cannot write '%s': %s\n", path, strerror(errno));
        return false;
    }
    fprintf(file,
            "{\"seconds\": %.3f, \"requests\": %" PRIu64 ", \"unanswered\": %" PRIu64
            ", \"unexpected\": %" PRIu64 ", \"answers\": [",
            report->seconds, report->requests, report->unanswered, report->unexpected);
    for (size_t i = 0; i < report->answer_count; i++) {
        const struct answers *answers = &report->answers[i];
        const struct scenario *scenario = &scenarios[answers->scenario];
        fprintf(file,
                "%s{\"scenario\": \"%s\", \"method\": \"%s\", \"status\": %u, \"result\": \"%s\", \"count\": "
                "%" PRIu64 "}",
                i ? ", " : "", scenario->name, scenario->body != NULL ? "POST" : "GET", answers->status,
                answers->result, answers->count);
    }
    fprintf(file, "], \"latency_ms\": {");
    for (int kind = 0; kind < SCENARIO_KINDS; kind++) {
        fprintf(file, "%s\"%s\": {", kind ? ", " : "", scenario_kind_names[kind]);
        for (int i = 0; i < QUANTILES; i++)
            fprintf(file, "%s\"%s\": %.3f", i ? ", " : "", quantile_names[i],
                    milliseconds(&report->latency[kind], quantiles[i]));
        fprintf(file, "}");
    }
    fprintf(file, "}}\n");
    return fclose(file) == 0;
}

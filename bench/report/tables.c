// SPDX-License-Identifier: Apache-2.0
#include "report/report.h"

#include <math.h>
#include <string.h>

#include "report/accounting.h"

void report_machine(FILE *out, const bench_machine *machine)
{
    for (size_t i = 0; i < machine->count; i++)
        fprintf(out, "%-17s %s\n", machine->facts[i].key, machine->facts[i].text);
}

static int digits_for(double value)
{
    double size = fabs(value);
    return size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
}

static void format_figure(char *out, size_t size, const estimate *is)
{
    bool whole = is->value == floor(is->value) && isnan(is->low); // probably a count
    int digits = whole ? 0 : digits_for(is->value);
    if (isnan(is->value))
        snprintf(out, size, "-");
    else if (isnan(is->low))
        snprintf(out, size, "%.*f", digits, is->value);
    else
        snprintf(out, size, "%.*f [%.*f, %.*f]", digits, is->value, digits, is->low, digits, is->high);
}

// One column for each figure that any result of the group has, in the order of first appearance.
static size_t columns_of(const bench_group *group, const bench_results *results, const char **columns,
                         int *widths)
{
    size_t count = 0;
    for (size_t i = 0; i < results->count; i++) {
        const bench_result *result = &results->items[i];
        if (strcmp(result->group, group->name) != 0)
            continue;
        for (size_t f = 0; f < result->count; f++) {
            char text[64];
            size_t c = 0;
            while (c < count && strcmp(columns[c], result->figures[f].name) != 0)
                c++;
            if (c == FIGURES_MAX)
                continue;
            if (c == count) {
                columns[count] = result->figures[f].name;
                widths[count++] = (int)strlen(result->figures[f].name);
            }
            format_figure(text, sizeof text, &result->figures[f].is);
            if ((int)strlen(text) > widths[c])
                widths[c] = (int)strlen(text);
        }
    }
    return count;
}

static int name_width_of(const bench_group *group, const bench_results *results)
{
    int width = 17;
    for (size_t i = 0; i < results->count; i++) {
        int length = (int)strlen(results->items[i].name);
        if (strcmp(results->items[i].group, group->name) == 0 && length > width)
            width = length;
    }
    return width;
}

void report_table(FILE *out, const bench_group *group, const bench_results *results)
{
    const char *columns[FIGURES_MAX];
    int widths[FIGURES_MAX];
    size_t count = columns_of(group, results, columns, widths);
    int name_width = name_width_of(group, results);
    fprintf(out, "\n%s: %s\n%-*s", group->name, group->method, name_width, "");
    for (size_t c = 0; c < count; c++)
        fprintf(out, "  %*s", widths[c], columns[c]);
    fprintf(out, "  rounds  left out\n");
    for (size_t i = 0; i < results->count; i++) {
        const bench_result *result = &results->items[i];
        if (strcmp(result->group, group->name) != 0)
            continue;
        if (result->skipped[0] != '\0') {
            fprintf(out, "%-*s  skipped: %s\n", name_width, result->name, result->skipped);
            continue;
        }
        fprintf(out, "%-*s", name_width, result->name);
        for (size_t c = 0; c < count; c++) {
            char text[64] = "";
            const bench_figure *figure = result_find(result, columns[c]);
            if (figure != NULL)
                format_figure(text, sizeof text, &figure->is);
            fprintf(out, "  %*s", widths[c], text);
        }
        fprintf(out, "  %6u  %8u  %s\n", result->rounds, result->invalid, result->what);
        if (result->problem[0] != '\0')
            fprintf(out, "%-*s  NOT VALID: %s\n", name_width, "", result->problem);
        if (result->withdrawn[0] != '\0')
            fprintf(out, "%-*s  %s\n", name_width, "", result->withdrawn);
    }
}

// ---- span counters ----

void report_accounting(FILE *out, const bench_results *results)
{
    nsp_stats sum = NSP_STATS_INIT;
    unsigned sessions = 0;
    for (size_t i = 0; i < results->count; i++) {
        const nsp_stats *stats = &results->items[i].stats;
        sessions += stats->size != 0;
#define ACCOUNTING_SUM(name) sum.name += stats->name;
        ACCOUNTING(ACCOUNTING_SUM)
    }
    fprintf(out, "\nspan counters of %u sessions:", sessions);
#define ACCOUNTING_PRINT(name) fprintf(out, " " #name " %llu,", (unsigned long long)sum.name);
    ACCOUNTING(ACCOUNTING_PRINT)
    fprintf(out, " all encoded by the OTLP encoder\n");
}

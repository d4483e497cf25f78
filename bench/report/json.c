// SPDX-License-Identifier: Apache-2.0
#include "report/report.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "budgets.h"
#include "report/accounting.h"

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

// A point is [x, y] or [x, y, low, high].
static json_t *json_of_series(const bench_series *series)
{
    json_t *points = json_array(), *out = json_object();
    for (size_t i = 0; i < series->count; i++) {
        const bench_point *point = &series->points[i];
        json_t *one = json_array();
        json_array_append_new(one, number(point->x));
        json_array_append_new(one, number(point->y.value));
        if (!isnan(point->y.low)) {
            json_array_append_new(one, number(point->y.low));
            json_array_append_new(one, number(point->y.high));
        }
        json_array_append_new(points, one);
    }
    json_object_set_new(out, "plot", json_string(series->plot));
    json_object_set_new(out, "name", json_string(series->name));
    json_object_set_new(out, "x", json_string(series->x));
    json_object_set_new(out, "y", json_string(series->y));
    json_object_set_new(out, "points", points);
    return out;
}

static json_t *json_of(const bench_result *result)
{
    json_t *figures = json_object(), *out = json_object();
    for (size_t i = 0; i < result->count; i++) {
        const bench_figure *figure = &result->figures[i];
        json_t *one = json_object();
        json_object_set_new(one, "value", number(figure->is.value));
        if (!isnan(figure->is.low)) {
            json_object_set_new(one, "low", number(figure->is.low));
            json_object_set_new(one, "high", number(figure->is.high));
        }
        json_object_set_new(figures, figure->name, one);
    }
    json_t *series = json_array();
    for (size_t i = 0; i < result->series_count; i++)
        json_array_append_new(series, json_of_series(&result->series[i]));
    json_object_set_new(out, "group", json_string(result->group));
    json_object_set_new(out, "name", json_string(result->name));
    json_object_set_new(out, "what", json_string(result->what));
    json_object_set_new(out, "valid", json_boolean(result->problem[0] == '\0' && result->skipped[0] == '\0'));
    if (result->skipped[0] != '\0')
        json_object_set_new(out, "skipped", json_string(result->skipped));
    if (result->problem[0] != '\0')
        json_object_set_new(out, "problem", json_string(result->problem));
    if (result->withdrawn[0] != '\0')
        json_object_set_new(out, "withdrawn", json_string(result->withdrawn));
    json_object_set_new(out, "rounds", json_integer(result->rounds));
    json_object_set_new(out, "invalid_rounds", json_integer(result->invalid));
    json_object_set_new(out, "seconds", number(result->seconds));
    json_object_set_new(out, "figures", figures);
    json_object_set_new(out, "series", series);
    if (result->stats.size != 0) {
        json_t *stats = json_object();
#define ACCOUNTING_JSON(name) json_object_set_new(stats, #name, json_integer((json_int_t)result->stats.name));
        ACCOUNTING(ACCOUNTING_JSON)
        json_object_set_new(out, "accounting", stats);
    }
    return out;
}

static json_t *json_of_budgets(const bench_budgets *budgets)
{
    static const char *const verdicts[] = {"pass", "fail", "skip"};
    json_t *list = json_array(), *out = json_object();
    for (size_t i = 0; i < budgets->count; i++) {
        const bench_budget *budget = &budgets->items[i];
        json_t *conditions = json_array(), *one = json_object();
        for (size_t c = 0; c < budget->count; c++) {
            const budget_condition *condition = &budget->conditions[c];
            json_array_append_new(conditions,
                                  json_pack("{s:s, s:s, s:f, s:o}", "figure", condition->figure, "sign",
                                            condition->at_most ? "<=" : ">=", "limit", condition->limit,
                                            "measured", number(condition->measured)));
        }
        json_object_set_new(one, "line", json_integer(budget->line));
        json_object_set_new(one, "benchmark", json_string(budget->benchmark));
        json_object_set_new(one, "verdict", json_string(verdicts[budget->verdict]));
        json_object_set_new(one, "conditions", conditions);
        if (budget->why[0] != '\0')
            json_object_set_new(one, "why", json_string(budget->why));
        json_array_append_new(list, one);
    }
    json_object_set_new(out, "file", json_string(budgets->path));
    json_object_set_new(out, "items", list);
    return out;
}

static json_t *json_of_changes(const bench_changes *changes)
{
    static const char *const verdicts[] = {"better", "worse", "none", "unknown"};
    json_t *list = json_array(), *out = json_object();
    for (size_t i = 0; i < changes->count; i++) {
        const bench_change *change = &changes->items[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:o, s:s}", "benchmark", change->benchmark,
                                              "figure", change->figure, "then", number(change->then), "now",
                                              number(change->now), "verdict", verdicts[change->verdict]));
    }
    json_object_set_new(out, "with", json_string(changes->path));
    json_object_set_new(out, "items", list);
    return out;
}

static json_t *json_of_run(const bench_run *run)
{
    json_t *root = json_object(), *facts = json_object(), *groups = json_array(), *list = json_array();
    for (size_t i = 0; i < run->machine->count; i++)
        json_object_set_new(facts, run->machine->facts[i].key, json_string(run->machine->facts[i].text));
    for (size_t i = 0; i < run->group_count; i++)
        json_array_append_new(
            groups, json_pack("{s:s, s:s}", "name", run->groups[i]->name, "method", run->groups[i]->method));
    for (size_t i = 0; i < run->results->count; i++)
        json_array_append_new(list, json_of(&run->results->items[i]));
    json_object_set_new(root, "format", json_integer(1));
    json_object_set_new(root, "command", json_string(run->command));
    json_object_set_new(root, "quick", json_boolean(run->setup->quick));
    json_object_set_new(root, "interrupted", json_boolean(run->interrupted));
    json_object_set_new(root, "seconds", number(run->seconds));
    json_object_set_new(root, "machine", facts);
    json_object_set_new(root, "groups", groups);
    json_object_set_new(root, "results", list);
    if (run->budgets != NULL)
        json_object_set_new(root, "budgets", json_of_budgets(run->budgets));
    if (run->changes != NULL)
        json_object_set_new(root, "compared", json_of_changes(run->changes));
    return root;
}

bool report_json(const char *path, const bench_run *run)
{
    char *draft = NULL;
    if (asprintf(&draft, "%s.draft", path) < 0)
        return false;
    json_t *root = json_of_run(run);
    FILE *file = fopen(draft, "we");
    bool written = file != NULL && json_dumpf(root, file, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0;
    written = written && fputc('\n', file) != EOF && fflush(file) == 0 && fsync(fileno(file)) == 0;
    if (file != NULL)
        written = fclose(file) == 0 && written;
    written = written && rename(draft, path) == 0;
    if (!written) {
        fprintf(stderr, "nanospan-bench: cannot write %s: %s\n", path, strerror(errno));
        if (file != NULL)
            unlink(draft);
    }
    json_decref(root);
    free(draft);
    return written;
}

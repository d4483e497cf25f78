// SPDX-License-Identifier: Apache-2.0
#include "budgets.h"

#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/rounds.h"

#define BLANKS " \t\r\n"

static const char *const verdict_words[] = {"pass", "FAIL", "skip"};

// ---- reading ----

typedef struct budget_line {
    const char *path;
    unsigned number;
    char *rest; // the state of strtok_r
} budget_line;

static bool complain(const budget_line *line, const char *what, const char *word)
{
    fprintf(stderr, "nanospan-bench: %s:%u: %s%s%s\n", line->path, line->number, what,
            word != NULL ? ": " : "", word != NULL ? word : "");
    return false;
}

static bool read_condition(budget_line *line, budget_condition *out)
{
    const char *figure = strtok_r(NULL, BLANKS, &line->rest);
    const char *sign = strtok_r(NULL, BLANKS, &line->rest);
    const char *value = strtok_r(NULL, BLANKS, &line->rest);
    if (value == NULL)
        return complain(line, "expected: BENCHMARK FIGURE <= VALUE [or FIGURE <= VALUE]...", NULL);
    if (strcmp(sign, "<=") != 0 && strcmp(sign, ">=") != 0)
        return complain(line, "expected <= or >=", sign);
    if (strlen(figure) >= sizeof out->figure)
        return complain(line, "the name of the figure is too long", figure);
    char *end;
    *out = (budget_condition){.at_most = sign[0] == '<', .limit = strtod(value, &end), .measured = NAN};
    strcpy(out->figure, figure);
    if (*end != '\0' || !isfinite(out->limit))
        return complain(line, "this is not a number", value);
    return true;
}

// Reads what follows the name of the benchmark.
static bool read_conditions(budget_line *line, bench_budget *out)
{
    for (;;) {
        if (out->count == CONDITIONS_MAX)
            return complain(line, "too many conditions", NULL);
        if (!read_condition(line, &out->conditions[out->count]))
            return false;
        out->count++;
        const char *more = strtok_r(NULL, BLANKS, &line->rest);
        if (more == NULL)
            return true;
        if (strcmp(more, "or") != 0)
            return complain(line, "expected \"or\"", more);
    }
}

// ---- judging ----

// The first figure in the conditions that the benchmark does not have; NULL if it has all of them.
static const char *missing(const bench_budget *budget, const bench_result *result)
{
    for (size_t i = 0; i < budget->count; i++)
        if (result_find(result, budget->conditions[i].figure) == NULL)
            return budget->conditions[i].figure;
    return NULL;
}

// Was the figure to be that of rounds in which nothing else used the core, but there were too few of them?
static bool too_rarely_alone(const char *figure, double value, const bench_result *result)
{
    static const char of_core[] = "core_alone";
    const bench_figure *share = result_find(result, "core_alone_percent");
    if (strncmp(figure, of_core, sizeof of_core - 1) != 0 || share == NULL)
        return false;
    return !isnan(share->is.value) &&
           (isnan(value) || round(share->is.value / 100 * result->rounds) < ROUNDS_LEAST);
}

static void judge(bench_budget *budget, const bench_result *result)
{
    bool holds = false, too_few = false, unknown = false;
    for (size_t i = 0; i < budget->count; i++) {
        budget_condition *condition = &budget->conditions[i];
        const bench_figure *figure = result_find(result, condition->figure);
        double value = condition->measured = figure != NULL ? figure->is.value : NAN;
        if (too_rarely_alone(condition->figure, value, result))
            too_few = true;
        else
            holds |= condition->at_most ? value <= condition->limit : value >= condition->limit;
        unknown |= isnan(value);
    }
    bool withdrawn = unknown && result->withdrawn[0] != '\0';
    budget->verdict = holds ? BUDGET_PASS : too_few || withdrawn ? BUDGET_SKIP : BUDGET_FAIL;
    if (budget->verdict != BUDGET_PASS && (too_few || unknown))
        snprintf(budget->why, sizeof budget->why, "%s",
                 too_few     ? "the core was alone in too few rounds"
                 : withdrawn ? result->withdrawn
                             : "the figure was not measured");
    if (result->problem[0] != '\0') {
        budget->verdict = BUDGET_FAIL;
        snprintf(budget->why, sizeof budget->why, "not valid: %s", result->problem);
    }
    if (result->skipped[0] != '\0') {
        budget->verdict = BUDGET_SKIP;
        snprintf(budget->why, sizeof budget->why, "%s", result->skipped);
    }
}

static bool keep(bench_budgets *out, const budget_line *line, const bench_budget *budget)
{
    if (out->count == BUDGETS_MAX)
        return complain(line, "too many budgets", NULL);
    out->items[out->count++] = *budget;
    out->verdicts[budget->verdict]++;
    return true;
}

// Judges each result to which the line applies.
static bool apply(bench_budgets *out, const budget_line *line, const bench_budget *rule,
                  const bench_results *results, bool (*exists)(const char *pattern))
{
    bool pattern = strpbrk(rule->benchmark, "*?[") != NULL;
    const char *lacking = NULL;
    size_t before = out->count;
    for (size_t i = 0; i < results->count; i++) {
        const bench_result *result = &results->items[i];
        if (fnmatch(rule->benchmark, result->name, 0) != 0)
            continue;
        const char *absent = missing(rule, result);
        if (absent != NULL && result->count != 0) {
            lacking = absent;
            continue;
        }
        bench_budget budget = *rule;
        snprintf(budget.benchmark, sizeof budget.benchmark, "%s", result->name);
        judge(&budget, result);
        if (!keep(out, line, &budget))
            return false;
    }
    if (lacking != NULL && out->count == before)
        return complain(line,
                        pattern ? "no benchmark that matches this pattern has such a figure"
                                : "the benchmark has no such figure",
                        lacking);
    if (out->count != before)
        return true;
    if (!exists(rule->benchmark))
        return complain(line, "there is no such benchmark", rule->benchmark);
    bench_budget budget = *rule;
    budget.verdict = BUDGET_SKIP;
    snprintf(budget.why, sizeof budget.why, "the benchmark was not run");
    return keep(out, line, &budget);
}

static bool judge_file(bench_budgets *out, const char *path, const bench_results *results,
                       bool (*exists)(const char *pattern))
{
    *out = (bench_budgets){.path = path};
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fprintf(stderr, "nanospan-bench: cannot read %s\n", path);
        return false;
    }
    char buffer[512];
    budget_line line = {.path = path};
    bool fine = true;
    while (fine && fgets(buffer, sizeof buffer, file) != NULL) {
        line.number++;
        if (strchr(buffer, '\n') == NULL && !feof(file)) {
            fine = complain(&line, "the line is too long", NULL);
            break;
        }
        buffer[strcspn(buffer, "#")] = '\0';
        const char *name = strtok_r(buffer, BLANKS, &line.rest);
        if (name == NULL)
            continue;
        bench_budget rule = {.line = line.number};
        if (strlen(name) >= sizeof rule.benchmark) {
            fine = complain(&line, "the name of the benchmark is too long", name);
            break;
        }
        strcpy(rule.benchmark, name);
        fine = read_conditions(&line, &rule) && apply(out, &line, &rule, results, exists);
    }
    fclose(file);
    return fine;
}

bool budgets_understood(const char *path, bool (*exists)(const char *pattern))
{
    static bench_budgets unjudged;
    return judge_file(&unjudged, path, &(bench_results){0}, exists);
}

bool budgets_check(bench_budgets *out, const char *path, const bench_results *results,
                   bool (*exists)(const char *pattern))
{
    if (!judge_file(out, path, results, exists))
        return false;
    if (out->verdicts[BUDGET_PASS] + out->verdicts[BUDGET_FAIL] != 0)
        return true;
    fprintf(stderr, "nanospan-bench: none of the budgets in %s could be judged in this run\n", path);
    return false;
}

// ---- printing ----

void budgets_print(FILE *out, const bench_budgets *budgets)
{
    int width = 0;
    for (size_t i = 0; i < budgets->count; i++) {
        int length = (int)strlen(budgets->items[i].benchmark);
        width = length > width ? length : width;
    }
    fprintf(out, "\nbudgets from %s\n", budgets->path);
    for (size_t i = 0; i < budgets->count; i++) {
        const bench_budget *budget = &budgets->items[i];
        fprintf(out, "%s  %-*s ", verdict_words[budget->verdict], width, budget->benchmark);
        for (size_t c = 0; c < budget->count; c++) {
            const budget_condition *condition = &budget->conditions[c];
            fprintf(out, "%s %s", c != 0 ? " or" : "", condition->figure);
            if (!isnan(condition->measured))
                fprintf(out, " %.3f", condition->measured);
            fprintf(out, " (%s %g)", condition->at_most ? "<=" : ">=", condition->limit);
        }
        fprintf(out, "%s%s\n", budget->why[0] != '\0' ? "; " : "", budget->why);
    }
    fprintf(out, "budgets: %u pass, %u fail, %u skipped\n", budgets->verdicts[BUDGET_PASS],
            budgets->verdicts[BUDGET_FAIL], budgets->verdicts[BUDGET_SKIP]);
}

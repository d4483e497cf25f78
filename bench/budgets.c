// SPDX-License-Identifier: Apache-2.0
#include "budgets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\n"

typedef struct budget_line {
    const char *path;
    unsigned number;
    char *rest; // where strtok_r stands
} budget_line;

static bool complain(const budget_line *line, const char *what, const char *word)
{
    fprintf(stderr, "nanospan-bench: %s:%u: %s%s%s\n", line->path, line->number, what,
            word != NULL ? ": " : "", word != NULL ? word : "");
    return false;
}

typedef struct budget_condition {
    const char *figure;
    bool at_most;
    double value;
} budget_condition;

static bool condition_read(budget_line *line, budget_condition *out)
{
    out->figure = strtok_r(NULL, BLANKS, &line->rest);
    const char *sign = strtok_r(NULL, BLANKS, &line->rest);
    const char *value = strtok_r(NULL, BLANKS, &line->rest);
    if (value == NULL)
        return complain(line, "expected: BENCHMARK FIGURE <= VALUE [or FIGURE <= VALUE]...", NULL);
    if (strcmp(sign, "<=") != 0 && strcmp(sign, ">=") != 0)
        return complain(line, "neither <= nor >=", sign);
    out->at_most = sign[0] == '<';
    char *end;
    out->value = strtod(value, &end);
    if (*end != '\0' || !isfinite(out->value))
        return complain(line, "no number", value);
    return true;
}

// Reads all conditions of a line; one that holds is enough. *known: every figure's name was one of the benchmark's.
static bool line_read(budget_line *line, const bench_result *result, bool *holds, char *text, size_t size)
{
    *holds = false;
    size_t used = 0;
    for (;;) {
        budget_condition condition;
        if (!condition_read(line, &condition))
            return false;
        const bench_figure *figure = result != NULL ? result_find(result, condition.figure) : NULL;
        if (result != NULL && figure == NULL && result->count != 0)
            return complain(line, "the benchmark has no such figure", condition.figure);
        double value = figure != NULL ? figure->is.value : NAN;
        *holds |= condition.at_most ? value <= condition.value : value >= condition.value;
        int wrote = snprintf(text + used, size - used, "%s%s %.3f (%s %g)", used ? " or " : "",
                             condition.figure, value, condition.at_most ? "<=" : ">=", condition.value);
        used = used + (size_t)wrote < size ? used + (size_t)wrote : size - 1;
        const char *more = strtok_r(NULL, BLANKS, &line->rest);
        if (more == NULL)
            return true;
        if (strcmp(more, "or") != 0)
            return complain(line, "expected \"or\"", more);
    }
}

static const bench_result *find(const bench_results *results, const char *name)
{
    for (size_t i = 0; i < results->count; i++)
        if (strcmp(results->items[i].name, name) == 0)
            return &results->items[i];
    return NULL;
}

budgets_verdict budgets_check(FILE *out, const char *path, const bench_results *results)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fprintf(stderr, "nanospan-bench: cannot read %s\n", path);
        return BUDGETS_UNREADABLE;
    }
    budgets_verdict verdict = BUDGETS_KEPT;
    unsigned checked = 0;
    char buffer[512];
    budget_line line = {.path = path};
    fprintf(out, "\nbudgets of %s\n", path);
    while (fgets(buffer, sizeof buffer, file) != NULL) {
        line.number++;
        buffer[strcspn(buffer, "#")] = '\0';
        const char *name = strtok_r(buffer, BLANKS, &line.rest);
        if (name == NULL)
            continue;
        const bench_result *result = find(results, name);
        bool holds;
        char text[256];
        if (!line_read(&line, result, &holds, text, sizeof text)) {
            verdict = BUDGETS_UNREADABLE;
            break;
        }
        if (result == NULL) {
            fprintf(out, "skip  %-17s was not run\n", name);
            continue;
        }
        bool valid = result->problem[0] == '\0';
        checked++;
        fprintf(out, "%s  %-17s %s%s%s\n", holds && valid ? "pass" : "FAIL", name, text,
                valid ? "" : "; not valid: ", result->problem);
        if (!(holds && valid))
            verdict = BUDGETS_BROKEN;
    }
    fclose(file);
    if (verdict == BUDGETS_KEPT && checked == 0) {
        fprintf(stderr, "nanospan-bench: no budget of %s was checked\n", path);
        return BUDGETS_UNREADABLE;
    }
    return verdict;
}

// SPDX-License-Identifier: Apache-2.0
#include "report/report.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

// ---- text ----

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
    int digits = digits_for(is->value);
    if (isnan(is->value))
        snprintf(out, size, "-");
    else if (isnan(is->low))
        snprintf(out, size, "%.*f", digits, is->value);
    else
        snprintf(out, size, "%.*f [%.*f, %.*f]", digits, is->value, digits, is->low, digits, is->high);
}

// A column for each figure that any of them has, in the order of their first appearance.
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

void report_table(FILE *out, const bench_group *group, const bench_results *results)
{
    const char *columns[FIGURES_MAX];
    int widths[FIGURES_MAX];
    size_t count = columns_of(group, results, columns, widths);
    fprintf(out, "\n%s: %s\n%-17s", group->name, group->method, "");
    for (size_t c = 0; c < count; c++)
        fprintf(out, "  %*s", widths[c], columns[c]);
    fprintf(out, "  rounds  invalid\n");
    for (size_t i = 0; i < results->count; i++) {
        const bench_result *result = &results->items[i];
        if (strcmp(result->group, group->name) != 0)
            continue;
        fprintf(out, "%-17s", result->name);
        for (size_t c = 0; c < count; c++) {
            char text[64] = "";
            const bench_figure *figure = result_find(result, columns[c]);
            if (figure != NULL)
                format_figure(text, sizeof text, &figure->is);
            fprintf(out, "  %*s", widths[c], text);
        }
        fprintf(out, "  %6u  %7u  %s\n", result->rounds, result->invalid, result->what);
        if (result->problem[0] != '\0')
            fprintf(out, "%-17s  NOT VALID: %s\n", "", result->problem);
    }
}

// ---- books ----

#define BOOKS(X)                                                                                             \
    X(attempted)                                                                                             \
    X(exported)                                                                                              \
    X(dropped)                                                                                               \
    X(discarded)                                                                                             \
    X(rejected)                                                                                              \
    X(unconfirmed)                                                                                           \
    X(open)                                                                                                  \
    X(in_rings)                                                                                              \
    X(in_batches)                                                                                            \
    X(roots_unsampled)                                                                                       \
    X(roots_refused)                                                                                         \
    X(leaked)                                                                                                \
    X(misused)

void report_books(FILE *out, const bench_results *results)
{
    nsp_stats sum = NSP_STATS_INIT;
    unsigned sessions = 0;
    for (size_t i = 0; i < results->count; i++) {
        const nsp_stats *books = &results->items[i].books;
        sessions += books->size != 0;
#define BOOKS_SUM(name) sum.name += books->name;
        BOOKS(BOOKS_SUM)
    }
    fprintf(out, "\nbooks of %u sessions:", sessions);
#define BOOKS_PRINT(name) fprintf(out, " " #name " %llu,", (unsigned long long)sum.name);
    BOOKS(BOOKS_PRINT)
    fprintf(out, " encoded by the OTLP encoder\n");
}

// ---- JSON ----

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
    json_object_set_new(out, "valid", json_boolean(result->problem[0] == '\0'));
    if (result->problem[0] != '\0')
        json_object_set_new(out, "problem", json_string(result->problem));
    json_object_set_new(out, "rounds", json_integer(result->rounds));
    json_object_set_new(out, "invalid_rounds", json_integer(result->invalid));
    json_object_set_new(out, "figures", figures);
    json_object_set_new(out, "series", series);
    if (result->books.size != 0) {
        json_t *books = json_object();
#define BOOKS_JSON(name) json_object_set_new(books, #name, json_integer((json_int_t)result->books.name));
        BOOKS(BOOKS_JSON)
        json_object_set_new(out, "books", books);
    }
    return out;
}

bool report_json(const char *path, const bench_machine *machine, const bench_results *results)
{
    json_t *root = json_object(), *facts = json_object(), *list = json_array();
    for (size_t i = 0; i < machine->count; i++)
        json_object_set_new(facts, machine->facts[i].key, json_string(machine->facts[i].text));
    for (size_t i = 0; i < results->count; i++)
        json_array_append_new(list, json_of(&results->items[i]));
    json_object_set_new(root, "format", json_integer(1));
    json_object_set_new(root, "machine", facts);
    json_object_set_new(root, "results", list);
    bool written = json_dump_file(root, path, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0;
    json_decref(root);
    if (!written)
        fprintf(stderr, "nanospan-bench: cannot write %s\n", path);
    return written;
}

// ---- comparison ----

static const json_t *find_old(const json_t *list, const char *name)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *text = json_string_value(json_object_get(item, "name"));
        if (text != NULL && strcmp(text, name) == 0)
            return json_object_get(item, "figures");
    }
    return NULL;
}

// Two intervals that do not meet: more than chance.
static bool apart(const estimate *now, const json_t *old)
{
    const json_t *low = json_object_get(old, "low"), *high = json_object_get(old, "high");
    return !isnan(now->low) && json_is_number(low) && json_is_number(high) &&
           (now->low > json_number_value(high) || now->high < json_number_value(low));
}

bool report_compare(FILE *out, const char *path, const bench_results *results)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    const json_t *list = json_object_get(root, "results");
    if (!json_is_array(list)) {
        fprintf(stderr, "nanospan-bench: %s is no earlier run's JSON: %s\n", path,
                root == NULL ? error.text : "it has no results");
        json_decref(root);
        return false;
    }
    fprintf(out, "\ncompared with %s (* the intervals do not meet)\n%-17s  %-20s %12s %12s %9s\n", path, "",
            "", "then", "now", "change");
    for (size_t i = 0; i < results->count; i++) {
        const bench_result *result = &results->items[i];
        const json_t *figures = find_old(list, result->name);
        for (size_t f = 0; f < result->count; f++) {
            const bench_figure *figure = &result->figures[f];
            const json_t *old = json_object_get(figures, figure->name);
            const json_t *then = json_object_get(old, "value");
            if (!json_is_number(then))
                continue;
            double value = json_number_value(then), now = figure->is.value;
            fprintf(out, "%-17s  %-20s %12.3f %12.3f %+8.1f%%%s\n", result->name, figure->name, value, now,
                    (now / value - 1) * 100, apart(&figure->is, old) ? " *" : "");
        }
    }
    json_decref(root);
    return true;
}

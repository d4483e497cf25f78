// SPDX-License-Identifier: Apache-2.0
#include "report/report.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const marks[] = {" better", " WORSE", "", ""};

static const json_t *find_old(const json_t *list, const char *name)
{
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *text = json_string_value(json_object_get(item, "name"));
        if (text != NULL && strcmp(text, name) == 0)
            return item;
    }
    return NULL;
}

// For rates, and for shares of a rate, more is better; for times, ratios, bytes and counts, less is better.
static bool more_is_better(const char *figure)
{
    return strstr(figure, "per_s_") != NULL || strcmp(figure, "to_inside") == 0 ||
           strcmp(figure, "to_encode") == 0;
}

static change_verdict judge(const bench_figure *figure, const json_t *old)
{
    const json_t *low = json_object_get(old, "low"), *high = json_object_get(old, "high");
    const estimate *now = &figure->is;
    if (isnan(now->low) || !json_is_number(low) || !json_is_number(high))
        return CHANGE_UNKNOWN;
    bool more = now->low > json_number_value(high), less = now->high < json_number_value(low);
    if (!more && !less)
        return CHANGE_NONE;
    return more == more_is_better(figure->name) ? CHANGE_BETTER : CHANGE_WORSE;
}

static double percent(const bench_change *change)
{
    return (change->now / change->then - 1) * 100;
}

static void add(bench_changes *out, bench_change change)
{
    if ((out->count & (out->count + 1)) == 0) { // the count is one less than a power of two: the list is full
        bench_change *items = realloc(out->items, (out->count * 2 + 1) * sizeof *items);
        if (items == NULL)
            return;
        out->items = items;
    }
    out->items[out->count++] = change;
}

static const char *fact_of(const bench_machine *machine, const char *key)
{
    for (size_t i = 0; i < machine->count; i++)
        if (strcmp(machine->facts[i].key, key) == 0)
            return machine->facts[i].text;
    return "";
}

// Prints what has changed about the machine and the build, which may be the reason for other changes.
static void print_machines(FILE *out, const json_t *then, const bench_machine *now)
{
    static const char *const keys[] = {"cpu",         "cpus",     "hot_cpu",       "kernel",
                                       "clocksource", "governor", "isolated_cpus", "compiler",
                                       "flags",       "nanospan", "commit"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *old = json_string_value(json_object_get(then, keys[i])), *new = fact_of(now, keys[i]);
        if (old != NULL && strcmp(old, new) != 0)
            fprintf(out, "  %s was %s, is %s\n", keys[i], old, new);
    }
}

static void print_those(FILE *out, const bench_changes *changes, change_verdict verdict, const char *word)
{
    unsigned count = 0;
    for (size_t i = 0; i < changes->count; i++) {
        const bench_change *change = &changes->items[i];
        if (change->verdict != verdict)
            continue;
        fprintf(out, "%s%s %s %+.1f%%", count++ != 0 ? ", " : word, change->benchmark, change->figure,
                percent(change));
    }
    if (count != 0)
        fprintf(out, "\n");
}

static void print_summary(FILE *out, const bench_changes *changes, unsigned unpaired)
{
    unsigned verdicts[4] = {0};
    for (size_t i = 0; i < changes->count; i++)
        verdicts[changes->items[i].verdict]++;
    print_those(out, changes, CHANGE_BETTER, "better: ");
    print_those(out, changes, CHANGE_WORSE, "worse: ");
    fprintf(out, "compared: %u better, %u worse, %u with overlapping intervals, %u without intervals",
            verdicts[CHANGE_BETTER], verdicts[CHANGE_WORSE], verdicts[CHANGE_NONE], verdicts[CHANGE_UNKNOWN]);
    if (unpaired != 0)
        fprintf(out, "; %u benchmarks are not valid or not in both runs", unpaired);
    fprintf(out, "\n");
}

// NULL after a message.
static json_t *load_earlier(const char *path)
{
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (json_is_array(json_object_get(root, "results")))
        return root;
    fprintf(stderr, "nanospan-bench: %s is not the JSON of an earlier run: %s\n", path,
            root == NULL ? error.text : "it has no results");
    json_decref(root);
    return NULL;
}

bool report_comparable(const char *path)
{
    json_t *root = load_earlier(path);
    json_decref(root);
    return root != NULL;
}

bool report_compare(FILE *out, bench_changes *changes, const char *path, const bench_machine *machine,
                    const bench_results *results)
{
    json_t *root = load_earlier(path);
    if (root == NULL)
        return false;
    const json_t *list = json_object_get(root, "results");
    *changes = (bench_changes){.path = path};
    unsigned unpaired = 0;
    fprintf(out, "\ncompared with %s\n", path);
    print_machines(out, json_object_get(root, "machine"), machine);
    fprintf(out, "%-24s  %-24s %12s %12s %9s\n", "", "", "then", "now", "change");
    for (size_t i = 0; i < results->count; i++) {
        const bench_result *result = &results->items[i];
        const json_t *old = find_old(list, result->name);
        if (result->problem[0] != '\0' || result->skipped[0] != '\0' ||
            !json_is_true(json_object_get(old, "valid"))) {
            unpaired++;
            continue;
        }
        for (size_t f = 0; f < result->count; f++) {
            const bench_figure *figure = &result->figures[f];
            const json_t *was = json_object_get(json_object_get(old, "figures"), figure->name);
            const json_t *then = json_object_get(was, "value");
            if (!json_is_number(then) || isnan(figure->is.value))
                continue;
            bench_change change = {result->name, figure->name, json_number_value(then), figure->is.value,
                                   judge(figure, was)};
            add(changes, change);
            fprintf(out, "%-24s  %-24s %12.3f %12.3f", change.benchmark, change.figure, change.then,
                    change.now);
            if (change.then != 0)
                fprintf(out, " %+8.1f%%", percent(&change));
            fprintf(out, "%s\n", marks[change.verdict]);
        }
    }
    print_summary(out, changes, unpaired);
    json_decref(root);
    return true;
}

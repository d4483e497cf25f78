// SPDX-License-Identifier: Apache-2.0
//
// nanospan-bench: measures what nanospan costs on this machine. docs/latency.md explains the method and the
// figures.
#include <errno.h>
#include <fnmatch.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "budgets.h"
#include "hot_path/instructions.h"
#include "harness/machine.h"
#include "harness/noise.h"
#include "harness/receiver.h"
#include "harness/rounds.h"
#include "harness/select.h"
#include "harness/session.h"
#include "options.h"
#include "pipeline/memory.h"
#include "progress.h"
#include "report/report.h"

static const bench_group *const groups[] = {&group_user_tails,
                                            &group_user,
                                            &group_first,
                                            &group_hot_path,
                                            &group_tails,
                                            &group_cold,
                                            &group_order_path,
                                            &group_open_loop,
                                            &group_victim,
                                            &group_jitter,
                                            &group_pipeline,
                                            &group_sizes,
                                            &group_threads,
                                            &group_end_to_end,
                                            &group_backend,
                                            &group_growth,
                                            &group_rate,
                                            &group_recover,
                                            &group_outside,
                                            &group_memory,
                                            &group_ring,
                                            &group_peers,
                                            &group_peers_end_to_end,
                                            &group_sampler,
                                            &group_landing,
                                            &group_change,
                                            &group_accuracy,
                                            &group_zero,
                                            &group_instructions};
enum { GROUPS = sizeof groups / sizeof groups[0], RESULTS_MAX = 512 };

// Exit codes. For STOPPED, the number of the signal is added.
enum { FINE = 0, BROKEN = 1, USAGE = 2, STOPPED = 128 };

// ---- the run ----

static bool wanted(const bench_options *options, const bench_group *group, const char *name)
{
    return options->only == NULL || selected(options->only, name) || selected(options->only, group->name);
}

static void list(const bench_options *options)
{
    for (size_t g = 0; g < GROUPS; g++) {
        bench_result item = {0};
        bool headed = false;
        for (size_t i = 0; groups[g]->describe(i, &item); i++) {
            if (!wanted(options, groups[g], item.name))
                continue;
            if (!headed)
                printf("%s\n", groups[g]->name);
            headed = true;
            printf("  %-24s %s\n", item.name, item.what);
        }
    }
}

// Is there a benchmark that matches the pattern? For budgets, which cannot apply to a benchmark that does not
// exist.
static bool exists(const char *pattern)
{
    for (size_t g = 0; g < GROUPS; g++) {
        bench_result item = {0};
        for (size_t i = 0; groups[g]->describe(i, &item); i++)
            if (fnmatch(pattern, item.name, 0) == 0)
                return true;
    }
    return false;
}

// ---- checks of the arguments, which would otherwise fail only after minutes of measuring ----

// Checks that each of the names and patterns matches something.
static bool only_is_known(const char *only)
{
    bool any = false;
    for (const char *rest = only; *rest != '\0'; rest += *rest == ',') {
        size_t length = strcspn(rest, ",");
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)length, rest);
        rest += length;
        if (length == 0)
            continue;
        any = exists(word);
        for (size_t g = 0; g < GROUPS && !any; g++)
            any = selected(word, groups[g]->name);
        if (!any) {
            fprintf(stderr, "nanospan-bench: --only %s matches no benchmark; --list shows all of them\n",
                    word);
            return false;
        }
    }
    if (!any)
        fprintf(stderr, "nanospan-bench: --only needs at least one name\n");
    return any;
}

static bool can_write(const char *path)
{
    if (path == NULL)
        return true;
    char *copy = strdup(path);
    bool fine = copy != NULL && access(dirname(copy), W_OK | X_OK) == 0;
    if (!fine)
        fprintf(stderr, "nanospan-bench: cannot write %s: %s\n", path, strerror(errno));
    free(copy);
    return fine;
}

static bool files_can_be_used(const bench_options *options)
{
    return can_write(options->json) && can_write(options->html) &&
           (options->compare == NULL || report_comparable(options->compare)) &&
           (options->check == NULL || budgets_understood(options->check, exists));
}

// ---- measuring ----

static void expect_all(const bench_options *options)
{
    for (size_t g = 0; g < GROUPS; g++) {
        bench_result item = {0};
        for (size_t i = 0; groups[g]->describe(i, &item); i++)
            if (wanted(options, groups[g], item.name))
                progress_expect(item.name);
    }
}

// A benchmark that was interrupted leaves no result.
static void measure_group(const bench_group *group, const bench_options *options, bench_results *out)
{
    bench_result item = {.group = group->name};
    for (size_t i = 0; group->describe(i, &item) && out->count < RESULTS_MAX; i++) {
        if (!wanted(options, group, item.name))
            continue;
        bench_result *result = &out->items[out->count];
        *result = item;
        progress_begin();
        group->measure(i, &options->setup, result);
        result->seconds = progress_end();
        if (progress_stopped() != 0)
            return;
        out->count++;
    }
}

static void measure_all(const bench_options *options, bench_results *out)
{
    for (size_t g = 0; g < GROUPS && progress_stopped() == 0; g++) {
        size_t before = out->count;
        measure_group(groups[g], options, out);
        if (out->count != before) {
            report_table(stdout, groups[g], out);
            fflush(stdout);
        }
    }
}

// Prints tables again of which figures are no longer known.
static void judge_again(bench_results *results)
{
    for (size_t g = 0; g < GROUPS; g++) {
        bool again = false;
        for (size_t i = 0; i < results->count; i++)
            if (strcmp(results->items[i].group, groups[g]->name) == 0)
                again |= rounds_judge_again(&results->items[i]);
        if (again) {
            printf("\nagain, without figures that turned out to say nothing:");
            report_table(stdout, groups[g], results);
        }
    }
}

static bool all_valid(const bench_results *results)
{
    bool valid = true;
    for (size_t i = 0; i < results->count; i++) {
        const bench_result *result = &results->items[i];
        valid &= result->problem[0] == '\0' || result->skipped[0] != '\0';
    }
    return valid;
}

// Writes the files. The page is made from the JSON; without --json, from a temporary JSON file.
static bool write_files(const bench_options *options, const bench_run *run)
{
    char *draft = NULL;
    const char *json = options->json;
    if (options->html != NULL && json == NULL && asprintf(&draft, "%s.json", options->html) >= 0)
        json = draft;
    bool fine = json == NULL || report_json(json, run);
    if (options->json != NULL && fine)
        fprintf(stderr, "nanospan-bench: wrote %s\n", options->json);
    if (options->html != NULL && fine) {
        fine = report_html(options->html, json);
        if (fine)
            fprintf(stderr, "nanospan-bench: wrote %s\n", options->html);
    }
    if (draft != NULL)
        unlink(draft);
    free(draft);
    return fine;
}

// Prints and writes everything that follows from the results.
static int conclude(const bench_options *options, bench_run *run)
{
    static bench_budgets budgets;
    bench_changes changes = {0};
    int code = FINE;
    if (options->compare != NULL) {
        if (report_compare(stdout, &changes, options->compare, run->machine, run->results))
            run->changes = &changes;
        else
            code = BROKEN;
    }
    if (options->check != NULL) {
        if (!budgets_check(&budgets, options->check, run->results, exists))
            code = USAGE;
        else if (budgets.verdicts[BUDGET_FAIL] != 0)
            code = BROKEN;
        run->budgets = &budgets;
        budgets_print(stdout, &budgets);
    }
    fflush(stdout);
    if (!write_files(options, run) && code == FINE)
        code = BROKEN;
    free(changes.items);
    return code;
}

static int run(bench_options *options)
{
    static bench_result items[RESULTS_MAX];
    static bench_machine machine;
    bench_results results = {items, 0};
    const bench_setup setup = options->setup; // as requested; an interruption changes options->setup
    time_t start = time(NULL);
    progress_start(&options->setup, options->json);
    expect_all(options);
    machine_describe(&machine, &options->setup);
    report_machine(stdout, &machine);
    fflush(stdout);
    noise_learn(options->setup.quick ? 1 : 3);
    measure_all(options, &results);
    int stopped = progress_stopped();
    if (stopped != 0)
        fprintf(stderr, "nanospan-bench: interrupted after %zu benchmarks\n", results.count);
    if (results.count == 0)
        return STOPPED + stopped;
    judge_again(&results);
    bool valid = all_valid(&results);
    report_accounting(stdout, &results);
    size_t described = machine.count;
    machine_describe_noise(&machine);
    for (size_t i = described; i < machine.count; i++)
        printf("%-17s %s\n", machine.facts[i].key, machine.facts[i].text);
    bench_run the_run = {.command = options->command,
                         .setup = &setup,
                         .interrupted = stopped != 0,
                         .seconds = difftime(time(NULL), start),
                         .machine = &machine,
                         .groups = groups,
                         .group_count = GROUPS,
                         .results = &results};
    int code = conclude(options, &the_run);
    return stopped != 0 ? STOPPED + stopped : code != FINE ? code : valid ? FINE : BROKEN;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--receiver") == 0)
        return receiver_main(); // started by receiver_start
    if (argc == 3 && strcmp(argv[1], "--memory") == 0)
        return memory_main(argv[2]); // started by group_memory
    bench_options options;
    options_read(&options, argc, argv);
    if (options.only != NULL && !only_is_known(options.only))
        return USAGE;
    if (options.list) {
        list(&options);
        return FINE;
    }
    if (!files_can_be_used(&options) || !options_take_cpus(&options))
        return USAGE;
    if (options.instructions != NULL)
        return instructions_run(&options.setup, options.instructions, options.count) ? FINE : BROKEN;
    return run(&options);
}

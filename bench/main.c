// SPDX-License-Identifier: Apache-2.0
//
// nanospan-bench: what nanospan costs, on this machine. docs/latency.md says how it measures and how to read it.
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nanospan/version.h>

#include "budgets.h"
#include "hot_path/instructions.h"
#include "harness/machine.h"
#include "harness/noise.h"
#include "report/report.h"
#include "harness/select.h"
#include "harness/session.h"

static const bench_group *const groups[] = {&group_hot_path, &group_tails, &group_pipeline, &group_ring};
enum { GROUPS = sizeof groups / sizeof groups[0], RESULTS_MAX = 256 };

// Exit codes.
enum { FINE = 0, BROKEN = 1, USAGE = 2 };

static const char help[] =
    "usage: nanospan-bench [OPTION]...\n"
    "\n"
    "Measures what nanospan costs on this machine and prints tables. docs/latency.md tells how to read "
    "them.\n"
    "\n"
    "  --list               names the benchmarks, and stops\n"
    "  --only NAMES         only these: names, groups, shell patterns, separated by commas\n"
    "  --quick              fewer rounds\n"
    "  --rounds N           valid rounds of each benchmark, 15 to 1000 (default 101, with --quick 21)\n"
    "  --cpu N              the CPU of the measured thread (default: the last one)\n"
    "  --collector-cpu N    the CPU of everything else (default: the first one)\n"
    "  --json FILE          writes the results and the machine's description\n"
    "  --compare OLD.json   sets them beside an earlier run's\n"
    "  --check BUDGETS      pass or fail for each budget of a file (see bench/budgets.txt)\n"
    "  --instructions NAMES runs hot-path operations for an instruction counter (\"all\": every one); "
    "nothing is timed\n"
    "  --count N            so many of each, and twice as many; 1 to 400 (default 200)\n"
    "  --help, --version\n"
    "\n"
    "Exit code: 0; 1 if a budget is broken or a figure could not be had; 2 for a wrong call.\n";

typedef struct bench_options {
    bool list;
    const char *only, *json, *compare, *check, *instructions;
    unsigned count;
    int cpu, collector_cpu;
    bench_setup setup;
} bench_options;

void progress(const bench_result *in, unsigned done, unsigned of)
{
    static int terminal = -1;
    if (terminal < 0)
        terminal = isatty(STDERR_FILENO);
    if (terminal)
        fprintf(stderr, "\r\033[K%s: round %u of %u%s", in->name, done, of, done >= of ? "\r\033[K" : "");
}

// ---- options ----

static bool read_number(const char *option, const char *text, unsigned least, unsigned most, unsigned *out)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > most) {
        fprintf(stderr, "nanospan-bench: --%s %s: a number from %u to %u is wanted\n", option, text, least,
                most);
        return false;
    }
    *out = (unsigned)value;
    return true;
}

// Exits on --help, --version and errors.
static void read_options(int argc, char **argv, bench_options *out)
{
    static const struct option known[] = {
        {"list", no_argument, NULL, 'l'},        {"only", required_argument, NULL, 'o'},
        {"quick", no_argument, NULL, 'q'},       {"rounds", required_argument, NULL, 'r'},
        {"cpu", required_argument, NULL, 'c'},   {"collector-cpu", required_argument, NULL, 'C'},
        {"json", required_argument, NULL, 'j'},  {"compare", required_argument, NULL, 'd'},
        {"check", required_argument, NULL, 'b'}, {"instructions", required_argument, NULL, 'i'},
        {"count", required_argument, NULL, 'n'}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},     {NULL, 0, NULL, 0}};
    unsigned rounds = 0, number;
    bool fine = true;
    int option, index = 0;
    while (fine && (option = getopt_long(argc, argv, "h", known, &index)) != -1) {
        switch (option) {
        case 'l': out->list = true; break;
        case 'o': out->only = optarg; break;
        case 'q': out->setup.quick = true; break;
        case 'r': fine = read_number("rounds", optarg, ROUNDS_LEAST, 1000, &rounds); break;
        case 'c':
            fine = read_number("cpu", optarg, 0, CPU_SETSIZE - 1, &number);
            out->cpu = fine ? (int)number : -1;
            break;
        case 'C':
            fine = read_number("collector-cpu", optarg, 0, CPU_SETSIZE - 1, &number);
            out->collector_cpu = fine ? (int)number : -1;
            break;
        case 'j': out->json = optarg; break;
        case 'd': out->compare = optarg; break;
        case 'b': out->check = optarg; break;
        case 'i': out->instructions = optarg; break;
        case 'n': fine = read_number("count", optarg, 1, 400, &out->count); break;
        case 'h': fputs(help, stdout); exit(FINE);
        case 'v': puts("nanospan-bench " NSP_VERSION); exit(FINE);
        default: fine = false;
        }
    }
    if (fine && optind < argc) {
        fprintf(stderr, "nanospan-bench: unexpected: %s\n", argv[optind]);
        fine = false;
    }
    if (!fine) {
        fputs("Try nanospan-bench --help.\n", stderr);
        exit(USAGE);
    }
    out->setup.rounds = rounds != 0 ? rounds : out->setup.quick ? 21 : 101;
    out->setup.tries = out->setup.rounds * 20;
}

// Chooses the CPUs and goes there.
static bool take_cpus(bench_options *options)
{
    cpu_set_t allowed;
    int first = -1, last = -1;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        CPU_ZERO(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET((size_t)cpu, &allowed)) {
            first = first < 0 ? cpu : first;
            last = cpu;
        }
    }
    bench_setup *setup = &options->setup;
    setup->hot_cpu = options->cpu >= 0 ? options->cpu : options->collector_cpu == last ? first : last;
    setup->collector_cpu = options->collector_cpu >= 0 ? options->collector_cpu
                           : setup->hot_cpu == first   ? last
                                                       : first;
    if (setup->hot_cpu == setup->collector_cpu) {
        fprintf(stderr,
                "nanospan-bench: one CPU for both the measured thread and the collector: the figures of "
                "such a machine are worse than those of any other\n");
        setup->collector_cpu = -1;
    }
    if (setup->hot_cpu < 0 || !pin_to(setup->hot_cpu)) {
        fprintf(stderr, "nanospan-bench: cannot run on CPU %d\n", setup->hot_cpu);
        return false;
    }
    return true;
}

// ---- the run ----

static bool wanted(const bench_options *options, const bench_group *group, const char *name)
{
    return options->only == NULL || selected(options->only, name) || selected(options->only, group->name);
}

static void list(void)
{
    for (size_t g = 0; g < GROUPS; g++) {
        bench_result item = {0};
        printf("%s\n", groups[g]->name);
        for (size_t i = 0; groups[g]->describe(i, &item); i++)
            printf("  %-17s %s\n", item.name, item.what);
    }
}

static void measure_all(const bench_options *options, bench_results *out)
{
    for (size_t g = 0; g < GROUPS; g++) {
        size_t before = out->count;
        bench_result item = {.group = groups[g]->name};
        for (size_t i = 0; groups[g]->describe(i, &item) && out->count < RESULTS_MAX; i++) {
            if (!wanted(options, groups[g], item.name))
                continue;
            bench_result *result = &out->items[out->count++];
            *result = item;
            if (!isatty(STDERR_FILENO))
                fprintf(stderr, "nanospan-bench: %s\n", item.name);
            groups[g]->measure(i, &options->setup, result);
            result->best = noise_best_seen();
        }
        if (out->count != before) {
            report_table(stdout, groups[g], out);
            fflush(stdout);
        }
    }
}

// What was measured before the machine showed how fast it is was measured on a busy one.
static bool all_valid(bench_results *results)
{
    bool valid = true;
    bench_noise best = noise_best_seen();
    for (size_t i = 0; i < results->count; i++) {
        bench_result *result = &results->items[i];
        if (result->best.additions > best.additions * 1.1 || result->best.two_reads > best.two_reads * 1.1) {
            result_fail(result, "measured while the machine was busy, as was seen later: run it again");
            printf("%s: NOT VALID: %s\n", result->name, result->problem);
        }
        valid &= result->problem[0] == '\0';
    }
    return valid;
}

static int run(const bench_options *options)
{
    static bench_result items[RESULTS_MAX];
    static bench_machine machine;
    bench_results results = {items, 0};
    machine_describe(&machine, &options->setup);
    report_machine(stdout, &machine);
    noise_learn(options->setup.quick ? 1 : 3);
    measure_all(options, &results);
    bool valid = all_valid(&results);
    if (results.count == 0) {
        fprintf(stderr, "nanospan-bench: --only %s matches nothing; --list names what there is\n",
                options->only);
        return USAGE;
    }
    report_books(stdout, &results);
    size_t described = machine.count;
    machine_describe_noise(&machine);
    for (size_t i = described; i < machine.count; i++)
        printf("%-17s %s\n", machine.facts[i].key, machine.facts[i].text);
    int code = valid ? FINE : BROKEN;
    if (options->json != NULL && !report_json(options->json, &machine, &results))
        code = BROKEN;
    if (options->compare != NULL && !report_compare(stdout, options->compare, &results))
        code = BROKEN;
    if (options->check != NULL) {
        budgets_verdict verdict = budgets_check(stdout, options->check, &results);
        code = verdict == BUDGETS_UNREADABLE ? USAGE : verdict == BUDGETS_BROKEN ? BROKEN : code;
    }
    return code;
}

int main(int argc, char **argv)
{
    bench_options options = {.cpu = -1, .collector_cpu = -1, .count = 200};
    read_options(argc, argv, &options);
    if (options.list) {
        list();
        return FINE;
    }
    if (!take_cpus(&options))
        return USAGE;
    if (options.instructions != NULL)
        return instructions_run(&options.setup, options.instructions, options.count) ? FINE : BROKEN;
    return run(&options);
}

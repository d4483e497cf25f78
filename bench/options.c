// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nanospan/version.h>

#include "harness/cpus.h"

static const char help[] =
    "usage: nanospan-bench [OPTION]...\n"
    "\n"
    "Measures what nanospan costs on this machine and prints tables. docs/latency.md explains them.\n"
    "\n"
    "  --list               list the benchmarks (with --only: the selected ones) and stop\n"
    "  --only NAMES         run only these: names, groups and shell patterns, separated by commas\n"
    "  --quick              run fewer and shorter rounds, and the order path at only one rate\n"
    "  --rounds N           rounds of each benchmark, 15 to 1000 (default 101, with --quick 21); those\n"
    "                       that take long have fewer\n"
    "  --cpu N              CPU of the measured thread (default: the last one)\n"
    "  --collector-cpu N    CPU of everything else (default: the first one)\n"
    "  --json FILE          write the results and a description of the machine to FILE\n"
    "  --html FILE          write a page with tables and plots (needs python3 with matplotlib and jinja2)\n"
    "  --compare OLD.json   compare with an earlier run: which figures are better or worse beyond chance\n"
    "  --check BUDGETS      check each budget of a file (see bench/budgets.txt)\n"
    "  --instructions NAMES run hot-path operations, or the example engine (order_off ...), for an\n"
    "                       instruction counter (\"all\": every one); nothing is timed\n"
    "  --count N            run each of them N times, then 2 N times; 1 to 400 (default 200)\n"
    "  --help, --version\n"
    "\n"
    "./run bench --peers [--quill DIR] [--tracy DIR] [--opentelemetry-cpp DIR] [OPTION]... first builds the\n"
    "libraries to compare with; without it, those that were built before are compared.\n"
    "\n"
    "If it is interrupted, it reports the benchmarks that have finished.\n"
    "Exit codes: 0 success; 1 a budget is broken or a figure is not valid; 2 wrong usage; 128 plus the\n"
    "number of the signal if interrupted.\n";

static bool read_number(const char *option, const char *text, unsigned least, unsigned most, unsigned *out)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > most) {
        fprintf(stderr, "nanospan-bench: --%s takes a number from %u to %u, not '%s'\n", option, least, most,
                text);
        return false;
    }
    *out = (unsigned)value;
    return true;
}

// Writes the command line, with quotes around words that a shell would change.
static void write_command(char *out, size_t size, int argc, char **argv)
{
    size_t used = 0;
    for (int i = 0; i < argc && used < size; i++) {
        const char *slash = strrchr(argv[0], '/'), *word = i == 0 && slash != NULL ? slash + 1 : argv[i];
        const char *quote =
            word[0] == '\0' || strpbrk(word, " \t\n\"\\$*?[]{}()<>|&;!~#`'") != NULL ? "'" : "";
        used += (size_t)snprintf(out + used, size - used, "%s%s%s%s", i != 0 ? " " : "", quote, word, quote);
    }
}

void options_read(bench_options *out, int argc, char **argv)
{
    static const struct option known[] = {{"list", no_argument, NULL, 'l'},
                                          {"only", required_argument, NULL, 'o'},
                                          {"quick", no_argument, NULL, 'q'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"cpu", required_argument, NULL, 'c'},
                                          {"collector-cpu", required_argument, NULL, 'C'},
                                          {"json", required_argument, NULL, 'j'},
                                          {"html", required_argument, NULL, 'H'},
                                          {"compare", required_argument, NULL, 'd'},
                                          {"check", required_argument, NULL, 'b'},
                                          {"instructions", required_argument, NULL, 'i'},
                                          {"count", required_argument, NULL, 'n'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'v'},
                                          {NULL, 0, NULL, 0}};
    unsigned rounds = 0, number;
    bool fine = true;
    int option, index = 0;
    *out = (bench_options){.count = 200, .cpu = -1, .collector_cpu = -1};
    write_command(out->command, sizeof out->command, argc, argv);
    while (fine && (option = getopt_long(argc, argv, "h", known, &index)) != -1) {
        switch (option) {
        case 'l': out->list = true; break;
        case 'o': out->only = out->setup.only = optarg; break;
        case 'q': out->setup.quick = true; break;
        case 'r': fine = read_number("rounds", optarg, ROUNDS_LEAST, ROUNDS_LIMIT, &rounds); break;
        case 'c':
            fine = read_number("cpu", optarg, 0, CPU_SETSIZE - 1, &number);
            out->cpu = fine ? (int)number : -1;
            break;
        case 'C':
            fine = read_number("collector-cpu", optarg, 0, CPU_SETSIZE - 1, &number);
            out->collector_cpu = fine ? (int)number : -1;
            break;
        case 'j': out->json = optarg; break;
        case 'H': out->html = optarg; break;
        case 'd': out->compare = optarg; break;
        case 'b': out->check = optarg; break;
        case 'i': out->instructions = optarg; break;
        case 'n': fine = read_number("count", optarg, 1, 400, &out->count); break;
        case 'h': fputs(help, stdout); exit(0);
        case 'v': puts("nanospan-bench " NSP_VERSION); exit(0);
        default: fine = false;
        }
    }
    if (fine && optind < argc) {
        fprintf(stderr, "nanospan-bench: unexpected argument '%s'\n", argv[optind]);
        fine = false;
    }
    if (!fine) {
        fputs("Try nanospan-bench --help.\n", stderr);
        exit(2);
    }
    out->setup.rounds = rounds != 0 ? rounds : out->setup.quick ? 21 : 101;
}

bool options_take_cpus(bench_options *options)
{
    const cpu_set_t *given = cpus_given();
    int first = -1, last = -1;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET((size_t)cpu, given)) {
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
                "nanospan-bench: the measured thread and the collector share one CPU; this makes the figures "
                "worse\n");
        setup->collector_cpu = -1;
    }
    // The measured thread's CPU comes last, because this thread stays on it.
    const int wanted[] = {setup->collector_cpu, setup->hot_cpu};
    for (int i = setup->collector_cpu < 0; i < 2; i++) {
        if (wanted[i] >= 0 && pin_to(wanted[i]))
            continue;
        fprintf(stderr, "nanospan-bench: cannot run on CPU %d\n", wanted[i]);
        return false;
    }
    return true;
}

// SPDX-License-Identifier: Apache-2.0
//
// Runs the programs of core/path/generate_programs.py in one session: all of them with paths, then a span that is called
// "marker", then all of them with ordinary calls. All spans are of one thread, so that they are exported in this order.
//
//     path_programs ACCOUNT     writes to this file what nsp_stats has counted of each form, as JSON
#include "programs/path_programs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

path_expected expected;

static void check(bool fine, const char *what)
{
    if (!fine) {
        fprintf(stderr, "path_programs: seed %u: %s\n", path_program_seed, what);
        exit(1);
    }
}

const nsp_context *remote(nsp_context *context, unsigned number, bool sampled, const char *tracestate)
{
    char text[NSP_TRACEPARENT_SIZE];
    snprintf(text, sizeof text, "00-%032x-%016x-%02x", number, number, sampled ? 3 : 2);
    check(nsp_context_parse(context, text, tracestate) == NSP_OK, "a context");
    return context;
}

nsp_link link_to(nsp_context *context, unsigned number)
{
    return (nsp_link){.context = *remote(context, number, true, "link=yes")};
}

nsp_span *phase_of(nsp_span *path, nsp_name name, nsp_ticks start)
{
    nsp_context context;
    nsp_span_context(path, &context);
    const nsp_span_options options = {.size = sizeof options, .parent = &context, .start = start};
    return nsp_span_begin_detached(name, &options);
}

void child_of(const nsp_context *parent, nsp_name name, nsp_ticks start, nsp_ticks end)
{
    const nsp_span_options options = {.size = sizeof options, .parent = parent, .start = start};
    nsp_span_end_at(nsp_span_begin_with(name, &options), end);
}

static nsp_stats settled(void)
{
    nsp_stats stats = NSP_STATS_INIT;
    check(nsp_flush(60000000000) == NSP_OK, "not everything was sent");
    check(nsp_stats_get(&stats) == NSP_OK, "no account");
    return stats;
}

static void print(FILE *file, const char *form, const nsp_stats *before, const nsp_stats *after)
{
#define COUNT(member)                                                                                        \
    fprintf(file, ", \"%s\": %llu", #member, (unsigned long long)(after->member - before->member))
    fprintf(file, "\"%s\": {\"open\": %llu", form, (unsigned long long)after->open);
    COUNT(attempted);
    COUNT(dropped);
    COUNT(dropped_invalid);
    COUNT(discarded);
    COUNT(exported);
    COUNT(rejected);
    COUNT(in_rings);
    COUNT(in_batches);
    COUNT(roots_unsampled);
    COUNT(roots_refused);
    COUNT(leaked);
    COUNT(misused);
    COUNT(values_cut);
    COUNT(names_overflowed);
    COUNT(paths_overflowed);
    fprintf(file, "}");
#undef COUNT
}

static nsp_stats run(nsp_ticks base, bool paths)
{
    for (size_t i = 0; i < path_program_count; i++) {
        (paths ? path_programs[i].paths : path_programs[i].spans)(base);
        check(nsp_span_current() == NULL, "a program has left a span open");
        base += path_programs[i].ticks;
    }
    return settled();
}

int main(int argc, char **argv)
{
    nsp_config config;
    nsp_ticks all = 0;
    check(argc == 2, "usage: path_programs ACCOUNT");
    nsp_config_init(&config);
    config.cpu_numbers = false;
    config.record_bytes = 16384;
    config.log_level = NSP_LOG_WARN;
    check(nsp_init(&config) == NSP_OK, nsp_error_detail());
    for (size_t i = 0; i < path_program_count; i++)
        all += path_programs[i].ticks;
    const nsp_ticks base = nsp_now();
    while (nsp_now() < base + all) // no reading of the programs is in the future
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    const nsp_stats start = settled();
    const nsp_stats with_paths = run(base, true);
    nsp_span_end_at(nsp_span_begin_at(NSP_NAME("marker"), base), base + 1);
    const nsp_stats marked = settled();
    const nsp_stats with_spans = run(base, false);
    check(nsp_shutdown(60000000000) == NSP_OK, "shutdown");
    FILE *file = fopen(argv[1], "w");
    check(file != NULL, "cannot write the account");
    fprintf(file, "{\"seed\": %u, \"misused\": %llu, \"values_cut\": %llu, ", path_program_seed,
            (unsigned long long)expected.misused, (unsigned long long)expected.values_cut);
    print(file, "paths", &start, &with_paths);
    fprintf(file, ", ");
    print(file, "spans", &marked, &with_spans);
    fprintf(file, "}\n");
    check(fclose(file) == 0, "cannot write the account");
    return 0;
}

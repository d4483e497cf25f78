// SPDX-License-Identifier: Apache-2.0
//
// Sends load to the backend: options, threads, progress, summary.
#include <argp.h>
#include <curl/curl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/arguments.h"
#include "shared/tracing.h"
#include "platform/load/report.h"

enum {
    URL = 256,
    DURATION,
    REQUESTS,
    RATE,
    CONCURRENCY,
    TRADES,
    FAILURES,
    SEED,
    TRACE,
    ANY_ANSWER,
    TIMEOUT,
    QUIET,
    JSON
};
enum { WORKERS_MAX = 256 };

struct options {
    struct load load;
    double seconds;
    unsigned concurrency;
    uint64_t seed;
    bool any_answer, quiet;
    const char *json;
};

static const struct argp_option known[] = {
    {"url", URL, "URL", 0, "URL of the backend (http://127.0.0.1:8000)", 0},
    {"duration", DURATION, "SECONDS", 0, "Duration of the load (10, or as long as --requests takes)", 0},
    {"requests", REQUESTS, "N", 0, "Send at most N requests", 0},
    {"rate", RATE, "N", 0, "Requests a second, due at fixed times (0: as fast as the answers come)", 0},
    {"concurrency", CONCURRENCY, "N", 0, "Number of simultaneous requests (4)", 0},
    {"trades", TRADES, "SHARE", 0, "Share of requests that trade, from 0 to 1; the others read signals (0.5)",
     0},
    {"failures", FAILURES, "SHARE", 0, "Share of requests that must be refused, from 0 to 1 (0.1)", 0},
    {"seed", SEED, "N", 0, "Seed of the random users, symbols and sides (1)", 0},
    {"trace", TRACE, NULL, 0, "Trace the requests here too, so that the traces begin in this driver", 0},
    {"any-answer", ANY_ANSWER, NULL, 0, "Count the answers, but accept any", 0},
    {"timeout-ms", TIMEOUT, "N", 0, "Give up on a request after N milliseconds (10000)", 0},
    {"json", JSON, "FILE", 0, "Write the numbers to FILE", 0},
    {"quiet", QUIET, NULL, 0, "Do not print progress", 0},
    {0},
};

static error_t take_option(int key, char *text, struct argp_state *state)
{
    static const char program[] = "platform-load";
    struct options *options = state->input;
    struct load *load = &options->load;
    switch (key) {
    case URL: load->url = text; return 0;
    case DURATION: options->seconds = argument_real(program, "--duration", text, 0.01, 1e6); return 0;
    case REQUESTS:
        load->requests = argument_count(program, "--requests", text, 1, UINT64_MAX - WORKERS_MAX);
        return 0;
    case RATE: load->rate = argument_real(program, "--rate", text, 0, 1e6); return 0;
    case CONCURRENCY:
        options->concurrency = (unsigned)argument_count(program, "--concurrency", text, 1, WORKERS_MAX);
        return 0;
    case TRADES: load->mix.trades = argument_real(program, "--trades", text, 0, 1); return 0;
    case FAILURES: load->mix.failures = argument_real(program, "--failures", text, 0, 1); return 0;
    case SEED: options->seed = argument_count(program, "--seed", text, 0, UINT64_MAX); return 0;
    case TRACE: load->traced = true; return 0;
    case ANY_ANSWER: options->any_answer = true; return 0;
    case TIMEOUT: load->timeout_ms = argument_count(program, "--timeout-ms", text, 1, 600000); return 0;
    case JSON: options->json = text; return 0;
    case QUIET: options->quiet = true; return 0;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument '%s'", text); return EINVAL;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static struct options parse(int argc, char **argv)
{
    static const char doc[] =
        "Requests signals and trades from the trading platform's backend, and sends requests that it must "
        "refuse.\v"
        "It sends no trace context, so each trace begins in the backend. With --trace, traces begin here, "
        "and "
        "the environment configures the tracing (SERVICE_NAME, OTLP_ENDPOINT, TRACE_SAMPLE_RATE ...).\n\n"
        "Exit codes: 0 all answers are as expected, 1 some are not, 2 wrong usage.";
    static const struct argp argp = {known, take_option, NULL, doc, NULL, NULL, NULL};
    struct options options = {.load = {.url = "http://127.0.0.1:8000",
                                       .mix = {.trades = 0.5, .failures = 0.1},
                                       .timeout_ms = 10000},
                              .concurrency = 4,
                              .seed = 1};
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (options.seconds <= 0)
        options.seconds = options.load.requests ? 1e6 : 10;
    if (!options.load.requests)
        options.load.requests = UINT64_MAX - WORKERS_MAX;
    return options;
}

static uint64_t answered_by(const struct worker *workers, unsigned count)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += __atomic_load_n(&workers[i].answered, __ATOMIC_RELAXED);
    return sum;
}

// Prints a line of progress each second until the workers are done or a signal arrives.
static void watch(const struct options *options, struct load *load, const struct worker *workers)
{
    const struct timespec tenth = {.tv_nsec = 100 * 1000 * 1000};
    sigset_t signals;
    uint64_t last = 0;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    for (unsigned tenths = 1; clock_now_ns() < load->end_ns; tenths++) {
        uint64_t answered = answered_by(workers, options->concurrency);
        if (answered >= load->requests || sigtimedwait(&signals, NULL, &tenth) > 0)
            break;
        if (tenths % 10 == 0 && !options->quiet) {
            fprintf(stderr, "load: %3u s  %8" PRIu64 " answered  %7" PRIu64 "/s\n", tenths / 10, answered,
                    answered - last);
            last = answered;
        }
    }
    __atomic_store_n(&load->stop, true, __ATOMIC_RELAXED);
}

// Returns the number of workers that were started.
static unsigned start_workers(const struct options *options, struct load *load, struct worker *workers)
{
    load->start_ns = clock_now_ns();
    load->end_ns = load->start_ns + (uint64_t)(options->seconds * 1e9);
    for (unsigned i = 0; i < options->concurrency; i++) {
        workers[i].load = load;
        workers[i].random = (options->seed << 8) + i;
        if (pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]) != 0) {
            fprintf(stderr, "platform-load: cannot start a thread\n");
            return i;
        }
    }
    return options->concurrency;
}

static int drive(const struct options *options, struct load *load)
{
    static struct report report;
    struct worker *workers = calloc(options->concurrency, sizeof *workers);
    if (workers == NULL) {
        fprintf(stderr, "platform-load: out of memory\n");
        return 1;
    }
    unsigned started = start_workers(options, load, workers);
    if (started == options->concurrency)
        watch(options, load, workers);
    __atomic_store_n(&load->stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
        report_add(&report, &workers[i]);
    }
    free(workers);
    report.judged = !options->any_answer;
    report.seconds = (double)(clock_now_ns() - load->start_ns) / 1e9;
    report_print(&report);
    bool good = started == options->concurrency && report.requests > 0;
    if (options->json != NULL && !report_write_json(&report, options->json))
        good = false;
    return good && (options->any_answer || report.unexpected == 0) ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options options = parse(argc, argv);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (options.load.traced && !tracing_start("platform-load", 64))
        return 1;
    int code = drive(&options, &options.load);
    if (options.load.traced)
        tracing_stop();
    curl_global_cleanup();
    return code;
}

// SPDX-License-Identifier: Apache-2.0
//
// A small execution engine, traced with nanospan: options, threads, signals. The trading itself begins in
// gateway.c.
#include <getopt.h>
#include <nanospan/nanospan.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/address.h"
#include "shared/arguments.h"
#include "shared/span_accounting.h"
#include "shared/tracing.h"
#include "engine/engine.h"
#include "engine/gateway.h"
#include "engine/life.h"
#include "engine/summary.h"

struct options {
    const char *listen, *address_file, *drop_copy, *stats_json, *slow_orders;
    uint32_t accounts, max_orders;
    int cpu;
    bool pin, progress, once, calls;
    struct faults faults;
    uint64_t slower_ns;
};

static const char usage[] =
    "usage: engine [OPTION...]\n"
    "\n"
    "A matching engine with price-time priority that takes orders over a socket and traces each of them.\n"
    "\n"
    "  --listen ADDRESS     HOST:PORT, PORT or unix:PATH (default 127.0.0.1:7700; port 0: any free port)\n"
    "  --address-file FILE  write the address to FILE when the engine is ready for orders\n"
    "  --drop-copy FILE     write the exchange-side stream (orders, trades, cancels) to FILE\n"
    "                       (default /dev/null)\n"
    "  --cpu N              pin the trading thread to processor N (default: the last one allowed)\n"
    "  --no-pin             do not pin the trading thread\n"
    "  --accounts N         open accounts 1 to N (default 64)\n"
    "  --max-orders N       limit of open orders (default 4096)\n"
    "  --once               end when the first feed disconnects\n"
    "  --calls              trace orders by ordinary calls, and not as declared paths\n"
    "  --progress           print a line each second\n"
    "  --stats-json FILE    write the final numbers to FILE\n"
    "  --faults LIST        hold orders up now and then, each by one of LIST: preemption, page-fault, lock,\n"
    "                       strategy; or by all of them\n"
    "  --fault-every N      one order in N, at random (default 2000)\n"
    "  --fault-time TIME    for about so long: half of it to two and a half times as long (default 1ms)\n"
    "  --fault-seed N       which orders (default 1)\n"
    "  --slow-orders FILE   write to FILE which orders took long, by the engine's own stopwatch, at the end\n"
    "  --slower TIME        what that means (default 500us)\n"
    "  --help               show this text\n"
    "\n"
    "SIGTERM and SIGINT end the engine cleanly; SIGUSR1 prints the numbers so far. Tracing is configured\n"
    "by the environment: OTLP_ENDPOINT=http://127.0.0.1:4318 TRACE_SAMPLE_RATE=0.1 engine ...\n"
    "Exit codes: 0 success, 1 the accounts or the span counters do not balance or trading had to stop,\n"
    "2 wrong usage.\n";

static struct options parse(int argc, char **argv)
{
    enum {
        LISTEN = 256,
        ADDRESS_FILE,
        DROP_COPY,
        CPU,
        NO_PIN,
        ACCOUNTS,
        MAX_ORDERS,
        ONCE,
        CALLS,
        PROGRESS,
        STATS_JSON,
        FAULT_LIST,
        FAULT_EVERY,
        FAULT_TIME,
        FAULT_SEED,
        SLOW_ORDERS,
        SLOWER,
        HELP
    };
    static const struct option known[] = {
        {"listen", required_argument, NULL, LISTEN},
        {"address-file", required_argument, NULL, ADDRESS_FILE},
        {"drop-copy", required_argument, NULL, DROP_COPY},
        {"cpu", required_argument, NULL, CPU},
        {"no-pin", no_argument, NULL, NO_PIN},
        {"accounts", required_argument, NULL, ACCOUNTS},
        {"max-orders", required_argument, NULL, MAX_ORDERS},
        {"once", no_argument, NULL, ONCE},
        {"calls", no_argument, NULL, CALLS},
        {"progress", no_argument, NULL, PROGRESS},
        {"stats-json", required_argument, NULL, STATS_JSON},
        {"faults", required_argument, NULL, FAULT_LIST},
        {"fault-every", required_argument, NULL, FAULT_EVERY},
        {"fault-time", required_argument, NULL, FAULT_TIME},
        {"fault-seed", required_argument, NULL, FAULT_SEED},
        {"slow-orders", required_argument, NULL, SLOW_ORDERS},
        {"slower", required_argument, NULL, SLOWER},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.listen = "127.0.0.1:7700",
                              .drop_copy = "/dev/null",
                              .accounts = 64,
                              .max_orders = 4096,
                              .cpu = -1,
                              .pin = true,
                              .faults = {.every = 2000, .time_ns = 1000 * 1000, .seed = 1},
                              .slower_ns = 500 * 1000};
    int option;
    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        switch (option) {
        case LISTEN: options.listen = optarg; break;
        case ADDRESS_FILE: options.address_file = optarg; break;
        case DROP_COPY: options.drop_copy = optarg; break;
        case CPU: options.cpu = (int)argument_count("engine", "--cpu", optarg, 0, CPU_SETSIZE - 1); break;
        case NO_PIN: options.pin = false; break;
        case ACCOUNTS:
            options.accounts = (uint32_t)argument_count("engine", "--accounts", optarg, 1, 1000000);
            break;
        case MAX_ORDERS:
            options.max_orders = (uint32_t)argument_count("engine", "--max-orders", optarg, 1, 1 << 20);
            break;
        case ONCE: options.once = true; break;
        case CALLS: options.calls = true; break;
        case PROGRESS: options.progress = true; break;
        case STATS_JSON: options.stats_json = optarg; break;
        case FAULT_LIST:
            if (faults_parse(optarg, &options.faults.kinds))
                break;
            fprintf(stderr,
                    "engine: --faults takes a list of preemption, page-fault, lock and strategy, or all, not "
                    "'%s'\n",
                    optarg);
            exit(2);
        case FAULT_EVERY:
            options.faults.every = (uint32_t)argument_count("engine", "--fault-every", optarg, 1, UINT32_MAX);
            break;
        case FAULT_TIME: options.faults.time_ns = argument_time("engine", "--fault-time", optarg); break;
        case FAULT_SEED:
            options.faults.seed = argument_count("engine", "--fault-seed", optarg, 0, UINT32_MAX);
            break;
        case SLOW_ORDERS: options.slow_orders = optarg; break;
        case SLOWER: options.slower_ns = argument_time("engine", "--slower", optarg); break;
        case 'h':
        case HELP: fputs(usage, stdout); exit(0);
        default: fputs("engine: see engine --help\n", stderr); exit(2);
        }
    }
    if (optind < argc) {
        fprintf(stderr, "engine: unexpected argument '%s'; see engine --help\n", argv[optind]);
        exit(2);
    }
    return options;
}

// Chooses the processor of the trading thread, and whether the thread has to share it.
static void choose_cpu(const struct options *options, struct gateway *gateway)
{
    cpu_set_t allowed;
    int last = -1;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        CPU_ZERO(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET((size_t)cpu, &allowed))
            last = cpu;
    bool alone = CPU_COUNT(&allowed) <= 1;
    gateway->give_way = alone;
    gateway->cpu = options->cpu >= 0 ? options->cpu : options->pin && !alone ? last : -1;
    if (!options->pin)
        gateway->cpu = -1;
}

// The main thread while the engine trades: waits for signals until trading ends.
static void watch(const struct options *options, struct gateway *gateway, const sigset_t *signals)
{
    struct timespec tenth = {.tv_nsec = 100 * 1000 * 1000};
    unsigned tenths = 0;
    while (!__atomic_load_n(&gateway->done, __ATOMIC_ACQUIRE)) {
        int signal = sigtimedwait(signals, NULL, &tenth);
        if (signal == SIGUSR1) {
            summary_progress(gateway->engine, 0.1 * (tenths ? tenths : 1));
            span_accounting_print(stdout, "the engine so far");
            fflush(stdout);
            tenths = 0;
        } else if (signal > 0) {
            __atomic_store_n(&gateway->stop, true, __ATOMIC_RELAXED);
        } else if (++tenths >= 10 && options->progress) {
            summary_progress(gateway->engine, 0.1 * tenths);
            tenths = 0;
        }
    }
}

// Trades until the end. Returns the exit code.
static int trade(const struct options *options, struct engine *engine, const sigset_t *signals)
{
    struct gateway gateway = {.engine = engine, .once = options->once};
    char address[256];
    pthread_t thread;
    choose_cpu(options, &gateway);
    gateway.listener = address_listen(options->listen, address, sizeof address);
    if (gateway.listener < 0)
        return 1;
    nsp_ticks start = nsp_now();
    uint64_t start_ns = nsp_ticks_to_unix_ns(start);
    if (pthread_create(&thread, NULL, gateway_run, &gateway) != 0) {
        fprintf(stderr, "engine: cannot start the trading thread\n");
        return 1;
    }
    printf("engine: listening on %s, process %d, ", address, (int)getpid());
    printf(gateway.cpu >= 0 ? "trading on processor %d\n" : "trading thread not pinned\n", gateway.cpu);
    fflush(stdout);
    if (options->address_file != NULL && !address_write_file(options->address_file, address))
        gateway.stop = true;
    watch(options, &gateway, signals);
    pthread_join(thread, NULL);
    close(gateway.listener);
    if (strncmp(options->listen, "unix:", 5) == 0)
        unlink(options->listen + 5);
    nsp_ticks end = nsp_now();
    double ns_per_tick =
        end > start ? (double)(nsp_ticks_to_unix_ns(end) - start_ns) / (double)(end - start) : 0;

    tracing_stop();
    bool good = summary_print(engine, ns_per_tick);
    if (options->stats_json != NULL && !summary_write_json(engine, ns_per_tick, options->stats_json))
        good = false;
    if (options->slow_orders != NULL &&
        !stopwatch_write(&engine->stopwatch, &engine->faults, engine->counters.orders, options->slow_orders))
        good = false;
    if (engine->failed)
        fprintf(stderr, "engine: stopped, because the drop copy '%s' could not be written\n",
                options->drop_copy);
    return good && !engine->failed ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct options options = parse(argc, argv);
    static struct engine engine;
    sigset_t signals;
    // Blocked in every thread: the main thread waits for the signals, and none of them interrupts trading.
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    if (!tracing_start("execution", options.max_orders))
        return 1;
    life_sample_all();
    if (!engine_init(&engine, options.max_orders, options.accounts, options.drop_copy)) {
        tracing_stop();
        return 1;
    }
    engine.by_calls = options.calls;
    engine.faults = options.faults;
    engine.stopwatch.slower_ns = options.slow_orders != NULL ? options.slower_ns : 0;
    int code = 1;
    if (faults_start(&engine.faults) && stopwatch_init(&engine.stopwatch))
        code = trade(&options, &engine, &signals);
    else
        tracing_stop();
    engine_free(&engine);
    return code;
}

// SPDX-License-Identifier: Apache-2.0
//
// Replays an order file into the engine and checks the answers: options and summary.
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <nanospan/nanospan.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "shared/address.h"
#include "shared/arguments.h"
#include "shared/span_accounting.h"
#include "shared/tracing.h"
#include "feed/replay.h"

enum { ORDERS_MAX = 100 * 1000 * 1000 };

struct options {
    const char *connect, *orders_file, *stats_json;
    uint64_t orders;
};

static const char usage[] =
    "usage: feed --file FILE [OPTION...]\n"
    "\n"
    "Replays an order file into the engine, every second order with a trace context, and checks the\n"
    "answers.\n"
    "\n"
    "  --file FILE            the order file (such as examples/orders/orders.csv)\n"
    "  --connect ADDRESS      address of the engine: HOST:PORT, PORT or unix:PATH (default 127.0.0.1:7700)\n"
    "  --orders N             number of order messages; the file is replayed in a loop (default: one pass\n"
    "                         over the file)\n"
    "  --rate R               orders a second, due at fixed times (default 0: as fast as the answers come)\n"
    "  --window N             limit of unanswered orders (default 256; with --rate: 1024)\n"
    "  --pause-at N           after N orders and the answers to them, wait for a line on standard input (or\n"
    "                         its end); may be repeated, in ascending order\n"
    "  --patience SECONDS     give up after this time without an answer (default 10)\n"
    "  --stats-json FILE      write the final numbers to FILE\n"
    "  --help                 show this text\n"
    "\n"
    "Tracing is configured by the environment: OTLP_ENDPOINT=http://127.0.0.1:4318 TRACE_SAMPLE_RATE=0.1\n"
    "feed ...\n"
    "Exit codes: 0 success, 1 the engine's answers are wrong or the span counters do not balance, 2 wrong\n"
    "usage.\n";

static void add_pause(struct replay *replay, const char *text)
{
    uint64_t after = argument_count("feed", "--pause-at", text, 1, ORDERS_MAX);
    uint64_t before = replay->pause_count ? replay->pauses[replay->pause_count - 1].after : 0;
    if (after <= before || replay->pause_count == PAUSES_MAX) {
        fprintf(stderr, "feed: --pause-at may be given %d times, in ascending order\n", PAUSES_MAX);
        exit(2);
    }
    replay->pauses[replay->pause_count++].after = after;
}

static struct options parse(int argc, char **argv, struct replay *replay)
{
    enum { FILE_ = 256, CONNECT, ORDERS, RATE, WINDOW, PAUSE_AT, PATIENCE, STATS_JSON, HELP };
    static const struct option known[] = {
        {"file", required_argument, NULL, FILE_},
        {"connect", required_argument, NULL, CONNECT},
        {"orders", required_argument, NULL, ORDERS},
        {"rate", required_argument, NULL, RATE},
        {"window", required_argument, NULL, WINDOW},
        {"pause-at", required_argument, NULL, PAUSE_AT},
        {"patience", required_argument, NULL, PATIENCE},
        {"stats-json", required_argument, NULL, STATS_JSON},
        {"help", no_argument, NULL, HELP},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.connect = "127.0.0.1:7700"};
    int option;
    replay->patience_ns = 10ull * 1000 * 1000 * 1000;
    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        switch (option) {
        case FILE_: options.orders_file = optarg; break;
        case CONNECT: options.connect = optarg; break;
        case ORDERS: options.orders = argument_count("feed", "--orders", optarg, 1, ORDERS_MAX); break;
        case RATE: replay->orders_per_second = argument_real("feed", "--rate", optarg, 0, 1e8); break;
        case WINDOW: replay->window = (uint32_t)argument_count("feed", "--window", optarg, 1, 1 << 20); break;
        case PAUSE_AT: add_pause(replay, optarg); break;
        case PATIENCE:
            replay->patience_ns = argument_count("feed", "--patience", optarg, 1, 3600) * 1000 * 1000 * 1000;
            break;
        case STATS_JSON: options.stats_json = optarg; break;
        case 'h':
        case HELP: fputs(usage, stdout); exit(0);
        default: fputs("feed: see feed --help\n", stderr); exit(2);
        }
    }
    if (optind < argc || options.orders_file == NULL) {
        fputs("feed: needs --file FILE and takes no other argument; see feed --help\n", stderr);
        exit(2);
    }
    if (!replay->window)
        replay->window = replay->orders_per_second > 0 ? 1024 : 256;
    return options;
}

static double microseconds(const struct replay *replay, double fraction)
{
    return (double)histogram_quantile(&replay->round_trip, fraction) / 1000;
}

static void print(const struct replay *replay, bool agreed)
{
    const struct ledger *ledger = &replay->ledger;
    double seconds = (double)(replay->ended_ns - replay->started_ns) / 1e9;
    printf("feed\n");
    printf("  %-24s %12" PRIu64 "  %.0f orders/s, at most %" PRIu64 " unanswered\n", "orders sent",
           ledger->sent, seconds > 0 ? (double)ledger->sent / seconds : 0, replay->most_in_flight);
    printf("  %-24s %12" PRIu64 "\n", "answered", ledger->answered);
    for (unsigned i = RESULT_RESTING; i <= RESULT_REJECTED; i++)
        printf("    %-22s %12" PRIu64 "\n", result_text(i), ledger->results[i]);
    for (unsigned i = REASON_MALFORMED; i <= REASON_NOT_OWNER; i++)
        if (ledger->reasons[i])
            printf("      %-32s %" PRIu64 "\n", reason_text(i), ledger->reasons[i]);
    printf("  %-24s %12" PRIu64 "  %" PRIu64 " units, worth %" PRIu64 "\n", "trades", ledger->taker_fills,
           ledger->taker_units, ledger->taker_value);
    printf("  %-24s %12s  answers to each order, both sides of each trade\n", "orders and trades",
           agreed ? "OK" : "NOT BALANCED");
    printf("  %-24s %12" PRIu64 "  %" PRIu64 " sampled\n", "sent with a context", replay->with_context,
           replay->spans_traced);
    printf("  round trip, us  p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n",
           microseconds(replay, 0.5), microseconds(replay, 0.9), microseconds(replay, 0.99),
           microseconds(replay, 0.999), microseconds(replay, 1));
}

static bool write_json(const struct replay *replay, bool agreed, const char *path)
{
    const struct ledger *ledger = &replay->ledger;
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        fprintf(stderr, "feed: cannot write '%s': %s\n", path, strerror(errno));
        return false;
    }
    fprintf(file, "{\"orders\": %" PRIu64 ", \"answered\": %" PRIu64 ", \"agreed\": %s, \"results\": {",
            ledger->sent, ledger->answered, agreed ? "true" : "false");
    for (unsigned i = RESULT_RESTING; i <= RESULT_REJECTED; i++)
        fprintf(file, "%s\"%s\": %" PRIu64, i > RESULT_RESTING ? ", " : "", result_text(i),
                ledger->results[i]);
    fprintf(file, "}, \"fills\": %" PRIu64 ", \"filled_units\": %" PRIu64 ", \"value\": %" PRIu64,
            ledger->taker_fills, ledger->taker_units, ledger->taker_value);
    fprintf(file, ", \"with_context\": %" PRIu64 ", \"spans_traced\": %" PRIu64, replay->with_context,
            replay->spans_traced);
    fprintf(file,
            ", \"first_pause_after\": %" PRIu64 ", \"fills_before_pause\": %" PRIu64
            ", \"units_before_pause\": %" PRIu64,
            replay->pause_count ? replay->pauses[0].after : ledger->count, replay->fills_before_pause,
            replay->units_before_pause);
    fprintf(file, ", \"sample_rates\": [[0, %.17g]", replay->rate_at_start);
    for (unsigned i = 0; i < replay->pauses_made; i++)
        fprintf(file, ", [%" PRIu64 ", %.17g]", replay->pauses[i].after, replay->pauses[i].rate);
    fprintf(file, "], \"round_trip_us\": {\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}, \"spans\": ",
            microseconds(replay, 0.5), microseconds(replay, 0.99), microseconds(replay, 1));
    span_accounting_json(file);
    fprintf(file, "}\n");
    return fclose(file) == 0;
}

int main(int argc, char **argv)
{
    static struct replay replay;
    static struct order_file file;
    struct options options = parse(argc, argv, &replay);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1UL); // the due times are precise to the microsecond
    if (!order_file_read(&file, options.orders_file))
        return 1;
    replay.file = &file;
    uint64_t count = options.orders ? options.orders : file.count;
    if (replay.pause_count && replay.pauses[replay.pause_count - 1].after >= count) {
        fprintf(stderr, "feed: --pause-at must be below the number of orders, %" PRIu64 "\n", count);
        return 2;
    }
    if (!ledger_init(&replay.ledger, count) || !stream_alloc(&replay.stream, 256 * 1024, 1024 * 1024)) {
        fprintf(stderr, "feed: out of memory\n");
        return 1;
    }
    if (!tracing_start("feed", replay.window))
        return 1;
    int fd = address_connect(options.connect, 2000);
    bool good = fd >= 0;
    if (good) {
        address_no_delay(fd);
        stream_open(&replay.stream, fd);
        good = replay_run(&replay);
    }
    tracing_stop();
    if (fd >= 0) {
        bool agreed = ledger_check(&replay.ledger);
        print(&replay, agreed);
        good = span_accounting_print(stdout, "the feed") && agreed && good;
        if (options.stats_json != NULL)
            good = write_json(&replay, agreed, options.stats_json) && good;
    }
    stream_free(&replay.stream);
    ledger_free(&replay.ledger);
    order_file_free(&file);
    return good ? 0 : 1;
}

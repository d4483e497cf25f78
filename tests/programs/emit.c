// SPDX-License-Identifier: Apache-2.0
//
// Emits a known set of spans with the environment's configuration and writes down what it emitted.
// tests/support/expected.py compares that with what a receiver got.
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "every_span.h"
#include "expectation.h"

#define SECOND 1000000000ull

enum { EXIT_UNBALANCED = 2, EXIT_LOST = 3 };

static const char usage[] =
    "usage: emit [--count N] [--expect FILE] [--timeout SECONDS]\n"
    "\n"
    "Emits N sets of spans (1) with every feature, sends them as the environment says\n"
    "(OTEL_EXPORTER_OTLP_ENDPOINT and so on), and writes to FILE, as JSON, what a receiver must have\n"
    "got, and the accounting. SECONDS (20) are for sending. Limits of a span and the sampler are its own;\n"
    "all else is the environment's.\n"
    "\n"
    "exit code: 0 all spans were exported; 1 it could not run; 2 the accounting does not balance; 3 they "
    "do,\n"
    "but not everything was exported\n";

static nsp_stats stats_now(void)
{
    nsp_stats stats = NSP_STATS_INIT;
    nsp_stats_get(&stats);
    return stats;
}

// Waits for a collector that lags behind, at most a second.
static void keep_pace(void)
{
    for (int i = 0; i < 1000 && stats_now().in_rings > 500; i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
}

// Returns the exit code.
static int judge(const nsp_stats *stats, size_t expected)
{
    uint64_t sum = stats->open + stats->dropped + stats->discarded + stats->in_rings + stats->in_batches +
                   stats->unconfirmed + stats->rejected + stats->exported + stats->spooled;
    fprintf(stderr,
            "emit: attempted %" PRIu64 ", dropped %" PRIu64 ", discarded %" PRIu64 ", unconfirmed %" PRIu64
            ", rejected %" PRIu64 ", exported %" PRIu64 " in %" PRIu64 " requests; not recorded %u\n",
            stats->attempted, stats->dropped, stats->discarded, stats->unconfirmed, stats->rejected,
            stats->exported, stats->batches_sent, unrecorded);
    if (sum != stats->attempted || (unrecorded == 0 && expected != stats->attempted))
        return EXIT_UNBALANCED;
    return stats->exported == expected && unrecorded == 0 ? 0 : EXIT_LOST;
}

static int run(int64_t count, const char *path, uint64_t timeout_ns)
{
    nsp_config config;
    nsp_config_init(&config);
    config.sample_rate = 1;
    config.parent_policy = NSP_PARENT_FOLLOW;
    config.attribute_count_limit = LIMIT_ATTRIBUTES;
    config.event_count_limit = LIMIT_EVENTS;
    config.link_count_limit = LIMIT_LINKS;
    config.event_attribute_count_limit = config.link_attribute_count_limit = LIMIT_OWN_ATTRIBUTES;
    config.attribute_value_length_limit = LIMIT_TEXT;
    nsp_status status = nsp_init(&config);
    if (status != NSP_OK) {
        fprintf(stderr, "emit: nsp_init: %s: %s\n", nsp_status_str(status), nsp_error_detail());
        return 1;
    }
    for (int64_t i = 0; i < count; i++) {
        emit_set(i);
        keep_pace();
    }
    size_t expected = expectation_count();
    bool sent = nsp_flush(timeout_ns) == NSP_OK;
    expectation_date();
    nsp_shutdown(sent ? SECOND : 0);
    nsp_stats stats = stats_now();
    if (path && !expectation_write(path, &stats)) {
        fprintf(stderr, "emit: cannot write %s\n", path);
        return 1;
    }
    expectation_free();
    return judge(&stats, expected);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"count", required_argument, NULL, 'c'},
                                            {"expect", required_argument, NULL, 'e'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int64_t count = 1;
    uint64_t timeout_ns = 20 * SECOND;
    const char *path = NULL;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'c': count = strtoll(optarg, NULL, 10); break;
        case 'e': path = optarg; break;
        case 't': timeout_ns = (uint64_t)(strtod(optarg, NULL) * 1e9); break;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 1;
        }
    }
    if (optind < argc || count < 0) {
        fputs(usage, stderr);
        return 1;
    }
    return run(count, path, timeout_ns);
}

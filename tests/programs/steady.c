// SPDX-License-Identifier: Apache-2.0
//
// An engine for tests of those that drain it: records spans at a steady rate until SIGTERM, then shuts down and
// says what became of them.
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <nanospan/nanospan.h>

static const char usage[] =
    "usage: steady [--rate N] [--spans N] [--threads N] [--timeout MS]\n"
    "\n"
    "Records about N spans a second (2000) named `steady`, each with its number as the attribute `number`,\n"
    "until SIGTERM or, with --spans, until there are so many. Prints \"ready\" after the first one, and "
    "\"full\" after\n"
    "the last of --spans. With --threads, one thread of N does that, and the others have recorded one span "
    "each and\n"
    "wait. Then it waits for SIGTERM, shuts down within MS (60000), and prints the accounting "
    "as\n"
    "JSON. All else is the environment's.\n";

static volatile sig_atomic_t told_to_end;

static void stop(int number)
{
    (void)number;
    told_to_end = 1;
}

static void say(const char *word)
{
    puts(word);
    fflush(stdout);
}

// Every millisecond as many as the rate asks for.
static void record(uint64_t rate, uint64_t spans)
{
    const uint64_t at_once = rate < 1000 ? 1 : rate / 1000;
    const struct timespec pause = {0, 1000000 * (long)(rate < 1000 ? 1000 / rate : 1)};
    for (uint64_t number = 0; !told_to_end;) {
        for (uint64_t i = 0; i < at_once && number < spans; i++) {
            nsp_span *span = nsp_span_begin(NSP_NAME("steady"));
            nsp_span_set_i64(span, NSP_KEY("number"), (int64_t)number);
            nsp_span_end(span);
            number++;
            if (number == 1)
                say("ready");
            if (number == spans)
                say("full");
        }
        nanosleep(&pause, NULL);
    }
}

static void *stand_by(void *standing)
{
    nsp_span_end(nsp_span_begin(NSP_NAME("standing by")));
    sem_post(standing);
    while (true)
        pause();
    return NULL;
}

static bool start_threads(uint64_t count)
{
    static sem_t standing;
    sem_init(&standing, 0, 0);
    for (uint64_t i = 0; i < count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, stand_by, &standing) != 0)
            return false;
        while (sem_wait(&standing) != 0)
            ;
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"rate", required_argument, NULL, 'r'},    {"spans", required_argument, NULL, 's'},
        {"threads", required_argument, NULL, 'n'}, {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    uint64_t rate = 2000, spans = UINT64_MAX, threads = 1, timeout_ms = 60000;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'r': rate = strtoull(optarg, NULL, 10); break;
        case 's': spans = strtoull(optarg, NULL, 10); break;
        case 'n': threads = strtoull(optarg, NULL, 10); break;
        case 't': timeout_ms = strtoull(optarg, NULL, 10); break;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
    nsp_status status = nsp_init(NULL);
    if (status != NSP_OK || rate == 0) {
        fprintf(stderr, "steady: nsp_init: %s: %s\n", nsp_status_str(status), nsp_error_detail());
        return 1;
    }
    if (!start_threads(threads - 1)) {
        fputs("steady: cannot start the threads\n", stderr);
        return 1;
    }
    record(rate, spans);
    status = nsp_shutdown(timeout_ms * 1000000);
    nsp_stats stats = NSP_STATS_INIT;
    nsp_stats_get(&stats);
    printf("{\"status\":%d,\"attempted\":%" PRIu64 ",\"exported\":%" PRIu64 ",\"dropped\":%" PRIu64
           ",\"in_rings\":%" PRIu64 ",\"in_batches\":%" PRIu64 ",\"refused\":%" PRIu64 "}\n",
           (int)status, stats.attempted, stats.exported, stats.dropped, stats.in_rings, stats.in_batches,
           stats.roots_refused);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// An engine for tests that kill it: records a known number of spans, leaves some of them open, says so, and
// then waits to be killed.
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <nanospan/nanospan.h>

static const char usage[] =
    "usage: doomed [--spans N] [--open N] [--snapshot]\n"
    "\n"
    "Records N finished spans (1000) named `finished`, and begins N more (2) named `open`, each\n"
    "within the one before it. Each has its number as the attribute `number`. With --snapshot, it then\n"
    "takes one of its history and drains it. Then prints \"ready\" and waits. All else is the "
    "environment's.\n";

static void record(uint64_t finished, uint64_t open)
{
    for (uint64_t i = 0; i < finished; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("finished"));
        nsp_span_set_i64(span, NSP_KEY("number"), (int64_t)i);
        nsp_span_end(span);
    }
    for (uint64_t i = 0; i < open; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("open"));
        nsp_span_set_i64(span, NSP_KEY("number"), (int64_t)i);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"spans", required_argument, NULL, 's'},
                                            {"open", required_argument, NULL, 'o'},
                                            {"snapshot", no_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    uint64_t finished = 1000, open = 2;
    bool snapshot = false;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 's': finished = strtoull(optarg, NULL, 10); break;
        case 'o': open = strtoull(optarg, NULL, 10); break;
        case 'n': snapshot = true; break;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    nsp_status status = nsp_init(NULL);
    if (status != NSP_OK) {
        fprintf(stderr, "doomed: nsp_init: %s: %s\n", nsp_status_str(status), nsp_error_detail());
        return 1;
    }
    record(finished, open);
    if (snapshot && nsp_snapshot(0) == NSP_OK)
        nsp_do_work(SIZE_MAX);
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}

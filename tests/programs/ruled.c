// SPDX-License-Identifier: Apache-2.0
//
// An engine for tests of outlier rules: it records orders whose durations are supplied, so a rule finds the same ones
// slow in each run. It prints "ready", and obeys lines of its input: "NAME FIRST COUNT SPANS" records the orders of these
// numbers, each a local root of this name with so many children, and then prints "done". Order number 10, 20 ... took 2
// ms, all others 2 us; a child of order number 5, 15 ... has failed. At the end of its input it shuts down, and prints
// "bye". All else is the environment's.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nanospan/nanospan.h>

enum { SLOW_NS = 2000000, FAST_NS = 2000 };

static void record(nsp_name name, uint64_t number, uint64_t spans)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    const nsp_ticks end = nsp_now();
    const uint64_t took = number % 10 == 0 ? SLOW_NS : FAST_NS;
    options.start = nsp_ticks_from_unix_ns(nsp_ticks_to_unix_ns(end) - took);
    nsp_span *root = nsp_span_begin_with(name, &options);
    nsp_span_set_i64(root, NSP_KEY("number"), (int64_t)number);
    for (uint64_t i = 0; i < spans; i++) {
        nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), options.start);
        if (i == 0 && number % 10 == 5)
            nsp_span_set_status(child, NSP_SPAN_STATUS_ERROR, "refused");
        nsp_span_end_at(child, end);
    }
    nsp_span_end_at(root, end);
}

int main(void)
{
    char name[32];
    uint64_t first, count, spans;
    if (nsp_init(NULL) != NSP_OK || nsp_thread_attach(NULL) != NSP_OK)
        return 1;
    puts("ready");
    fflush(stdout);
    while (scanf("%31s %" SCNu64 " %" SCNu64 " %" SCNu64, name, &first, &count, &spans) == 4) {
        const nsp_name interned = nsp_intern(name, strlen(name));
        for (uint64_t i = 0; i < count; i++)
            record(interned, first + i, spans);
        puts("done");
        fflush(stdout);
    }
    const bool good = nsp_shutdown(UINT64_C(60000000000)) == NSP_OK;
    puts("bye");
    return good ? 0 : 1;
}

// SPDX-License-Identifier: Apache-2.0
//
// What cpp.sh runs under callgrind, once linked with the operations in C and once with those in C++. counted_run is what
// callgrind counts: for each operation N calls, and then 2 N. Prints an operation's name and N before that.
#include <stdio.h>
#include <stdlib.h>

#include <nanospan/nanospan.h>

#include "operations.h"

enum { TIMES = 256 };

typedef enum state { SAMPLED, UNSAMPLED, OFF } state;
typedef void operation(int64_t number, const char *text, size_t length);

size_t fields_bytes;

static const struct {
    const char *name;
    operation *run;
    state state;
} operations[] = {
#define ROW(name, function, state) {#name, run_##function, state},
    OPERATIONS(ROW)
#undef ROW
};

__attribute__((noinline)) void counted_run(operation *run, size_t count);
__attribute__((noinline)) void counted_run(operation *run, size_t count)
{
    for (size_t i = 0; i < count; i++)
        run((int64_t)i, "NASDAQ", 6);
    __asm__ __volatile__("" : : : "memory"); // no tail call, so that the counter sees where it ends
}

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nsp_error_detail());
    exit(1);
}

static void start(void)
{
    nsp_config config;
    nsp_config_init(&config);
    config.collector = NSP_COLLECTOR_INVOKER;
    if (nsp_init(&config) != NSP_OK || nsp_thread_attach(NULL) != NSP_OK)
        fail("nsp_init");
}

int main(void)
{
    bool on = true;
    start();
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        if (operations[i].state == OFF && on) {
            on = false;
            nsp_stats stats = NSP_STATS_INIT;
            nsp_shutdown(UINT64_C(10000000000));
            nsp_stats_get(&stats);
            if (stats.dropped != 0 || stats.roots_refused != 0 || stats.misused != 0)
                fail("spans were lost, or misused");
        } else if (on && nsp_sampler_set_rate(operations[i].state == SAMPLED ? 1 : 0) != NSP_OK) {
            fail("nsp_sampler_set_rate");
        }
        operations[i].run(0, "NASDAQ", 6); // interns its names
        for (size_t times = 1; times <= 2; times++) {
            while (nsp_do_work(100000) != 0)
                ;
            counted_run(operations[i].run, times * TIMES);
        }
        printf("%s %d\n", operations[i].name, TIMES);
    }
    return 0;
}

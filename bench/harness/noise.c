// SPDX-License-Identifier: Apache-2.0
#include "harness/noise.h"

#include <time.h>

#include "harness/plain.h"
#include "harness/ticks.h"

enum { TWO_READS = 1000, ADDITIONS = 12000 }; // about 20 us and 10 us

static bench_noise best = {1e9, 1e9};

// Executes as many instructions per cycle as the core can.
static void run_additions(size_t count)
{
    size_t a = 0, b = 0, c = 0, d = 0, e = 0;
    for (size_t i = 0; i < count; i++) {
        for (int turn = 0; turn < 2; turn++) {
            a++, b++, c++, d++, e++;
            __asm__ __volatile__("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e));
        }
    }
}

double noise_time(void (*run)(size_t), size_t count)
{
    uint64_t start = ticks_fenced();
    run(count);
    uint64_t ticks = ticks_fenced() - start;
    return (double)ticks * ticks_ns() / (double)count;
}

static double less(double a, double b)
{
    return a < b ? a : b;
}

void noise_remember(bench_noise seen)
{
    best = (bench_noise){less(seen.two_reads, best.two_reads), less(seen.additions, best.additions)};
}

bench_noise noise_look(void)
{
    bench_noise now = {noise_time(run_two_reads, TWO_READS), noise_time(run_additions, ADDITIONS)};
    noise_remember(now);
    return now;
}

bench_noise noise_mean(bench_noise a, bench_noise b)
{
    return (bench_noise){(a.two_reads + b.two_reads) / 2, (a.additions + b.additions) / 2};
}

bench_noise noise_best_seen(void)
{
    return best;
}

bool noise_core_alone(double additions)
{
    return additions <= best.additions * 1.1;
}

void noise_pause(void)
{
    ticks_spin(1e6);
}

void noise_learn(double seconds)
{
    const double pause_ns = 2000000;
    struct timespec pause = {.tv_nsec = (long)pause_ns};
    for (double waited = 0; waited < seconds * 1e9; waited += pause_ns) {
        for (int i = 0; i < 4; i++)
            noise_look();
        nanosleep(&pause, NULL); // spreads the looks over busy and quiet times of other machines on the host
    }
}

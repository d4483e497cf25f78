// SPDX-License-Identifier: Apache-2.0
//
// Operations whose memory is no longer in the caches: the cost of a span on a path that is rarely taken,
// between work that fills the caches with its own data and code. Before each operation, the harness walks
// over more memory than the cache can hold, and over code. Like real work, this also evicts page table
// entries, which instructions that flush single lines would not do. Branch predictors stay trained.
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness/distribution.h"
#include "harness/noise.h"
#include "harness/session.h"
#include "harness/ticks.h"
#include "hot_path/operations.h"

enum { LINE = 64, ROUNDS = ROUNDS_LEAST, SAMPLES_MOST = 400 };

// 2048 jumps, each on a line of its own and over the next line: 256 KiB of code, more than first-level caches
// can hold. (The second level is evicted by data.)
static __attribute__((noinline)) void walk_code(void)
{
#if defined(__x86_64__)
    __asm__ __volatile__(".rept 2048\n.balign 64\njmp 1f\n.balign 64\n1:\n.endr" : : : "memory");
#elif defined(__aarch64__)
    __asm__ __volatile__(".rept 2048\n.balign 64\nb 1f\n.balign 64\n1:\n.endr" : : : "memory");
#endif
}

static struct {
    uint64_t *words;
    size_t bytes;
} memory;

// Writes, so that the lines are also evicted from the caches of other CPUs.
static void walk(size_t bytes)
{
    for (size_t at = 0; at < bytes; at += LINE)
        memory.words[at / sizeof *memory.words]++;
    walk_code();
}

static bool have_memory(size_t bytes)
{
    if (memory.bytes < bytes) {
        free(memory.words);
        memory.words = calloc(1, bytes);
        memory.bytes = memory.words != NULL ? bytes : 0;
        if (memory.words != NULL)
            walk(bytes);
    }
    return memory.words != NULL;
}

static size_t cache_bytes(int level, size_t otherwise)
{
    long bytes = sysconf(level == 2 ? _SC_LEVEL2_CACHE_SIZE : _SC_LEVEL3_CACHE_SIZE);
    return bytes > 0 ? (size_t)bytes : otherwise;
}

typedef struct cold_case {
    const char *name, *what, *operation;
    int level;        // the cache up to which all levels are evicted
    unsigned samples; // per round
} cold_case;

static const cold_case subjects[] = {
    {"cold_l2_span3", "a span with 3 attributes, first and second level evicted", "span3", 2, 300},
    {"cold_l2_unsampled3", "an unsampled root, 3 setters, the same caches", "unsampled3", 2, 300},
    {"cold_l2_disabled", "tracing disabled, 3 setters, the same caches", "disabled", 2, 300},
    {"cold_l3_span3", "a span with 3 attributes, all caches evicted", "span3", 3, 8},
    {"cold_l3_unsampled3", "an unsampled root, 3 setters, the same caches", "unsampled3", 3, 8},
};
enum { SUBJECTS = sizeof subjects / sizeof subjects[0] };

typedef struct cold_round {
    uint32_t empty[SAMPLES_MOST], subject[SAMPLES_MOST]; // ticks
    double two_reads, additions;                         // ns, medians of a look right after each operation
} cold_round;

static uint32_t measure_one(void (*run)(size_t), size_t bytes)
{
    uint32_t ticks;
    walk(bytes);
    ticks_each(run, &ticks, 1);
    return ticks;
}

// Measures the operation and the empty harness in turns. False if spans were lost.
static bool measure_round(const cold_case *the, size_t bytes, cold_round *out, bench_result *result)
{
    const bench_operation *operation = operation_find(the->operation);
    const bool session = operation->state != DISABLED;
    uint64_t losses = session ? session_losses() : 0;
    double two_reads[SAMPLES_MOST], additions[SAMPLES_MOST];
    for (unsigned i = 0; i < the->samples; i++) {
        if (operation->state == SAMPLED && !session_drained_to(session_ring_bytes() / 4)) {
            result_fail(result, "the collector did not drain the ring");
            return false;
        }
        out->empty[i] = measure_one(run_empty, bytes);
        out->subject[i] = measure_one(operation->run, bytes);
        bench_noise noise = noise_look();
        two_reads[i] = noise.two_reads;
        additions[i] = noise.additions;
    }
    out->two_reads = estimate_median(two_reads, the->samples).value;
    out->additions = estimate_median(additions, the->samples).value;
    return !session || session_losses() == losses;
}

static double mean_ns(const uint32_t *samples, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += samples[i];
    return sum / (double)count * ticks_ns();
}

static void report(const cold_case *the, const cold_round *in, size_t rounds, bench_result *out)
{
    static uint32_t pool[2][ROUNDS * SAMPLES_MOST]; // of the empty harness, of the operation
    double cost[ROUNDS], ratio[ROUNDS], additions[ROUNDS];
    size_t count = 0;
    for (size_t i = 0; i < rounds; i++) {
        cost[i] = mean_ns(in[i].subject, the->samples) - mean_ns(in[i].empty, the->samples);
        ratio[i] = cost[i] / in[i].two_reads;
        additions[i] = in[i].additions;
        for (unsigned k = 0; k < the->samples; k++, count++) {
            pool[0][count] = in[i].empty[k];
            pool[1][count] = in[i].subject[k];
        }
    }
    sort_u32(pool[0], count);
    sort_u32(pool[1], count);
    result_add_estimate(out, "ratio", estimate_median(ratio, rounds));
    result_add_estimate(out, "over_empty_ns", estimate_median(cost, rounds));
    result_add(out, "p50_ns", percentile(pool[1], count, 0.5) * ticks_ns());
    result_add(out, "p90_ns", percentile(pool[1], count, 0.9) * ticks_ns());
    if (count >= 1000)
        result_add(out, "p99_ns", percentile(pool[1], count, 0.99) * ticks_ns());
    if (count >= 4000)
        result_add(out, "p99.9_ns", percentile(pool[1], count, 0.999) * ticks_ns());
    result_add(out, "max_ns", pool[1][count - 1] * ticks_ns());
    result_add(out, "empty_p50_ns", percentile(pool[0], count, 0.5) * ticks_ns());
    rounds_by_core(out, rounds_core, ratio, additions, rounds);
    distribution_plot(out, "cold caches", the->name, pool[1], count, ticks_ns());
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static cold_round rounds[ROUNDS];
    const cold_case *the = &subjects[index];
    const bench_operation *operation = operation_find(the->operation);
    // Well above the size of the cache, because it does not evict strictly the least recently used lines.
    size_t bytes = the->level == 2 ? 2 * cache_bytes(2, 2 << 20) : cache_bytes(3, 32 << 20) / 2 * 3;
    if (!have_memory(bytes)) {
        result_fail(out, "out of memory: %zu bytes are needed", bytes);
        return;
    }
    if (!operation_begin(operation, setup, out))
        return;
    unsigned done = 0, lossless = 0;
    while (done < ROUNDS && setup->rounds != 0 && out->problem[0] == '\0') {
        lossless += measure_round(the, bytes, &rounds[lossless], out);
        progress(out, ++done, ROUNDS);
    }
    rounds_note(out, lossless, done);
    if (lossless != 0)
        report(the, rounds, lossless, out);
    operation_end(operation, out);
}

BENCH_DESCRIBE(subjects, SUBJECTS)

const bench_group group_cold = {
    .name = "cold caches",
    .method =
        "single operations after a walk over memory and code; over_empty_ns: the mean minus that of an "
        "equally cold empty harness; ratio: over_empty_ns to two clock reads (2T); core_alone: the ratio in "
        "rounds where nothing else used the core",
    .describe = describe,
    .measure = measure,
};

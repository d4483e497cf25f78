// SPDX-License-Identifier: Apache-2.0
#include "order_path/victims.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/ticks.h"

enum { LINE = 64 };

static size_t cache_bytes(int which, size_t otherwise)
{
    long size = sysconf(which);
    return size > 0 ? (size_t)size : otherwise;
}

static size_t level1(void)
{
    return cache_bytes(_SC_LEVEL1_DCACHE_SIZE, 32 << 10);
}

static size_t level2(void)
{
    return cache_bytes(_SC_LEVEL2_CACHE_SIZE, 1 << 20);
}

static size_t most_of_level2(void)
{
    return level2() / 8 * 7;
}

static uint64_t random_state;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

// ---- a pointer chase: each load waits for the previous one ----

typedef struct chase_line {
    struct chase_line *next;
    char rest[LINE - sizeof(void *)];
} chase_line;

static chase_line *chase_lines, *chase_at;
static size_t chase_count;

// Makes one cycle through all lines, in an order that no prefetcher can guess.
static bool chase_open(const victim *one)
{
    chase_count = one->bytes() / LINE;
    chase_lines = aligned_alloc(4096, (chase_count * LINE + 4095) / 4096 * 4096);
    size_t *order = malloc(chase_count * sizeof *order);
    if (chase_lines == NULL || order == NULL) {
        free(order);
        free(chase_lines);
        return false;
    }
    random_state = 88172645463325252u;
    for (size_t i = 0; i < chase_count; i++)
        order[i] = i;
    for (size_t i = chase_count - 1; i > 0; i--) {
        size_t other = random_next() % (i + 1), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
    for (size_t i = 0; i < chase_count; i++)
        chase_lines[order[i]].next = &chase_lines[order[(i + 1) % chase_count]];
    chase_at = chase_lines;
    free(order);
    return true;
}

static void chase_close(void)
{
    free(chase_lines);
}

static void chase_run(size_t steps)
{
    chase_line *at = chase_at;
    for (size_t i = 0; i < steps; i++)
        at = at->next;
    chase_at = at;
}

static size_t chase_round_trip(void)
{
    return chase_count;
}

// ---- updates at random places, like updates of price levels: the loads do not wait for each other ----

static uint64_t *table;
static size_t table_words;

static bool updates_open(const victim *one)
{
    table_words = one->bytes() / sizeof *table;
    table = aligned_alloc(4096, (one->bytes() + 4095) / 4096 * 4096);
    if (table != NULL)
        memset(table, 0, table_words * sizeof *table);
    random_state = 88172645463325252u;
    return table != NULL;
}

static void updates_close(void)
{
    free(table);
}

static void updates_run(size_t steps)
{
    uint64_t *words = table;
    for (size_t i = 0; i < steps; i++) {
        uint64_t random = random_next();
        words[(random >> 32) * table_words >> 32] += random;
    }
}

static size_t updates_round_trip(void)
{
    return table_words / 8 * 3; // 95 % of the lines
}

// ---- code: many small functions, called in turn ----

// Each function has its own cache line (or two), and does the same as the others with different constants.
// clang-format off
#define CODE(n)                                                                                              \
    static __attribute__((noinline, aligned(LINE))) uint64_t code_##n(uint64_t x)                            \
    {                                                                                                        \
        x ^= x >> (7 + 0x##n % 19);                                                                          \
        x *= 0x9e3779b97f4a7c15u + 0x##n * 2;                                                                \
        x ^= x << (5 + 0x##n % 23);                                                                          \
        return x + 0x##n;                                                                                    \
    }
#define NAME(n) code_##n,
#define FOUR(X, a, b, c, d) X(a) X(b) X(c) X(d)
#define SIXTEEN(X, n)                                                                                        \
    FOUR(X, n##0, n##1, n##2, n##3) FOUR(X, n##4, n##5, n##6, n##7)                                          \
    FOUR(X, n##8, n##9, n##a, n##b) FOUR(X, n##c, n##d, n##e, n##f)
#define ALL(X)                                                                                               \
    SIXTEEN(X, 10) SIXTEEN(X, 11) SIXTEEN(X, 12) SIXTEEN(X, 13) SIXTEEN(X, 14) SIXTEEN(X, 15) SIXTEEN(X, 16) \
    SIXTEEN(X, 17) SIXTEEN(X, 18) SIXTEEN(X, 19) SIXTEEN(X, 1a) SIXTEEN(X, 1b) SIXTEEN(X, 1c) SIXTEEN(X, 1d) \
    SIXTEEN(X, 1e) SIXTEEN(X, 1f) SIXTEEN(X, 20) SIXTEEN(X, 21) SIXTEEN(X, 22) SIXTEEN(X, 23) SIXTEEN(X, 24) \
    SIXTEEN(X, 25) SIXTEEN(X, 26) SIXTEEN(X, 27) SIXTEEN(X, 28) SIXTEEN(X, 29) SIXTEEN(X, 2a) SIXTEEN(X, 2b)

ALL(CODE)
static uint64_t (*const code[])(uint64_t) = {ALL(NAME)};
// clang-format on
enum { CODES = sizeof code / sizeof code[0] };

static size_t code_at;
static uint64_t code_value = 1;

static bool code_open(const victim *one)
{
    (void)one;
    code_at = 0;
    return true;
}

static void code_close(void) {}

// 149 and the number of functions have no common divisor, so each function has its turn.
static void code_run(size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        code_value = code[code_at](code_value);
        code_at = code_at + 149 < CODES ? code_at + 149 : code_at + 149 - CODES;
    }
    keep(code_value);
}

static size_t code_bytes(void)
{
    return (size_t)CODES * LINE;
}

static size_t code_round_trip(void)
{
    return CODES;
}

const victim victims[VICTIMS] = {
    {"victim_l1", "pointer chase over a working set as large as the L1", chase_open, chase_close, chase_run,
     level1, chase_round_trip},
    {"victim_most_l2", "the same over 7/8 of the L2", chase_open, chase_close, chase_run, most_of_level2,
     chase_round_trip},
    {"victim_l2", "the same over as much as the L2", chase_open, chase_close, chase_run, level2,
     chase_round_trip},
    {"victim_updates", "updates at random places in 7/8 of the L2", updates_open, updates_close, updates_run,
     most_of_level2, updates_round_trip},
    {"victim_code", "448 functions called in turn, 28 KiB of code", code_open, code_close, code_run,
     code_bytes, code_round_trip},
};

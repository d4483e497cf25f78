// SPDX-License-Identifier: Apache-2.0
#include "order_path/pair.h"

#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include <nanospan/nanospan.h>

#include "harness/session.h"

// The engine's own defaults.
enum { MAX_ORDERS = 4096, ACCOUNTS = 64 };

// Either the engine's own sampler decides (ENGINE), or the sender of the message (REMOTE).

#define ENGINE(rate) &order_path_traced, true, rate, false, -1
#define CALLS(rate) &order_path_traced, true, rate, true, -1
#define REMOTE(part) &order_path_traced, true, 0, false, part

const order_condition order_conditions[ORDER_CONDITIONS] = {
    {"out", "compiled out", "the control: compiled out, compared with itself", &order_path_untraced, false, 0,
     false, -1},
    {"off", "disabled", "compiled in, tracing not started", &order_path_traced, false, 0, false, -1},
    {"off_calls", "disabled, by calls", "the same by ordinary calls (engine --calls)", &order_path_traced,
     false, 0, true, -1},
    {"0", "0 %", "0 %, decided in the engine", ENGINE(0)},
    {"0_calls", "0 %, by calls", "the same by ordinary calls", CALLS(0)},
    {"1", "1 %", "1 %, decided in the engine", ENGINE(0.01)},
    {"10", "10 %", "10 %, decided in the engine", ENGINE(0.1)},
    {"10_calls", "10 %, by calls", "the same by ordinary calls", CALLS(0.1)},
    {"100", "100 %", "100 %, decided in the engine", ENGINE(1)},
    {"100_calls", "100 %, by calls", "the same by ordinary calls", CALLS(1)},
    {"r0", "0 %, remote parent", "0 %, decided by the sender", REMOTE(0)},
    {"r1", "1 %, remote parent", "1 %, decided by the sender", REMOTE(0.01)},
    {"r10", "10 %, remote parent", "10 %, decided by the sender", REMOTE(0.1)},
    {"r100", "100 %, remote parent", "100 %, decided by the sender", REMOTE(1)},
};

// ---- one engine ----

static bool engine_open(order_engine *one, const order_path *path)
{
    one->path = path;
    if (!path->init(&one->engine, MAX_ORDERS, ACCOUNTS, "/dev/null"))
        return false;
    one->accounts = malloc(ACCOUNTS * sizeof *one->accounts);
    if (one->accounts == NULL) {
        path->free(&one->engine);
        return false;
    }
    memcpy(one->accounts, one->engine.accounts.all, ACCOUNTS * sizeof *one->accounts);
    return true;
}

static void engine_close(order_engine *one)
{
    one->path->withdraw_all(&one->engine);
    one->path->free(&one->engine);
    free(one->accounts);
}

static bool answers_agree(const struct stream *a, const struct stream *b)
{
    size_t length = a->out_end - a->out_begin;
    return length == b->out_end - b->out_begin &&
           memcmp(a->out + a->out_begin, b->out + b->out_begin, length) == 0;
}

// ---- another thread ----

// A trading engine has other threads, and that matters to the untraced engine: in a single-threaded process,
// the kernel finds the file of a write without an atomic operation, and the C library also skips atomic
// operations.
static sem_t companion_end;

static void *companion_run(void *argument)
{
    (void)argument;
    while (sem_wait(&companion_end) != 0)
        ;
    return NULL;
}

static bool companion_start(pthread_t *thread)
{
    return sem_init(&companion_end, 0, 0) == 0 && pthread_create(thread, NULL, companion_run, NULL) == 0;
}

static void companion_stop(pthread_t thread)
{
    sem_post(&companion_end);
    pthread_join(thread, NULL);
    sem_destroy(&companion_end);
}

// ---- both ----

static bool drained(const order_pair *pair)
{
    return !pair->session || session_drained();
}

// Both engines process the messages up to `to`, one by one, and slowly enough for the collector.
static bool advance(order_pair *pair, size_t to, bench_result *out)
{
    enum { BETWEEN_DRAINS = 256 };
    order_engine *base = &pair->base, *subject = &pair->subject;
    for (; pair->at < to; pair->at++) {
        const order_message *message = &pair->stream.messages[pair->at];
        if (pair->at % BETWEEN_DRAINS == 0 && !drained(pair)) {
            result_fail(out, "the collector did not drain the ring");
            return false;
        }
        base->path->work_off(&base->engine, message, 1);
        subject->path->work_off(&subject->engine, message, 1);
        if (!answers_agree(&base->engine.stream, &subject->engine.stream)) {
            result_fail(out, "the traced and the untraced engine answer message %zu differently",
                        pair->at + 1);
            return false;
        }
    }
    return true;
}

// Goes to the end of the stream, where the feed disconnects, and begins again with empty order books and the
// initial accounts, so that each pass does exactly the same work.
static bool rewind_pair(order_pair *pair, bench_result *out)
{
    if (!advance(pair, pair->stream.count, out))
        return false;
    order_engine *both[2] = {&pair->base, &pair->subject};
    for (size_t i = 0; i < 2; i++) {
        struct engine *engine = &both[i]->engine;
        both[i]->path->withdraw_all(engine);
        if (engine->pool.used != 0 || engine->failed) {
            result_fail(out, "the engine could not withdraw all orders at the end of the stream");
            return false;
        }
        memcpy(engine->accounts.all, both[i]->accounts, ACCOUNTS * sizeof *both[i]->accounts);
    }
    pair->at = 0;
    return advance(pair, pair->stream.steady_begin, out);
}

const order_message *pair_next(order_pair *pair, size_t count, bench_result *out)
{
    bool fine = pair->at + count <= pair->stream.steady_end || rewind_pair(pair, out);
    if (fine && !drained(pair)) {
        result_fail(out, "the collector did not drain the ring");
        fine = false;
    }
    const order_message *first = &pair->stream.messages[pair->at];
    pair->at += count;
    return fine ? first : NULL;
}

double pair_bytes(order_pair *pair, bench_result *out)
{
    enum { TRIAL = 500 };
    if (!pair->session)
        return 0;
    uint64_t from = session_published();
    advance(pair, pair->at + TRIAL, out);
    return (double)(session_published() - from) / TRIAL;
}

uint64_t pair_losses(const order_pair *pair)
{
    return pair->session ? session_losses() : 0;
}

// Starts tracing, through the traced copy of the engine; in the other copy, the calls are compiled out.
static bool start_tracing(const order_condition *condition, const bench_setup *setup, bench_result *out)
{
    nsp_config config;
    session_configure(setup, &config);
    config.sample_rate = condition->rate;
    config.detached_spans = MAX_ORDERS; // like the engine: an order_life span for each open order
    if (!session_start_with(&config, out))
        return false;
    condition->path->sample_lives();
    return true;
}

bool pair_open(order_pair *pair, const order_condition *condition, const bench_setup *setup,
               bench_result *out)
{
    *pair = (order_pair){0};
    if (!orders_load(&pair->stream, condition->remote, out))
        return false;
    if (!companion_start(&pair->companion)) {
        result_fail(out, "cannot start a thread");
        goto no_companion;
    }
    if (!engine_open(&pair->base, &order_path_untraced)) {
        result_fail(out, "out of memory");
        goto no_base;
    }
    if (!engine_open(&pair->subject, condition->path)) {
        result_fail(out, "out of memory");
        goto no_subject;
    }
    if (condition->session && !start_tracing(condition, setup, out))
        goto no_session;
    pair->session = condition->session;
    pair->subject.engine.by_calls = condition->by_calls;
    if (advance(pair, pair->stream.steady_begin, out))
        return true;
    if (condition->session)
        session_end(out);
no_session:
    engine_close(&pair->subject);
no_subject:
    engine_close(&pair->base);
no_base:
    companion_stop(pair->companion);
no_companion:
    orders_free(&pair->stream);
    return false;
}

// Checks that the number of traced orders fits the condition. If traces were refused, only the upper bound
// can be checked.
static void check_traced(const order_pair *pair, const order_condition *condition, bench_result *out)
{
    const struct counters *counters = &pair->subject.engine.counters;
    double part = !condition->session ? 0 : condition->remote >= 0 ? pair->stream.sampled : condition->rate;
    // Each pass repeats the same contexts, so the number varies only with the length of the last pass.
    double drawn = condition->remote >= 0 ? (double)pair->stream.count : (double)counters->orders;
    double wanted = part * (double)counters->orders, spread = 6 * sqrt(drawn * part * (1 - part)) + 1;
    double traced = (double)counters->orders_traced;
    if (traced > wanted + spread || (pair_losses(pair) == 0 && traced < wanted - spread))
        result_fail(out, "%.0f orders were traced instead of %.0f", traced, wanted);
}

void pair_close(order_pair *pair, const order_condition *condition, bench_result *out)
{
    const struct counters *base = &pair->base.engine.counters, *subject = &pair->subject.engine.counters;
    if (base->orders != subject->orders || base->accepted != subject->accepted ||
        base->filled_units != subject->filled_units)
        result_fail(out, "the traced and the untraced engine have different totals");
    check_traced(pair, condition, out);
    engine_close(&pair->subject);
    engine_close(&pair->base);
    if (pair->session)
        session_end(out);
    companion_stop(pair->companion);
    orders_free(&pair->stream);
}

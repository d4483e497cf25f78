// SPDX-License-Identifier: Apache-2.0
//
// The cost of taking spans out of a ring and encoding them as OTLP, on one core. Uses invoker mode, so that a
// pass can be timed. A thread on the other CPU fills the ring, so the records come from that CPU's cache.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <nanospan/nanospan.h>

#include "hot_path/operations.h"
#include "otlp/protobuf/protobuf.h"
#include "harness/session.h"
#include "harness/ticks.h"
#include "pipeline/bursts.h"

static burst_rounds passes; // ns of a span

static void report(bench_result *out)
{
    burst_cost cost = bursts_cost(&passes, out);
    result_add_estimate(out, "spans_per_s_millions",
                        (estimate){1000 / cost.ns.value, 1000 / cost.ns.high, 1000 / cost.ns.low});
    result_add(out, "span_ns", cost.ns.value);
    result_add(out, "least_ns", smallest(passes.ns, passes.count));
    result_add_estimate(out, "ratio", cost.ratio);
    rounds_by_core(out, rounds_core, passes.ratio, passes.additions, passes.count);
}

// ---- drain and encode ----

typedef struct ring_filler {
    const bench_operation *operation;
    int cpu;
    pthread_barrier_t barrier;
    bool stop;
} ring_filler;

// Fills two thirds of the ring: less than the watermark, above which roots would be refused.
static void *filler_run(void *argument)
{
    ring_filler *me = argument;
    if (me->cpu >= 0)
        pin_to(me->cpu);
    nsp_thread_attach(NULL);
    uint64_t from = session_published();
    me->operation->run(64);
    double bytes = (double)(session_published() - from) / 64;
    size_t burst = (size_t)((double)session_ring_bytes() / 1.5 / bytes);
    for (;;) {
        pthread_barrier_wait(&me->barrier);
        if (me->stop)
            return NULL;
        me->operation->run(burst);
        pthread_barrier_wait(&me->barrier);
    }
}

static void measure_drain(const bench_operation *operation, const bench_setup *setup, bench_result *out)
{
    if (!session_start(setup, NSP_COLLECTOR_INVOKER, NULL, out))
        return;
    ring_filler filler = {.operation = operation, .cpu = setup->collector_cpu};
    pthread_t thread;
    pthread_barrier_init(&filler.barrier, NULL, 2);
    if (pthread_create(&thread, NULL, filler_run, &filler) != 0) {
        result_fail(out, "cannot start a thread");
        session_end(out);
        return;
    }
    passes.count = passes.measured = 0;
    for (unsigned pass = 0; pass < setup->rounds; pass++) {
        noise_pause();
        pthread_barrier_wait(&filler.barrier);
        pthread_barrier_wait(&filler.barrier);
        bench_noise noise = noise_look();
        uint64_t start = ticks_fenced();
        size_t spans = nsp_do_work(SIZE_MAX);
        double ns = (double)(ticks_fenced() - start) * ticks_ns();
        passes.measured++;
        if (spans < 100)
            result_fail(out, "a pass found only %zu spans", spans);
        bursts_add_one(&passes, ns / (double)spans, noise_mean(noise, noise_look()));
        progress(out, pass + 1, setup->rounds);
    }
    filler.stop = true;
    pthread_barrier_wait(&filler.barrier);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&filler.barrier);
    report(out);
    session_end(out);
    if (out->stats.dropped != 0 || out->stats.roots_refused != 0)
        result_fail(out, "spans were lost");
}

// ---- the encoder alone ----

enum { VIEWS = 1024, VIEW_BYTES = 512 };

// A copy of what the collector passes to an exporter, so that it can be encoded repeatedly.
static struct {
    nsp_span_view views[VIEWS];
    uint8_t bytes[VIEWS][VIEW_BYTES];
    size_t count;
    nsp__otlp_encoder *encoder;
    nsp_batch batch;
} kept;

static nsp_status keep_create(void **state, const nsp_exporter_context *context)
{
    *state = NULL;
    return nsp__otlp_encoder_create(&kept.encoder, context);
}

static void keep_destroy(void *state)
{
    (void)state;
}

static const uint8_t *keep_bytes(uint8_t **at, const uint8_t *from, size_t size)
{
    uint8_t *copy = *at;
    memcpy(copy, from, size);
    *at += (size + 7) & ~(size_t)7;
    return copy;
}

static bool keep_append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    (void)state;
    batch->length = 1;
    if (kept.count == VIEWS || view->items_bytes > VIEW_BYTES - 64)
        return true;
    uint8_t *at = kept.bytes[kept.count];
    nsp_span_view *copy = &kept.views[kept.count++];
    *copy = *view;
    copy->trace_id = keep_bytes(&at, view->trace_id, NSP_TRACE_ID_SIZE);
    copy->span_id = keep_bytes(&at, view->span_id, NSP_SPAN_ID_SIZE);
    copy->parent_id = keep_bytes(&at, view->parent_id, NSP_SPAN_ID_SIZE);
    copy->local_root_id = keep_bytes(&at, view->local_root_id, NSP_SPAN_ID_SIZE);
    copy->items = keep_bytes(&at, view->items, view->items_bytes);
    return true;
}

static nsp_send_result keep_send(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                 nsp_send_report *report)
{
    (void)state, (void)batch, (void)deadline_ns;
    report->answered = true;
    return NSP_SEND_EXPORTED;
}

static const nsp_exporter exporter_keep = {
    .size = sizeof(nsp_exporter),
    .name = "keep",
    .create = keep_create,
    .destroy = keep_destroy,
    .append = keep_append,
    .send = keep_send,
};

// Encodes whole batches of the copied spans: count spans or slightly fewer.
static void run_encode(size_t count)
{
    for (size_t batch = 0; batch < count / VIEWS; batch++) {
        nsp__otlp_encoder_open(kept.encoder, &kept.batch);
        for (size_t i = 0; i < VIEWS; i++)
            nsp__otlp_encoder_append(kept.encoder, &kept.batch, &kept.views[i]);
        nsp__otlp_encoder_close(kept.encoder, &kept.batch);
    }
}

static void measure_encode(const bench_operation *operation, const bench_setup *setup, bench_result *out)
{
    enum { BATCHES = 4, BATCH_BYTES = 1 << 20 };
    kept.count = 0;
    kept.batch = (nsp_batch){.data = malloc(BATCH_BYTES), .capacity = BATCH_BYTES};
    if (kept.batch.data == NULL || !session_start(setup, NSP_COLLECTOR_INVOKER, &exporter_keep, out)) {
        free(kept.batch.data);
        return;
    }
    memset(kept.batch.data, 0, BATCH_BYTES);
    operation->run(VIEWS);
    nsp_do_work(SIZE_MAX);
    if (kept.count == VIEWS) {
        run_encode(VIEWS * BATCHES);
        passes.count = passes.measured = 0;
        for (unsigned pass = 0; pass < setup->rounds; pass++) {
            noise_pause();
            bench_noise noise = noise_look();
            double ns = noise_time(run_encode, VIEWS * BATCHES);
            passes.measured++;
            bursts_add_one(&passes, ns, noise_mean(noise, noise_look()));
            progress(out, pass + 1, setup->rounds);
        }
        report(out);
        result_add(out, "bytes", (double)(kept.batch.length - kept.batch.head) / VIEWS);
    } else {
        result_fail(out, "only %zu spans reached the exporter", kept.count);
    }
    session_end(out);
    nsp__otlp_encoder_destroy(kept.encoder);
    free(kept.batch.data);
}

// ---- paths ----

// A root and five phases, with a field each.
#define PATH6(PHASE, I64, F64, STR, BOOL)                                                                    \
    STR(symbol, 16, "trade.symbol")                                                                          \
    PHASE(decode, "decode", NSP_PATH_AT_START)                                                               \
    I64(sequence, "message.sequence")                                                                        \
    PHASE(check_balance, "check_balance")                                                                    \
    F64(available, "balance.available")                                                                      \
    PHASE(check_risk, "check_risk")                                                                          \
    BOOL(accepted, "risk.accepted")                                                                          \
    PHASE(match, "match")                                                                                    \
    I64(fills, "match.fills")                                                                                \
    PHASE(publish, "publish")                                                                                \
    I64(bytes, "publish.bytes")
NSP_PATH_DECLARE(path6, "order", PATH6)

static void run_path6(size_t count)
{
    static const char *const symbols[] = {"AAPL", "MSFT", "GOOG", "AMZN"};
    for (size_t i = 0; i < count; i++) {
        path6 *path = path6_begin();
        NSP_PATH_STR(path, symbol, symbols[i % 4], 4);
        path->sequence = (int64_t)i;
        NSP_PATH_MARK(path, check_balance);
        path->available = 1000.5 + (double)i;
        NSP_PATH_MARK(path, check_risk);
        path->accepted = (i & 7) != 0;
        NSP_PATH_MARK(path, match);
        path->fills = (int64_t)(i & 3);
        NSP_PATH_MARK(path, publish);
        path->bytes = (int64_t)(64 + (i & 1023));
        path6_end(path);
    }
}

static const bench_operation operation_path6 = {
    .name = "path6", .what = "a path of a root and 5 phases", .state = SAMPLED, .spans = 6, .run = run_path6};

// ---- the group ----

static const struct {
    const char *name, *what, *operation;
    void (*measure)(const bench_operation *operation, const bench_setup *setup, bench_result *out);
} subjects[] = {
    {"drain_0", "drain and encode, spans without attributes", "span0", measure_drain},
    {"drain_3", "drain and encode, 3 attributes", "span3", measure_drain},
    {"drain_8", "drain and encode, 8 attributes", "span8", measure_drain},
    {"drain_path6", "drain and encode, paths of 6 spans with a field each", NULL, measure_drain},
    {"encode_3", "the encoder alone, 3 attributes", "span3", measure_encode},
    {"encode_8", "the encoder alone, 8 attributes", "span8", measure_encode},
};

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    const char *operation = subjects[index].operation;
    subjects[index].measure(operation != NULL ? operation_find(operation) : &operation_path6, setup, out);
}

BENCH_DESCRIBE(subjects, sizeof subjects / sizeof subjects[0])

const bench_group group_pipeline = {
    .name = "pipeline",
    .method =
        "on one core; each pass drains a ring that another CPU filled; ratio: time per span to two "
        "clock reads (2T); medians of all passes; core_alone: the ratio where nothing else used the core",
    .describe = describe,
    .measure = measure,
};

// SPDX-License-Identifier: Apache-2.0
//
// Simple hand-written tracers: a record with two readings of the counter, random ids and up to three
// attributes is passed to another thread, once through a queue with a mutex and a condition variable, and
// once through ck_ring. Neither encodes OTLP: the consumer only reads the record.
#include <ck_ring.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "harness/ticks.h"
#include "peers/child.h"

enum { SLOTS = 8192, BATCH = 512 };

typedef enum value_kind { TEXT, REAL, WHOLE } value_kind;

typedef struct attribute {
    const char *key;
    union {
        const char *text;
        double real;
        int64_t whole;
    } value;
    value_kind kind;
} attribute;

typedef struct record {
    const char *name;
    uint64_t trace_id[2], span_id, begin, end;
    uint32_t attribute_count;
    attribute attributes[3];
} record;

static pthread_t consumer;
static bool stopping;
static uint64_t taken, dropped;

static void look_at(const record *one)
{
    keep(one->trace_id[0] + one->span_id + one->begin + one->end + one->attribute_count);
    taken++;
}

// ---- the span ----

static uint64_t random_next(void)
{
    static __thread uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static inline void span_begin(record *out, const char *name)
{
    out->name = name;
    out->trace_id[0] = random_next();
    out->trace_id[1] = random_next();
    out->span_id = random_next();
    out->attribute_count = 0;
    out->begin = nsp__counter_read();
}

static inline attribute *span_attribute(record *span, const char *key, value_kind kind)
{
    attribute *one = &span->attributes[span->attribute_count++];
    one->key = key;
    one->kind = kind;
    return one;
}

typedef bool (*queue_put)(record *span);

static inline __attribute__((always_inline)) void span_run(int operation, int64_t i, queue_put put)
{
    record span;
    span_begin(&span, operation == PEER_SPAN0 ? "span0" : "span3");
    if (operation == PEER_SPAN3) {
        span_attribute(&span, "symbol", TEXT)->value.text = "BTCUSDT";
        span_attribute(&span, "price", REAL)->value.real = 101.25;
        span_attribute(&span, "quantity", WHOLE)->value.whole = i;
    }
    span.end = nsp__counter_read();
    if (!put(&span))
        dropped++;
}

static inline __attribute__((always_inline)) void queue_run(int operation, size_t count, queue_put put)
{
    for (size_t i = 0; i < count; i++)
        span_run(operation, (int64_t)i, put);
}

static inline __attribute__((always_inline)) void queue_sample(int operation, uint32_t *ticks, size_t count,
                                                               queue_put put)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t from = ticks_fenced();
        span_run(operation, (int64_t)i, put);
        uint64_t took = ticks_fenced() - from;
        ticks[i] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
    }
}

static void queue_stop(void)
{
    __atomic_store_n(&stopping, true, __ATOMIC_SEQ_CST);
    pthread_join(consumer, NULL);
}

static void queue_count(peer_counts *out)
{
    *out = (peer_counts){.exported = taken, .dropped = (int64_t)dropped};
}

// ---- with a mutex ----

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t filled;
    record slots[SLOTS];
    size_t head, tail; // only grow
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};

static bool mutex_put(record *span)
{
    pthread_mutex_lock(&queue.mutex);
    bool room = queue.tail - queue.head < SLOTS;
    if (room)
        queue.slots[queue.tail++ % SLOTS] = *span;
    pthread_mutex_unlock(&queue.mutex);
    pthread_cond_signal(&queue.filled);
    return room;
}

static void *mutex_consume(void *unused)
{
    (void)unused;
    static record batch[BATCH];
    for (;;) {
        pthread_mutex_lock(&queue.mutex);
        while (queue.head == queue.tail && !__atomic_load_n(&stopping, __ATOMIC_SEQ_CST))
            pthread_cond_wait(&queue.filled, &queue.mutex);
        size_t count = 0;
        while (queue.head != queue.tail && count < BATCH)
            batch[count++] = queue.slots[queue.head++ % SLOTS];
        pthread_mutex_unlock(&queue.mutex);
        if (count == 0)
            return NULL;
        for (size_t i = 0; i < count; i++)
            look_at(&batch[i]);
    }
}

static const char *mutex_start(const char *endpoint, int mode)
{
    (void)endpoint, (void)mode;
    memset(queue.slots, 0, sizeof queue.slots); // touches all pages now
    return pthread_create(&consumer, NULL, mutex_consume, NULL) == 0 ? NULL : "cannot start a thread";
}

static void mutex_run(int operation, size_t count)
{
    queue_run(operation, count, mutex_put);
}

static void mutex_sample(int operation, uint32_t *ticks, size_t count)
{
    queue_sample(operation, ticks, count, mutex_put);
}

static void mutex_stop(void)
{
    pthread_mutex_lock(&queue.mutex);
    __atomic_store_n(&stopping, true, __ATOMIC_SEQ_CST);
    pthread_cond_signal(&queue.filled);
    pthread_mutex_unlock(&queue.mutex);
    queue_stop();
}

const peer_calls peer_mutex_queue = {mutex_start, mutex_run, mutex_sample, mutex_stop, queue_count, NULL};

// ---- with ck_ring ----

CK_RING_PROTOTYPE(record, record)

static ck_ring_t ring;
static record ring_slots[SLOTS];

static bool ring_put(record *span)
{
    return CK_RING_ENQUEUE_SPSC(record, &ring, ring_slots, span);
}

static void *ring_consume(void *unused)
{
    (void)unused;
    struct timespec pause = {.tv_nsec = 200 * 1000};
    for (;;) {
        bool last = __atomic_load_n(&stopping, __ATOMIC_SEQ_CST);
        record one;
        while (CK_RING_DEQUEUE_SPSC(record, &ring, ring_slots, &one))
            look_at(&one);
        if (last)
            return NULL;
        nanosleep(&pause, NULL);
    }
}

static const char *ring_start(const char *endpoint, int mode)
{
    (void)endpoint, (void)mode;
    memset(ring_slots, 0, sizeof ring_slots);
    ck_ring_init(&ring, SLOTS);
    return pthread_create(&consumer, NULL, ring_consume, NULL) == 0 ? NULL : "cannot start a thread";
}

static void ring_run(int operation, size_t count)
{
    queue_run(operation, count, ring_put);
}

static void ring_sample(int operation, uint32_t *ticks, size_t count)
{
    queue_sample(operation, ticks, count, ring_put);
}

const peer_calls peer_ck_ring = {ring_start, ring_run, ring_sample, queue_stop, queue_count, NULL};

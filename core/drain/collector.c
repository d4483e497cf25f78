// SPDX-License-Identifier: Apache-2.0
#include "drain/collector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/testpoint.h"
#include "base/thread_start.h"
#include "drain/span_view.h"
#include "trace/producer.h"

uint64_t nsp__monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// ---- batches ----

static bool batch_open(nsp__collector *collector)
{
    nsp__batch *batch = nsp__sender_take_empty(collector->sender);
    if (batch == NULL)
        return false;
    batch->exported.head = batch->exported.length = 0;
    batch->exported.spans = batch->exported.attempt = 0;
    batch->exported.first_ns = 0;
    memset(nsp__batch_coverage(batch, collector->session, collector->config), 0,
           collector->config->threads * sizeof(uint64_t));
    if (collector->exporter->open != NULL)
        collector->exporter->open(collector->exporter_state, &batch->exported);
    batch->header->spans = 0;
    batch->header->head = batch->exported.head;
    batch->header->length = batch->exported.length;
    batch->header->attempts = batch->header->in_doubt = 0;
    __atomic_store_n(&batch->header->state, NSP__BATCH_FILLING, __ATOMIC_RELEASE);
    collector->current = batch;
    return true;
}

static void batch_close(nsp__collector *collector)
{
    nsp__batch *batch = collector->current;
    if (batch == NULL || batch->exported.spans == 0)
        return;
    if (collector->exporter->close != NULL)
        collector->exporter->close(collector->exporter_state, &batch->exported);
    batch->header->head = batch->exported.head;
    batch->header->length = batch->exported.length;
    batch->header->spans = batch->exported.spans;
    batch->header->sequence = ++collector->sequence;
    nsp__books_add(&collector->session->control->books.bytes_encoded,
                   batch->exported.length - batch->exported.head);
    __atomic_store_n(&batch->header->state, NSP__BATCH_CLOSED, __ATOMIC_RELEASE);
    collector->current = NULL;
    nsp__sender_put_closed(collector->sender, batch);
}

// ---- one ring ----

// How much ring space is given back at once: each step takes the consumer's line from under the producer.
enum { RELEASE_STEPS = 8 };

typedef struct ring_walk {
    nsp__producer *producer;
    nsp__slot *slot;
    uint64_t at, end;   // positions
    uint64_t records;   // taken out since the last release,
    uint64_t discarded; // and of these
    uint64_t released;  // position
} ring_walk;

// What is taken out is noted in the batch before its space is given back: a crash in between finds the record twice
// (and the coverage says so), never not at all.
static void release(nsp__collector *collector, ring_walk *walk)
{
    if (walk->at == walk->released)
        return;
    nsp__batch *batch = collector->current;
    if (batch != NULL) {
        batch->header->length = batch->exported.length;
        batch->header->spans = batch->exported.spans;
        uint64_t *coverage = nsp__batch_coverage(batch, collector->session, collector->config);
        __atomic_store_n(&coverage[walk->slot->index], walk->at, __ATOMIC_RELEASE);
    }
    NSP__TESTPOINT("collector: before release");
    __atomic_store_n(&walk->slot->drained, walk->slot->drained + walk->records, __ATOMIC_RELEASE);
    // R3: releases the space to the producer's R4; the records were read before.
    __atomic_store_n(&walk->slot->consumed, walk->at, __ATOMIC_RELEASE);
    walk->released = walk->at;
    // After `drained`, as stats.c reads the books before it: no span is seen twice.
    nsp__books *books = &collector->session->control->books;
    if (NSP__UNLIKELY(walk->discarded != 0))
        nsp__books_add(&books->discarded, walk->discarded);
    walk->records = walk->discarded = 0;
}

static const nsp__record *record_at(const ring_walk *walk)
{
    const nsp__ring *ring = &walk->producer->ring;
    const nsp__record *record =
        (const nsp__record *)(const void *)(ring->bytes + (walk->at & (ring->capacity - 1)));
    return nsp__record_valid(record, walk->end - walk->at, walk->slot->record_bytes) ? record : NULL;
}

// A record that cannot be: the rest up to the snapshot is given up, since nothing says where the next one begins. How
// many records that was is found out later, by count_lost.
static void give_up(nsp__collector *collector, ring_walk *walk)
{
    collector->damaged[walk->slot->index] = true;
    nsp__log(NSP_LOG_ERROR, "damaged", "a damaged record in the ring of thread %u: %llu bytes are skipped",
             walk->slot->tid, (unsigned long long)(walk->end - walk->at));
    walk->at = walk->end;
}

// After damage: an empty ring's records have all been taken out, so those that were committed but not counted as drained
// were skipped. A record counts as committed a moment after it is published; such a one is found at a later pass.
static void count_lost(nsp__collector *collector, ring_walk *walk)
{
    uint64_t committed = __atomic_load_n(&walk->slot->counters.committed, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&walk->slot->published, __ATOMIC_ACQUIRE) != walk->at ||
        committed <= walk->slot->drained)
        return;
    uint64_t lost = committed - walk->slot->drained;
    __atomic_store_n(&walk->slot->drained, committed, __ATOMIC_RELEASE);
    nsp__books_add(&collector->session->control->books.dropped_invalid, lost);
}

static void batch_close_covered(nsp__collector *collector, ring_walk *walk)
{
    release(collector, walk);
    batch_close(collector);
}

typedef enum append_result { APPENDED, NO_BATCH, TOO_BIG } append_result;

// Encodes one span into the current batch, or, if that is full, into the next one.
static append_result append(nsp__collector *collector, ring_walk *walk, const nsp_span_view *view)
{
    for (;;) {
        if (collector->current == NULL && !batch_open(collector))
            return NO_BATCH;
        nsp_batch *batch = &collector->current->exported;
        if (NSP__LIKELY(collector->exporter->append(collector->exporter_state, batch, view))) {
            if (batch->spans++ == 0)
                batch->first_ns = nsp__monotonic_ns();
            return APPENDED;
        }
        if (batch->spans == 0)
            return TOO_BIG;
        batch_close_covered(collector, walk);
    }
}

// Drains one ring up to the snapshot. False if the pool of batches is used up.
static bool drain_ring(nsp__collector *collector, ring_walk *walk, struct nsp__clock_segment *segment,
                       size_t *budget)
{
    const nsp__clock *clock = &collector->session->control->clock;
    uint64_t step = walk->producer->ring.capacity / RELEASE_STEPS;
    append_result result = APPENDED;
    while (walk->at != walk->end && *budget != 0) {
        const nsp__record *record = record_at(walk);
        if (NSP__UNLIKELY(record == NULL)) {
            give_up(collector, walk);
            break;
        }
        nsp_span_view view;
        nsp__span_view_make(&view, record, clock, segment);
        result = append(collector, walk, &view);
        if (NSP__UNLIKELY(result == NO_BATCH))
            break;
        if (NSP__UNLIKELY(result == TOO_BIG)) {
            walk->discarded++;
            nsp__log(NSP_LOG_WARN, "too big", "a span is too big for a batch of %zu bytes and is discarded",
                     collector->config->batch_bytes);
        }
        walk->at += record->bytes;
        walk->records++;
        --*budget;
        if (collector->current != NULL &&
            collector->current->exported.spans >= collector->config->batch_spans)
            batch_close_covered(collector, walk);
        else if (walk->at - walk->released >= step)
            release(collector, walk);
    }
    release(collector, walk);
    return result != NO_BATCH;
}

static void discard_ring(nsp__collector *collector, ring_walk *walk, size_t *budget)
{
    while (walk->at != walk->end && *budget != 0) {
        const nsp__record *record = record_at(walk);
        if (record == NULL) {
            give_up(collector, walk);
            break;
        }
        walk->at += record->bytes;
        walk->records++;
        walk->discarded++;
        --*budget;
    }
    release(collector, walk);
}

// ---- a pass ----

static void report(nsp__collector *collector)
{
    const nsp__control *control = collector->session->control;
    uint32_t generation = __atomic_load_n(&control->policy_generation, __ATOMIC_ACQUIRE);
    if (generation != collector->reported_generation && generation != 0) {
        // Its slot is rewritten two generations on; should that happen just now, the next pass reports that one.
        const nsp__policy *policy = &control->policies[generation & 1];
        uint64_t threshold = __atomic_load_n(&policy->thresholds[0], __ATOMIC_RELAXED);
        uint32_t rules = __atomic_load_n(&policy->rules, __ATOMIC_RELAXED);
        if (collector->reported_generation != 0)
            nsp__log(NSP_LOG_INFO, "policy", "sampler: default rate %g, %u rules",
                     nsp__threshold_rate(threshold), rules);
        collector->reported_generation = generation;
    }
    static const char *const texts[3] = {
        "no room for another ring in shared memory: such threads have private ones, which a crash loses",
        ("more threads than nsp_config.threads (NSP_THREADS) record spans: what the others record is dropped "
         "and counted"),
        "no memory for a thread's ring: what it records is dropped and counted"};
    const uint32_t now[3] = {__atomic_load_n(&nsp__trace_state.trouble.private_rings, __ATOMIC_RELAXED),
                             __atomic_load_n(&nsp__trace_state.trouble.no_slot, __ATOMIC_RELAXED),
                             __atomic_load_n(&nsp__trace_state.trouble.no_memory, __ATOMIC_RELAXED)};
    for (int i = 0; i < 3; i++) {
        if (now[i] != collector->reported_trouble[i])
            nsp__log(NSP_LOG_WARN, texts[i], "%s", texts[i]);
        collector->reported_trouble[i] = now[i];
    }
}

static void slot_drained(nsp__slot *slot, const ring_walk *walk)
{
    uint32_t closed = NSP__SLOT_CLOSED;
    if (walk->at == __atomic_load_n(&slot->published, __ATOMIC_RELAXED))
        __atomic_compare_exchange_n(&slot->state, &closed, NSP__SLOT_DRAINED, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED);
}

// One pass over all rings; the caller holds the drain lock. False if something was left for want of a batch.
static bool pass(nsp__collector *collector, size_t *budget)
{
    nsp__control *control = collector->session->control;
    uint32_t count = __atomic_load_n(&control->slot_count, __ATOMIC_ACQUIRE); // S4
    bool room = true;
    for (uint32_t i = 0; i < count; i++) {
        nsp__producer *producer = nsp__producer_at(i);
        // R2: acquires R1: the records below this position are whole.
        collector->snapshot[i] =
            producer != NULL ? __atomic_load_n(&producer->slot->published, __ATOMIC_ACQUIRE) : 0;
    }
    // After the snapshot, so that every span of this pass lies before the anchor.
    nsp__clock_anchor(&control->clock);
    struct nsp__clock_segment segment;
    nsp__clock_segment_at(&control->clock, nsp_now(), &segment);
    collector->fill = 0;
    // From another ring each time: where the budget or the pool runs out, no ring is always the last.
    uint32_t first = count != 0 ? collector->first++ % count : 0;
    for (uint32_t turn = 0; turn < count && *budget != 0; turn++) {
        uint32_t i = (first + turn) % count;
        nsp__producer *producer = nsp__producer_at(i);
        if (producer == NULL)
            continue;
        nsp__slot *slot = producer->slot;
        uint64_t consumed = slot->consumed;
        ring_walk walk = {producer, slot, consumed, collector->snapshot[i], 0, 0, consumed};
        double fill = (double)(walk.end - walk.at) / (double)slot->ring_bytes;
        if (fill > collector->fill)
            collector->fill = fill;
        if (walk.at != walk.end && collector->exporter == NULL)
            discard_ring(collector, &walk, budget);
        else if (walk.at != walk.end && room)
            room = drain_ring(collector, &walk, &segment, budget);
        if (NSP__UNLIKELY(collector->damaged[i]))
            count_lost(collector, &walk);
        if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == NSP__SLOT_CLOSED)
            slot_drained(slot, &walk);
    }
    nsp__batch *batch = collector->current;
    if (batch != NULL && batch->exported.spans != 0 &&
        nsp__monotonic_ns() - batch->exported.first_ns >= collector->config->schedule_delay_ns)
        batch_close(collector);
    report(collector);
    return room;
}

// ---- the thread ----

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
}

// Shorter while rings fill quickly, longer while they stay nearly empty.
static uint64_t next_pause(const nsp__collector *collector, uint64_t pause)
{
    if (collector->fill > 0.25)
        pause /= 2;
    else if (collector->fill < 0.0625)
        pause += pause / 4;
    if (pause < collector->config->poll_min_ns)
        pause = collector->config->poll_min_ns;
    return pause < collector->config->poll_max_ns ? pause : collector->config->poll_max_ns;
}

static void *collector_run(void *argument)
{
    nsp__collector *collector = argument;
    uint64_t pause = collector->config->poll_min_ns;
    pthread_mutex_lock(&collector->sleep);
    while (!collector->stop) {
        uint64_t wanted = collector->passes_wanted;
        bool flush = wanted != collector->passes_done;
        pthread_mutex_unlock(&collector->sleep);

        pthread_mutex_lock(&collector->drain);
        size_t budget = SIZE_MAX;
        pass(collector, &budget);
        if (flush)
            batch_close(collector);
        pause = next_pause(collector, pause);
        pthread_mutex_unlock(&collector->drain);

        pthread_mutex_lock(&collector->sleep);
        if (flush) {
            collector->passes_done = wanted;
            pthread_cond_broadcast(&collector->passed);
        }
        if (!collector->stop && collector->passes_wanted == collector->passes_done) {
            struct timespec until = timespec_of(nsp__monotonic_ns() + pause);
            pthread_cond_timedwait(&collector->wake, &collector->sleep, &until);
        }
    }
    pthread_mutex_unlock(&collector->sleep);
    return NULL;
}

static void free_tables(nsp__collector *collector)
{
    free(collector->snapshot);
    free(collector->damaged);
    collector->snapshot = NULL;
    collector->damaged = NULL;
}

nsp_status nsp__collector_start(nsp__collector *collector, const nsp_config *config, nsp__session *session,
                                const nsp_exporter *exporter, void *exporter_state, nsp__sender *sender)
{
    memset(collector, 0, sizeof *collector);
    collector->config = config;
    collector->session = session;
    collector->exporter = exporter;
    collector->exporter_state = exporter_state;
    collector->sender = sender;
    collector->snapshot = calloc(config->threads, sizeof *collector->snapshot);
    collector->damaged = calloc(config->threads, sizeof *collector->damaged);
    if (collector->snapshot == NULL || collector->damaged == NULL) {
        free_tables(collector);
        return nsp__fail(NSP_ERR_NO_MEMORY, "no memory for the collector");
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&collector->drain, NULL);
    pthread_mutex_init(&collector->sleep, NULL);
    pthread_cond_init(&collector->wake, &monotonic);
    pthread_cond_init(&collector->passed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (config->collector != NSP_COLLECTOR_THREAD)
        return NSP_OK;
    nsp_status status = nsp__thread_start(&collector->thread, "nsp-collector", config->collector_cpus,
                                          collector_run, collector);
    collector->has_thread = status == NSP_OK;
    if (status != NSP_OK)
        free_tables(collector);
    return status;
}

size_t nsp__collector_work(nsp__collector *collector, size_t max_spans)
{
    if (pthread_mutex_trylock(&collector->drain) != 0)
        return 0;
    size_t budget = max_spans;
    pass(collector, &budget);
    pthread_mutex_unlock(&collector->drain);
    return max_spans - budget;
}

// ---- flush, stop ----

// One pass that closes the batch: by the collector's thread, or here where there is none.
static void pass_for_flush(nsp__collector *collector, uint64_t deadline_ns)
{
    if (!collector->has_thread) {
        pthread_mutex_lock(&collector->drain);
        size_t budget = SIZE_MAX;
        pass(collector, &budget);
        batch_close(collector);
        pthread_mutex_unlock(&collector->drain);
        return;
    }
    struct timespec until = timespec_of(deadline_ns);
    int error = 0;
    pthread_mutex_lock(&collector->sleep);
    uint64_t wanted = ++collector->passes_wanted;
    pthread_cond_signal(&collector->wake);
    while (collector->passes_done < wanted && !collector->stop && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&collector->passed, &collector->sleep, &until);
    pthread_mutex_unlock(&collector->sleep);
}

static bool drained_up_to(const uint64_t *goal, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        nsp__producer *producer = nsp__producer_at(i);
        if (producer != NULL && __atomic_load_n(&producer->slot->consumed, __ATOMIC_ACQUIRE) < goal[i])
            return false;
    }
    return true;
}

bool nsp__collector_flush(nsp__collector *collector, uint64_t deadline_ns, const bool *stopping)
{
    enum { SLICE_NS = 20 * 1000 * 1000 };
    uint32_t count = __atomic_load_n(&collector->session->control->slot_count, __ATOMIC_ACQUIRE);
    uint64_t *goal = calloc(count + 1, sizeof *goal);
    if (goal == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        nsp__producer *producer = nsp__producer_at(i);
        goal[i] = producer != NULL ? __atomic_load_n(&producer->slot->published, __ATOMIC_ACQUIRE) : 0;
    }
    bool settled = false;
    do {
        pass_for_flush(collector, deadline_ns);
        pthread_mutex_lock(&collector->drain);
        bool drained = drained_up_to(goal, count);
        // The pass may have stopped for want of a batch, and another one have drained the rest into an open one.
        if (drained)
            batch_close(collector);
        uint64_t sequence = collector->sequence;
        pthread_mutex_unlock(&collector->drain);
        // In slices: a shutdown that comes meanwhile must not wait for this flush's deadline; and with the pool used
        // up, the next pass finds the batches that were settled since.
        do {
            uint64_t slice = nsp__monotonic_ns() + SLICE_NS;
            bool sent =
                collector->sender == NULL ||
                nsp__sender_wait(collector->sender, sequence, slice < deadline_ns ? slice : deadline_ns);
            settled = drained && sent;
        } while (drained && !settled && nsp__monotonic_ns() < deadline_ns &&
                 !__atomic_load_n(stopping, __ATOMIC_RELAXED));
    } while (!settled && nsp__monotonic_ns() < deadline_ns && !__atomic_load_n(stopping, __ATOMIC_RELAXED));
    free(goal);
    return settled;
}

void nsp__collector_stop(nsp__collector *collector)
{
    if (!collector->has_thread)
        return;
    pthread_mutex_lock(&collector->sleep);
    collector->stop = true;
    pthread_cond_broadcast(&collector->wake);
    pthread_cond_broadcast(&collector->passed);
    pthread_mutex_unlock(&collector->sleep);
    pthread_join(collector->thread, NULL);
    collector->has_thread = false;
}

uint64_t nsp__collector_discard_rest(nsp__collector *collector)
{
    nsp__control *control = collector->session->control;
    uint64_t before = __atomic_load_n(&control->books.discarded, __ATOMIC_RELAXED);
    if (collector->current != NULL) {
        nsp__books_add(&control->books.discarded, collector->current->exported.spans);
        collector->current->header->state = NSP__BATCH_EMPTY;
        collector->current = NULL;
    }
    size_t all = SIZE_MAX;
    uint32_t count = __atomic_load_n(&control->slot_count, __ATOMIC_ACQUIRE); // S4
    for (uint32_t i = 0; i < count; i++) {
        nsp__producer *producer = nsp__producer_at(i);
        if (producer == NULL)
            continue;
        uint64_t consumed = producer->slot->consumed;
        uint64_t published = __atomic_load_n(&producer->slot->published, __ATOMIC_ACQUIRE); // R2
        ring_walk walk = {producer, producer->slot, consumed, published, 0, 0, consumed};
        discard_ring(collector, &walk, &all);
        if (collector->damaged[i])
            count_lost(collector, &walk);
    }
    free_tables(collector);
    return __atomic_load_n(&control->books.discarded, __ATOMIC_RELAXED) - before;
}

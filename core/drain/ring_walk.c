// SPDX-License-Identifier: Apache-2.0
#include "drain/ring_walk.h"

#include <string.h>

#include "base/testpoint.h"
#include "common/time.h"
#include "drain/span_view.h"

// ---- batches ----

// False if the pool is used up.
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
    __atomic_store_n(&batch->header->state, NSP__BATCH_FILLING, __ATOMIC_RELEASE); // BH1
    collector->current = batch;
    return true;
}

void nsp__batch_close(nsp__collector *collector)
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
    nsp__counters_add(&collector->session->control->counters.bytes_encoded,
                      batch->exported.length - batch->exported.head);
    __atomic_store_n(&batch->header->state, NSP__BATCH_CLOSED, __ATOMIC_RELEASE); // BH1
    collector->current = NULL;
    nsp__sender_put_closed(collector->sender, batch);
}

// ---- one ring ----

nsp__ring_walk nsp__ring_walk_from(nsp__slot *slot, uint64_t end)
{
    return (nsp__ring_walk){
        .slot = slot,
        .bytes = (const uint8_t *)slot + slot->ring_offset,
        .mask = slot->ring_bytes - 1,
        .at = slot->consumed,
        .end = end,
        .released = slot->consumed,
    };
}

// How much ring space is given back at once. Each step takes the line with the consumer's position away from
// the producer.
enum { RELEASE_STEPS = 8 };

// What is taken out is recorded in the batch before its space is given back. After a crash in between a
// reader finds the record twice (and the coverage says so), but it always finds it.
static void release(nsp__collector *collector, nsp__ring_walk *walk)
{
    if (walk->at == walk->released)
        return;
    nsp__batch *batch = collector->current;
    if (batch != NULL) {
        batch->header->length = batch->exported.length;
        batch->header->spans = batch->exported.spans;
        uint64_t *coverage = nsp__batch_coverage(batch, collector->session, collector->config);
        __atomic_store_n(&coverage[walk->slot->index], walk->at, __ATOMIC_RELEASE); // BH1
    }
    NSP__TESTPOINT("collector: before release");
    __atomic_store_n(&walk->slot->drained, walk->slot->drained + walk->records, __ATOMIC_RELEASE); // C1
    // R3: releases the space to the producer's R4; the records were read before.
    __atomic_store_n(&walk->slot->consumed, walk->at, __ATOMIC_RELEASE);
    walk->released = walk->at;
    // Comes after `drained`, because stats.c reads these counters before it: no span is counted twice.
    nsp__counters *counters = &collector->session->control->counters;
    if (NSP__UNLIKELY(walk->discarded != 0))
        nsp__counters_add(&counters->discarded, walk->discarded);
    walk->records = walk->discarded = 0;
}

static const nsp__record *record_at(const nsp__ring_walk *walk)
{
    const nsp__record *record = (const nsp__record *)(const void *)(walk->bytes + (walk->at & walk->mask));
    return nsp__record_valid(record, walk->end - walk->at, walk->slot->record_bytes) ? record : NULL;
}

// An impossible record. The rest up to the snapshot is given up, since nothing tells where the next record
// begins. How many records that was is found later, by nsp__ring_count_lost.
static void give_up(nsp__collector *collector, nsp__ring_walk *walk)
{
    collector->damaged[walk->slot->index] = true;
    nsp__notices_damaged(&collector->notices, walk->slot->tid, walk->end - walk->at);
    walk->at = walk->end;
}

// All records of an empty ring have been taken out, so those that were committed but not counted as drained
// were skipped. A record counts as committed a moment after it is published; such a record is found in a
// later pass.
void nsp__ring_count_lost(nsp__collector *collector, nsp__ring_walk *walk)
{
    uint64_t committed = __atomic_load_n(&walk->slot->counters.committed, __ATOMIC_ACQUIRE); // C2
    if (__atomic_load_n(&walk->slot->published, __ATOMIC_ACQUIRE) != walk->at ||             // R2
        committed <= walk->slot->drained)
        return;
    uint64_t lost = committed - walk->slot->drained;
    __atomic_store_n(&walk->slot->drained, committed, __ATOMIC_RELEASE); // C1
    nsp__counters_add(&collector->session->control->counters.dropped_invalid, lost);
}

static void batch_close_covered(nsp__collector *collector, nsp__ring_walk *walk)
{
    release(collector, walk);
    nsp__batch_close(collector);
}

// The records lie in the cache of the thread that wrote them, and the next bytes of a batch in none. Both are
// fetched this many bytes before they are needed, as many lines with each span as a usual span takes. The
// distances were found with drain_3, where half or twice as much made no difference that could be seen.
enum { RECORDS_AHEAD = 768, BATCH_AHEAD = 2048, LINES_AHEAD = 3, LINE = 64 };

// It may reach beyond the batch: a prefetch reads nothing, so any address will do. Compilers take a function
// that only prefetches for one that does nothing and drop its calls, unless it is always inlined.
static inline __attribute__((always_inline)) void prefetch_ahead(const nsp__ring_walk *walk,
                                                                 const nsp__collector *collector)
{
    const uint8_t *record = walk->bytes + ((walk->at + RECORDS_AHEAD) & walk->mask);
    for (int i = 0; i < LINES_AHEAD; i++)
        __builtin_prefetch(record + i * LINE);
    if (NSP__UNLIKELY(collector->current == NULL))
        return;
    const nsp_batch *batch = &collector->current->exported;
    uintptr_t written = (uintptr_t)batch->data + batch->length + BATCH_AHEAD;
    for (int i = 0; i < LINES_AHEAD; i++)
        __builtin_prefetch((const void *)(written + i * LINE), 1);
}

typedef enum append_result { APPENDED, NO_BATCH, TOO_BIG } append_result;

// Encodes one span into the current batch or, if that is full, into the next one.
static append_result append(nsp__collector *collector, nsp__ring_walk *walk, const nsp_span_view *view)
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

bool nsp__ring_drain(nsp__collector *collector, nsp__ring_walk *walk, struct nsp__clock_segment *segment,
                     size_t *budget)
{
    const nsp__clock *clock = &collector->session->control->clock;
    uint64_t step = (walk->mask + 1) / RELEASE_STEPS;
    append_result result = APPENDED;
    while (walk->at != walk->end && *budget != 0) {
        const nsp__record *record = record_at(walk);
        if (NSP__UNLIKELY(record == NULL)) {
            give_up(collector, walk);
            break;
        }
        prefetch_ahead(walk, collector);
        nsp_span_view view;
        nsp__span_view_make(&view, record, clock, segment);
        result = append(collector, walk, &view);
        if (NSP__UNLIKELY(result == NO_BATCH))
            break;
        if (NSP__UNLIKELY(result == TOO_BIG)) {
            walk->discarded++;
            nsp__notices_too_big(&collector->notices, collector->config->batch_bytes);
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

void nsp__ring_discard(nsp__collector *collector, nsp__ring_walk *walk, size_t *budget)
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

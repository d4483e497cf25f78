// SPDX-License-Identifier: Apache-2.0
#include "drain/ring_walk.h"

#include "base/testpoint.h"
#include "common/time.h"
#include "drain/batch_fill.h"
#include "drain/path_append.h"
#include "drain/span_view.h"
#include "shm/path.h"

nsp__ring_walk nsp__ring_walk_from(nsp__collector *collector, nsp__ring_source *source, uint64_t end)
{
    const uint64_t at = source->consumed;
    collector->window.from = collector->window.to = at; // it holds what another ring had there
    return (nsp__ring_walk){
        .source = source,
        .slot = source->slot,
        .bytes = source->bytes,
        .mask = source->ring_bytes - 1,
        .at = at,
        .end = end,
        .released = at,
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
    const uint64_t unsent = walk->discarded + walk->invalid;
    if (NSP__UNLIKELY(unsent != 0)) // before the batch's coverage says that they are taken out
        __atomic_store_n(&walk->slot->discarding, unsent, __ATOMIC_RELAXED);
    if (collector->current != NULL)
        nsp__batch_note(collector, walk->source->index, walk->at);
    NSP__TESTPOINT("collector: before release");
    __atomic_store_n(&walk->slot->drained, walk->slot->drained + walk->spans, __ATOMIC_RELEASE); // C1
    NSP__TESTPOINT("collector: counted as drained");
    // R3: releases the space to the producer's R4; the records were read before.
    __atomic_store_n(&walk->slot->consumed, walk->at, __ATOMIC_RELEASE);
    NSP__TESTPOINT("collector: released");
    walk->released = walk->source->consumed = walk->at;
    // Comes after `drained`, because stats.c reads these counters before it: no span is counted twice.
    nsp__counters *counters = collector->options.counters;
    if (NSP__UNLIKELY(unsent != 0)) {
        nsp__counters_add(&counters->discarded, walk->discarded);
        nsp__counters_add(&counters->dropped_invalid, walk->invalid);
        __atomic_store_n(&walk->slot->discarding, 0, __ATOMIC_RELEASE); // C1
    }
    walk->spans = walk->discarded = walk->invalid = 0;
}

static inline const nsp__record *record_at(nsp__collector *collector, const nsp__ring_walk *walk)
{
    if (NSP__UNLIKELY(collector->window.bytes != NULL))
        return nsp__ring_window_record(&collector->window, walk->source, walk->at, walk->end);
    const nsp__record *record = (const nsp__record *)(const void *)(walk->bytes + (walk->at & walk->mask));
    return nsp__record_valid(record, walk->end - walk->at, walk->source->record_bytes) ? record : NULL;
}

// More than a ring can hold: its positions are damaged.
static bool is_impossible(const nsp__ring_walk *walk)
{
    return walk->end - walk->at > walk->mask + 1;
}

// An impossible record. The rest up to the snapshot is given up, since nothing tells where the next record
// begins. How many records that was is found later, by nsp__ring_count_lost.
static void give_up(nsp__collector *collector, nsp__ring_walk *walk)
{
    collector->damaged[walk->source->index] = true;
    nsp__notices_damaged(&collector->notices, __atomic_load_n(&walk->slot->tid, __ATOMIC_RELAXED),
                         walk->end - walk->at);
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
    nsp__counters_add(&collector->options.counters->dropped_invalid, lost);
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
    // A window has the records of this piece already; it is those of the next one that come from the other cache.
    // Behind the end, the lines are the thread's that writes there.
    const bool windowed = collector->window.bytes != NULL;
    const uint64_t ahead = windowed ? NSP__RING_PIECE : RECORDS_AHEAD;
    const uint8_t *record = walk->bytes + ((walk->at + ahead) & walk->mask);
    if (!windowed || walk->end - walk->at > ahead)
        for (int i = 0; i < LINES_AHEAD; i++)
            __builtin_prefetch(record + i * LINE);
    if (NSP__UNLIKELY(collector->current == NULL))
        return;
    const nsp_batch *batch = &collector->current->exported;
    uintptr_t written = (uintptr_t)batch->data + batch->length + BATCH_AHEAD;
    for (int i = 0; i < LINES_AHEAD; i++)
        __builtin_prefetch((const void *)(written + i * LINE), 1);
}

// Writes the thread's context switches into the view of a span. False if there are none.
static bool add_switches(const nsp__collector *collector, const nsp__ring_walk *walk,
                         const nsp__record *record, nsp_span_view *view)
{
    nsp__switches *switches = collector->switches;
    const uint32_t slot = walk->source->index;
    return NSP__UNLIKELY(switches != NULL) && nsp__switches_concern(switches, slot, record) &&
           nsp__switches_describe(switches, slot, record, view);
}

typedef enum append_result { APPENDED, NO_BATCH, TOO_BIG } append_result;

// Encodes one span into the current batch or, if that is full, into the next one.
static append_result append(nsp__collector *collector, nsp__ring_walk *walk, const nsp_span_view *view)
{
    const nsp__collector_options *options = &collector->options;
    for (;;) {
        if (collector->current == NULL && !nsp__batch_open(collector))
            return NO_BATCH;
        nsp_batch *batch = &collector->current->exported;
        if (NSP__LIKELY(options->exporter->append(options->exporter_state, batch, view))) {
            if (batch->spans++ == 0)
                batch->first_ns = nsp__monotonic_ns();
            return APPENDED;
        }
        if (batch->spans == 0)
            return TOO_BIG;
        batch_close_covered(collector, walk);
    }
}

// The same for all spans of a path.
static append_result append_path(nsp__collector *collector, nsp__ring_walk *walk, const nsp__record *record,
                                 uint32_t spans, struct nsp__clock_segment *segment, nsp__path_appended *out)
{
    uint32_t switches = walk->source->index;
    for (;;) {
        if (collector->current == NULL && !nsp__batch_open(collector))
            return NO_BATCH;
        if (NSP__UNLIKELY(nsp__path_wants_another(collector, spans))) {
            batch_close_covered(collector, walk);
            continue;
        }
        if (NSP__LIKELY(nsp__path_append(collector, record, segment, switches, out)))
            return APPENDED;
        if (collector->current->exported.spans != 0)
            batch_close_covered(collector, walk);
        else if (out->switched)
            switches = UINT32_MAX;
        else
            return TOO_BIG;
    }
}

// For a limit of traces: how long the path took, if that counts.
static uint64_t path_ns(const nsp__record *record, const nsp__clock *clock,
                        struct nsp__clock_segment *segment)
{
    nsp_span_view view;
    if ((record->flags & NSP__RECORD_DECIDED) == 0)
        return 0;
    nsp__span_view_times(&view, record->start, record->end, clock, segment);
    return view.end_ns - view.start_ns;
}

static append_result drain_path(nsp__collector *collector, nsp__ring_walk *walk, const nsp__record *record,
                                struct nsp__clock_segment *segment, size_t *budget)
{
    const uint32_t spans = nsp__record_spans(record);
    nsp__path_appended path;
    const append_result result = append_path(collector, walk, record, spans, segment, &path);
    if (NSP__UNLIKELY(result == NO_BATCH))
        return result;
    if (NSP__UNLIKELY(result == TOO_BIG)) {
        walk->discarded += spans;
        nsp__notices_too_big(&collector->notices, collector->options.config->batch_bytes, spans);
    } else {
        walk->invalid += path.left_out;
    }
    nsp__limit_count(&collector->limit, record, path_ns(record, collector->options.clock, segment));
    walk->spans += spans;
    nsp__path_spend(collector, budget, spans);
    return result;
}

static append_result drain_span(nsp__collector *collector, nsp__ring_walk *walk, const nsp__record *record,
                                struct nsp__clock_segment *segment, size_t *budget)
{
    nsp_span_view view;
    nsp__span_view_make(&view, record, collector->options.clock, segment);
    const nsp_span_view plain = view;
    const bool switched = add_switches(collector, walk, record, &view);
    append_result result = append(collector, walk, &view);
    if (NSP__UNLIKELY(switched && result == TOO_BIG))
        result = append(collector, walk, &plain);
    if (NSP__UNLIKELY(result == NO_BATCH))
        return result;
    if (NSP__UNLIKELY(switched))
        nsp__switches_taken(collector->switches);
    nsp__limit_count(&collector->limit, record, view.end_ns - view.start_ns);
    if (NSP__UNLIKELY(result == TOO_BIG)) {
        walk->discarded++;
        nsp__notices_too_big(&collector->notices, collector->options.config->batch_bytes, 1);
    }
    walk->spans++;
    --*budget;
    return result;
}

bool nsp__ring_drain(nsp__collector *collector, nsp__ring_walk *walk, struct nsp__clock_segment *segment,
                     size_t *budget)
{
    uint64_t step = (walk->mask + 1) / RELEASE_STEPS;
    append_result result = APPENDED;
    if (NSP__UNLIKELY(is_impossible(walk)))
        give_up(collector, walk);
    while (walk->at != walk->end && *budget != 0) {
        const nsp__record *record = record_at(collector, walk);
        if (NSP__UNLIKELY(record == NULL)) {
            give_up(collector, walk);
            break;
        }
        prefetch_ahead(walk, collector);
        result = nsp__record_is_path(record) ? drain_path(collector, walk, record, segment, budget)
                                             : drain_span(collector, walk, record, segment, budget);
        if (NSP__UNLIKELY(result == NO_BATCH))
            break;
        walk->at += record->bytes;
        if (collector->current != NULL &&
            collector->current->exported.spans >= collector->options.config->batch_spans)
            batch_close_covered(collector, walk);
        else if (walk->at - walk->released >= step)
            release(collector, walk);
    }
    release(collector, walk);
    return result != NO_BATCH;
}

void nsp__ring_discard(nsp__collector *collector, nsp__ring_walk *walk, size_t *budget)
{
    if (NSP__UNLIKELY(is_impossible(walk)))
        give_up(collector, walk);
    while (walk->at != walk->end && *budget != 0) {
        const nsp__record *record = record_at(collector, walk);
        if (record == NULL) {
            give_up(collector, walk);
            break;
        }
        nsp__limit_count(&collector->limit, record, 0);
        const uint32_t spans = nsp__record_spans(record);
        walk->at += record->bytes;
        walk->spans += spans;
        walk->discarded += spans;
        nsp__path_spend(collector, budget, spans);
    }
    release(collector, walk);
}

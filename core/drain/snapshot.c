// SPDX-License-Identifier: Apache-2.0
#include "drain/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "base/testpoint.h"
#include "common/time.h"
#include "drain/batch_fill.h"
#include "drain/collector.h"
#include "drain/path_append.h"
#include "drain/span_view.h"
#include "shm/path.h"

// For a root with its mark: no record is larger than 64 KiB.
enum { ROOM = 64 * 1024 + 64 };

// Bytes of history that are copied in one pass, while the rings wait. At least one buffer is.
enum { COPIED_MOST = 4 * 1024 * 1024 };

static void set(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE); // C1
}

// Counts what was put into the current batch, and notes it there. After a crash in between a reader finds more spans
// counted than are anywhere, and knows from `noting` that these were never recorded.
static void note(nsp__collector *collector)
{
    nsp__snapshot *me = &collector->taking;
    nsp__snapshots *shared = collector->options.snapshots;
    const uint64_t spans = me->unnoted + me->unnoted_too_big;
    if (spans == 0)
        return;
    set(&shared->noting, spans);
    NSP__TESTPOINT("snapshot: about to count");
    set(&shared->spans, shared->spans + spans);
    NSP__TESTPOINT("snapshot: counted");
    if (me->unnoted != 0)
        nsp__batch_note(collector, me->slot, collector->sources[me->slot].consumed);
    NSP__TESTPOINT("snapshot: noted in the batch");
    if (me->unnoted_too_big != 0)
        nsp__counters_add(&collector->options.counters->discarded, me->unnoted_too_big);
    set(&shared->noting, 0);
    me->unnoted = me->unnoted_too_big = 0;
}

static void close_noted(nsp__collector *collector)
{
    note(collector);
    nsp__batch_close(collector);
}

static bool put_span(nsp__collector *collector, const nsp_span_view *view)
{
    const nsp__collector_options *options = &collector->options;
    nsp__snapshot *me = &collector->taking;
    for (;;) {
        if (collector->current == NULL && !nsp__batch_open(collector))
            return false;
        nsp_batch *batch = &collector->current->exported;
        if (options->exporter->append(options->exporter_state, batch, view)) {
            if (batch->spans++ == 0)
                batch->first_ns = nsp__monotonic_ns();
            me->unnoted++;
            if (batch->spans >= options->config->batch_spans)
                close_noted(collector);
            return true;
        }
        if (batch->spans == 0) {
            me->unnoted_too_big++;
            nsp__notices_too_big(&collector->notices, options->config->batch_bytes, 1);
            return true;
        }
        close_noted(collector);
    }
}

// The same for all spans of a path. Those that nobody can tell were never attempted, and are not counted.
static bool put_path(nsp__collector *collector, const nsp__record *record, struct nsp__clock_segment *segment)
{
    const nsp__collector_options *options = &collector->options;
    nsp__snapshot *me = &collector->taking;
    const uint32_t spans = nsp__record_spans(record);
    for (;;) {
        nsp__path_appended path;
        if (collector->current == NULL && !nsp__batch_open(collector))
            return false;
        const nsp_batch *batch = &collector->current->exported;
        if (nsp__path_wants_another(collector, spans)) {
            close_noted(collector);
        } else if (nsp__path_append(collector, record, segment, UINT32_MAX, &path)) {
            me->unnoted += path.spans;
            if (batch->spans >= options->config->batch_spans)
                close_noted(collector);
            return true;
        } else if (batch->spans != 0) {
            close_noted(collector);
        } else {
            me->unnoted_too_big += spans;
            nsp__notices_too_big(&collector->notices, options->config->batch_bytes, spans);
            return true;
        }
    }
}

static bool put_record(nsp__collector *collector, const nsp__record *record,
                       struct nsp__clock_segment *segment)
{
    if (nsp__record_is_path(record))
        return put_path(collector, record, segment);
    nsp_span_view view;
    nsp__span_view_make(&view, record, collector->options.clock, segment);
    return put_span(collector, &view);
}

// ---- one trace ----

static bool is_exported(const nsp__snapshot_ranges *ranges, const nsp__history_trace *trace)
{
    for (int i = 0; i < NSP__SNAPSHOT_RANGES; i++)
        if (trace->from >= ranges->range[i].from && trace->to <= ranges->range[i].to)
            return true;
    return false;
}

static bool is_wanted(const nsp__snapshot *me, const nsp__clock *clock, struct nsp__clock_segment *segment,
                      const nsp__history_trace *trace)
{
    nsp_span_view view;
    const nsp__record *root = trace->root;
    if (is_exported(&me->exported[me->slot], trace))
        return false;
    nsp__span_view_times(&view, root->start, root->end, clock, segment);
    return view.end_ns >= me->since_ns;
}

// Traces follow each other without a gap, so what lies beside a range makes it longer. If there are too many, the oldest
// is forgotten, which is overwritten first.
static void note_exported(nsp__snapshot_ranges *ranges, struct nsp__snapshot_range added)
{
    int free_one = 0;
    for (int i = 0; i < NSP__SNAPSHOT_RANGES; i++) {
        struct nsp__snapshot_range *range = &ranges->range[i];
        if (range->to != 0 && added.from <= range->to && added.to >= range->from) {
            added.from = nsp__earlier(added.from, range->from);
            added.to = nsp__later(added.to, range->to);
            range->from = range->to = 0;
        }
        if (range->to < ranges->range[free_one].to)
            free_one = i;
    }
    ranges->range[free_one] = added;
}

// False: there is no room, or the budget is used up.
static bool put_trace(nsp__collector *collector, struct nsp__clock_segment *segment, size_t *budget)
{
    nsp__snapshot *me = &collector->taking;
    while (me->at != me->trace.to) {
        const nsp__record *record = nsp__history_record(&me->history, me->at);
        const uint32_t bytes = record->bytes;
        if (*budget == 0)
            return false;
        if (record == me->trace.root && bytes <= ROOM - NSP__HISTORY_ROOM) {
            nsp__history_mark_root(me->room, record, me->key, "snapshot");
            record = me->room;
        }
        const uint32_t spans = nsp__record_spans(record);
        if (!put_record(collector, record, segment))
            return false;
        me->at += bytes;
        nsp__path_spend(collector, budget, spans);
    }
    note_exported(&me->exported[me->slot], (struct nsp__snapshot_range){me->trace.from, me->trace.to});
    return true;
}

// ---- one thread ----

static bool read_slot(nsp__collector *collector)
{
    nsp__snapshot *me = &collector->taking;
    const nsp__ring_source *source = &collector->sources[me->slot];
    if (!source->available || source->speculation == NULL)
        return false;
    const nsp__history_memory memory = {source->speculation, source->buffer};
    const nsp__history_source from =
        nsp__history_of_memory(&memory, source->buffer_bytes, source->record_bytes);
    const bool read = nsp__history_read(&me->history, &from, 0);
    nsp__snapshots *shared = collector->options.snapshots;
    set(&shared->overtaken, shared->overtaken + me->history.overtaken - me->overtaken);
    me->overtaken = me->history.overtaken;
    me->at = me->trace.to;
    return read;
}

static bool put_slot(nsp__collector *collector, struct nsp__clock_segment *segment, size_t *budget)
{
    nsp__snapshot *me = &collector->taking;
    for (;;) {
        if (me->at != me->trace.to && !put_trace(collector, segment, budget))
            return false;
        do {
            if (!nsp__history_next(&me->history, &me->trace))
                return true;
        } while (!is_wanted(me, collector->options.clock, segment, &me->trace));
        me->at = me->trace.from;
    }
}

// ---- a snapshot ----

bool nsp__snapshot_waits(const nsp__collector *collector)
{
    const nsp__snapshots *shared = collector->options.snapshots;
    const nsp__snapshot *me = &collector->taking;
    return shared != NULL &&
           (me->number != me->done || __atomic_load_n(&shared->wanted, __ATOMIC_ACQUIRE) != me->done); // SN2
}

static bool begin(nsp__collector *collector)
{
    nsp__snapshots *shared = collector->options.snapshots;
    nsp__snapshot *me = &collector->taking;
    const uint64_t wanted = __atomic_load_n(&shared->wanted, __ATOMIC_ACQUIRE); // SN2: acquires SN1
    if (me->number != me->done)
        return true;
    if (me->exported == NULL) {
        me->exported = calloc(collector->options.config->threads, sizeof *me->exported);
        me->room = aligned_alloc(64, ROOM);
    }
    if (me->exported == NULL || me->room == NULL)
        return false;
    me->number = wanted;
    me->since_ns = __atomic_exchange_n(&shared->since_ns, 0, __ATOMIC_ACQUIRE); // SN4: acquires SN3
    me->slot = me->since_ns != 0 ? 0 : collector->snapshot_count; // an earlier one has taken it along
    me->reading = false;
    return true;
}

void nsp__snapshot_pass(nsp__collector *collector, struct nsp__clock_segment *segment, size_t *budget,
                        bool room)
{
    nsp__snapshot *me = &collector->taking;
    if (!nsp__snapshot_waits(collector) || !room || !begin(collector))
        return;
    const uint32_t count = collector->options.exporter != NULL ? collector->snapshot_count : 0;
    uint64_t copied = 0;
    bool whole = true;
    for (; me->slot < count && whole; me->slot += whole) {
        if (!me->reading && copied >= COPIED_MOST)
            return;
        if (!me->reading && read_slot(collector)) {
            me->reading = true;
            copied += me->history.end - me->history.at;
        }
        whole = !me->reading || put_slot(collector, segment, budget);
        note(collector);
        me->reading = !whole;
    }
    if (!whole)
        return;
    me->done = me->number;
    set(&collector->options.snapshots->done, me->done);
}

void nsp__snapshot_free(nsp__snapshot *snapshot)
{
    nsp__history_free(&snapshot->history);
    free(snapshot->exported);
    free(snapshot->room);
    *snapshot = (nsp__snapshot){0};
}

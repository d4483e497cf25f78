// SPDX-License-Identifier: Apache-2.0
//
// Paths apart from their hot path: a span is begun in the ordinary way, and then gets its body. And what phases mean
// to the spans around them.
#include "trace/path.h"

#include <string.h>

#include "base/testpoint.h"
#include "common/utf8.h"
#include "trace/end_slow.h"
#include "trace/misuse.h"
#include "trace/path_special.h"
#include "trace/span_context.h"
#include "trace/speculation.h"
#include "trace/stack.h"
#include "trace/thread.h"
#include "trace/trace_state.h"
#include "trace/value.h"

// ---- begin ----

static void body_write(nsp__frame *frame, const nsp__path_declaration *declaration)
{
    char *body = (char *)(&frame->record + 1);
    memcpy(body, declaration->unset, declaration->bytes);
    uint64_t head = __atomic_load_n(&declaration->head, __ATOMIC_RELAXED);
    if (!nsp__clock_is_counter)
        head |= (uint64_t)NSP__PATH_BY_CALL << 8 * offsetof(nsp__path_head, open);
    memcpy(body, &head, sizeof head);
    if ((head >> 56 & NSP__PATH_STARTS) != 0)
        memcpy(body + sizeof declaration->head, &frame->record.start, sizeof frame->record.start);
}

// Moves the items that the span has already behind the body: its tracestate, and what a signal handler has set. They
// are given up if there is no room.
static void items_move(nsp__frame *frame, uint32_t bytes)
{
    const uint32_t used = nsp__frame_bytes(frame), items = used - (uint32_t)sizeof(nsp__record);
    char *from = (char *)(&frame->record + 1);
    if (used + bytes > frame->limit) {
        nsp__value_count_cut();
        frame->record.flags &= (uint8_t) ~(NSP__RECORD_TRACESTATE | NSP__RECORD_DROPS);
        frame->cursor -= items;
        return;
    }
    memmove(from + bytes, from, items);
    frame->drops_at = (uint16_t)(frame->drops_at + bytes);
}

// Gives a span that records, and that is open on this thread or detached and known to nobody else, its body. A reader
// after a crash takes it for a path once its kind says so, and for one without fields until the cursor is behind them.
static void *body_open(nsp_span *span, const nsp__path_declaration *declaration)
{
    nsp__frame *frame = nsp__frame_of(span);
    nsp__producer *producer = nsp__producer_self();
    nsp__entry *top = producer != NULL ? nsp__busy_take_top(producer) : NULL;
    if (nsp__span_open(span)) { // and not ended by a signal handler, or with its session
        if (nsp__frame_bytes(frame) != sizeof(nsp__record))
            items_move(frame, declaration->bytes);
        body_write(frame, declaration);
        frame->record.end = 0;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        NSP__TESTPOINT("path: no body yet");
        nsp__record_set_traits(&frame->record,
                               nsp__record_traits(&frame->record) | (uint64_t)NSP__KIND_PATH << 8);
        __atomic_fetch_or(&frame->reserved, NSP__FRAME_PATH, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        NSP__TESTPOINT("path: no room for its body yet");
        frame->cursor += declaration->bytes;
        if (producer != NULL && frame == producer->ruled_frame)
            producer->ruled_marks |= NSP__TRACE_PATH;
    }
    if (producer != NULL)
        nsp__busy_end(producer, top);
    return (char *)(&frame->record + 1);
}

// True if the frame of this span has room for the body.
static bool fits(const nsp_span *span, const nsp__path_declaration *declaration)
{
    return sizeof(nsp__record) + declaration->bytes <= nsp__frame_of(span)->limit;
}

// NSP_RECORD_BYTES is too small for the path: its span is dropped, and goes on as one that does not record, so that what
// begins under it is left out too.
static nsp_span *give_up(nsp_span *span)
{
    nsp__frame *frame = nsp__frame_of(span);
    nsp__producer *producer = nsp__producer_self();
    if (producer == NULL || !nsp__span_open(span))
        return span;
    nsp__entry *top = nsp__busy_take_top(producer);
    const uintptr_t handle = nsp__frame_handle(frame, ++producer->unrecorded, 0);
    const bool open = nsp__span_open(span); // not ended by a signal handler, or with its session
    if (open) {
        if (!nsp__frame_speculative(frame))
            nsp__count(&producer->home.slot->counters.dropped_too_deep);
        else if (frame->detached != 0)
            nsp__ruled_apart_lost(producer);
        else if (frame == producer->ruled_frame)
            nsp__speculation_settle(producer->speculation);
        nsp__frame_publish(frame, handle);
        nsp__stack_rename(producer, top, span, handle);
    }
    nsp__busy_end(producer, nsp__stack_settle(producer, top));
    return open ? (nsp_span *)handle : span;
}

static void *path_of(nsp_span *span, const nsp__path_declaration *declaration, bool detached)
{
    if (!nsp_span_recording(span))
        return nsp__path_room_for(span, detached);
    return NSP__LIKELY(fits(span, declaration)) ? body_open(span, declaration)
                                                : nsp__path_room_for(give_up(span), detached);
}

// The declaration could not be tried: in a signal handler that has interrupted nanospan's interning, or while another
// thread fills the table's last place. Counted like a span that finds no frame.
static void *dropped(void)
{
    nsp__producer *producer = nsp__producer_self();
    if (producer != NULL && !nsp__is_busy(producer) && !nsp__parents_state() &&
        !nsp__session_over(producer)) {
        nsp__count_nested(&producer->home.slot->counters.attempted);
        nsp__count_nested(&producer->home.slot->counters.dropped_too_deep);
    }
    return nsp__path_room_for((nsp_span *)NSP__UNSAMPLED_CHILD, false);
}

void *nsp__path_begin_special(nsp__path_declaration *declaration, nsp_ticks start)
{
    if (!nsp__path_declare(declaration) && __atomic_load_n(&nsp__active, __ATOMIC_RELAXED))
        return dropped();
    return path_of(nsp_span_begin_at(__atomic_load_n(&declaration->name, __ATOMIC_RELAXED), start),
                   declaration, false);
}

// The caller's options, or the defaults, as those of a span.
static void read_options(const nsp_path_options *given, nsp_path_options *out)
{
    static const nsp_path_options as_usual = NSP_PATH_OPTIONS_INIT;
    *out = as_usual;
    if (given != NULL)
        memcpy(out, given, given->size < sizeof *out ? given->size : sizeof *out);
}

void nsp__path_describe(void *path, const nsp_path_options *options)
{
    nsp_span *span = nsp__path_span(path);
    for (size_t i = 0; options->links != NULL && i < options->link_count; i++)
        nsp_span_add_link_with(span, &options->links[i].context, options->links[i].attributes,
                               options->links[i].attribute_count);
    if (options->status != NSP_SPAN_STATUS_UNSET)
        nsp_span_set_status(span, options->status, options->status_message);
}

void *nsp__path_begin_with(nsp__path_declaration *declaration, const nsp_path_options *given)
{
    nsp_path_options options;
    read_options(given, &options);
    nsp_span_options its = NSP_SPAN_OPTIONS_INIT;
    its.kind = options.kind;
    its.parent = options.parent;
    its.new_root = options.new_root;
    its.start = options.start;
    if (!nsp__path_declare(declaration) && __atomic_load_n(&nsp__active, __ATOMIC_RELAXED))
        return dropped();
    nsp_span *span =
        options.detached
            ? nsp_span_begin_detached(__atomic_load_n(&declaration->name, __ATOMIC_RELAXED), &its)
            : nsp_span_begin_with(__atomic_load_n(&declaration->name, __ATOMIC_RELAXED), &its);
    void *path = path_of(span, declaration, options.detached);
    if (nsp__path_records(path))
        nsp__path_describe(path, &options);
    return path;
}

// ---- mark and fields ----

typedef uint16_t __attribute__((may_alias)) half_word;

// Both at once, since whoever reads them counts by their difference: a signal handler that ends the path meanwhile, or
// a reader after a crash.
static void set_open(nsp__path_head *head, uint32_t open, uint32_t skipped)
{
    const uint32_t by_call = head->open & NSP__PATH_BY_CALL;
    const uint16_t both = (uint16_t)(open | by_call | skipped << 8); // little endian
    _Static_assert(offsetof(nsp__path_head, skipped) == offsetof(nsp__path_head, open) + 1, "side by side");
    __atomic_store_n((half_word *)(void *)&head->open, both, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void nsp__path_mark_slow(void *path, uint32_t phase, nsp_ticks at)
{
    nsp__path_head *head = path;
    nsp_ticks *reading = (nsp_ticks *)path + phase;
    const uint32_t open = head->open & ~NSP__PATH_BY_CALL;
    if (open >= phase || phase > head->phases) {
        // A declaration that is not in the table has no phases.
        if (head->phases != 0)
            nsp__misused();
        return;
    }
    *reading = nsp__ticks_or_now(at);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    set_open(head, phase, head->skipped + (phase - 1 - open));
}

void nsp__path_set_cut(void *path, uint16_t *length, char *bytes, uint32_t capacity, const char *value,
                       size_t size)
{
    if (value == NULL)
        size = 0;
    const size_t fits = size > capacity ? nsp__utf8_cut(value, size, capacity) : size;
    const size_t kept = nsp__utf8_cut_characters(value, fits, nsp__path_frame(path)->value_limit);
    if (kept < size)
        nsp__value_count_cut();
    if (value != NULL)
        memcpy(bytes, value, kept);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *length = (uint16_t)kept;
}

// ---- the spans around it ----

void nsp__inherit_uncommon(nsp__frame *frame, const nsp__frame *parent)
{
    nsp__record *record = &frame->record;
    const uint64_t path = (uint64_t)NSP__KIND_PATH << 8;
    if ((nsp__record_traits(record) & path) != 0) {
        nsp__record_set_traits(record, nsp__record_traits(record) & ~path);
        record->parent_id = nsp__path_current_id(&parent->record);
    }
    if ((record->flags & NSP__RECORD_TRACESTATE) != 0)
        nsp__tracestate_inherit(frame, parent);
}

// ---- end ----

void nsp__path_drop_phases(nsp__slot *slot, nsp__frame *frame)
{
    nsp__path_head *head = (nsp__path_head *)(void *)(&frame->record + 1);
    const uint64_t *readings = nsp__path_readings(head);
    uint32_t open = nsp__path_open(head), skipped = head->skipped;
    while (open > skipped) {
        for (open--; skipped != 0 && open != 0 && readings[open - 1] == 0; open--)
            skipped--;
        set_open(head, open, skipped);
        NSP__TESTPOINT("drop: a phase is out of its path");
        nsp__count(&slot->counters.dropped_ring_full);
    }
}

void nsp__path_commit_after_all(nsp__producer *producer, nsp__frame *frame, nsp_ticks end, uint32_t phases)
{
    nsp__slot *slot = producer->slot;
    const bool committed = nsp__commit_after_all(producer, frame, end);
    if (!committed)
        nsp__path_drop_phases(slot, frame);
    nsp__frame_close(frame);
    nsp__count_more(committed ? &slot->counters.committed : &slot->counters.dropped_ring_full,
                    committed ? 1 + (uint64_t)phases : 1);
}

void nsp__path_commit_and_close(nsp__producer *producer, nsp__frame *frame, nsp_ticks end)
{
    nsp__slot *slot = producer->slot;
    const uint32_t phases = nsp__path_count_phases(slot, frame);
    if (NSP__UNLIKELY(!nsp__commit(producer, slot, frame, end))) {
        nsp__path_commit_after_all(producer, frame, end, phases);
        return;
    }
    nsp__frame_close(frame);
    nsp__count_more(&slot->counters.committed, 1 + (uint64_t)phases);
}

// The handle under which the path is, or was, on the thread's stack: its frame reads as zero if the session is over.
static nsp_span *find_span(const nsp__frame *frame)
{
    const uintptr_t tag = __atomic_load_n(&frame->tag, __ATOMIC_RELAXED) & NSP__TAG_MASK;
    const nsp__producer *producer = nsp__producer_self();
    if (tag != 0)
        return nsp__frame_is_path(frame) ? (nsp_span *)((uintptr_t)frame | tag) : NULL;
    if (producer == NULL || nsp__is_busy(producer) || !nsp__session_over(producer))
        return NULL;
    for (const nsp__entry *entry = producer->hot.top; entry > &producer->stack[0]; entry--)
        if ((entry->current & ~NSP__TAG_MASK) == (uintptr_t)frame)
            return (nsp_span *)entry->current;
    return NULL;
}

void nsp__path_end_elsewhere(void *path, nsp_ticks end)
{
    if (nsp__parents_state())
        return;
    const nsp__frame *frame = nsp__path_frame(path);
    nsp_span *span = find_span(frame);
    // A handle that no open span has, so that it counts as misuse unless the session is over.
    if (span == NULL) {
        const uintptr_t tag = __atomic_load_n(&frame->tag, __ATOMIC_RELAXED) & NSP__TAG_MASK;
        span = (nsp_span *)((uintptr_t)frame | (tag != 1 ? 1 : 3));
    }
    nsp_span_end_at(span, end);
}

void nsp__path_end_lost(void *path, nsp_ticks end)
{
    const uintptr_t frame = (uintptr_t)path - NSP__PATH_INERT_AT;
    const nsp__producer *producer = nsp__producer_self();
    if (nsp__parents_state() || producer == NULL || nsp__is_busy(producer))
        return;
    for (const nsp__entry *entry = producer->hot.top; entry > &producer->stack[0]; entry--)
        if ((entry->current & ~NSP__TAG_MASK) == frame) {
            nsp_span_end_at((nsp_span *)entry->current, end);
            return;
        }
}

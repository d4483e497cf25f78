// SPDX-License-Identifier: Apache-2.0
//
// The recorded half of a path's hot path: begin and end. As begin_fast.c and end_fast.c for spans; whatever is
// uncommon goes the way of ordinary spans (path.c).
#include "base/hot.h"
#include "trace/cpu.h"
#include "trace/misuse.h"
#include "trace/path.h"
#include "trace/path_special.h"
#include "trace/sampler.h"

#define NOINLINE __attribute__((noinline, cold))
#define ALWAYS_INLINE static inline __attribute__((always_inline))

// ---- begin ----

// Opens a frame for a path: as nsp__frame_open, and with nothing set in the body.
ALWAYS_INLINE void frame_open(nsp__frame *frame, const nsp__path_declaration *declaration, nsp_ticks start)
{
    char *body = (char *)(&frame->record + 1);
    const char *unset = (const char *)declaration->unset;
    const uint64_t bytes = declaration->bytes, cursor = frame->initial + bytes;
    const uint64_t head = __atomic_load_n(&declaration->head, __ATOMIC_RELAXED);
    __builtin_memcpy(&frame->cursor, &cursor, sizeof cursor);
    frame->record.name = __atomic_load_n(&declaration->name, __ATOMIC_RELAXED);
    frame->record.start = start;
    frame->record.end = 0;
    nsp__pair first = *(const nsp__pair *)(const void *)unset;
    first[0] = head;
    if ((head >> 56 & NSP__PATH_STARTS) != 0)
        first[1] = start;
    *(nsp__pair *)(void *)body = first;
    // Two pairs at once, the last of which may lie behind the body.
    for (uint64_t at = sizeof first; at < bytes; at += 2 * sizeof first) {
        __asm__("" : "+r"(at)); // as in nsp__record_put_part
        const char *from = unset + at;
        nsp__pair second = *(const nsp__pair *)(const void *)from;
        nsp__pair third = *(const nsp__pair *)(const void *)(from + sizeof second);
        *(nsp__pair *)(void *)(body + at) = second;
        *(nsp__pair *)(void *)(body + at + sizeof second) = third;
    }
}

// As nsp__push.
ALWAYS_INLINE void *push(nsp__producer *producer, nsp__entry *entry, nsp__frame *frame, uint64_t id)
{
    const uintptr_t handle = nsp__frame_handle(frame, id, NSP__RECORDING);
    nsp__record_set_traits(&frame->record,
                           nsp__record_traits(&frame->record) | (uint64_t)NSP__KIND_PATH << 8);
    nsp__frame_publish_path(frame, handle);
    entry->current = handle;
    nsp__busy_end(producer, entry);
    return (char *)(&frame->record + 1);
}

// As nsp__begin_hit: a root that the sampler records, among others that it leaves out.
static __attribute__((noinline)) NSP__HOT void *begin_hit(nsp__path_declaration *declaration, nsp_ticks start,
                                                          nsp__producer *producer, uint32_t name_class)
{
    if (NSP__UNLIKELY(producer->thresholds[name_class] >= NSP__THRESHOLD_RULED)) // or undrawn
        return nsp__path_begin_special(declaration, start);
    if (start == 0)
        start = nsp__counter_read();
    nsp__entry *entry = producer->hot.top + 1;
    nsp__frame *frame = entry->frame;
    nsp__busy_begin(producer);
    nsp__sampler_draw(producer, name_class);
    frame_open(frame, declaration, start);
    nsp__cpu_begin(producer, frame);
    nsp__sampler_trace_id(producer, producer->thresholds[name_class], true, frame->record.trace_id);
    return push(producer, entry, frame,
                nsp__record_root(producer, producer->slot, &frame->record, name_class));
}

NSP__HOT void *nsp__path_begin_root(nsp__path_declaration *declaration, nsp_ticks start, nsp__thread *thread,
                                    uint32_t name_class)
{
    nsp__producer *producer = nsp__producer_of(thread);
    nsp__slot *slot = producer->slot;
    nsp__entry *top = thread->top;
    nsp__frame *frame = top[1].frame;
    if (NSP__UNLIKELY(nsp__slot_tail(slot) + producer->headroom > producer->ring.limit ||
                      declaration->bytes > producer->path_room))
        return nsp__path_begin_special(declaration, start);
    if (NSP__UNLIKELY(producer->thresholds[name_class] != 0))
        return begin_hit(declaration, start, producer, name_class);
    if (start == 0)
        start = nsp__counter_read();
    nsp__busy_begin(producer);
    frame_open(frame, declaration, start);
    nsp__cpu_begin(producer, frame);
    nsp__sampler_trace_id_any(producer, frame->record.trace_id);
    return push(producer, top + 1, frame, nsp__record_root(producer, slot, &frame->record, name_class));
}

static NOINLINE void *push_uncommon(nsp__producer *producer, nsp__entry *entry, const nsp__frame *parent,
                                    uint64_t id)
{
    nsp__inherit_uncommon(entry->frame, parent);
    return push(producer, entry, entry->frame, id);
}

// What was on top has changed.
static NOINLINE void *begin_child_specially(nsp__producer *producer, nsp__entry *top,
                                            nsp__path_declaration *declaration, nsp_ticks start)
{
    nsp__busy_end(producer, top);
    return nsp__path_begin_special(declaration, start);
}

NSP__HOT void *nsp__path_begin_child(nsp__path_declaration *declaration, nsp_ticks start, nsp__thread *thread)
{
    nsp__producer *producer = nsp__producer_of(thread);
    if (NSP__UNLIKELY(declaration->bytes > producer->path_room))
        return nsp__path_begin_special(declaration, start);
    if (start == 0)
        start = nsp__counter_read();
    nsp__entry *top = thread->top;
    nsp__entry *entry = top + 1;
    nsp__frame *frame = entry->frame;
    nsp__busy_begin(producer);
    const uintptr_t current = top->current;
    const nsp__frame *parent = nsp__frame_of((nsp_span *)current);
    if (NSP__UNLIKELY((current & NSP__RECORDING) == 0 || !nsp__frame_holds(parent, current) || frame == NULL))
        return begin_child_specially(producer, top, declaration, start);
    frame_open(frame, declaration, start);
    const uint64_t id = nsp__record_child_of(producer, producer->slot, &frame->record, &parent->record);
    if (NSP__UNLIKELY(nsp__record_inherits_uncommon(&frame->record)))
        return push_uncommon(producer, entry, parent, id);
    return push(producer, entry, frame, id);
}

// ---- end ----

static NOINLINE void end_by_clock(void *path, nsp__thread *thread)
{
    nsp__path_end_on(path, nsp_now(), thread);
}

// Takes ended entries off the top.
ALWAYS_INLINE nsp__entry *pop(nsp__entry *entry)
{
    do
        entry--;
    while (NSP__UNLIKELY(entry->current == NSP__ENDED));
    return entry;
}

// All that is uncommon: the thread has moved to another CPU, or the ring seems full. With the producer busy.
void nsp__path_end_busy(nsp__producer *producer, nsp__entry *top, nsp_ticks end)
{
    nsp__cpu_end(producer, top->frame, false);
    nsp__path_commit_and_close(producer, top->frame, end);
    nsp__busy_end(producer, pop(top));
}

static NOINLINE void end_changed(nsp__producer *producer, nsp__entry *top, void *path, nsp_ticks end)
{
    nsp__busy_end(producer, top);
    nsp__path_end_elsewhere(path, end);
}

NSP__HOT void nsp__path_end_on(void *path, nsp_ticks end, nsp__thread *thread)
{
    nsp__producer *producer = nsp__producer_of(thread);
    if (end == 0) {
        if (NSP__UNLIKELY(!producer->hot.reads_counter)) {
            end_by_clock(path, thread);
            return;
        }
        end = nsp__counter_read();
    }
    nsp__entry *top = thread->top;
    nsp__frame *frame = nsp__path_frame(path);
    const uintptr_t current = __atomic_load_n(&top->current, __ATOMIC_RELAXED);
    if (NSP__UNLIKELY((current & ~NSP__TAG_MASK) != (uintptr_t)frame || top->frame != frame)) {
        nsp__path_end_elsewhere(path, end);
        return;
    }
    nsp__busy_begin(producer);
    if (NSP__UNLIKELY(!nsp__frame_holds_as(frame, current, NSP__FRAME_PATH))) {
        end_changed(producer, top, path, end);
        return;
    }
    // As end_outermost in end_fast.c: a local root says on which CPU it was. The item is written in any case, behind what
    // is published of a span that does not say so.
    nsp__slot *slot = producer->slot;
    const bool says = top[-1].current <= NSP__NOTHING && frame->cpu != NSP__CPU_UNKNOWN;
    const uint64_t kept = nsp__frame_bytes(frame), tail = nsp__slot_tail(slot),
                   more = says ? sizeof(nsp__pair) : 0;
    if (NSP__UNLIKELY(tail + kept + sizeof(nsp__pair) > producer->ring.limit ||
                      (says && frame->cpu != nsp__cpu_now(producer)))) {
        nsp__path_end_busy(producer, top, end);
        return;
    }
    nsp__path_count_phases(slot, frame);
    __atomic_store_n(&frame->position, tail + kept + more, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    NSP__TESTPOINT("commit: position noted");
    const nsp__pair item = nsp__cpu_item(producer, frame);
    *(nsp__pair *)(void *)nsp__record_put_long(&producer->ring, tail, frame, kept, more, end) = item;
    nsp__slot_publish(slot, tail + kept + more);
    NSP__TESTPOINT("commit: published");
    nsp__frame_close(frame);
    nsp__count_more(&slot->counters.committed, 1 + (uint64_t)nsp__path_marked(frame));
    nsp__busy_end(producer, pop(top));
}

// SPDX-License-Identifier: Apache-2.0
//
// Ruled roots: their ends that need more than the hot path's look, and what is noted about their traces.
#include <nanospan/outlier.h>

#include "base/fork.h"
#include "trace/commit.h"
#include "trace/cpu.h"
#include "trace/latency.h"
#include "trace/misuse.h"
#include "trace/outlier_decision.h"
#include "trace/path.h"
#include "trace/sampler.h"
#include "trace/speculation.h"
#include "trace/speculation_history.h"
#include "trace/speculation_keep.h"
#include "trace/trace_state.h"

// Closes the spans of the ruled root's speculative trace that are still open above it. They are taken back.
static void close_above(nsp__entry *top, const nsp__entry *entry)
{
    for (; top > entry; top--) {
        const nsp_span *span = (const nsp_span *)top->current;
        if (!nsp__has_frame(span) || !nsp_span_recording(span) || !nsp__span_open(span))
            continue;
        nsp__frame *frame = nsp__frame_of(span);
        if (frame->detached == 0 && nsp__frame_speculative(frame)) {
            nsp__frame_close(frame);
            top->current = NSP__ENDED;
        }
    }
}

static uint64_t ticks_of(const nsp__frame *frame, nsp_ticks end)
{
    return end > frame->record.start ? end - frame->record.start : 0;
}

void nsp__ruled_end(nsp__producer *producer, nsp__entry *top, const nsp__entry *entry, nsp_ticks end)
{
    const nsp__ruled_class *rule = producer->ruled_class;
    nsp__frame *frame = producer->ruled_frame;
    nsp__latency_add(producer, frame->record.name, ticks_of(frame, end));
    if ((frame->tag & NSP__RECORDING) == 0) {
        nsp__frame_close(frame);
        nsp__ruled_forget(producer);
        return;
    }
    const char *why = nsp__outlier_why(producer, rule, frame->record.start, end, producer->ruled_marks);
    const bool speculative = nsp__frame_speculative(frame);
    if (speculative) {
        close_above(top, entry);
        nsp__count_phases(producer->speculative.slot, frame);
    }
    nsp__pen_to_ring(producer);
    if (!speculative) {
        nsp__cpu_end(producer, frame, false);
        nsp__speculation_commit(producer, frame, end, why);
    } else if (why != NULL && nsp__outlier_within_limit(rule, end)) {
        producer->ruled_marks |= NSP__TRACE_ID_USED;
        nsp__cpu_end(producer, frame, false);
        nsp__speculation_keep(producer, frame, end, false, why);
    } else {
        if (why != NULL)
            nsp__count(&producer->speculation->kept_limited);
        producer->ruled_marks |= rule->history_ns != 0 ? NSP__TRACE_ID_USED : 0;
        const bool whole = (producer->ruled_marks & NSP__TRACE_OUTGROWN) == 0;
        if (rule->history_ns == 0 || !whole || !nsp__history_add(producer, frame, end))
            nsp__speculation_take_back(producer, frame);
    }
    nsp__ruled_forget(producer);
}

void nsp__ruled_abandon(nsp__producer *producer, nsp__entry *top, const nsp__entry *entry, nsp_ticks end)
{
    nsp__frame *frame = producer->ruled_frame;
    if ((frame->tag & NSP__RECORDING) == 0 || !nsp__frame_speculative(frame)) {
        nsp__ruled_end(producer, top, entry, end);
        return;
    }
    close_above(top, entry);
    nsp__pen_to_ring(producer);
    nsp__speculation_take_back(producer, frame);
    nsp__ruled_forget(producer);
}

// ---- detached ----

void nsp__ruled_end_apart(nsp__producer *producer, nsp__frame *frame, nsp_ticks end, bool recording)
{
    // A thread that begins no roots has met no change of the rules.
    if (producer->hot.generation != __atomic_load_n(&producer->hot.skips->generation, __ATOMIC_RELAXED)) // N1
        nsp__sampler_refresh(producer);
    const uint32_t name_class = nsp__sampler_settled_class(producer, frame->record.name);
    const bool ruled = producer->thresholds[name_class] == NSP__THRESHOLD_RULED;
    const nsp__ruled_class *rule = &producer->ruled_classes[name_class];
    uint64_t marks = 0;
    if (frame->record.status == NSP_SPAN_STATUS_ERROR)
        marks |= NSP__TRACE_ERROR;
    if ((__atomic_load_n(&frame->reserved, __ATOMIC_RELAXED) & NSP__APART_ASKED) != 0)
        marks |= NSP__TRACE_ASKED;
    const char *why = ruled ? nsp__outlier_why(producer, rule, frame->record.start, end, marks) : NULL;
    if (ruled)
        nsp__latency_add(producer, frame->record.name, ticks_of(frame, end));
    frame->detached = 1; // the place's next span is an ordinary one
    const uint64_t phases = nsp__record_phases(&frame->record, nsp__frame_bytes(frame));
    if (!recording) {
        nsp__frame_close(frame);
    } else if (!nsp__frame_speculative(frame)) {
        nsp__cpu_end(producer, frame, true);
        nsp__speculation_commit(producer, frame, end, why);
    } else if (why != NULL && nsp__outlier_within_limit(rule, end)) {
        nsp__cpu_end(producer, frame, true);
        nsp__speculation_keep(producer, frame, end, true, why);
    } else {
        nsp__frame_close(frame);
        if (why != NULL)
            nsp__count(&producer->speculation->kept_limited);
        nsp__ruled_apart_count(producer->speculation, &producer->speculation->apart_taken_back, phases);
    }
}

void nsp__ruled_apart_lost(nsp__producer *producer)
{
    nsp__ruled_apart_count(producer->speculation, &producer->speculation->apart_taken_back, 0);
}

void nsp__ruled_apart_lost_anywhere(nsp__producer *producer)
{
    for (uint32_t i = 0; producer == NULL && i < NSP__THREADS_MAX; i++)
        producer = nsp__producer_at(i);
    if (producer != NULL)
        nsp__ruled_apart_lost(producer);
}

// ---- what is noted ----

void nsp__ruled_note_seen(const nsp__frame *frame)
{
    nsp__producer *owner = nsp__producer_at(__atomic_load_n(&frame->ring, __ATOMIC_RELAXED));
    if (owner != NULL)
        __atomic_store_n(&owner->ruled_seen, 1, __ATOMIC_RELAXED);
}

void nsp__ruled_note_error(const nsp__record *record, bool is_error)
{
    nsp__producer *producer = nsp__producer_self();
    if (producer == NULL || !producer->outliers || !nsp__ruled_root_open(producer) ||
        record->local_root_id != producer->ruled_frame->record.span_id)
        return;
    producer->ruled_marks += is_error ? NSP__TRACE_ERROR : 0 - NSP__TRACE_ERROR;
}

bool nsp_trace_keep(void)
{
    nsp__producer *producer = nsp__producer_self();
    if (producer == NULL || nsp__is_busy(producer) || nsp__parents_state())
        return false;
    const nsp_span *span = nsp_span_current();
    if (!nsp__has_frame(span) || !nsp_span_recording(span) || !nsp__span_open(span))
        return false;
    nsp__frame *frame = nsp__frame_of(span);
    if (frame->detached == NSP__DETACHED_RULED) {
        __atomic_fetch_or(&frame->reserved, NSP__APART_ASKED, __ATOMIC_RELAXED);
        return true;
    }
    if (!nsp__ruled_root_open(producer) || !producer->ruled_class->speculates ||
        frame->record.local_root_id != producer->ruled_frame->record.span_id)
        return false;
    producer->ruled_marks |= NSP__TRACE_ASKED;
    return true;
}

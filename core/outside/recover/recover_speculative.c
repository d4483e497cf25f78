// SPDX-License-Identifier: Apache-2.0
//
// Traces of which it is decided at their end, and was not: exported only where the recovery's options ask for it. Then
// they count as if they had been kept, in `attempted` and where they were found, and are entered in the session so.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "context/threshold.h"
#include "outside/recover/recovery.h"
#include "outside/session/session_files.h"
#include "shm/path.h"

// ---- what there is ----

// An open frame of a speculative span whose record was not published: in the buffer, or for a root in the ring.
static bool is_open(const nsp_recovery *recovery, const nsp__found_frame *found, const nsp__frame *frame)
{
    if ((frame->tag & NSP__RECORDING) == 0 || frame->record.threshold != NSP__THRESHOLD_CODE_SPECULATIVE)
        return false;
    if (frame->position == 0)
        return true;
    if (!found->detached && frame->record.span_id != frame->record.local_root_id)
        return frame->position > recovery->buffers[found->slot].copy.to;
    const nsp__slot *slot = nsp__session_copy_slot(&((nsp_recovery *)(uintptr_t)recovery)->copy, frame->ring);
    return slot != NULL && frame->position > slot->published;
}

// Notes which trace is open on the thread: that of an open root. The others of its frames are leftovers otherwise.
static void find_root(nsp_recovery *recovery, uint32_t index, nsp__frame *frame)
{
    const nsp__slot *slot = nsp__session_copy_slot(&recovery->copy, index);
    nsp__found_buffer *buffer = &recovery->buffers[index];
    for (uint32_t depth = 0; depth < slot->frame_count && buffer->open_root == 0; depth++) {
        const nsp__found_frame found = {.slot = index, .index = depth};
        if (nsp__recovery_read_frame(recovery, &found, frame, sizeof *frame) &&
            frame->record.span_id == frame->record.local_root_id && is_open(recovery, &found, frame))
            buffer->open_root = frame->record.span_id;
    }
}

static bool walk_buffer(nsp_recovery *recovery, uint32_t index)
{
    nsp__found_buffer *buffer = &recovery->buffers[index];
    nsp__ring_copy ring;
    if (buffer->copy.from == buffer->copy.to)
        return true;
    bool begun = nsp__ring_copy_begin_buffer(&ring, &recovery->copy, index, &buffer->copy);
    for (const nsp__record *record; begun && (record = nsp__ring_copy_next(&ring)) != NULL;) {
        const bool ended = ring.at <= buffer->copy.history_end;
        const uint32_t spans = nsp__record_spans(record);
        buffer->history += ended ? spans : 0;
        buffer->open += !ended && record->local_root_id == buffer->open_root ? spans : 0;
        nsp__recovery_note_reading(recovery, record->start);
        nsp__recovery_note_reading(recovery, record->end);
    }
    recovery->damaged = recovery->damaged || (begun && ring.damaged);
    nsp__ring_copy_end(&ring);
    return begun;
}

// Adds the open frames of the trace that is open.
static bool add_frames(nsp_recovery *recovery, uint32_t index, nsp__frame *frame)
{
    const nsp__slot *slot = nsp__session_copy_slot(&recovery->copy, index);
    const uint64_t root = recovery->buffers[index].open_root;
    for (uint32_t depth = 0; root != 0 && depth < slot->frame_count; depth++) {
        const nsp__found_frame found = {.slot = index, .index = depth, .speculative = true};
        if (nsp__recovery_read_frame(recovery, &found, frame, sizeof *frame) &&
            frame->record.local_root_id == root && is_open(recovery, &found, frame) &&
            !nsp__recovery_add_frame(recovery, &found, frame,
                                     recovery->buffers[index].copy.speculation.slot.counters.attempted))
            return false;
    }
    return true;
}

static bool find_on_thread(nsp_recovery *recovery, uint32_t index, nsp__frame *frame)
{
    nsp__found_buffer *buffer = &recovery->buffers[index];
    nsp_recovery_account *account = &recovery->account;
    if (!nsp__session_copy_buffer(&recovery->copy, index, &buffer->copy))
        return true;
    if (!buffer->copy.sane) {
        recovery->damaged = true;
        return true;
    }
    const uint64_t before = account->unfinished + account->finished, uncounted = recovery->uncounted;
    find_root(recovery, index, frame);
    if (!walk_buffer(recovery, index) || !add_frames(recovery, index, frame))
        return false;
    const nsp__speculation *its = &buffer->copy.speculation;
    const uint64_t begun = its->slot.counters.attempted - its->settled,
                   found = buffer->open + account->unfinished + account->finished - before,
                   counted = found - (recovery->uncounted - uncounted);
    buffer->left_out = begun > counted && begun < NSP__SPECULATED_FIRST ? begun - counted : 0;
    buffer->half_kept = nsp__session_copy_half_kept(&recovery->copy, index);
    account->finished += buffer->history + buffer->open;
    account->attempted += buffer->history + found;
    account->history += buffer->history;
    account->speculative += found;
    return true;
}

static bool find_detached(nsp_recovery *recovery, nsp__frame *frame)
{
    nsp_recovery_account *account = &recovery->account;
    const uint32_t count = nsp__session_copy_detached_count(&recovery->copy);
    uint32_t slot = 0;
    while (slot < recovery->copy.slot_count && nsp__session_copy_slot(&recovery->copy, slot) == NULL)
        slot++;
    for (uint32_t i = 0; i < count && slot < recovery->copy.slot_count; i++) {
        const nsp__found_frame found = {.detached = true, .index = i, .slot = slot, .speculative = true};
        if (!nsp__recovery_read_frame(recovery, &found, frame, sizeof *frame) ||
            !is_open(recovery, &found, frame))
            continue;
        if (!nsp__recovery_add_frame(recovery, &found, frame, 0))
            return false;
        const uint64_t spans = nsp__found_frame_spans(&recovery->frames[recovery->frame_count - 1]);
        account->attempted += spans;
        account->speculative += spans;
    }
    return true;
}

bool nsp__recovery_find_speculative(nsp_recovery *recovery)
{
    if (recovery->buffers != NULL || recovery->copy.sections[NSP__SECTION_SPECULATION].version == 0)
        return true;
    // Structures of shared memory lie on lines of their own.
    recovery->buffers = nsp__session_copy_memory((recovery->copy.slot_count + 1) * sizeof *recovery->buffers);
    nsp__frame *frame = aligned_alloc(_Alignof(nsp__frame), NSP__FRAME_COPY_MAX);
    bool found = recovery->buffers != NULL && frame != NULL;
    for (uint32_t i = 0; found && i < recovery->copy.slot_count; i++)
        if (nsp__session_copy_slot(&recovery->copy, i) != NULL)
            found = find_on_thread(recovery, i, frame);
    found = found && find_detached(recovery, frame);
    free(frame);
    return found;
}

// Finds it like an export that takes it along, and forgets it again.
bool nsp__recovery_count_left_out(nsp_recovery *recovery)
{
    const nsp_recovery_account before = recovery->account;
    const size_t frame_count = recovery->frame_count;
    const uint64_t uncounted = recovery->uncounted;
    const nsp_ticks last_reading = recovery->last_reading;
    const bool damaged = recovery->damaged, found = nsp__recovery_find_speculative(recovery);
    const uint64_t speculative = recovery->account.speculative, history = recovery->account.history;
    free(recovery->buffers);
    recovery->buffers = NULL;
    recovery->frame_count = frame_count;
    recovery->uncounted = uncounted;
    recovery->last_reading = last_reading;
    recovery->damaged = damaged;
    recovery->account = before;
    recovery->account.left_out_speculative = speculative;
    recovery->account.left_out_history = history;
    return found;
}

// ---- settling ----

static void count_kept(nsp_recovery *recovery, uint32_t index, uint64_t spans, bool decided)
{
    nsp__found_buffer *buffer = &recovery->buffers[index];
    nsp__speculation *speculation = &buffer->copy.speculation;
    recovery->copy.slots[index].counters.attempted += spans;
    speculation->kept += spans;
    if (decided)
        speculation->settled += spans;
    buffer->changed = true;
}

// What was half kept is kept here, so that it is counted as attempted once.
static void forget_half_kept(nsp_recovery *recovery, uint32_t index)
{
    nsp__found_buffer *buffer = &recovery->buffers[index];
    recovery->copy.slots[index].counters.attempted -= buffer->half_kept;
    buffer->half_kept = 0;
    buffer->copy.speculation.keeping.position = 0;
}

void nsp__recovery_take_speculative(nsp_recovery *recovery, const nsp__piece *piece)
{
    if (piece->kind == NSP__PIECE_HISTORY || piece->kind == NSP__PIECE_OPEN) {
        recovery->buffers[piece->index].copy.speculation.slot.consumed = piece->position;
        if (piece->kind == NSP__PIECE_OPEN)
            forget_half_kept(recovery, piece->index);
        count_kept(recovery, piece->index, piece->spans, piece->kind == NSP__PIECE_OPEN);
        return;
    }
    if (piece->kind != NSP__PIECE_FRAME || !recovery->frames[piece->index].speculative)
        return;
    nsp__found_frame *found = &recovery->frames[piece->index];
    if (found->detached) {
        recovery->copy.slots[found->slot].counters.attempted += piece->spans;
        recovery->buffers[found->slot].copy.speculation.apart_begun += piece->spans - 1;
        recovery->buffers[found->slot].copy.speculation.apart_kept += piece->spans;
        recovery->buffers[found->slot].changed = true;
    } else {
        forget_half_kept(recovery, found->slot);
        recovery->buffers[found->slot].copy.speculation.slot.counters.attempted += found->uncounted;
        found->uncounted = 0;
        count_kept(recovery, found->slot, piece->spans, true);
    }
}

bool nsp__recovery_put_speculative(nsp_recovery *recovery, uint32_t slot)
{
    if (recovery->buffers == NULL || !recovery->buffers[slot].changed)
        return true;
    const nsp__speculation *its = &recovery->buffers[slot].copy.speculation;
    const uint64_t at = nsp__session_copy_speculation_at(&recovery->copy, slot);
    const struct {
        const uint64_t *word;
        size_t offset;
    } words[] = {
        {&its->keeping.position, offsetof(nsp__speculation, keeping.position)},
        {&its->slot.consumed, offsetof(nsp__speculation, slot.consumed)},
        {&its->slot.counters.attempted, offsetof(nsp__speculation, slot.counters.attempted)},
        {&its->settled, offsetof(nsp__speculation, settled)},
        {&its->kept, offsetof(nsp__speculation, kept)},
        {&its->apart_begun, offsetof(nsp__speculation, apart_begun)},
        {&its->apart_kept, offsetof(nsp__speculation, apart_kept)},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!nsp__writes_put(&recovery->writes, NSP__WRITTEN_THREADS, words[i].word, sizeof(uint64_t),
                             at + words[i].offset))
            return false;
    recovery->buffers[slot].changed = false;
    return true;
}

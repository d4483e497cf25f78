// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/testpoint.h"
#include "outside/recover/recover_attempts.h"
#include "outside/recover/recovery.h"

// First positions and `drained`, then frames, batches, and last the counters. All of it is noted before, and completed by
// the next recovery if this one dies. Where there is no room for that note, a span that was taken out, and that no
// counter has yet, is found by the next recovery as the difference.

// Beside `committed`, `attempted` changes where speculative spans or phases of open paths were exported. Refuses a slot that is not
// available: what its place says is another thread's, or nobody's.
static bool put_slot(nsp_recovery *recovery, uint32_t index)
{
    const nsp__slot *slot = nsp__session_copy_slot(&recovery->copy, index);
    if (slot == NULL) {
        errno = EINVAL;
        return false;
    }
    const uint64_t words[2] = {slot->consumed, slot->drained};
    _Static_assert(offsetof(nsp__slot, drained) == offsetof(nsp__slot, consumed) + 8, "written at once");
    const uint64_t counts[2] = {slot->counters.attempted, slot->counters.committed};
    _Static_assert(offsetof(nsp__slot_counters, attempted) == 0 &&
                       offsetof(nsp__slot_counters, committed) == 8,
                   "written at once");
    return nsp__writes_put(&recovery->writes, NSP__WRITTEN_THREADS, words, sizeof words,
                           nsp__session_copy_slot_at(&recovery->copy, index) +
                               offsetof(nsp__slot, consumed)) &&
           nsp__writes_put(&recovery->writes, NSP__WRITTEN_THREADS, counts, sizeof counts,
                           nsp__session_copy_slot_counters_at(&recovery->copy, index)) &&
           nsp__recovery_put_speculative(recovery, index);
}

// What a batch that was being filled holds, its drainer had yet to release. Once that batch is settled, nothing
// else would say that these records are no longer in the ring.
static bool release_covered(nsp_recovery *recovery)
{
    for (uint32_t i = 0; i < recovery->copy.slot_count; i++) {
        if (!recovery->rings[i].moved)
            continue;
        if (!put_slot(recovery, i))
            return false;
        recovery->rings[i].moved = false;
    }
    return true;
}

// Whose positions and counts the piece changes, or NSP__NO_SLOT.
static uint32_t slot_of(const nsp_recovery *recovery, const nsp__piece *piece)
{
    switch (piece->kind) {
    case NSP__PIECE_RING:
    case NSP__PIECE_HISTORY:
    case NSP__PIECE_OPEN: return piece->index;
    case NSP__PIECE_FRAME: return recovery->frames[piece->index].slot;
    default: return NSP__NO_SLOT;
    }
}

// The phases of an open path count as attempted once they are exported.
static void count_phases(nsp_recovery *recovery, const nsp__piece *piece, nsp__slot *slot)
{
    if (piece->kind != NSP__PIECE_FRAME || recovery->frames[piece->index].speculative)
        return;
    nsp__found_frame *found = &recovery->frames[piece->index];
    slot->counters.attempted += found->uncounted;
    found->uncounted = 0;
}

// Positions and counts in the copies of the slots.
static void take_out(nsp_recovery *recovery, const nsp__settlement *settlement)
{
    for (size_t i = 0; i < settlement->count; i++) {
        const nsp__piece *piece = &settlement->pieces[i];
        uint32_t index = slot_of(recovery, piece);
        if (nsp__session_copy_slot(&recovery->copy, index) == NULL)
            continue;
        nsp__slot *slot = &recovery->copy.slots[index];
        slot->drained += piece->spans;
        nsp__recovery_take_speculative(recovery, piece);
        count_phases(recovery, piece, slot);
        if (piece->kind != NSP__PIECE_RING) {
            slot->counters.committed += piece->spans;
        } else {
            slot->consumed = piece->position;
            if (slot->counters.committed < slot->drained) // the last record was not counted any more
                slot->counters.committed = slot->drained;
        }
    }
}

static bool put_slots(nsp_recovery *recovery, const nsp__settlement *settlement)
{
    uint32_t last = NSP__NO_SLOT;
    for (size_t i = 0; i < settlement->count; i++) {
        uint32_t slot = slot_of(recovery, &settlement->pieces[i]);
        if (slot == NSP__NO_SLOT || slot == last)
            continue;
        if (!put_slot(recovery, slot))
            return false;
        last = slot;
    }
    return true;
}

static bool close_frame(nsp_recovery *recovery, const nsp__found_frame *found)
{
    static const uint8_t closed[offsetof(nsp__frame, cursor)]; // tag and position
    const nsp__session_copy *copy = &recovery->copy;
    return found->detached ? nsp__writes_put(&recovery->writes, NSP__WRITTEN_DETACHED, closed, sizeof closed,
                                             nsp__session_copy_detached_at(copy, found->index))
                           : nsp__writes_put(&recovery->writes, NSP__WRITTEN_THREADS, closed, sizeof closed,
                                             nsp__session_copy_frame_at(copy, found->slot, found->index));
}

// A batch whose spans are settled only in part stays, and says how many of them are.
static bool put_batch(nsp_recovery *recovery, nsp__found_batch *batch, uint64_t spans)
{
    nsp__batch_header *header = &batch->header;
    uint64_t at = nsp__session_copy_batch_at(&recovery->copy, batch->index);
    header->settled += (uint32_t)spans;
    if (header->settled >= header->spans)
        header->state = NSP__BATCH_EMPTY;
    return nsp__writes_put(&recovery->writes, NSP__WRITTEN_BATCHES, &header->settled, sizeof header->settled,
                           at + offsetof(nsp__batch_header, settled)) &&
           nsp__writes_put(&recovery->writes, NSP__WRITTEN_BATCHES, &header->state, sizeof header->state,
                           at + offsetof(nsp__batch_header, state));
}

static bool put_pieces(nsp_recovery *recovery, const nsp__settlement *settlement)
{
    for (size_t i = 0; i < settlement->count; i++) {
        const nsp__piece *piece = &settlement->pieces[i];
        if (piece->kind == NSP__PIECE_FRAME && !close_frame(recovery, &recovery->frames[piece->index]))
            return false;
        if (piece->kind == NSP__PIECE_BATCH &&
            !put_batch(recovery, &recovery->batches[piece->index], piece->spans))
            return false;
    }
    return true;
}

nsp__counters nsp__recovery_counters(const nsp_recovery *recovery, const nsp__settlement *settlement)
{
    nsp__counters counters = recovery->copy.control->counters;
    counters.exported += settlement->exported;
    counters.rejected += settlement->rejected;
    counters.unconfirmed += settlement->unconfirmed + settlement->skipped;
    counters.dropped_invalid += settlement->invalid;
    return counters;
}

// The next recovery has less to do, so this one has not failed, even if it is killed now.
static void forget_attempts(nsp_recovery *recovery)
{
    if (recovery->advanced)
        return;
    recovery->advanced = true;
    recovery->attempts = 0;
    nsp__attempts_note(recovery->copy.directory, recovery->copy.name, 0);
}

bool nsp__recovery_write(nsp_recovery *recovery, const nsp__settlement *settlement)
{
    const nsp__session_copy *copy = &recovery->copy;
    nsp__counters *counters = &recovery->copy.control->counters;
    nsp__writes *writes = &recovery->writes;
    nsp__writes_clear(writes);
    if (!release_covered(recovery))
        return false;
    take_out(recovery, settlement);
    *counters = nsp__recovery_counters(recovery, settlement);
    if (!put_slots(recovery, settlement))
        return false;
    const size_t positions = nsp__writes_end(writes);
    if (!put_pieces(recovery, settlement))
        return false;
    NSP__TESTPOINT("recover: before positions");
    nsp__settling_begin(copy->directory);
    nsp__writes_note(writes, copy, counters, recovery->interrupted);
    NSP__TESTPOINT("recover: settlement noted");
    if (!nsp__writes_make(writes, copy, 0, positions))
        return false;
    NSP__TESTPOINT("recover: positions written");
    if (!nsp__writes_make(writes, copy, positions, nsp__writes_end(writes)))
        return false;
    NSP__TESTPOINT("recover: before counters");
    if (!nsp__counters_write(copy, counters))
        return false;
    nsp__writes_forget(copy->directory);
    if (!recovery->interrupted)
        nsp__settling_end(recovery->copy.directory);
    forget_attempts(recovery);
    return true;
}

nsp_status nsp__recovery_unwritable(int error)
{
    return nsp__fail(
        NSP_ERR_SYSTEM,
        "the session cannot be written: %s; it still holds spans that were exported: remove its "
        "directory unless they may arrive twice",
        error == EFBIG
            ? "one of its files was cut short, or the limit on the size of files (ulimit -f) is too low"
            : strerror(error));
}

// SPDX-License-Identifier: Apache-2.0
//
// Finds what the session of a dead engine holds that was not sent, and computes its account. Records are counted by
// walking them, because a thread counts its records a moment after it has published them. In a session whose engine
// lives, the sums would contradict each other: it goes on between any two of the looks.
#include <stdlib.h>
#include <string.h>

#include "drain/stats.h"
#include "outside/recover/recovery.h"
#include "shm/path.h"

// ---- rings ----

// Where the drainer had not come to count the records that it had noted, there are as many more of them than `drained`
// says: a thread counts what it has committed, at the latest when its next span ends, which tells those threads. For a
// thread that died before it had counted its last record, the sums do.
static bool find_records(nsp_recovery *recovery)
{
    const uint32_t slots = recovery->copy.slot_count;
    for (uint32_t i = 0; i < slots; i++) {
        const nsp__slot *slot = nsp__session_copy_slot(&recovery->copy, i);
        nsp__found_ring *found = &recovery->rings[i];
        if (slot == NULL)
            continue;
        if (!nsp__recovery_walk(recovery, i, found->from, slot->published, &found->count, &found->damaged))
            return false;
        recovery->damaged = recovery->damaged || found->damaged;
        recovery->account.finished += found->count;
        if (!found->damaged && slot->drained + found->count < slot->counters.committed)
            nsp__recovery_count_covered(recovery, i);
    }
    return true;
}

// ---- open frames ----

static uint32_t any_slot(nsp_recovery *recovery)
{
    for (uint32_t i = 0; i < recovery->copy.slot_count; i++)
        if (nsp__session_copy_slot(&recovery->copy, i) != NULL)
            return i;
    return NSP__NO_SLOT;
}

// Where the ring is lost in which a detached span was just ending, nobody can tell whether it has left it.
static bool ended_in_lost_slot(const nsp_recovery *recovery, const nsp__frame *frame)
{
    return frame->position != 0 && nsp__session_copy_slot_lost(&recovery->copy, frame->ring);
}

// Its end notes what the thread will have counted once it has counted the phases.
static void find_phases(nsp__found_frame *found, const nsp__frame *frame, uint64_t attempted)
{
    found->phases = nsp__record_phases(&frame->record, frame->record.bytes);
    const bool counted = frame->record.end != 0 && attempted >= frame->record.end;
    found->uncounted = counted ? 0 : found->phases;
}

bool nsp__recovery_add_frame(nsp_recovery *recovery, const nsp__found_frame *found, nsp__frame *frame,
                             uint64_t attempted)
{
    if ((recovery->frame_count & (recovery->frame_count - 1)) == 0) { // a power of two: the array is full
        size_t capacity = recovery->frame_count != 0 ? 2 * recovery->frame_count : 1;
        nsp__found_frame *frames = reallocarray(recovery->frames, capacity, sizeof *frames);
        if (frames == NULL)
            return false;
        recovery->frames = frames;
    }
    nsp__found_frame *added = &recovery->frames[recovery->frame_count++];
    *added = *found;
    if (nsp__recovery_read_frame(recovery, found, frame, NSP__FRAME_COPY_MAX)) {
        nsp__recovery_note_reading(recovery, nsp__recovery_frame_reading(frame));
        if (nsp__record_is_path(&frame->record))
            find_phases(added, frame, attempted);
    }
    const uint32_t open = added->phases != 0; // the last of them
    recovery->account.unfinished += 1 + open;
    recovery->account.finished += added->phases - open;
    recovery->uncounted += added->uncounted;
    return true;
}

static bool add_frame(nsp_recovery *recovery, nsp__found_frame found, nsp__frame *frame)
{
    const bool read = nsp__recovery_read_frame(recovery, &found, frame, sizeof *frame);
    recovery->lost_frames += !read;
    if (!read || !nsp__stats_open(frame, nsp__session_copy_slot, &recovery->copy) ||
        ended_in_lost_slot(recovery, frame))
        return true;
    const nsp__slot *slot = nsp__session_copy_slot(&recovery->copy, frame->ring);
    return nsp__recovery_add_frame(recovery, &found, frame, slot != NULL ? slot->counters.attempted : 0);
}

static bool find_frames(nsp_recovery *recovery)
{
    nsp__frame *frame = aligned_alloc(_Alignof(nsp__frame), NSP__FRAME_COPY_MAX);
    bool found = frame != NULL;
    for (uint32_t i = 0; found && i < recovery->copy.slot_count; i++) {
        const nsp__slot *slot = nsp__session_copy_slot(&recovery->copy, i);
        for (uint32_t depth = 0; found && slot != NULL && depth < slot->frame_count; depth++)
            found = add_frame(recovery, (nsp__found_frame){.slot = i, .index = depth}, frame);
    }
    uint32_t count = nsp__session_copy_detached_count(&recovery->copy), slot = any_slot(recovery);
    for (uint32_t i = 0; found && i < count; i++)
        found = add_frame(recovery, (nsp__found_frame){.detached = true, .index = i, .slot = slot}, frame);
    free(frame);
    return found;
}

// ---- the account ----

// The most spans that may be in none of these places, because they were just beginning or ending: one for each
// thread, and one for each signal handler that was ending a detached span. Handlers leave no trace, so one for each
// thread is allowed, if there were detached spans at all. A thread in private memory takes with it what it has
// ended, whoever began it; and of a thread whose memory is lost, nobody knows.
static uint64_t most_lost(nsp_recovery *recovery)
{
    uint64_t threads = 0, detached = nsp__session_copy_detached_count(&recovery->copy);
    for (uint32_t i = 0; i < recovery->copy.slot_count; i++) {
        const nsp__slot *slot = nsp__session_copy_slot(&recovery->copy, i);
        threads += slot != NULL && slot->state == NSP__SLOT_ACTIVE;
    }
    if (nsp__recovery_threads_unknown(&recovery->account))
        return UINT64_MAX;
    return threads + (detached < threads ? detached : threads);
}

// What no place accounts for died with the engine, those that were just beginning or ending, unless damage or an
// interrupted recovery explains it. More places than spans is a fault, which the account shows, unless threads whose
// memory is not there explain it: what was settled of their spans was attempted there.
static void balance(nsp_recovery *recovery)
{
    nsp_recovery_account *account = &recovery->account;
    nsp__recovery_find_hidden(recovery);
    uint64_t known = nsp__recovery_known(account);
    if (known > account->attempted && nsp__recovery_threads_unknown(account))
        account->attempted = known;
    account->lost_at_crash = account->attempted > known ? account->attempted - known : 0;
    recovery->damaged = recovery->damaged || known > account->attempted ||
                        account->lost_at_crash > account->lost_at_crash_max;
}

// What the engine has attempted, and what has become of it, as far as its threads and its drainer say.
static void add_up(nsp_recovery *recovery)
{
    const nsp__control *control = recovery->copy.control;
    nsp_recovery_account *account = &recovery->account;
    nsp_stats stats = {.size = sizeof stats, .dropped_no_thread = control->unattached_dropped};
    account->threads_lost = recovery->copy.slots_lost;
    for (uint32_t i = 0; i < recovery->copy.slot_count; i++) {
        const nsp__slot *slot = nsp__session_copy_slot(&recovery->copy, i);
        account->threads_private += control->places[i].used != 0 && control->places[i].is_private != 0;
        if (slot == NULL)
            continue;
        nsp__stats_add_ended(&stats, &slot->counters);
        nsp__stats_add_slot(&stats, slot);
        stats.attempted += slot->counters.attempted - nsp__session_copy_half_kept(&recovery->copy, i);
    }
    stats.attempted += control->snapshots.spans + recovery->uncounted;
    nsp__stats_add_unattached(&stats, control);
    nsp__stats_settled(&stats, &control->counters);
    nsp__stats_total(&stats, 0, 0, 0);
    account->attempted = stats.attempted;
    account->engine_exported = stats.exported;
    account->engine_rejected = stats.rejected;
    account->engine_unconfirmed = stats.unconfirmed;
    account->engine_discarded = stats.discarded;
    account->engine_spooled = stats.spooled;
    account->dropped = stats.dropped;
}

bool nsp__recovery_find(nsp_recovery *recovery)
{
    recovery->damaged = recovery->damaged || recovery->copy.damage[0] != 0;
    nsp__recovery_note_reading(recovery, recovery->copy.control->clock.latest_tick);
    if (!nsp__recovery_find_left(recovery) || !find_records(recovery) || !find_frames(recovery))
        return false;
    nsp__recovery_complete_counts(recovery);
    add_up(recovery);
    recovery->account.lost_at_crash_max = most_lost(recovery);
    if (!nsp__recovery_leave_out_settled(recovery))
        return false;
    balance(recovery);
    return true;
}

// SPDX-License-Identifier: Apache-2.0
//
// What the numbers of a session say about damage in it, where they contradict each other. In an undamaged
// session all of this finds nothing.
#include <string.h>

#include "outside/recover/recovery.h"
#include "outside/session/session_files.h"
#include "shm/path.h"

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t above(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

uint64_t nsp__recovery_known(const nsp_recovery_account *account)
{
    return account->engine_exported + account->engine_rejected + account->engine_unconfirmed +
           account->engine_discarded + account->engine_spooled + account->dropped + account->finished +
           account->unfinished + account->from_batches;
}

// ---- more spans than were begun ----

// Leaves out the first records of a ring, so many spans.
static bool leave_out(nsp_recovery *recovery, uint32_t index, uint64_t records)
{
    nsp__slot *slot = &recovery->copy.slots[index];
    nsp__found_ring *found = &recovery->rings[index];
    nsp__ring_copy ring;
    uint64_t left = records;
    bool begun = nsp__ring_copy_begin(&ring, &recovery->copy, index, found->from, slot->published);
    for (const nsp__record *record; begun && left != 0 && (record = nsp__ring_copy_next(&ring)) != NULL;)
        left -= nsp__least(left, nsp__record_spans(record));
    found->from = ring.at;
    nsp__ring_copy_end(&ring);
    slot->consumed = found->from;
    found->moved = true;
    found->count -= records - left;
    recovery->account.finished -= records - left;
    return begun;
}

// How many of the records of a ring were drained before, by the thread's own count. Of a thread that has
// counted nothing, that count is damaged too.
static uint64_t counted_twice(const nsp__slot *slot, const nsp__found_ring *found)
{
    const uint64_t committed = slot->counters.committed;
    return committed != 0 ? nsp__least(found->count, above(slot->drained + found->count, committed)) : 0;
}

// The ring's records from the first one on, though more spans are settled than were drained of all rings: it
// lost both counts. If the sums say that there are more than these, it is they that are damaged.
static uint64_t never_drained(const nsp__slot *slot, const nsp__found_ring *found, uint64_t undrained)
{
    return slot->drained == 0 && undrained <= found->count ? undrained : 0;
}

bool nsp__recovery_leave_out_settled(nsp_recovery *recovery)
{
    const nsp_recovery_account *account = &recovery->account;
    uint64_t undrained = above(recovery->settled, recovery->drained);
    const uint32_t slots = nsp__recovery_threads_unknown(account) ? 0 : recovery->copy.slot_count;
    for (uint32_t i = 0; i < slots; i++) {
        const nsp__slot *slot = nsp__session_copy_slot(&recovery->copy, i);
        const nsp__found_ring *found = &recovery->rings[i];
        const uint64_t excess = above(nsp__recovery_known(account), account->attempted);
        if (excess == 0)
            break;
        if (slot == NULL)
            continue;
        const uint64_t twice = counted_twice(slot, found), never = never_drained(slot, found, undrained);
        const uint64_t records = nsp__least(excess, most(twice, never));
        recovery->damaged = true;
        if (records != 0 && !leave_out(recovery, i, records))
            return false;
        undrained = above(undrained, records);
    }
    return true;
}

// ---- fewer ----

// The most that the batches could hold whose headers are damaged: a span takes more than its identity.
static uint64_t room_in_damaged_batches(const nsp_recovery *recovery)
{
    return recovery->damaged_batches *
           (recovery->copy.sections[NSP__SECTION_BATCH_DATA].stride / (NSP_TRACE_ID_SIZE + NSP_SPAN_ID_SIZE));
}

// Records that a thread has committed, and that are neither drained nor can be read.
static void find_lost(nsp_recovery *recovery, uint32_t index)
{
    const nsp__slot *slot = nsp__session_copy_slot(&recovery->copy, index);
    nsp__found_ring *found = &recovery->rings[index];
    nsp_recovery_account *account = &recovery->account;
    if (slot == NULL)
        return;
    uint64_t lost = above(slot->counters.committed, slot->drained + found->count);
    recovery->damaged = recovery->damaged || lost != 0;
    // A phase of a path takes no more than its reading.
    const uint64_t least = recovery->copy.control->paths.count != 0 ? sizeof(uint64_t) : sizeof(nsp__record);
    lost = nsp__least(lost, slot->ring_bytes / least);
    if (!nsp__recovery_threads_unknown(account))
        lost = nsp__least(lost, above(account->attempted, nsp__recovery_known(account)));
    found->lost = lost;
    account->finished += lost;
}

void nsp__recovery_find_hidden(nsp_recovery *recovery)
{
    nsp_recovery_account *account = &recovery->account;
    for (uint32_t i = 0; i < recovery->copy.slot_count; i++)
        find_lost(recovery, i);
    const uint64_t missing = above(account->attempted, nsp__recovery_known(account)),
                   unsettled = nsp__least(missing, above(recovery->drained, recovery->settled));
    recovery->hidden =
        recovery->interrupted ? nsp__least(unsettled, room_in_damaged_batches(recovery)) : unsettled;
    account->from_batches += recovery->hidden;
    account->engine_unconfirmed += unsettled - recovery->hidden;
    const uint64_t open =
        nsp__least(above(account->attempted, nsp__recovery_known(account)), recovery->lost_frames);
    account->unfinished += open;
    recovery->hidden += open;
    recovery->damaged = recovery->damaged || recovery->hidden != 0;
}

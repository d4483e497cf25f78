// SPDX-License-Identifier: Apache-2.0
//
// Finds what a drainer has left: the batches, the position in each ring from which on records are in none of them,
// and the counts that it was just completing. All of that is written by whoever drains, so to the holder of the
// session's lock it stands still, also while the engine goes on recording.
#include <stdlib.h>

#include "drain/stats.h"
#include "outside/recover/recovery.h"
#include "outside/session/batch_decode.h"
#include "outside/session/session_files.h"
#include "shm/path.h"

// ---- batches ----

// True if the library can decode it. The table of a list's parts says that.
static bool may_be_read(const nsp_recovery *recovery, const nsp__batch_header *header)
{
    nsp__batch_part parts[NSP__BATCH_PARTS_MAX];
    const nsp__batch_decoding decoding = {.encoding = nsp__batch_encoding(header),
                                          .bytes = (const uint8_t *)parts,
                                          .size = header->capacity,
                                          .head = header->head,
                                          .length = header->length};
    nsp__batch_header table = *header;
    table.length = sizeof parts;
    bool listed = nsp__batch_encoding(header) == NSP_ENCODING_LIST;
    if (listed && header->capacity < sizeof parts)
        return false;
    // Where the table cannot be read, the file is cut short, and nothing of the batch is there for anybody.
    return (listed && !nsp__session_copy_batch_bytes(&recovery->copy, &table, (uint8_t *)parts)) ||
           nsp__batch_decodable(&decoding);
}

// The sequence of a batch that is being filled is that of its last use.
static int in_order(const void *left, const void *right)
{
    const nsp__batch_header *a = &((const nsp__found_batch *)left)->header,
                            *b = &((const nsp__found_batch *)right)->header;
    bool a_filling = a->state == NSP__BATCH_FILLING, b_filling = b->state == NSP__BATCH_FILLING;
    if (a_filling != b_filling)
        return a_filling ? 1 : -1;
    return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

// Completes what the sender was entering in the counters when it died. Returns how many spans it was giving up:
// nsp__recovery_complete_counts finds out whether these were counted.
static uint64_t complete_outcome(nsp_recovery *recovery, nsp__batch_header *header)
{
    nsp__counters *counters = &recovery->copy.control->counters;
    const nsp__batch_outcome *outcome = &header->outcome;
    if (header->state != NSP__BATCH_SETTLING)
        return 0;
    if (counters->exported < outcome->exported)
        counters->exported = outcome->exported;
    if (counters->rejected < outcome->rejected)
        counters->rejected = outcome->rejected;
    if (counters->unconfirmed < outcome->unconfirmed)
        counters->unconfirmed = outcome->unconfirmed;
    if (header->settled < outcome->settled)
        header->settled = outcome->settled;
    return outcome->discarded;
}

// Records that a batch holds are not taken from the ring again, even if the drainer had yet to release them.
static void cover(nsp_recovery *recovery, const nsp__batch_header *header, uint64_t *coverage,
                  uint32_t threads)
{
    const nsp__latest_coverage *latest = &header->latest_coverage;
    if (latest->spans == header->spans && latest->slot < threads && coverage[latest->slot] < latest->position)
        coverage[latest->slot] = latest->position;
    for (uint32_t i = 0; i < recovery->copy.slot_count && i < threads; i++) {
        const nsp__slot *slot = nsp__session_copy_slot(&recovery->copy, i);
        if (slot == NULL || coverage[i] <= recovery->rings[i].from)
            continue;
        if (coverage[i] > slot->published) {
            recovery->damaged = true;
            continue;
        }
        recovery->rings[i].from = coverage[i];
        recovery->rings[i].moved = true;
    }
}

static bool find_batches(nsp_recovery *recovery)
{
    const nsp__control *control = recovery->copy.control;
    nsp_recovery_account *account = &recovery->account;
    uint64_t *coverage = calloc((size_t)control->threads_max + 1, sizeof *coverage);
    recovery->batches = calloc((size_t)control->batch_count + 1, sizeof *recovery->batches);
    if (coverage == NULL || recovery->batches == NULL) {
        free(coverage);
        return false;
    }
    for (uint32_t i = 0; i < control->batch_count; i++) {
        nsp__found_batch found = {.index = i};
        nsp__batch_header *header = &found.header;
        if (!nsp__session_copy_batch(&recovery->copy, i, header)) {
            recovery->damaged_batches++;
            recovery->damaged = true;
            continue;
        }
        recovery->given_up += complete_outcome(recovery, header);
        if (header->state == NSP__BATCH_EMPTY || header->spans <= header->settled)
            continue;
        if (nsp__session_copy_coverage(&recovery->copy, i, coverage))
            cover(recovery, header, coverage, control->threads_max);
        else
            recovery->damaged = true;
        uint64_t spans = header->spans - header->settled;
        found.foreign = !may_be_read(recovery, header);
        account->from_batches += spans;
        account->in_doubt += header->in_doubt != 0 ? spans : 0;
        account->left_foreign += found.foreign ? spans : 0;
        recovery->batches[recovery->batch_count++] = found;
    }
    free(coverage);
    qsort(recovery->batches, recovery->batch_count, sizeof *recovery->batches, in_order);
    return true;
}

// ---- rings ----

void nsp__recovery_note_reading(nsp_recovery *recovery, nsp_ticks ticks)
{
    if (ticks > recovery->last_reading)
        recovery->last_reading = ticks;
}

bool nsp__recovery_walk(nsp_recovery *recovery, uint32_t slot, uint64_t from, uint64_t to, uint64_t *count,
                        bool *damaged)
{
    nsp__ring_copy ring;
    *count = 0;
    *damaged = false;
    if (from == to)
        return true;
    bool begun = nsp__ring_copy_begin(&ring, &recovery->copy, slot, from, to);
    for (const nsp__record *record; begun && (record = nsp__ring_copy_next(&ring)) != NULL;) {
        *count += nsp__record_spans(record);
        nsp__recovery_note_reading(recovery, record->start);
        nsp__recovery_note_reading(recovery, record->end);
    }
    *damaged = begun && ring.damaged;
    nsp__ring_copy_end(&ring);
    return begun;
}

// Few records at most: a drainer notes what it has taken out, and releases it at once.
static bool find_covered(nsp_recovery *recovery)
{
    for (uint32_t i = 0; i < recovery->copy.slot_count; i++) {
        nsp__slot *slot = &recovery->copy.slots[i];
        nsp__found_ring *found = &recovery->rings[i];
        bool damaged;
        if (nsp__session_copy_slot(&recovery->copy, i) == NULL)
            continue;
        if (!nsp__recovery_walk(recovery, i, slot->consumed, found->from, &found->covered, &damaged))
            return false;
        recovery->damaged = recovery->damaged || damaged;
        slot->consumed = found->from;
    }
    return true;
}

bool nsp__recovery_find_left(nsp_recovery *recovery)
{
    const nsp__session_copy *copy = &recovery->copy;
    nsp_stats stats = {.size = sizeof stats};
    recovery->rings = calloc((size_t)copy->slot_count + 1, sizeof *recovery->rings);
    if (recovery->rings == NULL)
        return false;
    for (uint32_t i = 0; i < copy->slot_count; i++) {
        const nsp__slot *slot = nsp__session_copy_slot(&recovery->copy, i);
        if (slot == NULL)
            continue;
        recovery->rings[i].from = slot->consumed;
        recovery->drained += slot->drained;
        recovery->given_up += slot->discarding;
    }
    if (!find_batches(recovery) || !find_covered(recovery))
        return false;
    recovery->drained += copy->control->snapshots.spans;
    recovery->settled = nsp__stats_settled(&stats, &copy->control->counters) + recovery->account.from_batches;
    return true;
}

// ---- counts ----

void nsp__recovery_count_covered(nsp_recovery *recovery, uint32_t index)
{
    nsp__found_ring *found = &recovery->rings[index];
    recovery->copy.slots[index].drained += found->covered;
    recovery->drained += found->covered;
    found->covered = 0;
}

void nsp__recovery_complete_counts(nsp_recovery *recovery)
{
    for (uint32_t i = 0; i < recovery->copy.slot_count; i++) {
        const nsp__slot *slot = nsp__session_copy_slot(&recovery->copy, i);
        if (slot != NULL &&
            recovery->drained + recovery->rings[i].covered <= recovery->settled + slot->discarding)
            nsp__recovery_count_covered(recovery, i);
    }
    nsp__snapshots *snapshots = &recovery->copy.control->snapshots;
    // What a snapshot had counted, and not noted in its batch, was never recorded.
    const uint64_t unrecorded =
        nsp__least(nsp__least(snapshots->noting, snapshots->spans),
                   recovery->drained > recovery->settled ? recovery->drained - recovery->settled : 0);
    snapshots->spans -= unrecorded;
    recovery->drained -= unrecorded;
    // Of the spans that were being given up, those that were not counted as discarded are missing between
    // `drained` and the counters, and were not sent.
    const uint64_t missing =
        recovery->drained > recovery->settled ? recovery->drained - recovery->settled : 0;
    const uint64_t uncounted = nsp__least(recovery->given_up, missing);
    recovery->copy.control->counters.discarded += uncounted;
    recovery->settled += uncounted;
}

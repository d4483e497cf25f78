// SPDX-License-Identifier: Apache-2.0
//
// What an earlier drainer left when it died. A recovery looks for the same first, so its eyes are used: they
// find what batches hold that rings seem to hold too, complete what was just being counted, and bring the
// batches in order. All of that is written by drainers alone, so it stands still under the session's lock,
// while the engine may be recording. What the engine counts is not looked at: it moves on. Each store leads to a
// state that the next drainer, or a recovery, understands as well as the one before.
#include <stdlib.h>
#include <string.h>

#include "base/exit_gate.h"
#include "base/log.h"
#include "base/testpoint.h"
#include "common/time.h"
#include "outside/exporters.h"
#include "outside/drainer/drainer_state.h"

static bool damaged(nsp__drained_session *session, const char *problem)
{
    return nsp__session_copy_damaged(&session->live.copy, problem);
}

// ---- looking ----

// The copy moves: what was found refers to it as long as there are leftovers.
static nsp__leftover *find(nsp__drained_session *session)
{
    nsp__leftover *leftover = calloc(1, sizeof *leftover);
    nsp__session_copy *copy = &session->live.copy;
    if (leftover == NULL)
        return NULL;
    nsp_recovery *found = &leftover->found;
    found->folder = found->lock = -1;
    found->copy = *copy;
    copy->control = NULL;
    copy->texts = NULL;
    copy->slots = NULL;
    bool complete = nsp__recovery_names_init(&found->names, &found->copy) && nsp__recovery_find_left(found);
    if (complete)
        nsp__recovery_complete_counts(found);
    found->copy.directory = found->copy.control_fd = found->copy.threads_fd = found->copy.detached_fd =
        found->copy.batches_fd = -1; // the session's
    if (complete)
        return leftover;
    session->leftover = leftover;
    nsp__leftover_free(session);
    return NULL;
}

void nsp__leftover_free(nsp__drained_session *session)
{
    nsp__leftover *leftover = session->leftover;
    if (leftover == NULL)
        return;
    if (leftover->encodes && nsp__exit_enter()) {
        session->drainer->exporter->destroy(leftover->encoder);
        nsp__exit_leave();
    }
    nsp_recovery *found = &leftover->found;
    free(found->rings);
    free(found->batches);
    nsp__recovery_names_free(&found->names);
    nsp__session_copy_close(&found->copy);
    free(leftover);
    session->leftover = NULL;
}

// A batch that covers records which the ring does not have would hide others.
static bool coverage_sane(const nsp__session_live *live, const nsp_recovery *found)
{
    for (size_t i = 0; i < found->batch_count; i++) {
        const uint64_t *shared = nsp__session_live_coverage(live, found->batches[i].index);
        for (uint32_t slot = 0; slot < found->copy.slot_count && slot < live->threads_max; slot++)
            if (found->copy.slots[slot].ring_bytes != 0 &&
                __atomic_load_n(&shared[slot], __ATOMIC_RELAXED) > found->copy.slots[slot].published)
                return false;
    }
    return true;
}

// ---- what nobody else can read ----

static uint32_t foreign_batches(const nsp_recovery *found)
{
    uint32_t foreign = 0;
    for (size_t i = 0; i < found->batch_count; i++)
        foreign += found->batches[i].foreign;
    return foreign;
}

static void tell_foreign(const nsp__drained_session *session)
{
    nsp__log(
        NSP_LOG_WARN, "",
        "%s (pid %u): an earlier drainer has encoded %llu of its spans with an exporter of its own program, "
        "and nothing else can read them: they stay in %s until you remove it, and the engine's flushes do "
        "not succeed",
        session->service, session->pid, (unsigned long long)session->foreign_spans, session->directory);
}

// ---- entering what was found ----

static void put(uint64_t *shared, uint64_t value)
{
    if (__atomic_load_n(shared, __ATOMIC_RELAXED) != value)
        __atomic_store_n(shared, value, __ATOMIC_RELEASE); // C1, R3: as the drainer that died would have done
}

// First the counts, then the positions, then what was given up: as a drainer does.
static void enter_counts(nsp__drained_session *session, const nsp_recovery *found)
{
    nsp__counters *counters = nsp__session_live_counters(&session->live);
    const nsp__counters *completed = &found->copy.control->counters;
    nsp__ring_source *sources = session->collector.sources;
    for (uint32_t i = 0; i < found->copy.slot_count; i++) {
        const nsp__slot *slot = &found->copy.slots[i];
        if (!sources[i].available || slot->ring_bytes == 0)
            continue;
        put(&sources[i].slot->drained, slot->drained);
        NSP__TESTPOINT("drainer: drained entered");
        put(&sources[i].slot->consumed, slot->consumed);
        sources[i].consumed = slot->consumed;
        NSP__TESTPOINT("drainer: position entered");
    }
    nsp__snapshots *snapshots = session->collector.options.snapshots;
    if (snapshots != NULL) {
        put(&snapshots->spans, found->copy.control->snapshots.spans);
        put(&snapshots->noting, 0);
    }
    put(&counters->exported, completed->exported);
    put(&counters->rejected, completed->rejected);
    put(&counters->unconfirmed, completed->unconfirmed);
    put(&counters->discarded, completed->discarded);
    NSP__TESTPOINT("drainer: counters entered");
    for (uint32_t i = 0; i < found->copy.slot_count; i++)
        if (sources[i].available)
            put(&sources[i].slot->discarding, 0);
}

static void store_state(nsp__batch_header *header, uint32_t state)
{
    __atomic_store_n(&header->state, state, __ATOMIC_RELEASE); // BH1
    NSP__TESTPOINT("drainer: batch entered");
}

// The batch that was found with this index, or NULL: there is nothing in it.
static const nsp__found_batch *found_with(const nsp_recovery *found, uint32_t index)
{
    for (size_t i = 0; i < found->batch_count; i++)
        if (found->batches[i].index == index)
            return &found->batches[i];
    return NULL;
}

// Prepares the pool: what is empty may be used, and what is not is taken out of it.
static void sort_batches(nsp__drained_session *session, const nsp_recovery *found)
{
    nsp__session_live *live = &session->live;
    while (nsp__batch_pool_take(&session->pool) != NULL)
        ;
    for (uint32_t i = live->batch_count; i-- > 0;) {
        nsp__batch *batch = &session->pool.batches[i];
        batch->header = nsp__session_live_header(live, i);
        batch->coverage = nsp__session_live_coverage(live, i);
        batch->exported.data = nsp__session_live_data(live, i);
        batch->exported.capacity = live->batch_bytes;
        if (found_with(found, i) != NULL)
            continue;
        batch->header->data_offset =
            live->copy.sections[NSP__SECTION_BATCH_DATA].offset + i * live->batch_bytes;
        batch->header->capacity = live->batch_bytes;
        nsp__batch_pool_put_unused(&session->pool, batch);
    }
}

// Each header is whole, or says nothing. Returns false if one is neither. *closed: the largest sequence.
static bool headers_sane(const nsp__session_copy *copy, uint32_t count, uint64_t *closed)
{
    for (uint32_t i = 0; i < count; i++) {
        nsp__batch_header header;
        if (!nsp__session_copy_batch(copy, i, &header))
            return false;
        if (*closed < header.sequence)
            *closed = header.sequence;
    }
    return true;
}

// ---- handing over ----

static void hand_over(nsp__drained_session *session, const nsp__found_batch *left)
{
    nsp__batch *batch = &session->pool.batches[left->index];
    const nsp__batch_header *header = &left->header;
    nsp_batch *exported = &batch->exported;
    exported->head = header->head;
    exported->length = header->length;
    exported->spans = header->spans - header->settled;
    exported->encoding = (header->encoding & ~NSP__BATCH_UNCLOSED) | NSP__BATCH_LEFTOVER;
    exported->first_ns = nsp__monotonic_ns();
    if (nsp__batch_unclosed(header)) {
        // First, since from the next state on nothing else would say that it was not closed.
        __atomic_store_n(&batch->header->encoding, header->encoding | NSP__BATCH_UNCLOSED, __ATOMIC_RELAXED);
        if (header->state == NSP__BATCH_FILLING)
            batch->header->sequence = ++session->collector.closed;
    }
    batch->header->settled = header->settled;
    store_state(batch->header, NSP__BATCH_CLOSED);
    session->leftover->sequence = nsp__sender_put_closed(session->drainer->sender, batch);
}

// True if some of it cannot be sent as it is.
static bool wants_encoder(const nsp__drained_session *session, const nsp__leftover *leftover)
{
    const nsp_recovery *found = &leftover->found;
    for (size_t i = 0; i < found->batch_count; i++) {
        if (!found->batches[i].foreign && nsp__leftover_again(session, &found->batches[i].header))
            return true;
    }
    return false;
}

static nsp_status make_encoder(nsp__drained_session *session, nsp__leftover *leftover)
{
    leftover->context = session->context;
    leftover->context.name_text = nsp__recovery_name_text;
    leftover->context.names = &leftover->found.names;
    nsp_status status =
        nsp__exporter_create(&leftover->encoder, session->drainer->exporter, &leftover->context);
    leftover->encodes = status == NSP_OK;
    return status;
}

nsp_status nsp__drained_session_adopt(nsp__drained_session *session)
{
    nsp__session_copy *copy = &session->live.copy;
    uint64_t closed = 0;
    if (!headers_sane(copy, session->live.batch_count, &closed)) {
        damaged(session, "the header of a batch is damaged");
        return NSP_ERR_DAMAGED;
    }
    nsp__leftover *leftover = session->leftover = find(session);
    if (leftover == NULL) {
        nsp__session_copy_no_memory(copy);
        return NSP_ERR_NO_MEMORY;
    }
    const nsp_recovery *found = &leftover->found;
    if (!coverage_sane(&session->live, found)) {
        damaged(session, "a batch that an earlier drainer left is damaged");
        return NSP_ERR_DAMAGED;
    }
    session->foreign = foreign_batches(found);
    session->foreign_spans = found->account.left_foreign;
    if (session->foreign == session->live.batch_count) {
        damaged(session,
                "all of its batches are those of another program's exporter, so nothing can be drained");
        return NSP_ERR_DAMAGED;
    }
    nsp_status status = wants_encoder(session, leftover) ? make_encoder(session, leftover) : NSP_OK;
    if (status != NSP_OK) {
        nsp__session_copy_fail(copy, NSP__SESSION_NOT_NOW, "its encoder cannot be created: %s",
                               nsp_status_str(status));
        return status;
    }
    sort_batches(session, found);
    session->collector.closed = closed;
    session->before =
        found->copy.control->counters; // what was just being counted was sent by the one that died
    enter_counts(session, found);
    // Nothing may be left in these: they were settled, or hold no span yet.
    for (uint32_t i = 0; i < session->live.batch_count; i++)
        if (found_with(found, i) == NULL && session->pool.batches[i].header->state != NSP__BATCH_EMPTY)
            store_state(session->pool.batches[i].header, NSP__BATCH_EMPTY);
    for (size_t i = 0; i < found->batch_count; i++)
        if (!found->batches[i].foreign)
            hand_over(session, &found->batches[i]);
    if (session->foreign != 0)
        tell_foreign(session);
    if (leftover->sequence == 0)
        nsp__leftover_free(session);
    return NSP_OK;
}

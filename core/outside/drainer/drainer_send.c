// SPDX-License-Identifier: Apache-2.0
//
// On the sender's thread. A batch lies in its session, where the engine may change it or cut it short, so it
// is copied into private memory first. What this drainer has filled is sent as it is; what an earlier one has
// left is checked, and encoded again if need be, in pieces as large as they may be.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock/clock_share.h"
#include "common/time.h"
#include "config/exporter_list.h"
#include "config/exporter_set.h"
#include "drain/outcome.h"
#include "drain/span_view.h"
#include "outside/session/batch_decode.h"
#include "outside/drainer/drainer_state.h"

// Spans that are encoded again may need more room than in the batch that they come from.
enum { ENCODED_MIN = 4 * 1024 * 1024 };

// ---- giving up ----

// Nothing of the session is sent or touched any more. The drainer's thread finds out why.
static nsp_send_result abandon(nsp__drained_session *session, const nsp__batch *exported, const char *problem)
{
    nsp__batch *batch = &session->pool.batches[exported->index];
    if (problem != NULL)
        __atomic_store_n(&session->send_problem, problem, __ATOMIC_RELEASE); // DS1: to DS2
    nsp__guard_abandon(session->live.guard);
    __atomic_store_n(&batch->abandoned, true, __ATOMIC_RELEASE); // AB1: to AB2
    return NSP_SEND_RETRY;
}

// ---- batches that an earlier drainer left ----

static const nsp__batch_header *left_header(const nsp__drained_session *session, const nsp__batch *batch)
{
    const nsp_recovery *found = &session->leftover->found;
    for (size_t i = 0; i < found->batch_count; i++)
        if (found->batches[i].index == batch->index)
            return &found->batches[i].header;
    return NULL;
}

typedef struct rewriting {
    nsp_drainer *drainer;
    nsp__drained_session *session;
    struct nsp__clock_segment segment;
    uint64_t seen, skip; // the first ones are settled
    bool full;           // there is no room for the next one
    bool only_checking;
} rewriting;

static nsp_name intern(void *argument, const char *text, size_t length)
{
    rewriting *me = argument;
    // A name that stands for nothing is enough for looking whether the batch is whole.
    return me->only_checking ? 1 : nsp__recovery_intern(&me->session->leftover->found.names, text, length);
}

static bool visit(void *argument, const nsp__record *record)
{
    rewriting *me = argument;
    nsp_batch *piece = &me->drainer->outgoing.piece;
    if (me->only_checking || me->seen < me->skip) {
        me->seen++;
        return true;
    }
    nsp_span_view view;
    nsp__span_view_make(&view, record, &nsp__clock_of_nanoseconds, &me->segment);
    me->full = piece->spans >= me->drainer->config.batch_spans ||
               !me->drainer->exporter->append(me->session->leftover->encoder, piece, &view);
    if (me->full)
        return false;
    piece->spans++;
    me->seen++;
    return true;
}

static void decode(rewriting *me, const nsp__batch_header *header)
{
    const nsp__batch_decoding decoding = {
        .encoding = nsp__batch_encoding(header),
        .closed = !nsp__batch_unclosed(header),
        .bytes = me->drainer->outgoing.bytes,
        .size = me->session->live.batch_bytes,
        .head = header->head,
        .length = header->length,
        .spans = header->spans,
        .intern = intern,
        .visit = visit,
        .argument = me,
    };
    nsp__batch_decode(&decoding);
}

static rewriting rewriting_of(nsp_drainer *drainer, nsp__drained_session *session)
{
    rewriting me = {.drainer = drainer, .session = session};
    nsp__clock_segment_at(&nsp__clock_of_nanoseconds, INT64_MAX, &me.segment);
    return me;
}

// An exporter tells batches apart by these.
static void make_new(nsp__outgoing *outgoing)
{
    outgoing->first_ns = nsp__later(nsp__monotonic_ns(), outgoing->first_ns + 1);
    outgoing->attempts = 0;
}

// Encodes the next piece: the spans behind those that are settled. False: the batch is damaged there.
static bool make_piece(nsp_drainer *drainer, nsp__drained_session *session, const nsp__batch_header *header,
                       uint64_t left)
{
    nsp__outgoing *outgoing = &drainer->outgoing;
    nsp_batch *piece = &outgoing->piece;
    rewriting me = rewriting_of(drainer, session);
    me.skip = header->spans - left;
    make_new(outgoing);
    *piece = (nsp_batch){.data = outgoing->encoded,
                         .capacity = outgoing->encoded_capacity,
                         .first_ns = outgoing->first_ns,
                         .encoding = NSP_ENCODING_OWN};
    if (drainer->exporter->open != NULL)
        drainer->exporter->open(session->leftover->encoder, piece);
    decode(&me, header);
    if (piece->spans == 0 || (!me.full && me.seen < header->spans))
        return false;
    if (drainer->exporter->close != NULL)
        drainer->exporter->close(session->leftover->encoder, piece);
    return true;
}

static void add_report(nsp_send_report *sum, const nsp_send_report *of, const nsp__outcome *outcome)
{
    sum->bytes += of->bytes;
    sum->part_answers += of->part_answers + (of->answered && sum->answered);
    sum->answered = sum->answered || of->answered;
    sum->part_exported += outcome->exported;
    sum->part_rejected += outcome->rejected;
    sum->part_unconfirmed += outcome->unconfirmed;
    sum->retry_after_ns = of->retry_after_ns;
    memcpy(sum->detail, of->detail, sizeof sum->detail);
}

// True if the sender is being stopped, so that this thread may have been left behind, and the batch be
// somebody else's.
static bool is_cancelled(const nsp_drainer *drainer)
{
    return __atomic_load_n(&drainer->cancel, __ATOMIC_SEQ_CST) != 0;
}

static nsp_send_result send_again(nsp_drainer *drainer, nsp__drained_session *session,
                                  const nsp__batch *batch, uint64_t deadline_ns, nsp_send_report *report)
{
    nsp_batch *piece = &drainer->outgoing.piece;
    const nsp__batch_header *header = left_header(session, batch);
    uint64_t left = batch->exported.spans;
    __atomic_store_n(&drainer->doubt, 0, __ATOMIC_SEQ_CST);
    for (;;) {
        if (piece->spans == 0 && !make_piece(drainer, session, header, left))
            return abandon(session, batch, "a batch that an earlier drainer left is damaged");
        if (is_cancelled(drainer))
            return NSP_SEND_RETRY;
        nsp_send_report part = {0};
        nsp_send_result result = drainer->exporter->send(drainer->exporter_state, piece, deadline_ns, &part);
        const nsp__outcome outcome = nsp__outcome_of(result, &part, piece->spans);
        const uint64_t settled = nsp__outcome_spans(&outcome);
        add_report(report, &part, &outcome);
        piece->spans -= (uint32_t)settled;
        piece->attempt++;
        left -= settled;
        if (!nsp__outcome_final(result) || left == 0 || is_cancelled(drainer))
            return left == 0 || !nsp__outcome_final(result) ? result : NSP_SEND_RETRY;
        // The receiver has some of the batch, whatever happens before it has the rest.
        __atomic_store_n(&drainer->doubt, 1, __ATOMIC_SEQ_CST);
    }
}

// ---- copying ----

static bool reserve(uint8_t **bytes, size_t *capacity, size_t wanted)
{
    if (*capacity >= wanted)
        return true;
    free(*bytes);
    *bytes = malloc(wanted);
    *capacity = *bytes != NULL ? wanted : 0;
    return *bytes != NULL;
}

void nsp__outgoing_free(nsp__outgoing *outgoing)
{
    free(outgoing->bytes);
    free(outgoing->encoded);
    *outgoing = (nsp__outgoing){0};
}

static bool is_whole(nsp_drainer *drainer, nsp__drained_session *session, const nsp__batch_header *header)
{
    rewriting me = rewriting_of(drainer, session);
    me.only_checking = true;
    decode(&me, header);
    return me.seen == header->spans;
}

// A batch that is sent as it is.
static nsp_batch copy_of(const nsp__outgoing *outgoing, const nsp_batch *exported)
{
    nsp_batch copy = *exported;
    copy.data = outgoing->bytes;
    copy.head = outgoing->head;
    copy.length = outgoing->length;
    copy.attempt = outgoing->attempts;
    copy.first_ns = outgoing->first_ns;
    copy.encoding &= ~NSP__BATCH_LEFTOVER;
    return copy;
}

// Of a batch of a list: the table, and the parts that it says. One that cannot be is found later.
static void copy_parts(nsp__outgoing *outgoing, const nsp_batch *exported)
{
    nsp__batch_part parts[NSP__BATCH_PARTS_MAX];
    const uint64_t size = exported->capacity;
    if (size < sizeof parts)
        return;
    memcpy(outgoing->bytes, exported->data, sizeof parts);
    memcpy(parts, outgoing->bytes, sizeof parts); // the session's may change meanwhile
    for (size_t i = 0; i < NSP__BATCH_PARTS_MAX; i++) {
        const nsp__batch_part *part = &parts[i];
        if (part->offset >= sizeof parts && part->offset <= size && part->length <= size - part->offset &&
            part->head <= part->length)
            memcpy(outgoing->bytes + part->offset + part->head, exported->data + part->offset + part->head,
                   part->length - part->head);
    }
}

static bool cuttable(uint32_t encoding)
{
    const nsp__exporter_set *exporters = nsp__exporters();
    return exporters != NULL && exporters->cuttable(encoding);
}

// Takes the spans that are settled off a copy. Encodings that cannot be cut are not interrupted (is_bound).
static bool cut_settled(nsp__outgoing *outgoing, const nsp__batch *batch, const char **problem)
{
    const uint32_t encoding = batch->exported.encoding & ~NSP__BATCH_LEFTOVER;
    if (batch->settled == 0 || outgoing->again)
        return true;
    if (!reserve(&outgoing->encoded, &outgoing->encoded_capacity, batch->exported.capacity))
        return false;
    const size_t length =
        cuttable(encoding)
            ? nsp__exporters()->cut(encoding, outgoing->encoded, outgoing->bytes + outgoing->head,
                                    outgoing->length - outgoing->head, batch->settled)
            : 0;
    if (length == 0) {
        *problem = "a batch was overwritten before all of it was sent";
        return false;
    }
    memcpy(outgoing->bytes, outgoing->encoded, length);
    outgoing->head = 0;
    outgoing->length = length;
    return true;
}

// True if the exporter remembers what it has sent of this batch, and what is left cannot be made a batch of its own.
static bool is_bound(const nsp_drainer *drainer, const nsp__batch *batch, nsp_send_result result,
                     const nsp_send_report *report)
{
    const nsp__outcome outcome = nsp__outcome_of(result, report, batch->exported.spans);
    const bool begun = batch->settled != 0 || nsp__outcome_spans(&outcome) != 0;
    if (nsp__outcome_final(result))
        return false;
    return nsp__exporter_begun(drainer->exporter, drainer->exporter_state) ||
           (begun && !drainer->outgoing.again && !cuttable(batch->exported.encoding & ~NSP__BATCH_LEFTOVER));
}

// Copies the batch, unless that was done for an earlier attempt. False: no memory, or the problem is set.
static bool load(nsp_drainer *drainer, nsp__drained_session *session, const nsp__batch *batch,
                 const char **problem)
{
    nsp__outgoing *outgoing = &drainer->outgoing;
    const nsp_batch *exported = &batch->exported;
    const bool is_left = (exported->encoding & NSP__BATCH_LEFTOVER) != 0;
    // At its first attempt it is another one, although it may lie where an earlier one lay.
    if (exported->attempt != 0 && outgoing->batch == batch && outgoing->sequence == batch->sequence)
        return true;
    outgoing->batch = NULL;
    outgoing->piece = (nsp_batch){0};
    outgoing->again = false;
    if (!reserve(&outgoing->bytes, &outgoing->capacity, exported->capacity))
        return false;
    if ((exported->encoding & ~NSP__BATCH_LEFTOVER) == NSP_ENCODING_LIST)
        copy_parts(outgoing, exported);
    else
        memcpy(outgoing->bytes + exported->head, exported->data + exported->head,
               exported->length - exported->head);
    if (nsp__guard_lost(session->live.guard)) {
        *problem = "one of its files was cut short while it was drained";
        return false;
    }
    if (is_left) {
        const nsp__batch_header *header = left_header(session, batch);
        outgoing->again = nsp__leftover_again(session, header);
        if (!is_whole(drainer, session, header))
            *problem = "a batch that an earlier drainer left is damaged";
        if (*problem != NULL || (outgoing->again && !reserve(&outgoing->encoded, &outgoing->encoded_capacity,
                                                             nsp__later(exported->capacity, ENCODED_MIN))))
            return false;
    }
    outgoing->head = exported->head;
    outgoing->length = exported->length;
    const nsp_batch copy = copy_of(outgoing, exported);
    if (!outgoing->again && !nsp__exporter_batch_sound(drainer->exporter, drainer->exporter_state, &copy)) {
        *problem = "a batch was overwritten before it was sent";
        return false;
    }
    if (!cut_settled(outgoing, batch, problem))
        return false;
    make_new(outgoing);
    outgoing->batch = batch;
    outgoing->sequence = batch->sequence;
    return true;
}

static nsp_send_result send_copy(nsp_drainer *drainer, const nsp_batch *exported, uint64_t deadline_ns,
                                 nsp_send_report *report)
{
    const nsp_batch copy = copy_of(&drainer->outgoing, exported);
    drainer->outgoing.attempts++;
    return drainer->exporter->send(drainer->exporter_state, &copy, deadline_ns, report);
}

nsp_send_result nsp__drainer_send(void *state, const nsp_batch *exported, uint64_t deadline_ns,
                                  nsp_send_report *report)
{
    nsp_drainer *drainer = state;
    const nsp__batch *batch = (const nsp__batch *)(const void *)exported; // its first member
    nsp__drained_session *session = nsp__drained_session_of(batch);
    const bool is_left = (exported->encoding & NSP__BATCH_LEFTOVER) != 0;
    if (nsp__guard_lost(session->live.guard))
        return abandon(session, batch, NULL);
    if (is_left && exported->attempt == 0 && left_header(session, batch)->in_doubt != 0) {
        if (drainer->in_doubt == NSP_IN_DOUBT_SKIP) {
            snprintf(report->detail, sizeof report->detail,
                     "its earlier drainer was just sending a batch when it died");
            return NSP_SEND_UNCONFIRMED;
        }
        __atomic_fetch_add(&session->in_doubt_resent, exported->spans, __ATOMIC_RELAXED);
    }
    const char *problem = NULL;
    drainer->bound = false;
    if (!load(drainer, session, batch, &problem)) {
        if (problem != NULL)
            return abandon(session, batch, problem);
        snprintf(report->detail, sizeof report->detail, "there is no memory for a batch");
        return NSP_SEND_RETRY;
    }
    if (is_cancelled(drainer))
        return NSP_SEND_RETRY;
    const nsp_send_result result = drainer->outgoing.again
                                       ? send_again(drainer, session, batch, deadline_ns, report)
                                       : send_copy(drainer, exported, deadline_ns, report);
    drainer->bound = is_bound(drainer, batch, result, report);
    return result;
}

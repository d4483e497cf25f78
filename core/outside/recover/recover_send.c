// SPDX-License-Identifier: Apache-2.0
#include "outside/recover/recover_send.h"

#include <string.h>

#include "base/log.h"
#include "common/time.h"
#include "drain/path_expand.h"
#include "drain/span_view.h"
#include "outside/recover/recover_attempts.h"
#include "outside/recover/recover_send_state.h"

// Looks at the clock and the sender's thread, and calls `progress` if it is time. False: the export has to stop.
static bool go_on(nsp__outbox *outbox)
{
    uint64_t now = nsp__monotonic_ns();
    outbox->failed = nsp__outbox_stopped(outbox);
    if (outbox->failed != NSP_OK)
        return false;
    if (now >= outbox->deadline_ns) {
        outbox->failed = NSP_ERR_TIMEOUT;
    } else if (now >= outbox->progress_due_ns) {
        outbox->progress_due_ns = now + nsp__outbox_progress_ns;
        nsp_recovery_account account;
        nsp__outbox_account(outbox, &account);
        if (outbox->options->progress != NULL &&
            !outbox->options->progress(outbox->options->argument, &account))
            outbox->failed = NSP_ERR_TIMEOUT;
    }
    return outbox->failed == NSP_OK;
}

// What fits into the batches was read from the session, and only the receiver is missing. Whoever is killed now has
// not failed at the session.
static void take_attempt_back(nsp__outbox *outbox)
{
    pthread_mutex_lock(&outbox->settle);
    const nsp_recovery *recovery = outbox->recovery;
    if (!outbox->waited && recovery != NULL && !recovery->advanced)
        nsp__attempts_note(recovery->copy.directory, recovery->copy.name, recovery->attempts);
    outbox->waited = true;
    pthread_mutex_unlock(&outbox->settle);
}

// Waits until the sender has settled everything up to this sequence.
static bool wait_for(nsp__outbox *outbox, uint64_t sequence)
{
    while (!nsp__sender_wait(outbox->sender, &outbox->pool, sequence,
                             nsp__earlier(outbox->deadline_ns, outbox->progress_due_ns))) {
        take_attempt_back(outbox);
        if (!go_on(outbox))
            return false;
    }
    return true;
}

static bool same_part(const nsp__piece *one, const nsp__piece *other)
{
    return one->kind == other->kind && one->index == other->index;
}

// Takes an empty batch. All of them can only be on their way to the receiver, and the oldest comes back first.
static bool open_batch(nsp__outbox *outbox, const nsp__piece *first)
{
    nsp__batch *batch;
    while ((batch = nsp__batch_pool_take(&outbox->pool)) == NULL)
        if (!wait_for(outbox, outbox->sequence - outbox->config.batches + 1))
            return false;
    if (!go_on(outbox)) {
        nsp__batch_pool_put_unused(&outbox->pool, batch);
        return false;
    }
    nsp_batch *exported = &batch->exported;
    exported->head = exported->length = 0;
    exported->spans = exported->attempt = 0;
    exported->encoding = NSP_ENCODING_OWN;
    nsp__request_clear(nsp__outbox_request(outbox, batch));
    if (outbox->exporter->open != NULL)
        outbox->exporter->open(outbox->exporter_state, exported);
    outbox->current = batch;
    outbox->continues = outbox->sequence != 0 && same_part(&outbox->last, first);
    return true;
}

static void close_batch(nsp__outbox *outbox)
{
    nsp__batch *batch = outbox->current;
    if (outbox->exporter->close != NULL)
        outbox->exporter->close(outbox->exporter_state, &batch->exported);
    batch->header->spans = batch->exported.spans;
    batch->header->state = NSP__BATCH_CLOSED;
    outbox->current = NULL;
    outbox->sequence = nsp__sender_put_closed(outbox->sender, batch);
}

// Closes what is being filled. If that holds no span to send, only what is to be noted, this waits for the spans
// before it and enters it then.
static bool finish_batch(nsp__outbox *outbox)
{
    nsp__batch *batch = outbox->current;
    if (batch == NULL)
        return true;
    if (batch->exported.spans != 0) {
        close_batch(outbox);
        return true;
    }
    if (nsp__outbox_request(outbox, batch)->count != 0) {
        if (outbox->sequence != 0 && !wait_for(outbox, outbox->sequence))
            return false;
        nsp__outbox_enter_unsent(outbox, nsp__outbox_request(outbox, batch));
    }
    outbox->current = NULL;
    nsp__batch_pool_put_unused(&outbox->pool, batch);
    return true;
}

static bool add_piece(nsp__outbox *outbox, const nsp__piece *piece)
{
    outbox->last = *piece;
    if (nsp__request_add(nsp__outbox_request(outbox, outbox->current), piece))
        return true;
    outbox->failed = NSP_ERR_NO_MEMORY;
    return false;
}

// A request that begins in the middle of a ring or a batch of the session ends with it. If it is held back, behind
// one that was refused, nothing else of the session is held back with it, and so on through the whole session.
static bool end_part(nsp__outbox *outbox, const nsp__piece *next)
{
    return outbox->current == NULL || !outbox->continues || same_part(&outbox->last, next) ||
           finish_batch(outbox);
}

bool nsp__outbox_note(nsp__outbox *outbox, const nsp__piece *piece)
{
    if (nsp__outbox_is_refused(outbox, piece))
        return true;
    return end_part(outbox, piece) && (outbox->current != NULL || open_batch(outbox, piece)) &&
           add_piece(outbox, piece);
}

bool nsp__outbox_put(nsp__outbox *outbox, const nsp_span_view *view, const nsp__piece *piece)
{
    if (nsp__outbox_is_refused(outbox, piece))
        return true;
    if (!end_part(outbox, piece))
        return false;
    for (;;) {
        if (outbox->current == NULL && !open_batch(outbox, piece))
            return false;
        nsp_batch *batch = &outbox->current->exported;
        if (NSP__LIKELY(outbox->exporter->append(outbox->exporter_state, batch, view))) {
            batch->spans++;
            if (!add_piece(outbox, piece))
                return false;
            if (batch->spans >= outbox->config.batch_spans)
                close_batch(outbox);
            return true;
        }
        if (batch->spans == 0) { // larger than a batch
            nsp__piece invalid = *piece;
            invalid.fate = NSP__PIECE_INVALID;
            return nsp__outbox_note(outbox, &invalid);
        }
        close_batch(outbox);
    }
}

static bool append_path(nsp__outbox *outbox, const nsp__outbox_path *path, nsp__path_walk *walk)
{
    nsp_batch *batch = &outbox->current->exported;
    const size_t length = batch->length;
    nsp__path_walk_begin(walk, path->plans, path->record);
    walk->unfinished = path->unfinished;
    for (const nsp__record *span; (span = nsp__path_walk_next(walk)) != NULL;) {
        nsp_span_view view;
        nsp__span_view_make(&view, span, path->clock, path->segment);
        if (walk->ended || walk->phase > walk->open)
            view.end_ns = nsp__later(view.end_ns, path->end_min_ns);
        if (!outbox->exporter->append(outbox->exporter_state, batch, &view)) {
            batch->length = length;
            return false;
        }
        if (path->end_max_ns != NULL)
            *path->end_max_ns = nsp__later(view.end_ns, *path->end_max_ns);
    }
    batch->spans += walk->spans;
    return true;
}

// The part of a path that is not sent.
static bool note_invalid(nsp__outbox *outbox, nsp__piece piece, uint32_t spans)
{
    piece.fate = NSP__PIECE_INVALID;
    piece.spans = spans;
    return spans == 0 || nsp__outbox_note(outbox, &piece);
}

bool nsp__outbox_put_path(nsp__outbox *outbox, const nsp__outbox_path *path, nsp__piece piece)
{
    const uint32_t spans = nsp__record_spans(path->record);
    if (nsp__outbox_is_refused(outbox, &piece))
        return true;
    if (!end_part(outbox, &piece))
        return false;
    for (;;) {
        nsp__path_walk walk;
        if (outbox->current == NULL && !open_batch(outbox, &piece))
            return false;
        const nsp_batch *batch = &outbox->current->exported;
        const bool over = batch->spans != 0 && batch->spans + spans > outbox->config.batch_spans;
        if (!over && append_path(outbox, path, &walk)) {
            piece.spans = walk.spans;
            if (!add_piece(outbox, &piece) || !note_invalid(outbox, piece, walk.left_out))
                return false;
            if (outbox->current != NULL && batch->spans >= outbox->config.batch_spans)
                close_batch(outbox);
            return true;
        }
        if (batch->spans == 0) // larger than a batch
            return note_invalid(outbox, piece, spans);
        close_batch(outbox);
    }
}

// The sender's thread hangs in the exporter, and may still use all of this. It is reachable from here, so that
// leak checkers see that it is meant to stay.
static nsp__outbox *left;

static void leave(nsp__outbox *outbox)
{
    outbox->next_left = left;
    left = outbox;
}

// The sender's thread enters nothing any more.
static nsp_status explain(const nsp__outbox *outbox, nsp_status status)
{
    const char *doubt =
        outbox->in_doubt ? "; spans of its last request may have been taken, and be sent twice" : "";
    switch (status) {
    case NSP_ERR_SYSTEM:
        return outbox->error != 0
                   ? nsp__recovery_unwritable(outbox->error)
                   : nsp__fail(status, "its spans could not be written: %s%s", outbox->answer.detail, doubt);
    case NSP_ERR_REFUSED:
        return nsp__fail(status, "the receiver has %s spans: %s",
                         outbox->unconfirmed ? "not confirmed" : "refused", outbox->answer.detail);
    case NSP_ERR_TIMEOUT: return nsp__fail(status, "the receiver has not taken everything in time%s", doubt);
    case NSP_ERR_NO_MEMORY: return nsp__fail(status, "no memory for a recovery");
    default: return status;
    }
}

nsp_status nsp__outbox_close(nsp__outbox *outbox)
{
    bool complete = outbox->failed == NSP_OK && finish_batch(outbox) &&
                    (outbox->sequence == 0 || wait_for(outbox, outbox->sequence));
    nsp_status status = complete ? NSP_OK : outbox->failed;
    nsp__sender_stop(outbox->sender, nsp__monotonic_ns());
    pthread_mutex_lock(&outbox->settle);
    outbox->in_doubt = outbox->in_doubt || outbox->left_behind;
    outbox->recovery->request_in_doubt |= outbox->in_doubt;
    outbox->recovery = NULL;
    if (outbox->stopped != NSP_OK)
        status = outbox->stopped;
    else if (outbox->refusals != 0 && status != NSP_ERR_NO_MEMORY)
        status = NSP_ERR_REFUSED;
    pthread_mutex_unlock(&outbox->settle);
    status = explain(outbox, status);
    if (outbox->left_behind)
        leave(outbox);
    else
        nsp__outbox_free(outbox);
    return status;
}

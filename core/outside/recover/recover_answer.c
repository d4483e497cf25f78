// SPDX-License-Identifier: Apache-2.0
//
// What a receiver has answered to a recovery is entered in the session, or kept for later, before the sender
// sends anything else.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/exporter_list.h"
#include "drain/outcome.h"
#include "outside/recover/recover_send_state.h"

// A receiver that has refused so many requests, and taken none, does not refuse them for what is in them.
enum { REFUSALS_MAX = 8 };

static void add_to_account(nsp_recovery_account *account, const nsp__settlement *settled)
{
    account->exported += settled->exported;
    account->rejected += settled->rejected;
    account->unconfirmed += settled->unconfirmed;
    account->skipped += settled->skipped;
    account->invalid += settled->invalid;
}

static void stop(nsp__outbox *outbox, nsp_status status, int error)
{
    outbox->stopped = status;
    outbox->error = error;
}

// If the session cannot be written, it does not say that these spans were sent, and the next recovery sends some
// of them again. So nothing more is sent, and what was, counts as unconfirmed.
static void write_now(nsp__outbox *outbox)
{
    nsp__settlement *settlement = &outbox->settlement;
    if (!nsp__recovery_write(outbox->recovery, settlement)) {
        stop(outbox, NSP_ERR_SYSTEM, errno);
        settlement->unconfirmed += settlement->exported + settlement->rejected;
        settlement->exported = settlement->rejected = 0;
    }
    add_to_account(outbox->account, settlement);
}

// With the lock held. Enters what became of the next spans of a request.
static void enter(nsp__outbox *outbox, nsp__request *request, const nsp__outcome *outcome)
{
    nsp__settlement *settlement = &outbox->settlement;
    nsp__settlement_clear(settlement);
    if (!nsp__settlement_take(settlement, request, outcome)) {
        stop(outbox, NSP_ERR_NO_MEMORY, 0); // they stay in the session
        return;
    }
    if (nsp__outcome_spans(&request->ahead) != 0) // all spans of that path would be sent again
        outbox->in_doubt = true;
    if (!outbox->options->settle_later)
        write_now(outbox);
    else if (nsp__settlement_join(&outbox->recovery->later, settlement))
        add_to_account(outbox->account, settlement);
    else
        stop(outbox, NSP_ERR_NO_MEMORY, 0);
}

// ---- refusals ----

// A recovery does not know whether its receiver is the right one, so a request that is refused as a whole settles
// nothing. A ring and a batch are settled from their front, so what lies behind such a request stays, too: it is
// not sent, because the next recovery would send it again.

static bool *refused_mark(const nsp__outbox *outbox, const nsp__piece *piece)
{
    switch (piece->kind) {
    case NSP__PIECE_RING: return &outbox->recovery->rings[piece->index].refused;
    case NSP__PIECE_FRAME: return &outbox->recovery->frames[piece->index].refused;
    case NSP__PIECE_HISTORY:
    case NSP__PIECE_OPEN: return &outbox->recovery->buffers[piece->index].refused;
    default: return &outbox->recovery->batches[piece->index].refused;
    }
}

static void mark_refused(const nsp__outbox *outbox, const nsp__request *request)
{
    for (size_t i = request->taken; i < request->count; i++)
        *refused_mark(outbox, &request->pieces[i]) = true;
}

static bool is_behind_refusal(const nsp__outbox *outbox, const nsp__request *request)
{
    for (size_t i = request->taken; outbox->refusals != 0 && i < request->count; i++)
        if (*refused_mark(outbox, &request->pieces[i]))
            return true;
    return false;
}

bool nsp__outbox_is_refused(nsp__outbox *outbox, const nsp__piece *piece)
{
    // Relaxed: a span that is added a moment too late is held back when it is to be sent.
    if (NSP__LIKELY(__atomic_load_n(&outbox->refusals, __ATOMIC_RELAXED) == 0))
        return false;
    pthread_mutex_lock(&outbox->settle);
    bool refused = *refused_mark(outbox, piece);
    pthread_mutex_unlock(&outbox->settle);
    return refused;
}

// An answer that does not say whether the spans were taken counts like one, too, unless they may rather be missing
// than there twice.
static bool is_refusal(const nsp__outbox *outbox, nsp_send_result result)
{
    return result == NSP_SEND_REJECTED ||
           (result == NSP_SEND_UNCONFIRMED && outbox->options->in_doubt == NSP_IN_DOUBT_SEND);
}

static void note_refusal(nsp__outbox *outbox, const nsp__request *request, nsp_send_result result,
                         const nsp_send_report *report)
{
    mark_refused(outbox, request);
    if (outbox->refusals == 0) {
        outbox->answer = *report;
        outbox->unconfirmed = result == NSP_SEND_UNCONFIRMED;
    }
    __atomic_store_n(&outbox->refusals, outbox->refusals + 1, __ATOMIC_RELAXED);
    if (outbox->refusals >= REFUSALS_MAX && !outbox->taken)
        stop(outbox, NSP_ERR_REFUSED, 0);
}

// ---- what the sender calls ----

void nsp__outbox_enter_unsent(nsp__outbox *outbox, nsp__request *request)
{
    static const nsp__outcome nothing = {0};
    pthread_mutex_lock(&outbox->settle);
    if (outbox->stopped == NSP_OK && !is_behind_refusal(outbox, request))
        enter(outbox, request, &nothing);
    pthread_mutex_unlock(&outbox->settle);
}

nsp_status nsp__outbox_stopped(nsp__outbox *outbox)
{
    pthread_mutex_lock(&outbox->settle);
    nsp_status stopped = outbox->stopped;
    pthread_mutex_unlock(&outbox->settle);
    return stopped;
}

// To the sender: it would log that it tries again, or that spans are lost.
static nsp_send_result say_nothing(nsp_send_report *report)
{
    *report = (nsp_send_report){.answered = report->answered};
    return NSP_SEND_EXPORTED;
}

// Of a list: an exporter has spans of this request, which are settled only when all of them are done with it.
static bool one_has_taken(const nsp__outbox *outbox)
{
    const int *doubt = nsp__exporter_doubt(outbox->exporter, outbox->exporter_state);
    return doubt != NULL && __atomic_load_n(doubt, __ATOMIC_SEQ_CST);
}

// With the lock held. Returns what the sender has to do: it is done with a request that was refused.
static nsp_send_result take_answer(nsp__outbox *outbox, nsp__request *request, nsp_send_result result,
                                   nsp_send_report *report, uint64_t spans)
{
    outbox->in_doubt = outbox->in_doubt || result == NSP_SEND_UNKNOWN || one_has_taken(outbox);
    if (report->error != 0) { // no receiver has said anything about these spans
        outbox->answer = *report;
        outbox->recovery->exporter_failed = true;
        stop(outbox, NSP_ERR_SYSTEM, 0);
        return say_nothing(report);
    }
    const bool refused = is_refusal(outbox, result), settled = !refused && nsp__outcome_final(result);
    const nsp__outcome outcome = nsp__outcome_of(refused ? NSP_SEND_RETRY : result, report, spans);
    outbox->taken = outbox->taken || settled || outcome.exported != 0;
    if (settled || nsp__outcome_spans(&outcome) != 0)
        enter(outbox, request, &outcome);
    outbox->recovery->request_in_doubt |= refused && outbox->in_doubt;
    outbox->in_doubt = outbox->in_doubt && !settled && !refused;
    if (!refused)
        return result;
    note_refusal(outbox, request, result, report);
    return say_nothing(report);
}

// The same for a request that is not sent.
static bool hold_behind_refusal(nsp__outbox *outbox, const nsp__request *request)
{
    pthread_mutex_lock(&outbox->settle);
    bool held = outbox->recovery != NULL && is_behind_refusal(outbox, request);
    if (held)
        mark_refused(outbox, request);
    pthread_mutex_unlock(&outbox->settle);
    return held;
}

nsp_send_result nsp__outbox_send(void *state, const nsp_batch *exported, uint64_t deadline_ns,
                                 nsp_send_report *report)
{
    nsp__outbox *outbox = state;
    const nsp__batch *batch = (const nsp__batch *)(const void *)exported; // its first member
    nsp__request *request = nsp__outbox_request(outbox, batch);
    if (nsp__outbox_stopped(outbox) != NSP_OK)
        return say_nothing(report);
    if (hold_behind_refusal(outbox, request))
        return NSP_SEND_EXPORTED;
    nsp_send_result result = outbox->exporter->send(outbox->exporter_state, exported, deadline_ns, report);
    report->detail[sizeof report->detail - 1] = 0;
    pthread_mutex_lock(&outbox->settle);
    if (outbox->recovery != NULL)
        result = take_answer(outbox, request, result, report, exported->spans);
    pthread_mutex_unlock(&outbox->settle);
    return result;
}

void nsp__outbox_account(nsp__outbox *outbox, nsp_recovery_account *account)
{
    pthread_mutex_lock(&outbox->settle);
    *account = *outbox->account;
    pthread_mutex_unlock(&outbox->settle);
    account->left = account->finished + account->unfinished + account->from_batches - account->exported -
                    account->rejected - account->unconfirmed - account->skipped - account->invalid;
}

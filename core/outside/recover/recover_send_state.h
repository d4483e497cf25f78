// SPDX-License-Identifier: Apache-2.0
//
// The inside of the sending half, shared by its parts: recover_send.c fills batches, recover_send_open.c makes
// everything that is needed for it, and recover_answer.c settles what was answered, on the sender's thread.
#ifndef NSP_OUTSIDE_RECOVER_SEND_STATE_H
#define NSP_OUTSIDE_RECOVER_SEND_STATE_H

#include <nanospan/exporter.h>
#include <pthread.h>

#include "common/time.h"
#include "drain/sender.h"
#include "outside/recover/recover_send.h"

// How often `progress` is called, and the sender's thread looked at.
static const uint64_t nsp__outbox_progress_ns = 100 * NSP__MILLISECOND;

struct nsp__outbox {
    const nsp_recovery_options *options;
    nsp_config config; // resolved
    uint64_t deadline_ns, progress_due_ns;
    nsp_exporter_context context;
    const nsp_exporter *exporter; // the one that sends
    void *exporter_state;
    nsp_exporter settling; // what the sender sees: sends through `exporter`, and settles
    int cancel, held_back;
    bool created; // the exporter
    bool left_behind;

    nsp__batch_pool pool; // config.batches of them
    nsp__batch_header *headers;
    nsp__request *requests; // by batch
    uint8_t *data;
    nsp__counters counters; // the sender's own, which nobody reads
    nsp__sender *sender;
    nsp__batch *current; // being filled, or NULL
    nsp__piece last;     // the last one that was added
    bool continues;      // `current` begins in the middle of a ring or a batch of the session
    uint64_t sequence;   // of the last closed batch
    nsp_status failed;   // why the filling half has stopped
    bool waited;         // it had to wait for the receiver, so this attempt no longer counts as a failed one

    pthread_mutex_t settle;
    // Below: guarded by settle.
    nsp_recovery *recovery; // NULL: the sender's thread was left behind, and settles nothing any more
    nsp_recovery_account *account;
    nsp__settlement settlement; // of the answer that is being entered
    // Why nothing more may be sent: NSP_ERR_SYSTEM, NSP_ERR_REFUSED or NSP_ERR_NO_MEMORY.
    nsp_status stopped;
    int error;         // errno, with NSP_ERR_SYSTEM: the session cannot be written; 0: the exporter cannot
    bool taken;        // the receiver has taken something
    bool in_doubt;     // spans of the last request may have been taken, and are not settled
    bool unconfirmed;  // the first of the refusals was an answer that does not say whether they were taken
    uint32_t refusals; // also read without the lock, atomically
    nsp_send_report answer; // of the first refusal, or of the exporter that cannot write
    nsp__outbox *next_left;
};

static inline nsp__request *nsp__outbox_request(const nsp__outbox *outbox, const nsp__batch *batch)
{
    return &outbox->requests[batch->index];
}

// recover_send_open.c. Frees what nsp__outbox_open has made, except the sender.
void nsp__outbox_free(nsp__outbox *outbox);

// recover_answer.c. The sender's send: sends through `exporter`, and settles what that has answered.
nsp_send_result nsp__outbox_send(void *outbox, const nsp_batch *exported, uint64_t deadline_ns,
                                 nsp_send_report *report);
// Settles a request of which nothing is sent.
void nsp__outbox_enter_unsent(nsp__outbox *outbox, nsp__request *request);
// True if the receiver has refused this part of the session, or what comes before it: it is not sent.
bool nsp__outbox_is_refused(nsp__outbox *outbox, const nsp__piece *piece);
// NSP_OK, or why nothing more may be sent.
nsp_status nsp__outbox_stopped(nsp__outbox *outbox);

#endif

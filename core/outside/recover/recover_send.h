// SPDX-License-Identifier: Apache-2.0
//
// The sending half of a recovery: an exporter with the session's resource and names, a private pool of
// batches, and the engine's own sender over both. Each batch remembers which parts of the session it holds,
// and these are settled by the sender's thread as soon as the receiver has confirmed them.
#ifndef NSP_OUTSIDE_RECOVER_SEND_H
#define NSP_OUTSIDE_RECOVER_SEND_H

#include "outside/recover/recovery.h"

typedef struct nsp__outbox nsp__outbox;

// Creates the exporter and starts the sender. The recovery and options have to stay until the outbox is
// closed.
nsp_status nsp__outbox_open(nsp__outbox **out, nsp_recovery *recovery, const nsp_recovery_options *options);

// Adds one span, and says which piece of the session it is. False: the time is up, or `progress` has stopped
// it, or something failed; nsp__outbox_close says what.
bool nsp__outbox_put(nsp__outbox *outbox, const nsp_span_view *view, const nsp__piece *piece);
// A path's record, and how its spans are made.
typedef struct nsp__outbox_path {
    nsp__path_plans *plans;
    const nsp__record *record;
    nsp_name unfinished; // as in nsp__path_walk
    const nsp__clock *clock;
    struct nsp__clock_segment *segment;
    uint64_t end_min_ns;  // the last phase and the path end at this time at the earliest
    uint64_t *end_max_ns; // becomes the latest end so far; NULL: nobody asks
} nsp__outbox_path;

// Adds all spans of a path, to the same request and as one piece, of which the caller sets kind, index and position.
// Those that nobody can tell are a piece that is invalid.
bool nsp__outbox_put_path(nsp__outbox *outbox, const nsp__outbox_path *path, nsp__piece piece);

// Adds a piece that is not sent: it counts by its fate, as soon as the spans before it are settled.
bool nsp__outbox_note(nsp__outbox *outbox, const nsp__piece *piece);

// Sends what is left and waits for the receiver, until the time is up. Frees the outbox. NSP_OK: everything
// was settled.
nsp_status nsp__outbox_close(nsp__outbox *outbox);

// The account as of now: the recovery's own, with what became of the spans until now.
void nsp__outbox_account(nsp__outbox *outbox, nsp_recovery_account *account);

#endif

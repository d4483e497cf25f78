// SPDX-License-Identifier: Apache-2.0
//
// Which parts of a session a request holds, and what is to be entered in the session once it is answered. Nothing
// here is written; recover_settle.c does that.
#ifndef NSP_OUTSIDE_SETTLEMENT_H
#define NSP_OUTSIDE_SETTLEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drain/outcome.h"

typedef enum nsp__piece_kind {
    NSP__PIECE_RING,
    NSP__PIECE_FRAME,
    NSP__PIECE_BATCH,
    NSP__PIECE_HISTORY, // of a thread's buffer of speculative spans: traces that have ended
    NSP__PIECE_OPEN     // of the same buffer: finished spans of the trace that is open
} nsp__piece_kind;

// What becomes of a piece's spans: they are in the request, or they are not sent.
typedef enum nsp__piece_fate { NSP__PIECE_SENT, NSP__PIECE_INVALID, NSP__PIECE_SKIPPED } nsp__piece_fate;

// A part of the session that is settled as a whole.
typedef struct nsp__piece {
    nsp__piece_kind kind;
    nsp__piece_fate fate;
    uint32_t index;    // RING, HISTORY, OPEN: the slot; FRAME: in `frames`; BATCH: in `batches`
    uint64_t position; // RING, HISTORY, OPEN: up to where it is taken out
    uint64_t spans;
} nsp__piece;

// What one request holds, in the order of its spans.
typedef struct nsp__request {
    nsp__piece *pieces;
    size_t taken; // so many of them are settled
    size_t count, capacity;
    // Spans of the next piece that are settled, as a path's are only together: how many, and what has become of them.
    nsp__outcome ahead;
} nsp__request;

// False: no memory.
bool nsp__request_add(nsp__request *request, const nsp__piece *piece);
void nsp__request_clear(nsp__request *request);
void nsp__request_free(nsp__request *request);

// What is settled at once. Neighbouring pieces of the same part of the session are one.
typedef struct nsp__settlement {
    nsp__piece *pieces;
    size_t count, capacity;
    uint64_t exported, rejected, unconfirmed, skipped, invalid;
} nsp__settlement;

// Moves the first pieces of the request there: those of the sent spans that have this outcome, and what is not sent up
// to the next one that is. All spans are counted; those of a piece of which others are not settled yet, when these are.
// False: no memory, and both are as before.
bool nsp__settlement_take(nsp__settlement *to, nsp__request *from, const nsp__outcome *outcome);
// Adds all of `from`. False: no memory, and `to` is as before.
bool nsp__settlement_join(nsp__settlement *to, const nsp__settlement *from);
void nsp__settlement_clear(nsp__settlement *settlement);
void nsp__settlement_free(nsp__settlement *settlement);

#endif

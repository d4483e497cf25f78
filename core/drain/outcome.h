// SPDX-License-Identifier: Apache-2.0
//
// What becomes of the spans of a batch, and how that is entered in the session's counters.
#ifndef NSP_DRAIN_OUTCOME_H
#define NSP_DRAIN_OUTCOME_H

#include <nanospan/exporter.h>

#include "shm/batches.h"
#include "shm/counters.h"

// Of the first ones of the spans that are left of a batch.
typedef struct nsp__outcome {
    uint64_t exported, rejected, unconfirmed, discarded;
} nsp__outcome;

static inline uint64_t nsp__outcome_spans(const nsp__outcome *outcome)
{
    return outcome->exported + outcome->rejected + outcome->unconfirmed + outcome->discarded;
}

// False: what is left of the batch is to be sent again.
static inline bool nsp__outcome_final(nsp_send_result result)
{
    return result == NSP_SEND_EXPORTED || result == NSP_SEND_REJECTED || result == NSP_SEND_UNCONFIRMED;
}

// What an attempt to send a batch, of which so many spans are left, has settled: all of them, or if it is not
// final those of the parts that were settled. Numbers that cannot be are cut.
nsp__outcome nsp__outcome_of(nsp_send_result result, const nsp_send_report *report, uint64_t left);

// Enters it in the counters, for the owner of the batch, which is not EMPTY. If spans are left, the batch
// is SENDING then; otherwise it is SETTLING, and the caller makes it EMPTY. At each moment a reader after a crash
// knows from the header what the counters have to become. Nobody else may add to `exported`, `rejected` and
// `unconfirmed`.
void nsp__outcome_count(nsp__batch_header *header, nsp__counters *counters, const nsp__outcome *outcome);

#endif

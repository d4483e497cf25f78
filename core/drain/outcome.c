// SPDX-License-Identifier: Apache-2.0
#include "drain/outcome.h"

#include "base/testpoint.h"
#include "common/time.h"

nsp__outcome nsp__outcome_of(nsp_send_result result, const nsp_send_report *report, uint64_t left)
{
    nsp__outcome outcome = {0};
    left -= outcome.exported = nsp__earlier(report->part_exported, left);
    left -= outcome.rejected = nsp__earlier(report->part_rejected, left);
    left -= outcome.unconfirmed = nsp__earlier(report->part_unconfirmed, left);
    if (result == NSP_SEND_EXPORTED) {
        uint64_t rejected = nsp__earlier(report->rejected, left);
        outcome.exported += left - rejected;
        outcome.rejected += rejected;
    } else if (result == NSP_SEND_REJECTED) {
        outcome.rejected += left;
    } else if (result == NSP_SEND_UNCONFIRMED) {
        outcome.unconfirmed += left;
    }
    return outcome;
}

void nsp__outcome_count(nsp__batch_header *header, nsp__counters *counters, const nsp__outcome *outcome)
{
    const uint32_t settled = header->settled + (uint32_t)nsp__outcome_spans(outcome);
    header->outcome = (nsp__batch_outcome){
        .exported = counters->exported + outcome->exported,
        .rejected = counters->rejected + outcome->rejected,
        .unconfirmed = counters->unconfirmed + outcome->unconfirmed,
        .settled = settled,
        .discarded = (uint32_t)outcome->discarded,
    };
    __atomic_store_n(&header->state, NSP__BATCH_SETTLING, __ATOMIC_RELEASE); // BH1
    NSP__TESTPOINT("batch: settling");
    nsp__counters_add(&counters->exported, outcome->exported);
    nsp__counters_add(&counters->rejected, outcome->rejected);
    nsp__counters_add(&counters->unconfirmed, outcome->unconfirmed);
    if (outcome->discarded != 0)
        nsp__counters_add(&counters->discarded, outcome->discarded);
    NSP__TESTPOINT("batch: counted");
    __atomic_store_n(&header->settled, settled, __ATOMIC_RELEASE); // BH1
    if (settled < header->spans)
        __atomic_store_n(&header->state, NSP__BATCH_SENDING, __ATOMIC_RELEASE); // BH1
}

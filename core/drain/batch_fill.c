// SPDX-License-Identifier: Apache-2.0
#include "drain/batch_fill.h"

#include <string.h>

#include "base/testpoint.h"

bool nsp__batch_open(nsp__collector *collector)
{
    const nsp__collector_options *options = &collector->options;
    nsp__batch *batch = nsp__batch_pool_take(options->pool);
    if (batch == NULL)
        return false;
    batch->exported.head = batch->exported.length = 0;
    batch->exported.spans = batch->exported.attempt = 0;
    batch->exported.first_ns = 0;
    batch->exported.encoding = NSP_ENCODING_OWN;
    memset(batch->coverage, 0, options->config->threads * sizeof *batch->coverage);
    if (options->exporter->open != NULL)
        options->exporter->open(options->exporter_state, &batch->exported);
    batch->header->spans = batch->header->settled = 0;
    batch->header->latest_coverage.spans = UINT32_MAX; // none
    batch->header->encoding = batch->exported.encoding;
    batch->header->head = batch->exported.head;
    batch->header->length = batch->exported.length;
    batch->header->attempts = batch->header->in_doubt = 0;
    __atomic_store_n(&batch->header->state, NSP__BATCH_FILLING, __ATOMIC_RELEASE); // BH1
    NSP__TESTPOINT("collector: batch opened");
    collector->current = batch;
    return true;
}

void nsp__batch_note(nsp__collector *collector, uint32_t slot, uint64_t position)
{
    nsp__batch *batch = collector->current;
    nsp__batch_header *header = batch->header;
    if (header->spans != batch->exported.spans) {
        header->latest_coverage.spans =
            batch->exported.spans; // first: until `spans` are as many, the others do not count
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        header->latest_coverage.slot = slot;
        header->latest_coverage.position = position;
        header->length = batch->exported.length;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        NSP__TESTPOINT("collector: before coverage");
        __atomic_store_n(&header->spans, batch->exported.spans, __ATOMIC_RELEASE); // BH1
        NSP__TESTPOINT("collector: spans noted");
    }
    __atomic_store_n(&batch->coverage[slot], position, __ATOMIC_RELEASE); // BH1
}

void nsp__batch_close(nsp__collector *collector)
{
    const nsp__collector_options *options = &collector->options;
    nsp__batch *batch = collector->current;
    if (batch == NULL || batch->exported.spans == 0)
        return;
    if (options->exporter->close != NULL)
        options->exporter->close(options->exporter_state, &batch->exported);
    batch->header->head = batch->exported.head;
    batch->header->length = batch->exported.length;
    batch->header->spans = batch->exported.spans;
    batch->header->sequence = ++collector->closed;
    nsp__counters_add(&batch->counters->bytes_encoded, batch->exported.length - batch->exported.head);
    NSP__TESTPOINT("collector: batch not yet closed");
    __atomic_store_n(&batch->header->state, NSP__BATCH_CLOSED, __ATOMIC_RELEASE); // BH1
    NSP__TESTPOINT("collector: batch closed");
    collector->current = NULL;
    collector->sequence = nsp__sender_put_closed(options->sender, batch);
}

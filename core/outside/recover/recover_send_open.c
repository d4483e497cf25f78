// SPDX-License-Identifier: Apache-2.0
//
// Makes what a recovery sends with: a pool of batches, the exporter with the session's resource, and the
// sender.
#include <stdlib.h>
#include <string.h>

#include "base/exit_gate.h"
#include "base/log.h"
#include "common/time.h"
#include "config/config.h"
#include "config/exporter_list.h"
#include "outside/exporters.h"
#include "outside/recover/recover_send_state.h"

static bool make_pool(nsp__outbox *outbox)
{
    uint32_t count = outbox->config.batches;
    size_t bytes = outbox->config.batch_bytes;
    outbox->headers = calloc(count, sizeof *outbox->headers);
    outbox->requests = calloc(count, sizeof *outbox->requests);
    outbox->data = malloc(count * bytes);
    if (!nsp__batch_pool_init(&outbox->pool, count, &outbox->counters) || outbox->headers == NULL ||
        outbox->requests == NULL || outbox->data == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        nsp__batch *batch = &outbox->pool.batches[i];
        batch->exported.data = outbox->data + i * bytes;
        batch->exported.capacity = bytes;
        batch->header = &outbox->headers[i];
    }
    return true;
}

// The engine's own resource, as it lies in the session.
static bool make_resource(nsp__outbox *outbox)
{
    const nsp__session_copy *copy = &outbox->recovery->copy;
    nsp__resource_entry entry;
    size_t count = 0;
    for (size_t at = 0; nsp__session_copy_resource(copy, &at, &entry);)
        count++;
    const char **texts = calloc(2 * count + 1, sizeof *texts);
    nsp_type *types = calloc(count + 1, sizeof *types);
    outbox->context.resource_keys = texts; // freed with the outbox, like the types
    outbox->context.resource_types = types;
    if (texts == NULL || types == NULL)
        return false;
    size_t i = 0;
    for (size_t at = 0; i < count && nsp__session_copy_resource(copy, &at, &entry); i++) {
        texts[i] = entry.key;
        texts[count + i] = entry.value;
        types[i] = entry.type;
    }
    outbox->context.resource_values = texts + count;
    outbox->context.resource_count = i;
    return true;
}

static nsp_status create_exporter(nsp__outbox *outbox)
{
    outbox->context.config = &outbox->config;
    outbox->context.cancel = &outbox->cancel;
    outbox->context.held_back = &outbox->held_back;
    outbox->context.log = nsp__log;
    outbox->context.name_text = nsp__recovery_name_text;
    outbox->context.names = &outbox->recovery->names;
    nsp_status status = nsp__exporter_create(&outbox->exporter_state, outbox->exporter, &outbox->context);
    outbox->created = status == NSP_OK;
    if (status ==
        NSP_OK) // spans that one of a list refuses stay in the session, so the others must not have them
        nsp__exporter_take_turns(outbox->exporter, outbox->exporter_state,
                                 outbox->options->in_doubt == NSP_IN_DOUBT_SEND ? NSP__REFUSAL_UNCONFIRMED
                                                                                : NSP__REFUSAL_REJECTED);
    return status;
}

static nsp_status start_sender(nsp__outbox *outbox)
{
    outbox->settling = (nsp_exporter){
        .size = sizeof outbox->settling, .name = outbox->exporter->name, .send = nsp__outbox_send};
    const nsp__sender_options options = {
        .exporter = &outbox->settling,
        .exporter_state = outbox,
        .closed_max = outbox->config.batches,
        .cancel = &outbox->cancel,
        .held_back = &outbox->held_back,
        .export_timeout_ns =
            outbox->config.export_timeout_ns != 0 ? outbox->config.export_timeout_ns : UINT64_MAX,
        .backoff_min_ns = outbox->config.retry_min_ns,
        .backoff_max_ns = outbox->config.retry_max_ns,
        .left_behind = &outbox->left_behind,
    };
    return nsp__sender_start(&outbox->sender, &options);
}

void nsp__outbox_free(nsp__outbox *outbox)
{
    if (outbox->created && nsp__exit_enter()) {
        outbox->exporter->destroy(outbox->exporter_state);
        nsp__exit_leave();
    }
    for (uint32_t i = 0; outbox->requests != NULL && i < outbox->config.batches; i++)
        nsp__request_free(&outbox->requests[i]);
    free(outbox->requests);
    nsp__settlement_free(&outbox->settlement);
    nsp__batch_pool_destroy(&outbox->pool);
    free(outbox->headers);
    free(outbox->data);
    free((void *)outbox->context.resource_keys);
    free((void *)outbox->context.resource_types);
    pthread_mutex_destroy(&outbox->settle);
    nsp__config_free(&outbox->config);
    free(outbox);
}

nsp_status nsp__outbox_open(nsp__outbox **out, nsp_recovery *recovery, const nsp_recovery_options *options)
{
    *out = NULL;
    nsp__outbox *outbox = calloc(1, sizeof *outbox);
    if (outbox == NULL)
        return nsp__fail(NSP_ERR_NO_MEMORY, "no memory for a recovery");
    pthread_mutex_init(&outbox->settle, NULL);
    uint64_t now = nsp__monotonic_ns();
    outbox->options = options;
    outbox->recovery = recovery;
    outbox->account = &recovery->account;
    outbox->deadline_ns = options->timeout_ns != 0 ? nsp__after(now, options->timeout_ns) : UINT64_MAX;
    outbox->progress_due_ns = now + nsp__outbox_progress_ns;
    nsp_status status = nsp__config_resolve(&outbox->config, options->config);
    if (status == NSP_OK) {
        nsp__log_configure(outbox->config.log_level, outbox->config.log, outbox->config.log_context);
        status =
            nsp__exporter_chosen(&outbox->exporter, outbox->options->exporter, &outbox->config, "recovery");
    }
    if (status == NSP_OK && (!make_pool(outbox) || !make_resource(outbox)))
        status = nsp__fail(NSP_ERR_NO_MEMORY, "no memory for a recovery");
    if (status == NSP_OK) {
        status = create_exporter(outbox);
        recovery->exporter_failed = status != NSP_OK;
    }
    if (status == NSP_OK)
        status = start_sender(outbox);
    if (status == NSP_OK)
        *out = outbox;
    else
        nsp__outbox_free(outbox);
    return status;
}

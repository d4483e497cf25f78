// SPDX-License-Identifier: Apache-2.0
#include "otlp/transport/parts.h"

#include <stdlib.h>
#include <string.h>

#include "common/time.h"

// How long a limit that one batch taught is believed: after that a larger request is tried again.
static const uint64_t known_for_ns = 300ull * 1000000000u;

// A receiver that refuses this many single spans and has taken none of their batch does not refuse because of
// the size.
enum { REFUSED_ALONE_MAX = 3 };

void nsp__otlp_parts_forget(nsp__otlp_parts *parts)
{
    free(parts->room);
    parts->room = NULL;
    parts->data = NULL;
    parts->count = 0;
}

static bool is_current(const nsp__otlp_parts *parts, const nsp_batch *batch)
{
    return parts->data != NULL && parts->data == batch->data && parts->first_ns == batch->first_ns;
}

static bool known_too_large(const nsp__otlp_parts *parts, size_t bytes)
{
    return parts->too_large && bytes >= parts->too_large &&
           nsp__monotonic_ns() - parts->known_ns < known_for_ns;
}

static void learn(nsp__otlp_parts *parts, size_t bytes)
{
    bool stale = nsp__monotonic_ns() - parts->known_ns >= known_for_ns;
    if (!parts->too_large || stale || bytes < parts->too_large)
        parts->too_large = bytes;
    parts->known_ns = nsp__monotonic_ns();
}

static void say_once(nsp__otlp_parts *parts, const nsp__otlp_transport *transport, size_t bytes)
{
    if (parts->said)
        return;
    parts->said = true;
    transport->channel.log(
        NSP_LOG_WARN, "size",
        "%.80s: a batch of %zu bytes is larger than the receiver accepts; it is sent in smaller "
        "parts. To avoid the extra requests, raise the receiver's limit, or set NSP_BATCH_BYTES "
        "below %zu (or OTEL_BSP_MAX_EXPORT_BATCH_SIZE to fewer spans)",
        transport->channel.endpoint.peer.shown, bytes, bytes);
}

// Takes the whole batch as one part. False: its spans cannot be told apart, or memory is short.
static bool begin(nsp__otlp_parts *parts, const nsp__otlp_transport *transport, const nsp_batch *batch)
{
    const nsp__otlp_cutter *cutter = transport->channel.encoding->cutter;
    nsp__otlp_request *request = &parts->request;
    nsp__otlp_parts_forget(parts);
    if (!cutter->find(request, batch->data + batch->head, batch->length - batch->head))
        return false;
    uint32_t spans = 0;
    for (const uint8_t *at = request->spans; at < request->end; ++spans) {
        size_t size = cutter->span_size(request, at);
        if (!size)
            return false;
        at += size;
    }
    if (spans < 2 || (parts->room = malloc(request->length)) == NULL)
        return false;
    parts->data = batch->data;
    parts->first_ns = batch->first_ns;
    parts->at = request->spans;
    parts->left[0] = (nsp__otlp_part){request->end, spans};
    parts->count = 1;
    parts->accepted = false;
    parts->refused_alone = 0;
    return true;
}

static void halve(nsp__otlp_parts *parts, const nsp__otlp_transport *transport)
{
    nsp__otlp_part *whole = &parts->left[parts->count - 1], *first = whole + 1;
    first->spans = whole->spans / 2;
    first->end = parts->at;
    for (uint32_t i = 0; i < first->spans; ++i)
        first->end += transport->channel.encoding->cutter->span_size(&parts->request, first->end);
    whole->spans -= first->spans;
    parts->count++;
}

static bool can_halve(const nsp__otlp_parts *parts)
{
    return parts->left[parts->count - 1].spans > 1 && parts->count < NSP__OTLP_PARTS_DEPTH;
}

// What happened to the spans in this call.
typedef struct tally {
    uint64_t exported, rejected, unconfirmed;
    char detail[sizeof((nsp_send_report *)0)->detail]; // of the last part that was not taken completely
} tally;

// Counts the part that was sent last and removes it. False: it has to be sent again.
static bool settle_part(nsp__otlp_parts *parts, nsp_send_result result, const nsp_send_report *report,
                        tally *sum)
{
    const nsp__otlp_part *part = &parts->left[parts->count - 1];
    uint64_t rejected = report->rejected < part->spans ? report->rejected : part->spans;
    switch (result) {
    case NSP_SEND_EXPORTED:
        sum->exported += part->spans - rejected;
        sum->rejected += rejected;
        parts->accepted = true;
        break;
    case NSP_SEND_REJECTED: sum->rejected += part->spans; break;
    case NSP_SEND_UNCONFIRMED: sum->unconfirmed += part->spans; break;
    default: return false;
    }
    if (report->detail[0])
        memcpy(sum->detail, report->detail, sizeof sum->detail);
    parts->at = part->end;
    parts->count--;
    return true;
}

static void reject_the_rest(nsp__otlp_parts *parts, tally *sum)
{
    while (parts->count) {
        parts->at = parts->left[parts->count - 1].end;
        sum->rejected += parts->left[--parts->count].spans;
    }
}

// Sends parts until all are settled, or one has to be sent again.
static nsp_send_result send_parts(nsp__otlp_parts *parts, nsp__otlp_transport *transport,
                                  uint64_t deadline_ns, tally *sum, nsp_send_report *report)
{
    const nsp__otlp_cutter *cutter = transport->channel.encoding->cutter;
    while (parts->count) {
        size_t around = (size_t)(parts->request.spans - parts->request.bytes);
        size_t bytes = around + (size_t)(parts->left[parts->count - 1].end - parts->at);
        if (can_halve(parts) && known_too_large(parts, bytes)) {
            halve(parts, transport);
            continue;
        }
        nsp_send_report part = {0};
        bytes = cutter->write(parts->room, &parts->request, parts->at, parts->left[parts->count - 1].end);
        nsp_send_result result = nsp__otlp_transport_post(transport, parts->room, bytes, deadline_ns, &part);
        report->bytes += part.bytes;
        report->part_answers += report->answered && part.answered;
        report->answered = report->answered || part.answered;
        if (transport->channel.too_large && can_halve(parts)) {
            learn(parts, bytes);
            halve(parts, transport);
            continue;
        }
        bool alone = transport->channel.too_large && parts->left[parts->count - 1].spans == 1;
        if (!settle_part(parts, result, &part, sum)) {
            report->retry_after_ns = part.retry_after_ns;
            memcpy(report->detail, part.detail, sizeof report->detail);
            return result;
        }
        if (alone && !parts->accepted && ++parts->refused_alone >= REFUSED_ALONE_MAX)
            reject_the_rest(parts, sum);
    }
    return NSP_SEND_EXPORTED;
}

static nsp_send_result send_in_parts(nsp__otlp_parts *parts, nsp__otlp_transport *transport,
                                     uint64_t deadline_ns, nsp_send_report *report)
{
    tally sum = {0};
    nsp_send_result result = send_parts(parts, transport, deadline_ns, &sum, report);
    report->part_unconfirmed = sum.unconfirmed;
    if (parts->count) { // the result is that of the rest
        report->part_exported = sum.exported;
        report->part_rejected = sum.rejected;
        return result;
    }
    if (!parts->accepted)
        parts->too_large = 0; // whatever the reason was, it was not the size
    nsp__otlp_parts_forget(parts);
    memcpy(report->detail, sum.detail, sizeof report->detail);
    report->rejected = sum.rejected;
    return sum.exported || !sum.rejected ? NSP_SEND_EXPORTED : NSP_SEND_REJECTED;
}

nsp_send_result nsp__otlp_parts_send(nsp__otlp_parts *parts, nsp__otlp_transport *transport,
                                     const nsp_batch *batch, uint64_t deadline_ns, nsp_send_report *report)
{
    const uint8_t *body = batch->data + batch->head;
    size_t length = batch->length - batch->head;
    if (is_current(parts, batch))
        return send_in_parts(parts, transport, deadline_ns, report);
    nsp__otlp_parts_forget(parts); // what is left of a batch that was given up
    if (known_too_large(parts, length) && begin(parts, transport, batch))
        return send_in_parts(parts, transport, deadline_ns, report);
    nsp_send_result result = nsp__otlp_transport_post(transport, body, length, deadline_ns, report);
    if (!transport->channel.too_large)
        return result;
    if (!begin(parts, transport, batch))
        return result;
    learn(parts, length);
    say_once(parts, transport, length);
    halve(parts, transport);
    report->detail[0] = 0;
    report->retry_after_ns = 0;
    return send_in_parts(parts, transport, deadline_ns, report);
}

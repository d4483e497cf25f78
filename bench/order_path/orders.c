// SPDX-License-Identifier: Apache-2.0
#include "order_path/orders.h"

#include <nanospan/nanospan.h>
#include <stdlib.h>
#include <string.h>

#include "common/seed.h"
#include "feed/order_file.h"
#include "protocol/protocol.h"

enum { RAMP = 2000 }; // messages; orders in the file rest for at most 1600

static uint64_t random_state;

// Gives the same contexts in each run.
static uint64_t random_next(void)
{
    return nsp__random_splitmix(&random_state);
}

static size_t put_context(uint8_t *to, bool sampled)
{
    uint64_t ids[3] = {random_next(), random_next(), random_next() | 1};
    uint8_t packed[NSP_CONTEXT_PACKED_SIZE];
    nsp_context context = {.threshold = NSP_CONTEXT_UNKNOWN, .randomness = NSP_CONTEXT_UNKNOWN};
    memcpy(context.trace_id, ids, NSP_TRACE_ID_SIZE);
    memcpy(context.span_id, &ids[2], NSP_SPAN_ID_SIZE);
    context.flags = NSP_TRACE_FLAG_RANDOM | (sampled ? NSP_TRACE_FLAG_SAMPLED : 0);
    nsp_context_pack(&context, packed);
    size_t size = nsp_context_packed_size(&context);
    memcpy(to, packed, size);
    return size;
}

// Writes a message in the way the feed does. Ids are line numbers; all of them are free again at the end of
// the stream.
static size_t put_message(uint8_t *to, const struct order_line *line, uint64_t id, size_t context)
{
    if (line->cancel) {
        struct message_cancel message = {.account = line->account, .order_id = id, .target_id = line->target};
        message.header =
            (struct message_header){(uint16_t)(sizeof message + context), PROTOCOL_VERSION, MESSAGE_CANCEL};
        memcpy(to, &message, sizeof message);
        return sizeof message;
    }
    struct message_new_order message = {.account = line->account,
                                        .order_id = id,
                                        .price = line->price,
                                        .quantity = line->quantity,
                                        .side = line->side,
                                        .time_in_force = line->time_in_force};
    message.header =
        (struct message_header){(uint16_t)(sizeof message + context), PROTOCOL_VERSION, MESSAGE_NEW_ORDER};
    memcpy(message.symbol, line->symbol, SYMBOL_SIZE);
    memcpy(to, &message, sizeof message);
    return sizeof message;
}

bool orders_load(order_stream *stream, double sampled, bench_result *out)
{
    enum { SIZE = sizeof(struct message_new_order) + NSP_CONTEXT_PACKED_MIN };
    struct order_file file;
    *stream = (order_stream){0};
    random_state = 1;
    if (!order_file_read(&file, BENCH_ORDERS)) {
        result_fail(out, "cannot read the orders: %s", BENCH_ORDERS);
        return false;
    }
    stream->messages = malloc(file.count * sizeof *stream->messages);
    stream->bytes = malloc(file.count * SIZE);
    bool fine = stream->messages != NULL && stream->bytes != NULL && file.count > 4 * RAMP;
    if (!fine)
        result_fail(out, "out of memory, or fewer than %d orders in %s", 4 * RAMP, BENCH_ORDERS);
    uint8_t *at = stream->bytes;
    for (size_t i = 0; fine && i < file.count; i++) {
        uint8_t context[NSP_CONTEXT_PACKED_MIN];
        bool chosen = (double)(random_next() >> 11) * 0x1p-53 < sampled;
        size_t extra = sampled >= 0 ? put_context(context, chosen) : 0;
        size_t fixed = put_message(at, &file.lines[i], i + 1, extra);
        memcpy(at + fixed, context, extra);
        stream->messages[i] = (order_message){at, fixed + extra};
        at += fixed + extra;
        stream->sampled += extra != 0 && chosen;
    }
    stream->sampled /= (double)file.count;
    stream->count = file.count;
    stream->steady_begin = RAMP;
    stream->steady_end = file.count - RAMP;
    order_file_free(&file);
    if (!fine)
        orders_free(stream);
    return fine;
}

void orders_free(order_stream *stream)
{
    free(stream->messages);
    free(stream->bytes);
    *stream = (order_stream){0};
}

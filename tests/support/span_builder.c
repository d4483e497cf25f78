// SPDX-License-Identifier: Apache-2.0
#include "support/span_builder.h"

#include <stdlib.h>
#include <string.h>

#include "clock/clock.h"

// One tick is one nanosecond.
static const struct nsp__clock_segment segment = {.from = 0,
                                                  .length = UINT64_MAX,
                                                  .tick = 0,
                                                  .ns = BUILT_EPOCH_NS,
                                                  .rate = (uint64_t)1 << NSP__CLOCK_RATE_BITS};

void built_span_init(built_span *span)
{
    memset(span, 0, sizeof *span);
    memset(span->trace_id, 0x4B, sizeof span->trace_id);
    memset(span->span_id, 0x5C, sizeof span->span_id);
    memset(span->local_root_id, 0x5C, sizeof span->local_root_id);
    span->view = (nsp_span_view){
        .trace_id = span->trace_id,
        .span_id = span->span_id,
        .parent_id = span->parent_id,
        .local_root_id = span->local_root_id,
        .start_ns = BUILT_EPOCH_NS,
        .end_ns = BUILT_EPOCH_NS + 1000,
        .threshold = NSP_CONTEXT_UNKNOWN,
        .trace_flags = NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_RANDOM,
        .clock = &segment,
    };
}

void built_span_free(built_span *span)
{
    free((void *)(uintptr_t)span->view.items);
    span->view.items = NULL;
    span->view.items_bytes = 0;
}

bool built_span_room(const built_span *span, size_t payload)
{
    return payload <= UINT16_MAX && span->view.items_bytes + NSP__ITEM_BYTES(payload) <= BUILT_ITEMS_MAX;
}

void built_span_item(built_span *span, uint8_t type, nsp_name key, uint8_t small, const void *payload,
                     size_t length)
{
    size_t padded = NSP__ITEM_BYTES(length) - 8;
    size_t before = span->view.items_bytes;
    uint8_t *items = malloc(before + 8 + padded); // not realloc, to get a block of exact size
    if (!items || !built_span_room(span, length))
        abort();
    if (before)
        memcpy(items, span->view.items, before);
    free((void *)(uintptr_t)span->view.items);
    uint64_t tag = key | (uint64_t)length << 32 | (uint64_t)type << 48 | (uint64_t)small << 56;
    memcpy(items + before, &tag, sizeof tag);
    memset(items + before + 8, 0xFE, padded);
    if (payload && length)
        memcpy(items + before + 8, payload, length);
    else
        memset(items + before + 8, 0, length);
    span->view.items = items;
    span->view.items_bytes = (uint32_t)(before + 8 + padded);
}

void built_span_str(built_span *span, nsp_name key, const void *text, size_t length)
{
    built_span_item(span, NSP_TYPE_STR, key, 0, text, length);
}

void built_span_i64(built_span *span, nsp_name key, int64_t value)
{
    built_span_item(span, NSP_TYPE_I64, key, 0, &value, sizeof value);
}

void built_span_f64(built_span *span, nsp_name key, double value)
{
    built_span_item(span, NSP_TYPE_F64, key, 0, &value, sizeof value);
}

void built_span_bool(built_span *span, nsp_name key, bool value)
{
    built_span_item(span, NSP_TYPE_BOOL, key, value, NULL, 0);
}

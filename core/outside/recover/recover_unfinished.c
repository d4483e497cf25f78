// SPDX-License-Identifier: Apache-2.0
//
// Turns the frame of an open span into a record, as if the span had ended when its engine died.
#include <string.h>

#include "outside/recover/recovery.h"
#include "shm/path.h"
#include "trace/speculation.h"

bool nsp__recovery_read_frame(const nsp_recovery *recovery, const nsp__found_frame *found, nsp__frame *frame,
                              size_t size)
{
    return found->detached ? nsp__session_copy_detached(&recovery->copy, found->index, frame, size)
                           : nsp__session_copy_frame(&recovery->copy, found->slot, found->index, frame, size);
}

static const uint8_t *items_of(const nsp__record *record)
{
    return (const uint8_t *)(record + 1) + nsp__record_body_bytes(record, record->bytes);
}

// Nothing tells where the items of a path begin whose body has an impossible size.
static uint32_t items_bytes(const nsp__record *record)
{
    const uint32_t body = nsp__record_body_bytes(record, record->bytes);
    return nsp__record_is_path(record) && body == 0 ? 0 : record->bytes - (uint32_t)sizeof *record - body;
}

// The bytes of the items that belong to this span: up to the first that was claimed but not written before the
// engine died. What lies there was an item of another span in this frame, and nothing tells how long the one
// would have become. In a frame that was never used lie zeroes, whose mark one span of 128 has; no item has type 0.
static uint32_t own_items(const nsp__frame *frame)
{
    const uint8_t *items = items_of(&frame->record);
    uint32_t bytes = items_bytes(&frame->record), own = 0;
    while (bytes - own >= sizeof(uint64_t)) {
        uint64_t tag;
        memcpy(&tag, items + own, sizeof tag);
        uint32_t item = NSP__ITEM_BYTES(tag >> 32 & 0xffff);
        bool written = (tag >> 48 & 0xff) != 0 && nsp__item_of_span(tag, frame->tag);
        if (item > bytes - own || !written)
            break;
        own += item;
    }
    return own;
}

// The latest reading of a path's phases.
static nsp_ticks last_mark(const nsp__record *record)
{
    nsp_ticks latest = 0;
    if (nsp__record_phases(record, record->bytes) == 0)
        return 0;
    const nsp__path_head *head = nsp__record_path(record);
    const uint32_t room = (nsp__record_body_bytes(record, record->bytes) - (uint32_t)sizeof *head) / 8;
    for (uint32_t i = 0; i < nsp__path_open(head) && i < room; i++)
        latest = nsp__path_readings(head)[i] > latest ? nsp__path_readings(head)[i] : latest;
    return latest;
}

nsp_ticks nsp__recovery_frame_reading(const nsp__frame *frame)
{
    nsp_ticks latest = frame->record.start;
    const uint8_t *items = items_of(&frame->record);
    nsp_item_cursor cursor = {items, items + own_items(frame)};
    nsp_item item;
    while (nsp_item_next(&cursor, &item)) {
        nsp_item_event event;
        if (item.type != NSP_ITEM_EVENT || item.length < sizeof event)
            continue;
        memcpy(&event, item.payload, sizeof event);
        latest = event.ticks > latest ? event.ticks : latest;
    }
    const nsp_ticks marked = last_mark(&frame->record);
    return marked > latest ? marked : latest;
}

static void add_item(nsp__record *record, uint64_t tag, const void *payload, uint32_t length)
{
    uint8_t item[32] = {0};
    memcpy(item, &tag, sizeof tag);
    if (length != 0)
        memcpy(item + sizeof tag, payload, length);
    memcpy((uint8_t *)record + record->bytes, item, NSP__ITEM_BYTES(length));
    record->bytes += NSP__ITEM_BYTES(length);
}

void nsp__recovery_mark_kept(const nsp_recovery *recovery, nsp__record *record)
{
    static const char why[] = "recovered";
    add_item(record, nsp__item_tag(recovery->names.kept, NSP_TYPE_STR, 0, sizeof why - 1), why,
             sizeof why - 1);
}

const nsp__record *nsp__recovery_unfinished(const nsp_recovery *recovery, const nsp__found_frame *found,
                                            nsp__frame *frame)
{
    if (!nsp__recovery_read_frame(recovery, found, frame, NSP__FRAME_COPY_MAX))
        return NULL;
    nsp__record *record = &frame->record;
    record->bytes = (uint32_t)(items_of(record) - (const uint8_t *)record) + own_items(frame);
    // Of a path that was just getting its body, or whose body has an impossible size, there is only the span.
    if (nsp__record_is_path(record) && nsp__record_body_bytes(record, record->bytes) == 0)
        record->kind &= (uint8_t)~NSP__KIND_PATH;
    add_item(record, nsp__item_tag(recovery->names.unfinished, NSP_TYPE_BOOL, 1, 0), NULL, 0);
    if (found->speculative && record->span_id == record->local_root_id) {
        nsp__recovery_mark_kept(recovery, record);
        const uint64_t left_out = found->detached ? frame->reserved & ~(NSP__APART_ASKED | NSP__FRAME_PATH)
                                                  : recovery->buffers[found->slot].left_out;
        if (left_out != 0)
            add_item(record, nsp__item_tag(recovery->names.left_out, NSP_TYPE_I64, 0, sizeof left_out),
                     &left_out, sizeof left_out);
    }
    record->end = recovery->last_reading > record->start ? recovery->last_reading : record->start;
    return record;
}

// SPDX-License-Identifier: Apache-2.0
//
// A span's status, with its message, and its name.
#include <string.h>

#include "trace/reuse.h"
#include "trace/speculation.h"
#include "trace/value.h"

// There is no counter of lost messages, so a message is cut to the room that is left, to nothing if
// necessary. An empty one replaces one that was set before. A message is not an attribute, so the limit on
// their values does not cut it.
static void put_message(nsp__writer *to, const char *message)
{
    nsp_attr text = {0, NSP_TYPE_STR, message != NULL ? strlen(message) : 0, {message}};
    const uint64_t kind = nsp__writer_tag(to, 0, NSP_ITEM_STATUS_MESSAGE, 0);
    size_t room = nsp__value_share(to);
    uint32_t region = 0;
    nsp__reuse found;
    if ((text.count > room || to->cursor + NSP__ITEM_HEADER > to->limit) && nsp__reuse_look(to, kind, &found))
        region = nsp__reuse_region(to, &found, text.count, room);
    if (region != 0)
        room = nsp__reuse_room(to, region);
    else if (to->cursor + NSP__ITEM_HEADER > to->limit)
        return;
    uint8_t *payload = region != 0 ? nsp__reuse_begin(to, region)
                                   : (uint8_t *)nsp__writer_at(to, to->cursor + NSP__ITEM_HEADER);
    size_t kept = nsp__value_write(to, &text, payload, text.count, room);
    if (kept < text.count)
        nsp__value_count_cut();
    uint64_t tag = kind | (uint64_t)kept << 32;
    if (region != 0)
        nsp__reuse_end(to, region, tag);
    else
        *nsp__writer_claim(to, kept) = tag;
}

void nsp__status_set(nsp_span *span, nsp_span_status status, const char *message)
{
    nsp__writer to;
    if (!nsp__writer_begin(&to, span, NSP__DROPPED_ATTRIBUTE))
        return;
    const bool was_error = to.record->status == NSP_SPAN_STATUS_ERROR;
    if (status == NSP_SPAN_STATUS_OK) {
        to.record->status = NSP_SPAN_STATUS_OK;
    } else if (status == NSP_SPAN_STATUS_ERROR && to.record->status != NSP_SPAN_STATUS_OK) {
        to.record->status = NSP_SPAN_STATUS_ERROR;
        put_message(&to, message);
    }
    if (was_error != (to.record->status == NSP_SPAN_STATUS_ERROR))
        nsp__ruled_note_error(to.record, !was_error);
    nsp__writer_end(&to);
}

void nsp__name_set(nsp_span *span, nsp_name name)
{
    nsp__frame *frame = nsp__frame_of(span);
    if (!nsp__span_open(span))
        nsp__misused();
    else if (name != 0) // atomic, so that a reader after a crash sees one name or the other
        __atomic_store_n(&frame->record.name, name, __ATOMIC_RELAXED);
}

// SPDX-License-Identifier: Apache-2.0
//
// Makes room for an item in an open span's record and locks the record meanwhile; what does not fit is
// counted.
#include "trace/item_writer.h"

#include <string.h>

static uint64_t drops_tag(const nsp__writer *to)
{
    return nsp__writer_tag(to, 0, NSP__ITEM_DROPS, sizeof(nsp__dropped));
}

// True if the record has its item of drops. One that a signal handler made while it interrupted an inline
// setter is lost, like everything that it sets then: in its place lies the setter's own item, or what came
// after it.
static bool has_drops(const nsp__writer *to)
{
    uint32_t at = to->frame->drops_at;
    return (to->record->flags & NSP__RECORD_DROPS) != 0 && at < to->cursor &&
           *(const uint64_t *)(const void *)((const char *)to->record + at) == drops_tag(to);
}

void nsp__writer_drop(nsp__writer *to, nsp__dropped_kind what, uint16_t count)
{
    if (!has_drops(to)) {
        to->frame->drops_at = (uint16_t)to->cursor;
        uint64_t *item = nsp__writer_claim(to, sizeof(nsp__dropped));
        item[0] = drops_tag(to);
        item[1] = 0;
        to->record->flags |= NSP__RECORD_DROPS;
    }
    nsp__dropped counts;
    char *at = (char *)to->record + to->frame->drops_at + NSP__ITEM_HEADER;
    memcpy(&counts, at, sizeof counts);
    uint16_t *counter = nsp__dropped_counter(&counts, what);
    *counter = (uint16_t)(*counter + count < UINT16_MAX ? *counter + count : UINT16_MAX);
    memcpy(at, &counts, sizeof counts);
}

void nsp__writer_drop_interrupting(nsp__writer *to)
{
    nsp__dropped counts = to->frame->interrupting;
    memset(&to->frame->interrupting, 0, sizeof counts);
    if (counts.attributes != 0)
        nsp__writer_drop(to, NSP__DROPPED_ATTRIBUTE, counts.attributes);
    if (counts.events != 0)
        nsp__writer_drop(to, NSP__DROPPED_EVENT, counts.events);
    if (counts.links != 0)
        nsp__writer_drop(to, NSP__DROPPED_LINK, counts.links);
}

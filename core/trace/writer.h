// SPDX-License-Identifier: Apache-2.0
//
// Writing items into an open span's record, the slow way: what attribute.c and reuse.c share.
#ifndef NSP_TRACE_WRITER_H
#define NSP_TRACE_WRITER_H

#include "trace/commit.h"
#include <nanospan/exporter.h>

enum { NSP__ITEM_HEADER = 8 };

// A frame while something is written into it. It is locked meanwhile and its cursor has no attributes left, so that a signal
// handler on this thread finds no room for what it sets on the same span: items are neither mixed up nor seen before
// they are whole.
typedef struct nsp__writer {
    nsp__frame *frame;
    nsp__record *record;
    uint32_t cursor; // bytes of the record so far
    uint32_t limit, value_limit;
    uint32_t attributes; // left
} nsp__writer;

static inline uint64_t *nsp__writer_at(const nsp__writer *to, uint32_t offset)
{
    return (uint64_t *)(void *)((char *)to->record + offset);
}

// Takes room at the end for an item of this payload, which must fit.
static inline uint64_t *nsp__writer_claim(nsp__writer *to, size_t payload)
{
    uint32_t at = to->cursor;
    to->cursor = at + NSP__ITEM_BYTES(payload);
    return nsp__writer_at(to, at);
}

// Bytes left at the end for payload behind an item's header; 0 if not even that fits.
static inline uint32_t nsp__writer_room(const nsp__writer *to)
{
    return to->cursor + NSP__ITEM_HEADER <= to->limit ? to->limit - to->cursor - NSP__ITEM_HEADER : 0;
}

#endif

// SPDX-License-Identifier: Apache-2.0
//
// For a record whose room or count of attributes has run out although keys were set more than once: finds the
// attributes that later ones have replaced, and reuses their places. Nothing in the record is ever moved: a
// signal handler may come here on a span whose setter it interrupted, and the item for which that setter has
// taken room, but which it has not written yet, must stay where it is.
#ifndef NSP_TRACE_REUSE_H
#define NSP_TRACE_REUSE_H

#include "trace/item_writer.h"

// The type of a place that was given up. Exporters skip it like any item that they do not know.
#define NSP__ITEM_FILLER 21u

// The result of nsp__reuse_look.
typedef struct nsp__reuse {
    bool present; // the record already has the key, or the message, that is to be written
    uint32_t own; // offset of the last place where it is; 0: none
} nsp__reuse;

// Looks for what an item of this tag (an attribute's key, or the status message) would replace, gives up the
// places of what was replaced before, and counts again how many attributes may still be set, because the
// limit is on different keys. False if the record's items cannot be walked. Walks them about 64 times at
// most.
bool nsp__reuse_look(nsp__writer *to, uint64_t tag, nsp__reuse *found);

// Finds where a payload of `wanted` bytes should go: the offset of a place that holds all of it, or of one
// that holds more than the `end` bytes that are left at the end; 0: at the end.
uint32_t nsp__reuse_region(nsp__writer *to, const nsp__reuse *found, size_t wanted, size_t end);

// Bytes of payload that such a place holds.
uint32_t nsp__reuse_room(const nsp__writer *to, uint32_t region);

// To write into such a place, call begin, write the payload, and call end. Other items of the same key are
// given up.
uint8_t *nsp__reuse_begin(nsp__writer *to, uint32_t region);
void nsp__reuse_end(nsp__writer *to, uint32_t region, uint64_t tag);

#endif

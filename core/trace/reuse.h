// SPDX-License-Identifier: Apache-2.0
//
// A record whose room or count of attributes has run out, although keys were set more than once: which
// attributes were replaced by later ones, and the use of their places. Nothing of the record is ever moved: a
// signal handler may come here on a span whose setter it interrupted, and the item that this setter has taken
// room for and not written yet stays where it is.
#ifndef NSP_TRACE_REUSE_H
#define NSP_TRACE_REUSE_H

#include "trace/writer.h"

// The type of a place that was given up. Exporters skip it like any item that they do not know.
#define NSP__ITEM_FILLER 21u

// What a look through the record found out.
typedef struct nsp__reuse {
    bool present; // what is to be written is there already
    uint32_t own; // the last place where it is
} nsp__reuse;

// Looks for what an item of this tag (an attribute's key, or the status message) would replace, gives up the
// places of what was replaced before, and counts anew how many attributes may still be set: the limit is one
// of different keys. False if the record cannot be read as it is. Bounded by some 64 times the record's
// items.
bool nsp__reuse_look(nsp__writer *to, uint64_t tag, nsp__reuse *found);

// Where a payload of so many bytes should go: the offset of a place that holds all of it, or of one that
// holds more than the `end` bytes that there are at the end; 0: at the end.
uint32_t nsp__reuse_region(nsp__writer *to, const nsp__reuse *found, size_t wanted, size_t end);

// Bytes of payload that such a place holds.
uint32_t nsp__reuse_room(const nsp__writer *to, uint32_t region);

// Writing into such a place: begin, the payload, end. What had the same key elsewhere is given up.
uint8_t *nsp__reuse_begin(nsp__writer *to, uint32_t region);
void nsp__reuse_end(nsp__writer *to, uint32_t region, uint64_t tag);

#endif

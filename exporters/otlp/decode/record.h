// SPDX-License-Identifier: Apache-2.0
//
// Makes a record, as a thread would have written it, from what a batch says of a span. Whatever is put in, the
// record stays within its memory and its items are sound: what cannot be part of a record makes it `wrong`, and
// everything after that is ignored, so a reader needs to check only once, at the end.
//
// Three limits of records can be reached although the batch is whole, because texts in it are valid UTF-8,
// which takes up to three times the bytes that were recorded: a value is cut at 65535 bytes (an array at its
// last whole element), names are cut by `intern`, and a count of dropped items stays at 65535.
#ifndef NSP_OTLP_DECODE_RECORD_H
#define NSP_OTLP_DECODE_RECORD_H

#include <nanospan/exporter.h>

// More than any record that a thread can write (64 KiB) takes after its texts were made valid.
enum { NSP__MADE_BYTES_MAX = 256 * 1024 };

typedef struct nsp__made_record {
    nsp__record *record; // its fixed part is written directly; NSP__MADE_BYTES_MAX bytes
    uint32_t length;     // so far
    // Offsets of items in the record; 0: none.
    uint32_t latest; // the latest attribute
    uint32_t array;  // an array, to which values are added
    uint32_t owner;  // an event or link, to which attributes belong
    bool array_full;
    nsp__dropped dropped;
    bool wrong;
    nsp_name (*intern)(void *argument, const char *text, size_t length);
    void *argument; // of intern
} nsp__made_record;

// False: out of memory. To be freed in either case.
bool nsp__made_create(nsp__made_record *made);
void nsp__made_free(nsp__made_record *made);

// Begins the next record: all zero, and without items.
void nsp__made_begin(nsp__made_record *made);

// Completes it. flags: those of a span in OTLP. NULL: it is wrong.
const nsp__record *nsp__made_end(nsp__made_record *made, uint32_t flags);

// The name of a text; 0 for an empty one.
nsp_name nsp__made_name(const nsp__made_record *made, const void *text, size_t length);

// An attribute's value. bytes: as an element of nsp__element_next. Between array_begin and array_end it is an
// element of the array, and all of them must have one type. Arrays do not nest.
void nsp__made_value(nsp__made_record *made, nsp_type type, const void *bytes, size_t length);
void nsp__made_array_begin(nsp__made_record *made);
void nsp__made_array_end(nsp__made_record *made);

// Begins an attribute, and gives its key to the value that was added since.
void nsp__made_attribute_begin(nsp__made_record *made);
void nsp__made_attribute_end(nsp__made_record *made, nsp_name key);

// NSP_ITEM_STATUS_MESSAGE or NSP_ITEM_TRACESTATE.
void nsp__made_text(nsp__made_record *made, uint8_t type, const void *text, size_t length);

// Between begin and end, attributes belong to this event or link; they do not nest. A link's tracestate comes
// before them.
void nsp__made_event_begin(nsp__made_record *made);
void nsp__made_event_end(nsp__made_record *made, nsp_name name, uint64_t time_ns, uint64_t dropped);
void nsp__made_link_begin(nsp__made_record *made);
void nsp__made_link_state(nsp__made_record *made, const void *text, size_t length);
// Takes ids, flags and the dropped attributes from `link`.
void nsp__made_link_end(nsp__made_record *made, const nsp_item_link *link);

// A count of dropped items, which in OTLP may be larger than in a record.
static inline uint16_t nsp__made_count(uint64_t count)
{
    return (uint16_t)(count < UINT16_MAX ? count : UINT16_MAX);
}

#endif

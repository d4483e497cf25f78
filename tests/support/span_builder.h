// SPDX-License-Identifier: Apache-2.0
//
// Makes records by hand in the form that an exporter gets, a view and its items, without a ring or a clock.
#ifndef NSP_TESTS_SPAN_BUILDER_H
#define NSP_TESTS_SPAN_BUILDER_H

#include <nanospan/exporter.h>

#define BUILT_EPOCH_NS 1700000000000000000u // unix time of tick 0 in a built span

enum { BUILT_ITEMS_MAX = 65528 }; // bytes of items in the largest record

typedef struct built_span {
    nsp_span_view view; // view.items is malloc'ed, and no byte longer than view.items_bytes
    uint8_t trace_id[NSP_TRACE_ID_SIZE];
    uint8_t span_id[NSP_SPAN_ID_SIZE], parent_id[NSP_SPAN_ID_SIZE], local_root_id[NSP_SPAN_ID_SIZE];
} built_span;

// A sampled root of one microsecond without a name. It must not move in memory afterwards.
void built_span_init(built_span *span);
void built_span_free(built_span *span);

// Is there room for a payload of that many bytes?
bool built_span_room(const built_span *span, size_t payload);

// Appends an item; payload NULL: `length` zero bytes. Padding is filled with non-ASCII bytes.
void built_span_item(built_span *span, uint8_t type, nsp_name key, uint8_t small, const void *payload,
                     size_t length);

void built_span_str(built_span *span, nsp_name key, const void *text, size_t length);
void built_span_i64(built_span *span, nsp_name key, int64_t value);
void built_span_f64(built_span *span, nsp_name key, double value);
void built_span_bool(built_span *span, nsp_name key, bool value);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Turns a record in a ring into what an exporter sees.
#ifndef NSP_DRAIN_SPAN_VIEW_H
#define NSP_DRAIN_SPAN_VIEW_H

#include <nanospan/exporter.h>

#include "clock/clock.h"
#include "context/threshold.h"

// True if a record may start here: its size is plausible and within what is left. Items need no check of
// their own, because walking them stays within the record (nsp_item_next).
static inline bool nsp__record_valid(const nsp__record *record, uint64_t left, uint32_t record_bytes)
{
    return left >= sizeof(nsp__record) && record->bytes >= sizeof(nsp__record) && record->bytes <= left &&
           record->bytes <= record_bytes && record->bytes % 8 == 0;
}

// Reads the counts of dropped attributes, events and links from the item that holds them.
static inline void nsp__span_view_drops(nsp_span_view *view)
{
    nsp_item_cursor cursor = {view->items, view->items + view->items_bytes};
    nsp_item item;
    while (nsp_item_next(&cursor, &item))
        if (item.type == NSP__ITEM_DROPS && item.length == sizeof(nsp__dropped)) {
            nsp__dropped dropped;
            __builtin_memcpy(&dropped, item.payload, sizeof dropped);
            view->dropped_attributes = dropped.attributes;
            view->dropped_events = dropped.events;
            view->dropped_links = dropped.links;
        }
}

// Fills in when the span began and ended. `segment` is a cache: the clock's segment of the last span's end.
static inline void nsp__span_view_times(nsp_span_view *view, uint64_t start, uint64_t end,
                                        const nsp__clock *clock, struct nsp__clock_segment *segment)
{
    if (NSP__UNLIKELY(end < start)) {
        // Either the user supplied these times, and the end is moved to the start; or the counter was reset
        // while the span was open, and only the end is still usable.
        if (nsp__clock_before_reset(clock, start))
            start = end;
        else
            end = start;
    }
    if (NSP__UNLIKELY(!nsp__clock_segment_covers(segment, end)))
        nsp__clock_segment_at(clock, end, segment);
    view->start_ns = nsp__clock_convert(segment, start);
    view->end_ns = nsp__clock_convert(segment, end);
    if (NSP__UNLIKELY(view->start_ns >= view->end_ns)) {
        view->start_ns = view->end_ns; // start is later only if the counter itself went back
        view->end_ns += 1;             // Jaeger takes a duration of zero for an error
    }
}

// Fills the view, which borrows the record, and these items.
static inline void nsp__span_view_make_with(nsp_span_view *view, const nsp__record *record,
                                            const uint8_t *items, uint32_t items_bytes,
                                            const nsp__clock *clock, struct nsp__clock_segment *segment)
{
    view->trace_id = (const uint8_t *)record->trace_id;
    view->span_id = (const uint8_t *)&record->span_id;
    view->parent_id = (const uint8_t *)&record->parent_id;
    view->local_root_id = (const uint8_t *)&record->local_root_id;
    nsp__span_view_times(view, record->start, record->end, clock, segment);
    view->items = items;
    view->items_bytes = items_bytes;
    view->name = record->name;
    view->threshold = nsp__threshold_decode(record->threshold);
    view->kind = record->kind;
    view->status = record->status;
    view->trace_flags = record->flags & (NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_RANDOM);
    view->parent_remote = (record->flags & NSP__RECORD_PARENT_REMOTE) != 0;
    view->dropped_attributes = view->dropped_events = view->dropped_links = 0;
    view->clock = segment;
    if (NSP__UNLIKELY((record->flags & NSP__RECORD_DROPS) != 0))
        nsp__span_view_drops(view);
}

// The same with the items of a record that is no path's.
static inline void nsp__span_view_make(nsp_span_view *view, const nsp__record *record,
                                       const nsp__clock *clock, struct nsp__clock_segment *segment)
{
    nsp__span_view_make_with(view, record, (const uint8_t *)(record + 1),
                             record->bytes - (uint32_t)sizeof(nsp__record), clock, segment);
}

#endif

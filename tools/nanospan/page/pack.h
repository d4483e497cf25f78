// SPDX-License-Identifier: Apache-2.0
//
// Packs traces for the page of traces and for the live page. A pack is one gzip member of:
//
//     "nspage\0\1"    8 bytes
//     length          of the header, 32 bits, little-endian
//     header          JSON: {"format": 1, "base": "<Unix time of the earliest span, ns>", "traces": T, "spans": S,
//                     "strings": K, "sources": [{"name", "spans", "traces"}], "kept": [words of trace.kept],
//                     "left_out": {"repeated", "malformed_lines", "without_id", "traces_not_chosen"},
//                     "title", "version", "columns": [{"name", "type", "count"}]}
//     columns         one after the other, in the order of the header; a reader skips those that it does not know
//
// u8 is bytes. The other types, u16, u32 and u64, are planes: all least significant bytes first, then all second
// bytes, and so on, which compresses well. Traces are sorted, slowest first, then by id; spans are grouped by trace
// in that order, and sorted by start within a trace. A row is the index of a span, 0xffffffff is none. Times are ns.
//
//     strings.bytes u8, strings.end u32    all texts, one after the other, in UTF-8; string 0 is ""
//     trace.id_high u64, trace.id_low u64, trace.first u32, trace.count u32, trace.root u32 (row),
//     trace.start u64 (minus base), trace.duration u64, trace.errors u32, trace.rooted u8, trace.kept u8,
//     trace.preempted u64, trace.waited u64, trace.source u16
//     span.id u64, span.parent u32 (row), span.start u64 (minus the trace's start), span.duration u64,
//     span.name u32 (string), span.kind u8, span.status u8, span.message u32 (string), span.resource u32,
//     span.shape u32
//     orphan.row u32, orphan.parent u64    ids of parents that are missing, or below the span itself
//     resource.service u32 (string), resource.shape u32
//     event.row u32, event.time u64 (minus the trace's start, two's complement), event.name u32, event.shape u32
//     link.row u32, link.id_high u64, link.id_low u64, link.span u64, link.trace u32 (index here, or none),
//     link.shape u32
//     pause.row u32, pause.start u64 (like event.time), pause.duration u64, pause.preempted u8
//     dropped.row u32, dropped.attributes u32, dropped.events u32, dropped.links u32
//     shape.first u32, shape.count u32     keys and types of attributes: which items
//     item.key u32 (string), item.type u8  0 string, 1 int, 2 double, 3 bool, 4 any other, as text
//     value.low u32, value.high u32        the values of resources, then of spans, events and links, each as its
//                                          shape says: the string; two's complement; the double's bits; 0 or 1
#ifndef NANOSPAN_PAGE_PACK_H
#define NANOSPAN_PAGE_PACK_H

#include "support/trace_file.h"

// Beyond these a browser would not open the page. Attributes, events, links and times off the CPU are items.
enum { PACK_MOST_SPANS = 2000000, PACK_MOST_ITEMS = 16000000, PACK_MOST_TEXT = 256 << 20 };

typedef struct pack_content {
    trace_file *files; // in the order in which they were read
    size_t file_count;
    const trace_store *store; // arranged
    const trace *const *traces;
    size_t trace_count;
    const char *title;
} pack_content;

// Adds the pack, compressed. Returns false if that is impossible: then *problem is a sentence that says why, or empty
// if it was reported; to be freed.
bool pack_traces(const pack_content *content, text *out, text *problem);

#endif

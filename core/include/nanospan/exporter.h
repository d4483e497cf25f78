// SPDX-License-Identifier: Apache-2.0
//
// The interface between the collector and what takes spans out of the process. Not included by
// <nanospan/nanospan.h>: applications need it only for an exporter of their own (nsp_config.custom_exporter).
//
// An exporter has two halves that never share mutable state, except the batch that is handed from one to the
// other:
//   encoding: open, append, close   called by whoever drains (collector thread, invoker, flush), one at a time
//   sending:  send                  called by the sender thread, one batch at a time; may block to its deadline
// create and destroy are called by nsp_init and nsp_shutdown. None of these functions may call nsp_init,
// nsp_flush or nsp_shutdown: they would wait for the very thread that calls them, and return NSP_ERR_INVALID
// instead; nsp_do_work does nothing. Once the process is exiting, neither send nor destroy is called any
// more.
#ifndef NANOSPAN_EXPORTER_H
#define NANOSPAN_EXPORTER_H

#include <nanospan/base.h>
#include <nanospan/config.h>
#include <nanospan/name.h>
#include <nanospan/span.h>

// What follows a span's fixed part: attributes, events, links, in the order in which they were set.
typedef enum nsp_item_type {
    // 1 to 9: attributes, by nsp_type
    NSP_ITEM_EVENT = 16,
    NSP_ITEM_LINK = 17,
    NSP_ITEM_STATUS_MESSAGE = 18, // text; the last one wins
    NSP_ITEM_TRACESTATE = 19      // text, the whole list
    // Others are the library's own: to be passed over.
} nsp_item_type;

// One item, borrowed from the record. Payload by type: STR, BYTES, STATUS_MESSAGE, TRACESTATE: the bytes. BOOL:
// none, the value is `small`. I64, F64: 8 bytes. I64S, F64S: 8 bytes an element. BOOLS: a byte an element. STRS: for
// each element a 16-bit length and the bytes, unaligned. Numbers are in host order; payload is 8-byte aligned.
typedef struct nsp_item {
    nsp_name key; // of an attribute; the name of an event
    uint8_t type; // nsp_type or nsp_item_type
    uint8_t small;
    uint16_t length; // bytes of payload
    const uint8_t *payload;
} nsp_item;

// Payload of NSP_ITEM_EVENT; its attributes are the attribute_count items that follow.
typedef struct nsp_item_event {
    uint64_t ticks; // convert with nsp_span_view_ns
    uint16_t attribute_count;
    uint16_t dropped_attributes;
    uint32_t reserved;
} nsp_item_event;

// Payload of NSP_ITEM_LINK, followed within the payload by the tracestate's bytes; its attributes are the items that
// follow.
typedef struct nsp_item_link {
    uint8_t trace_id[NSP_TRACE_ID_SIZE];
    uint8_t span_id[NSP_SPAN_ID_SIZE];
    uint8_t flags;
    uint8_t remote;
    uint16_t attribute_count;
    uint16_t dropped_attributes;
    uint16_t reserved;
} nsp_item_link;

struct nsp__clock_segment;

// A finished span as an exporter sees it: a validated record, borrowed during the call of append.
typedef struct nsp_span_view {
    const uint8_t *trace_id;      // 16 bytes
    const uint8_t *span_id;       // 8 bytes
    const uint8_t *parent_id;     // 8 bytes; all zero: a root
    const uint8_t *local_root_id; // 8 bytes: the trace's first span in this process
    uint64_t start_ns, end_ns;    // unix time; end_ns > start_ns
    const uint8_t *items;         // for nsp_item_next
    uint32_t items_bytes;
    nsp_name name;
    uint64_t
        threshold; // sampling threshold (th), or NSP_CONTEXT_UNKNOWN; with a TRACESTATE item that text counts
    uint8_t kind;  // nsp_kind
    uint8_t status;      // nsp_span_status
    uint8_t trace_flags; // NSP_TRACE_FLAG_...
    bool parent_remote;
    uint16_t dropped_attributes, dropped_events, dropped_links;
    // Converts other readings of this span (events) in the segment of its end.
    const struct nsp__clock_segment *clock;
} nsp_span_view;

// Where a walk over items stands. Begin with {view->items, view->items + view->items_bytes}.
typedef struct nsp_item_cursor {
    const uint8_t *at, *end;
} nsp_item_cursor;

// Takes the next item; false at the end, and at an item that would reach beyond it (a damaged record): a payload lies
// always within the items.
NSP_INLINE bool nsp_item_next(nsp_item_cursor *cursor, nsp_item *item)
{
    if (cursor->end - cursor->at < 8)
        return false;
    uint64_t tag;
    __builtin_memcpy(&tag, cursor->at, sizeof tag);
    item->key = (nsp_name)tag;
    item->length = (uint16_t)(tag >> 32);
    item->type = (uint8_t)(tag >> 48);
    item->small = (uint8_t)(tag >> 56);
    item->payload = cursor->at + 8;
    cursor->at += (8u + item->length + 15u) & ~15u; // items are whole pairs of words
    return cursor->at <= cursor->end;
}

// A block of encoded spans, in the session's batch pool. The exporter writes data; the collector keeps the rest.
typedef struct nsp_batch {
    uint8_t *data;
    size_t capacity;   // bytes at data
    size_t head;       // free bytes kept at the front for what close puts before the spans; set by open
    size_t length;     // end of what is written, from data
    uint32_t spans;    // appended so far; counted by the collector
    uint32_t attempt;  // sends tried so far
    uint64_t first_ns; // CLOCK_MONOTONIC of the first append, for the schedule delay
} nsp_batch;

typedef enum nsp_send_result {
    NSP_SEND_EXPORTED = 0,   // answered and accepted; `rejected` of its spans were refused
    NSP_SEND_RETRY = 1,      // surely not taken; try again, after retry_after_ns if that is not 0
    NSP_SEND_REJECTED = 2,   // refused for good
    NSP_SEND_UNKNOWN = 3,    // sent whole, but the answer was lost: may have been taken; retried like RETRY
    NSP_SEND_UNCONFIRMED = 4 // answered, but the answer does not say whether they were taken; not sent again
} nsp_send_result;

typedef struct nsp_send_report {
    uint64_t rejected;       // spans, with EXPORTED
    uint64_t retry_after_ns; // asked for by the receiver; 0: none
    uint64_t bytes;          // of the body as sent
    bool answered;
    char detail[160]; // one line for the log, "" for none
    // Of a batch that is sent in parts: spans whose part is settled, and which the exporter does not send again. They are
    // taken off the batch's spans; the result, and `rejected`, are those of the others.
    uint64_t part_exported, part_rejected, part_unconfirmed;
    uint64_t part_answers; // requests that were answered, beyond the one that `answered` stands for
} nsp_send_report;

// What an exporter is created with; valid until destroy.
typedef struct nsp_exporter_context {
    const nsp_config *config;
    // The resource as key and value texts, config and environment merged, in the order in which they are sent. Types are
    // NSP_TYPE_STR, or NSP_TYPE_I64: then the text is a decimal number.
    const char *const *resource_keys;
    const char *const *resource_values;
    const nsp_type *resource_types;
    size_t resource_count;
    // The sender is stopping: polled at least every 50 ms by a blocking send, which then returns.
    const int *cancel;
    // From create and the sending half only.
    void (*log)(nsp_log_level level, const char *subject, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
} nsp_exporter_context;

typedef struct nsp_exporter {
    size_t size; // sizeof(nsp_exporter)
    const char *name;

    // Makes the state of this exporter; NULL in *state is fine. One that fails says why in one error line by
    // context->log, and leaves nothing behind; the engine runs on and its spans are discarded.
    nsp_status (*create)(void **state, const nsp_exporter_context *context);
    void (*destroy)(void *state);

    // Prepares an empty batch (sets head and length). NULL: head 0, length 0.
    void (*open)(void *state, nsp_batch *batch);
    // Encodes one span at data + length and advances length. False, with nothing changed, if it does not fit: the
    // collector closes the batch and tries once more with an empty one.
    bool (*append)(void *state, nsp_batch *batch, const nsp_span_view *view);
    // Makes the batch whole (may move head and length). NULL: nothing to do.
    void (*close)(void *state, nsp_batch *batch);

    // Sends a closed batch (bytes head to length of data; unchanged afterwards). Returns by deadline_ns
    // (CLOCK_MONOTONIC), or soon after *cancel becomes non-zero: nsp_shutdown leaves a sender behind that does neither, and
    // its batch's bytes turn to zero.
    nsp_send_result (*send)(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                            nsp_send_report *report);
} nsp_exporter;

NSP_BEGIN_DECLS

// Unix nanoseconds of another reading of this span.
NSP_API uint64_t nsp_span_view_ns(const nsp_span_view *view, nsp_ticks ticks);

NSP_END_DECLS
#endif

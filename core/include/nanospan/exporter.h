// SPDX-License-Identifier: Apache-2.0
//
// The interface between the collector and an exporter, which takes spans out of the process.
// <nanospan/nanospan.h> does not include it: applications need it only to write an exporter of their own
// (nsp_config.custom_exporter).
//
// An exporter has two halves. They share no mutable state except the batch, which is passed from one to the
// other:
//   encoding: open, append, close   on the thread that drains (collector, invoker, flush), one at a time
//   sending:  send                  on the sender thread, one batch at a time; may block until its deadline
// nsp_init calls create, and nsp_shutdown calls destroy. None of these functions may call nsp_init, nsp_flush
// or nsp_shutdown. Such a call would wait for the thread that makes it, so it returns NSP_ERR_INVALID
// instead, and nsp_do_work does nothing. Once the process is exiting, send and destroy are no longer called.
//
// They may fork, and the child then executes a program or ends by _exit. Only a child that create has forked
// may also return from it: nsp_init then fails there with NSP_ERR_UNSUPPORTED, nothing of the parent's is
// touched, destroy is not called for what create has made, and nsp_init may be called again.
#ifndef NANOSPAN_EXPORTER_H
#define NANOSPAN_EXPORTER_H

#include <nanospan/base.h>
#include <nanospan/config.h>
#include <nanospan/name.h>
#include <nanospan/span.h>

// The items that follow a span's fixed part: attributes, events and links, in the order in which they were
// set.
typedef enum nsp_item_type {
    // 1 to 9: attributes, by nsp_type
    NSP_ITEM_EVENT = 16,
    NSP_ITEM_LINK = 17,
    NSP_ITEM_STATUS_MESSAGE = 18, // text; the last one counts
    NSP_ITEM_TRACESTATE = 19      // text, the whole list
    // Other types are internal to the library: skip them.
} nsp_item_type;

// One item, borrowed from the record. The payload depends on the type. STR, BYTES, STATUS_MESSAGE and
// TRACESTATE: the bytes. BOOL: none, the value is in `small`. I64 and F64: 8 bytes. I64S and F64S: 8 bytes
// for each element. BOOLS: one byte for each element. STRS: a 16-bit length and the bytes for each element,
// unaligned. Numbers are in the byte order of the host. The payload is 8-byte aligned.
typedef struct nsp_item {
    nsp_name key;    // an attribute's key, or an event's name
    uint8_t type;    // nsp_type or nsp_item_type
    uint8_t small;   // 0 or 1, of a BOOL
    uint16_t length; // of the payload, in bytes
    const uint8_t *payload;
} nsp_item;

// Payload of NSP_ITEM_EVENT; its attributes are the attribute_count items that follow.
typedef struct nsp_item_event {
    uint64_t ticks; // time of the event; nsp_span_view_ns converts it
    uint16_t attribute_count;
    uint16_t dropped_attributes;
    uint32_t reserved;
} nsp_item_event;

// Payload of NSP_ITEM_LINK. Within the payload, the tracestate's bytes follow it. Its attributes are the
// attribute_count items that follow.
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

// A finished span as an exporter sees it: a validated record, borrowed for the duration of append.
typedef struct nsp_span_view {
    const uint8_t *trace_id;      // 16 bytes
    const uint8_t *span_id;       // 8 bytes
    const uint8_t *parent_id;     // 8 bytes; all zero for a root
    const uint8_t *local_root_id; // 8 bytes: the trace's first span in this process
    uint64_t start_ns, end_ns;    // nanoseconds since 1970; end_ns > start_ns
    const uint8_t *items;         // for nsp_item_next
    uint32_t items_bytes;
    nsp_name name;
    // Sampling threshold (th), or NSP_CONTEXT_UNKNOWN. If there is a TRACESTATE item, its text counts
    // instead.
    uint64_t threshold;
    uint8_t kind;        // nsp_kind
    uint8_t status;      // nsp_span_status
    uint8_t trace_flags; // NSP_TRACE_FLAG_...
    bool parent_remote;
    uint16_t dropped_attributes, dropped_events, dropped_links;
    // For nsp_span_view_ns: the part of the clock map that the span's end lies in.
    const struct nsp__clock_segment *clock;
} nsp_span_view;

// The position of a walk over items. Start with {view->items, view->items + view->items_bytes}.
typedef struct nsp_item_cursor {
    const uint8_t *at, *end;
} nsp_item_cursor;

// Reads the next item. Returns false at the end, and at an item that would reach beyond the end (a damaged
// record), so a payload always lies within the items.
NSP_INLINE bool nsp_item_next(nsp_item_cursor *cursor, nsp_item *item)
{
    if (cursor->end - cursor->at < 8)
        return false;
    uint64_t tag;
    __builtin_memcpy(&tag, cursor->at, sizeof tag);
    item->key = (nsp_name)tag;
    item->length = (uint16_t)(tag >> 32);
    item->type = (uint8_t)(tag >> 48);
    item->small = (uint8_t)(tag >> 56 & 1); // the other bits are the library's own
    item->payload = cursor->at + 8;
    cursor->at += (8u + item->length + 15u) & ~15u; // items are whole pairs of words
    return cursor->at <= cursor->end;
}

// How the spans of a batch are encoded. A batch may outlive the process that wrote it: `nanospan recover` can
// send it through another exporter if it knows the encoding.
typedef enum nsp_encoding {
    NSP_ENCODING_OWN = 0, // the exporter's own: only itself can send such a batch
    NSP_ENCODING_OTLP_PROTOBUF = 1,
    NSP_ENCODING_OTLP_JSON = 2, // one JSON object and a newline
    NSP_ENCODING_LIST = 3       // internal to the library: the parts of several exporters
} nsp_encoding;

// A block of encoded spans in the session's pool of batches. The exporter writes `data`, `head`, `length` and
// `encoding`; the collector maintains the rest.
//
// The bytes at `data` are shared memory. A drainer (<nanospan/drainer.h>) fills it while the process that recorded
// the spans can write there, too. So the encoding half only writes there: it takes no length, place or decision from
// what it finds, and keeps in its state what it needs to know again. `send` gets bytes that nobody changes any more,
// but that may be anything if that process has overwritten them.
typedef struct nsp_batch {
    uint8_t *data;
    size_t capacity;   // bytes available at data
    size_t head;       // bytes that open reserves at the front, for what close writes before the spans
    size_t length;     // offset from data at which the written bytes end
    uint32_t spans;    // number of spans appended so far
    uint32_t attempt;  // number of sends tried so far
    uint64_t first_ns; // CLOCK_MONOTONIC at the first append, for the schedule delay
    uint32_t encoding; // nsp_encoding; NSP_ENCODING_OWN unless open sets another one
} nsp_batch;

typedef enum nsp_send_result {
    NSP_SEND_EXPORTED = 0,   // answered and accepted, apart from the `rejected` spans that were refused
    NSP_SEND_RETRY = 1,      // certainly not taken; it is sent again, after retry_after_ns if that is not 0
    NSP_SEND_REJECTED = 2,   // refused for good
    NSP_SEND_UNKNOWN = 3,    // sent completely, but the answer was lost; it is sent again like RETRY
    NSP_SEND_UNCONFIRMED = 4 // the answer does not say whether the spans were taken; not sent again
} nsp_send_result;

typedef struct nsp_send_report {
    uint64_t rejected;       // number of refused spans, with EXPORTED
    uint64_t retry_after_ns; // the pause that the receiver asked for, in nanoseconds; 0: none
    uint64_t bytes;          // of the body as it was sent
    bool answered;           // the receiver answered
    char detail[160];        // one line for the log, or ""
    // errno of a write that failed, from an exporter that writes to a file; 0: none. It changes nothing for an
    // engine, which goes by the result; a recovery ends, and keeps the spans.
    int error;
    // For a batch that is sent in parts: the spans of parts that are settled, which the exporter does not
    // send again. They are subtracted from the batch's spans. The result and `rejected` are about the
    // remaining ones. Parts are settled in the order of the spans: after RETRY and UNKNOWN these are the first
    // ones of those that were left, because a reader after a crash takes the others from the batch. An
    // exporter that cannot promise that reports no parts, and returns UNKNOWN once somebody has taken spans,
    // until all are settled.
    uint64_t part_exported, part_rejected, part_unconfirmed;
    uint64_t part_answers; // number of answered requests, in addition to the one that `answered` stands for
} nsp_send_report;

// What create receives. It is valid until destroy returns.
typedef struct nsp_exporter_context {
    const nsp_config *config;
    // The resource as key and value texts, merged from config and environment, in the order in which they are
    // sent. A type is NSP_TYPE_STR, or NSP_TYPE_I64 if the text is a decimal number.
    const char *const *resource_keys;
    const char *const *resource_values;
    const nsp_type *resource_types;
    size_t resource_count;
    // Non-zero when the sender has to stop. A send that blocks must look at it at least every 50 ms, and
    // return.
    const int *cancel;
    // Writes a line to the log. Only create and the sending half may call it.
    void (*log)(nsp_log_level level, const char *subject, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
    // Optional, for a send that can block before it sends, as in a handshake. It may set this to 1 when it
    // begins, which says that nobody can have taken the batch yet. Before it hands out the batch's last byte
    // it sets this to 0, and then looks at *cancel: if that is set, the byte must not leave. Both accesses
    // are __ATOMIC_SEQ_CST. If the thread is abandoned while it is 1, the spans count as discarded, unless
    // an earlier attempt may have been accepted (NSP_SEND_UNKNOWN); then, and otherwise, they count as
    // unconfirmed. It is 0 when send is called.
    int *held_back;
    // The texts of the names in spans and items, like nsp_name_text: zero terminated, valid until destroy
    // returns, and "" if the number is not a name; *length receives the length in bytes. In an engine these are
    // the process's names. The spans of a session that another process recorded have names of their own, so an
    // exporter that asks here, and not nsp_name_text, can be used for them too. For the encoding half. Never
    // NULL when the library calls create; `names` is the first argument.
    const char *(*name_text)(const void *names, nsp_name name, size_t *length);
    const void *names;
} nsp_exporter_context;

// ---- whole paths ----

// A field of a path's struct.
typedef struct nsp_path_field {
    nsp_name key;
    uint16_t offset; // in the struct; of a text, that of its 16-bit length, behind which its bytes lie
    uint16_t size;   // of the value; of a text, its capacity
    uint8_t type;    // NSP_TYPE_I64, F64, BOOL (a byte) or STR
    uint8_t reserved[7];
    uint64_t unset; // the bits that stand for "not set"; of a text, its length
} nsp_path_field;

// A declaration of a path. It stays as it is, where it is, as long as paths are appended to this exporter's state: each
// number has one. When destroy is called, it may be gone.
typedef struct nsp_path_shape {
    uint32_t number; // among the declarations of these spans' process, from 1 to 64
    uint32_t bytes;  // of the struct
    uint32_t phase_count, field_count;
    const nsp_name *phase_names;
    const nsp_path_field *fields;
    // By phase, from 1 (0: the path's own span): the first of its fields. One more, so that those of a phase end where
    // those of the next begin.
    const uint8_t *first_fields;
} nsp_path_shape;

// A phase that happened.
typedef struct nsp_path_phase {
    uint64_t span_id; // as 8 bytes
    uint64_t start_ns, end_ns;
    uint32_t phase; // which one, from 1
    uint32_t reserved;
} nsp_path_phase;

// A path as an exporter sees it that takes all of its spans at once. They have trace id, flags, threshold and local root
// of the path's own span, which is their parent; their kind is INTERNAL, their status unset.
typedef struct nsp_path_view {
    const nsp_path_shape *shape;
    const uint8_t
        *body; // the path's struct, aligned to 8: a text's length is at most its capacity, or 0xffff: not set
    const nsp_path_phase *phases;
    uint32_t phase_count;
    // The path's own span. Its items are only those that are no fields, and come behind these.
    const nsp_span_view *root;
} nsp_path_view;

typedef enum nsp_path_result {
    NSP_PATH_APPENDED = 0,
    NSP_PATH_NO_ROOM = 1,   // nothing has changed
    NSP_PATH_ONE_BY_ONE = 2 // nothing has changed: the spans are to be appended one by one
} nsp_path_result;

typedef struct nsp_exporter {
    size_t size; // sizeof(nsp_exporter)
    const char *name;

    // Creates the exporter's state; *state may become NULL. If it fails, it leaves nothing behind, and logs
    // the reason as one error line through context->log, unless the status says it all (NSP_ERR_NO_MEMORY);
    // then nsp_init logs that. The engine continues, and its spans are discarded.
    nsp_status (*create)(void **state, const nsp_exporter_context *context);
    // Frees the state.
    void (*destroy)(void *state);

    // Prepares an empty batch: sets head and length, and the encoding unless it is the exporter's own. NULL: all
    // of them are 0.
    void (*open)(void *state, nsp_batch *batch);
    // Encodes one span at data + length and advances length. If it does not fit, returns false and changes
    // nothing; the collector then closes the batch and tries once more with an empty one. The spans of a declared path
    // (<nanospan/path.h>) belong into one batch. If one of them does not fit, those before it are taken back: the
    // collector sets length and spans to what they were before the first of them. So an exporter that knows more of a
    // batch than these two has to look, in append and close, whether length is what it has left there.
    bool (*append)(void *state, nsp_batch *batch, const nsp_span_view *view);
    // Completes the batch; may change head and length. NULL: nothing to do.
    void (*close)(void *state, nsp_batch *batch);

    // Sends a closed batch: the bytes of data from head to length, which it must not change. It must return
    // by deadline_ns (CLOCK_MONOTONIC, in nanoseconds), or soon after *cancel becomes non-zero. If it does
    // neither, nsp_shutdown abandons the sender thread, and the batch's bytes then read as zero.
    nsp_send_result (*send)(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                            nsp_send_report *report);

    // Optional: NULL, or not there by `size`. Encodes all spans of a path, the phases first and then its own span, to
    // the same bytes that append would write for them one by one. It is called at the collector's choice. Who builds
    // around another exporter, and has an append of his own, sets it to NULL.
    nsp_path_result (*append_path)(void *state, nsp_batch *batch, const nsp_path_view *view);
} nsp_exporter;

NSP_BEGIN_DECLS

// Converts another reading of this span, such as an event's, to nanoseconds since 1970. May be called during
// append.
NSP_API uint64_t nsp_span_view_ns(const nsp_span_view *view, nsp_ticks ticks);

NSP_END_DECLS
#endif

// SPDX-License-Identifier: Apache-2.0
//
// Spans: begin, describe, end.
//
// Every function here is wait-free on the caller's thread: after attach no lock, allocation, system call, page fault
// or log line. A span belongs to the thread that began it until it ends, a detached span to one thread at a time
// (handing it over needs the same synchronisation as handing over any object). All functions may be called from a
// signal handler (but for the first span of a forked child, which makes that child's session); a handler that
// interrupts nanospan itself gets inert spans, counted. NULL is inert, as is every span that is not sampled: setters
// return at once, without looking at their key. No call takes more than 4 KiB of stack (the first span of a forked
// child: 16 KiB). Misuse (a second end, the wrong order, the wrong thread) is counted
// and never corrupts memory.
#ifndef NANOSPAN_SPAN_H
#define NANOSPAN_SPAN_H

#include <nanospan/base.h>
#include <nanospan/clock.h>
#include <nanospan/context.h>
#include <nanospan/name.h>

// An open span. Opaque: not an address that can be read.
typedef struct nsp_span nsp_span;

typedef enum nsp_kind {
    NSP_KIND_INTERNAL = 0,
    NSP_KIND_SERVER = 1,
    NSP_KIND_CLIENT = 2,
    NSP_KIND_PRODUCER = 3,
    NSP_KIND_CONSUMER = 4
} nsp_kind;

typedef enum nsp_span_status {
    NSP_SPAN_STATUS_UNSET = 0,
    NSP_SPAN_STATUS_OK = 1,
    NSP_SPAN_STATUS_ERROR = 2
} nsp_span_status;

typedef enum nsp_type {
    NSP_TYPE_STR = 1, // UTF-8; made valid at export
    NSP_TYPE_BOOL = 2,
    NSP_TYPE_I64 = 3,
    NSP_TYPE_F64 = 4,
    NSP_TYPE_BYTES = 5,
    NSP_TYPE_STRS = 6,
    NSP_TYPE_BOOLS = 7,
    NSP_TYPE_I64S = 8,
    NSP_TYPE_F64S = 9
} nsp_type;

// An attribute of an event or a link. Make one with nsp_attr_...; it points to the caller's value.
typedef struct nsp_attr {
    nsp_name key;
    nsp_type type;
    size_t count; // bytes of STR and BYTES, elements of an array
    union {
        const char *str;
        bool boolean;
        int64_t i64;
        double f64;
        const uint8_t *bytes;
        const char *const *strs; // each zero terminated
        const bool *bools;
        const int64_t *i64s;
        const double *f64s;
    } value;
} nsp_attr;

typedef struct nsp_link {
    nsp_context context;
    const nsp_attr *attributes;
    size_t attribute_count;
} nsp_link;

// Set up by NSP_SPAN_OPTIONS_INIT; zero members mean "as usual".
typedef struct nsp_span_options {
    size_t size;
    nsp_kind kind;
    const nsp_context *parent; // instead of the current span; an invalid context counts as none
    bool new_root;             // starts a trace of its own, whatever is current
    nsp_ticks start;           // 0: now
    const nsp_link *links;
    size_t link_count;
} nsp_span_options;

#define NSP_SPAN_OPTIONS_INIT                                                                                \
    {                                                                                                        \
        sizeof(nsp_span_options), NSP_KIND_INTERNAL, NULL, false, 0, NULL, 0                                 \
    }

NSP_INLINE nsp_attr nsp_attr_strn(nsp_name key, const char *value, size_t length)
{
    nsp_attr attr = {key, NSP_TYPE_STR, length, {value}};
    return attr;
}

NSP_INLINE nsp_attr nsp_attr_str(nsp_name key, const char *value)
{
    return nsp_attr_strn(key, value, value ? __builtin_strlen(value) : 0);
}

NSP_INLINE nsp_attr nsp_attr_bool(nsp_name key, bool value)
{
    nsp_attr attr = {key, NSP_TYPE_BOOL, 1, {NULL}};
    attr.value.boolean = value;
    return attr;
}

NSP_INLINE nsp_attr nsp_attr_i64(nsp_name key, int64_t value)
{
    nsp_attr attr = {key, NSP_TYPE_I64, 1, {NULL}};
    attr.value.i64 = value;
    return attr;
}

NSP_INLINE nsp_attr nsp_attr_f64(nsp_name key, double value)
{
    nsp_attr attr = {key, NSP_TYPE_F64, 1, {NULL}};
    attr.value.f64 = value;
    return attr;
}

NSP_INLINE nsp_attr nsp_attr_bytes(nsp_name key, const void *value, size_t length)
{
    nsp_attr attr = {key, NSP_TYPE_BYTES, length, {NULL}};
    attr.value.bytes = (const uint8_t *)value;
    return attr;
}

NSP_INLINE nsp_attr nsp_attr_strs(nsp_name key, const char *const *values, size_t count)
{
    nsp_attr attr = {key, NSP_TYPE_STRS, count, {NULL}};
    attr.value.strs = values;
    return attr;
}

NSP_INLINE nsp_attr nsp_attr_bools(nsp_name key, const bool *values, size_t count)
{
    nsp_attr attr = {key, NSP_TYPE_BOOLS, count, {NULL}};
    attr.value.bools = values;
    return attr;
}

NSP_INLINE nsp_attr nsp_attr_i64s(nsp_name key, const int64_t *values, size_t count)
{
    nsp_attr attr = {key, NSP_TYPE_I64S, count, {NULL}};
    attr.value.i64s = values;
    return attr;
}

NSP_INLINE nsp_attr nsp_attr_f64s(nsp_name key, const double *values, size_t count)
{
    nsp_attr attr = {key, NSP_TYPE_F64S, count, {NULL}};
    attr.value.f64s = values;
    return attr;
}

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Begins a span as child of the current one, or as root of a new trace (where the sampler decides). It becomes the
// current span of the thread. One clock read.
NSP_INLINE nsp_span *nsp_span_begin(nsp_name name);

// The same from a reading taken before: no clock read.
NSP_INLINE nsp_span *nsp_span_begin_at(nsp_name name, nsp_ticks start);

// Begins with a kind, an explicit or remote parent, links. options may be NULL. Becomes the current span.
NSP_API nsp_span *nsp_span_begin_with(nsp_name name, const nsp_span_options *options);

// Begins a span that is not on the thread's stack: it does not become current, may outlive its parent and end on any
// thread. Its parent is the current span unless the options say otherwise. One that is not sampled takes no place of those
// that are (nsp_config.detached_spans); as many again of them keep an identity of their own, and the others pass for a
// child of whatever is current when they are asked for it.
NSP_API nsp_span *nsp_span_begin_detached(nsp_name name, const nsp_span_options *options);

// Ends the span: its record is written whole into the calling thread's ring, or dropped and counted. One clock read.
NSP_INLINE void nsp_span_end(nsp_span *span);

// The same with a reading taken before; an end before the start is moved to the start.
NSP_INLINE void nsp_span_end_at(nsp_span *span, nsp_ticks end);

// Ends the span and begins its sibling with the same reading: same parent, kind internal. On a root: a new trace
// with a decision of its own. On an unsampled span under an unsampled root: that same inert handle.
NSP_INLINE nsp_span *nsp_span_next(nsp_span *span, nsp_name name);
NSP_INLINE nsp_span *nsp_span_next_at(nsp_span *span, nsp_name name, nsp_ticks at);

// Makes a detached span the current one of this thread, until nsp_span_leave; entries nest. Does not change its
// ownership. An inert span is entered and left as well, so that what happens under it is inert too.
NSP_API void nsp_span_enter(nsp_span *span);
NSP_API void nsp_span_leave(nsp_span *span);

// The innermost span of this thread, or NULL.
NSP_INLINE nsp_span *nsp_span_current(void);

// True if what is set on this span will be exported: ask before computing a costly attribute.
NSP_INLINE bool nsp_span_recording(const nsp_span *span);

// Gives an open span another name, where the right one is known only later. What was decided by the first name, whether it
// is sampled, stays. 0 changes nothing.
NSP_INLINE void nsp_span_set_name(nsp_span *span, nsp_name name);

// Attributes. Values are copied. A key set again: the last value wins, and the limit counts different keys. Texts
// are cut at the configured number of characters, bytes at that of bytes, of an array each element. What does not
// fit into the record (nsp_config.record_bytes) is cut as well, at a character or an element, and counted in
// nsp_stats.values_cut; a long value leaves room to those set after it. An attribute too many raises
// dropped_attributes_count, and so does one whose key is empty. NULL texts count as "".
NSP_INLINE_ALWAYS void nsp_span_set_str(nsp_span *span, nsp_name key, const char *value);
NSP_INLINE_ALWAYS void nsp_span_set_strn(nsp_span *span, nsp_name key, const char *value, size_t length);
NSP_INLINE void nsp_span_set_i64(nsp_span *span, nsp_name key, int64_t value);
NSP_INLINE void nsp_span_set_f64(nsp_span *span, nsp_name key, double value);
NSP_INLINE void nsp_span_set_bool(nsp_span *span, nsp_name key, bool value);
NSP_INLINE void nsp_span_set_bytes(nsp_span *span, nsp_name key, const void *value, size_t length);
NSP_INLINE void nsp_span_set_strs(nsp_span *span, nsp_name key, const char *const *values, size_t count);
NSP_INLINE void nsp_span_set_i64s(nsp_span *span, nsp_name key, const int64_t *values, size_t count);
NSP_INLINE void nsp_span_set_f64s(nsp_span *span, nsp_name key, const double *values, size_t count);
NSP_INLINE void nsp_span_set_bools(nsp_span *span, nsp_name key, const bool *values, size_t count);

// A moment within the span.
NSP_INLINE void nsp_span_add_event(nsp_span *span, nsp_name name);
NSP_INLINE void nsp_span_add_event_at(nsp_span *span, nsp_name name, nsp_ticks at);
NSP_INLINE void nsp_span_add_event_with(nsp_span *span, nsp_name name, nsp_ticks at,
                                        const nsp_attr *attributes,
                                        size_t count); // at 0: now

// A reference to another span; an invalid context is ignored.
NSP_INLINE void nsp_span_add_link(nsp_span *span, const nsp_context *context);
NSP_INLINE void nsp_span_add_link_with(nsp_span *span, const nsp_context *context, const nsp_attr *attributes,
                                       size_t count);

// OK beats ERROR beats UNSET, and OK is final. The message (may be NULL) is kept only with ERROR.
NSP_INLINE void nsp_span_set_status(nsp_span *span, nsp_span_status status, const char *message);

// The span's identity, to be sent to another process or linked to. NULL: the current span's; the invalid context if there
// is none. Spans that do not record have one too. The trace id and an unsampled root's span id stay the same until the
// root ends. A child of an unsampled span has no memory of its own: each question about it, nsp_inject_span included,
// draws a new span id under its trace. So ask once for each such span, and use that context everywhere.
NSP_API void nsp_span_context(const nsp_span *span, nsp_context *out);

// Declares `nsp_span *variable` and begins the span; it ends with the enclosing block, however that is left (a longjmp
// excepted).
#define NSP_SPAN(variable, literal)                                                                          \
    nsp_span *variable __attribute__((unused, cleanup(nsp__span_cleanup))) = nsp_span_begin(NSP_NAME(literal))

#endif
NSP_END_DECLS

#ifndef NSP_DISABLE
#include <nanospan/abi/span.h>
#endif
#endif

// SPDX-License-Identifier: Apache-2.0
//
// Spans: begin, describe, end.
//
// Once the thread is attached, which its first recorded span does (<nanospan/thread.h>), there is no lock,
// allocation, system call, page fault or log line, and every function is wait-free while no sampling policy
// is being changed. A root that meets such a change reads the policy again, which is lock-free. A span
// belongs to the thread that began it until it ends. A detached span belongs to one thread at a time, and
// passing it on needs the same synchronisation as passing on any object. All functions may be called from a
// signal handler, except for the first span of a forked child, which creates that child's session; a handler
// that interrupts nanospan itself gets inert spans, which are counted. NULL is inert, and so is every
// unsampled span: setters return at once, without looking at their key. No call uses more than 4 KiB of
// stack (the first span of a forked child: 16 KiB). Misuse (ending a span twice, in the wrong order or on
// the wrong thread) is counted and never corrupts memory.
#ifndef NANOSPAN_SPAN_H
#define NANOSPAN_SPAN_H

#include <nanospan/base.h>
#include <nanospan/clock.h>
#include <nanospan/context.h>
#include <nanospan/name.h>

// An open span. It is opaque: do not use it as an address.
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
    NSP_TYPE_STR = 1, // UTF-8; invalid bytes are replaced at export
    NSP_TYPE_BOOL = 2,
    NSP_TYPE_I64 = 3,
    NSP_TYPE_F64 = 4,
    NSP_TYPE_BYTES = 5,
    NSP_TYPE_STRS = 6,
    NSP_TYPE_BOOLS = 7,
    NSP_TYPE_I64S = 8,
    NSP_TYPE_F64S = 9
} nsp_type;

// An attribute of an event or a link. Create it with an nsp_attr_ function. It points to the caller's value.
typedef struct nsp_attr {
    nsp_name key;
    nsp_type type;
    size_t count; // number of bytes of STR and BYTES, number of elements of an array
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

// Initialise with NSP_SPAN_OPTIONS_INIT. Zero members mean the default.
typedef struct nsp_span_options {
    size_t size;
    nsp_kind kind;
    const nsp_context *parent; // used instead of the current span; an invalid context counts as none
    bool new_root;             // starts a new trace, whatever span is current
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
    return nsp_attr_strn(key, value, value != NULL ? __builtin_strlen(value) : 0);
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

// Begins a span as a child of the current span, or as the root of a new trace, for which the sampler decides.
// It becomes the thread's current span. One clock read.
NSP_INLINE nsp_span *nsp_span_begin(nsp_name name);

// Does the same with a reading that was taken before, without a clock read.
NSP_INLINE nsp_span *nsp_span_begin_at(nsp_name name, nsp_ticks start);

// Begins a span with a kind, an explicit or remote parent, or links. `options` may be NULL. The span becomes
// the current span.
NSP__API nsp_span *nsp_span_begin_with(nsp_name name, const nsp_span_options *options);

// Begins a span that is not on the thread's stack: it does not become current, may outlive its parent, and
// may end on any thread. Its parent is the current span unless the options say otherwise. Unsampled detached
// spans do not use up the places of sampled ones (nsp_config.detached_spans). The same number of them have an
// identity of their own; any further one, when asked for its context, answers like a child of the span that
// is current at that moment.
NSP__API nsp_span *nsp_span_begin_detached(nsp_name name, const nsp_span_options *options);

// Ends the span. Its complete record is written to the calling thread's ring, or the span is dropped and
// counted. One clock read.
NSP_INLINE void nsp_span_end(nsp_span *span);

// Does the same with a reading that was taken before. An end before the start is moved to the start.
NSP_INLINE void nsp_span_end_at(nsp_span *span, nsp_ticks end);

// Ends the span and begins its next sibling with the same reading. The sibling has the same parent and the
// kind internal. For a root, it begins a new trace with a sampling decision of its own. For an unsampled span
// under an unsampled root, it returns the same inert handle.
NSP_INLINE nsp_span *nsp_span_next(nsp_span *span, nsp_name name);
NSP_INLINE nsp_span *nsp_span_next_at(nsp_span *span, nsp_name name, nsp_ticks at);

// Makes a detached span this thread's current span until nsp_span_leave. Entries nest. The span's ownership
// does not change. Enter and leave inert spans too, so that spans under them are inert as well.
NSP__API void nsp_span_enter(nsp_span *span);
NSP__API void nsp_span_leave(nsp_span *span);

// Returns this thread's innermost span, or NULL.
NSP_INLINE nsp_span *nsp_span_current(void);

// Returns true if what is set on this span will be exported. Ask before you compute an expensive attribute.
NSP_INLINE bool nsp_span_recording(const nsp_span *span);

// Returns the ticks at which this open span began, with which its first phase can begin too; 0 if it is not
// recording. So a clock that only recorded spans need is not read for the others. Not for a span that a child
// of a fork has inherited, as for the setters.
NSP_INLINE nsp_ticks nsp_span_start(const nsp_span *span);

// Gives an open span another name, for when the right one is known only later. The sampling decision, which
// was made by the first name, stays. Name 0 changes nothing.
NSP_INLINE void nsp_span_set_name(nsp_span *span, nsp_name name);

// Sets an attribute. The value is copied. If a key is set again, the last value wins, and the limit on the
// number of attributes counts distinct keys. A text is cut at the configured number of characters, a byte
// string at that number of bytes, and an array in each of its elements. A value that does not fit into the
// record (nsp_config.record_bytes) is cut as well, at a whole character or element, and counted in
// nsp_stats.values_cut; a long value leaves room for later ones. An attribute beyond the limit, or with an
// empty key, raises dropped_attributes_count. A NULL text counts as "".
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

// Adds an event, a moment within the span. `at` 0 means now.
NSP_INLINE void nsp_span_add_event(nsp_span *span, nsp_name name);
NSP_INLINE void nsp_span_add_event_at(nsp_span *span, nsp_name name, nsp_ticks at);
NSP_INLINE void nsp_span_add_event_with(nsp_span *span, nsp_name name, nsp_ticks at,
                                        const nsp_attr *attributes, size_t count);

// Adds a link, a reference to another span. An invalid context is ignored.
NSP_INLINE void nsp_span_add_link(nsp_span *span, const nsp_context *context);
NSP_INLINE void nsp_span_add_link_with(nsp_span *span, const nsp_context *context, const nsp_attr *attributes,
                                       size_t count);

// Sets the status. ERROR replaces UNSET, and OK replaces both and is final. The message is kept only with
// ERROR, and may be NULL.
NSP_INLINE void nsp_span_set_status(nsp_span *span, nsp_span_status status, const char *message);

// Gets the span's identity, to send it to another process or to link to it. NULL: the current span's
// identity, or the invalid context if there is no current span. Unsampled spans have an identity too. Its
// trace id, and the span id of an unsampled root, stay the same until the root ends. A child of an unsampled
// span has no memory of its own: every call for it, including nsp_inject_span, draws a new span id in the
// same trace. So call this once for each such span, and use that context everywhere.
NSP__API void nsp_span_context(const nsp_span *span, nsp_context *out);

// Declares `nsp_span *variable` and begins the span. The span ends with the enclosing block, however the
// block is left, except by longjmp.
#define NSP_SPAN(variable, literal)                                                                          \
    nsp_span *variable __attribute__((unused, cleanup(nsp__span_cleanup))) = nsp_span_begin(NSP_NAME(literal))

#endif
NSP_END_DECLS

#ifndef NSP_DISABLE
#include <nanospan/abi/span.h>
#endif
#endif

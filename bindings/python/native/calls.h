// SPDX-License-Identifier: Apache-2.0
//
// What the Python package calls: a span with its context, in few crossings of the border.
//
// Python releases its lock around each call, and hands spans to any thread. A detached span belongs to one thread
// at a time, so each one has a lock here, which is held for the few tens of nanoseconds that a call takes. A call
// with a span that has ended, or that was begun before a fork, changes nothing.
#ifndef NANOSPAN_PYTHON_CALLS_H
#define NANOSPAN_PYTHON_CALLS_H

#include <nanospan/nanospan.h>
#include <sched.h>
#include <string.h>

typedef struct nspy_span {
    nsp_span *span;      // NULL once it has ended
    uint32_t lock;       // 1: a thread is in a call with it
    uint32_t generation; // of the process that has begun it
    bool recording;
    nsp_context context;
} nspy_span;

// Changes in each child of a fork: spans of the parent are the parent's to end.
static uint32_t nspy_generation;

static void nspy_forked(void)
{
    nspy_generation++;
}

// Returns false, without the lock, if the span is none of this process's.
static bool nspy_lock(nspy_span *span)
{
    if (span->generation != nspy_generation)
        return false;
    while (__atomic_exchange_n(&span->lock, 1, __ATOMIC_ACQUIRE) != 0)
        sched_yield();
    return true;
}

static void nspy_unlock(nspy_span *span)
{
    __atomic_store_n(&span->lock, 0, __ATOMIC_RELEASE);
}

// Begins a span below `parent`, or below `context` if parent is NULL, or where this thread is in C if both are; with
// `root`, a trace of its own. A parent that has ended still has its children. Returns whether there is a span.
static bool nspy_begin(nspy_span *out, nsp_name name, nspy_span *parent, const nsp_context *context,
                       bool root, int kind, uint64_t start_unix_ns, const nsp_link *links, size_t link_count)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.kind = (nsp_kind)kind;
    options.parent = context;
    options.new_root = root;
    options.start = start_unix_ns != 0 ? nsp_ticks_from_unix_ns(start_unix_ns) : 0;
    options.links = links;
    options.link_count = link_count;
    bool locked = parent != NULL && nspy_lock(parent);
    bool entered = locked && parent->span != NULL;
    if (entered)
        nsp_span_enter(parent->span);
    else if (parent != NULL)
        options.parent = &parent->context;
    nsp_span *span = nsp_span_begin_detached(name, &options);
    memset(out, 0, offsetof(nspy_span, context));
    if (span != NULL)
        nsp_span_context(span, &out->context);
    else
        memset(&out->context, 0, sizeof out->context);
    if (entered)
        nsp_span_leave(parent->span);
    if (locked)
        nspy_unlock(parent);
    out->span = span;
    out->generation = nspy_generation;
    out->recording = nsp_span_recording(span);
    return span != NULL && nsp_context_valid(&out->context);
}

static void nspy_end(nspy_span *span, uint64_t end_unix_ns)
{
    if (!nspy_lock(span))
        return;
    nsp_span *ended = span->span;
    span->span = NULL;
    if (ended != NULL && end_unix_ns != 0)
        nsp_span_end_at(ended, nsp_ticks_from_unix_ns(end_unix_ns));
    else if (ended != NULL)
        nsp_span_end(ended);
    nspy_unlock(span);
}

static bool nspy_is_recording(nspy_span *span)
{
    if (!nspy_lock(span))
        return false;
    bool recording = span->span != NULL && nsp_span_recording(span->span);
    nspy_unlock(span);
    return recording;
}

// The bytes that one more text may take on this span without being cut: all but the eighth of the record that a long
// value leaves to those that come after it.
static size_t nspy_room(nspy_span *span)
{
    size_t room = 0;
    if (!nspy_lock(span))
        return 0;
    if (span->span != NULL && nsp_span_recording(span->span)) {
        const nsp__frame *frame = nsp__frame_of(span->span);
        size_t taken = nsp__frame_bytes(frame), reserve = (frame->limit - sizeof frame->record) / 8;
        if (taken + reserve + NSP__ITEM_BYTES(0) < frame->limit)
            room = frame->limit - taken - reserve - NSP__ITEM_BYTES(0);
    }
    nspy_unlock(span);
    return room;
}

// nspy_WHAT(span, ...) does what nsp_span_WHAT does.
#define NSPY_CALL(what, parameters, ...)                                                                     \
    static void nspy_##what parameters                                                                       \
    {                                                                                                        \
        if (!nspy_lock(span))                                                                                \
            return;                                                                                          \
        if (span->span != NULL)                                                                              \
            nsp_span_##what(span->span, __VA_ARGS__);                                                        \
        nspy_unlock(span);                                                                                   \
    }

NSPY_CALL(set_name, (nspy_span * span, nsp_name name), name)
NSPY_CALL(set_strn, (nspy_span * span, nsp_name key, const char *text, size_t length), key, text, length)
NSPY_CALL(set_i64, (nspy_span * span, nsp_name key, int64_t value), key, value)
NSPY_CALL(set_f64, (nspy_span * span, nsp_name key, double value), key, value)
NSPY_CALL(set_bool, (nspy_span * span, nsp_name key, bool value), key, value)
NSPY_CALL(set_bytes, (nspy_span * span, nsp_name key, const char *bytes, size_t length), key, bytes, length)
NSPY_CALL(set_strs, (nspy_span * span, nsp_name key, const char *const *values, size_t count), key, values,
          count)
NSPY_CALL(set_i64s, (nspy_span * span, nsp_name key, const int64_t *values, size_t count), key, values, count)
NSPY_CALL(set_f64s, (nspy_span * span, nsp_name key, const double *values, size_t count), key, values, count)
NSPY_CALL(set_bools, (nspy_span * span, nsp_name key, const bool *values, size_t count), key, values, count)
NSPY_CALL(set_status, (nspy_span * span, int status, const char *message), (nsp_span_status)status, message)
NSPY_CALL(add_event_with,
          (nspy_span * span, nsp_name name, uint64_t unix_ns, const nsp_attr *attributes, size_t count), name,
          unix_ns != 0 ? nsp_ticks_from_unix_ns(unix_ns) : 0, attributes, count)
NSPY_CALL(add_link_with,
          (nspy_span * span, const nsp_context *context, const nsp_attr *attributes, size_t count), context,
          attributes, count)

// Fields of a request as "name\0value\0name\0value\0", names in lower case.
typedef struct nspy_fields {
    size_t length;
    char text[16 * 1024];
} nspy_fields;

static bool nspy_get(void *fields, const char *name, size_t index, const char **value, size_t *length)
{
    const nspy_fields *all = (const nspy_fields *)fields;
    for (size_t at = 0; at < all->length;) {
        const char *found = all->text + at, *its_value = found + strlen(found) + 1;
        *length = strlen(its_value);
        at = (size_t)(its_value - all->text) + *length + 1;
        if (strcmp(found, name) == 0 && index-- == 0) {
            *value = its_value;
            return true;
        }
    }
    return false;
}

static bool nspy_set(void *fields, const char *name, const char *value, size_t length)
{
    nspy_fields *all = (nspy_fields *)fields;
    size_t name_size = strlen(name) + 1;
    if (name_size + length + 1 > sizeof all->text - all->length)
        return false;
    memcpy(all->text + all->length, name, name_size);
    memcpy(all->text + all->length + name_size, value, length + 1);
    all->length += name_size + length + 1;
    return true;
}

// Returns whether anything came: a context, a sampling decision or baggage.
static bool nspy_extract(nsp_incoming *out, nspy_fields *fields)
{
    nsp_carrier carrier = {fields, nspy_get, NULL};
    return nsp_extract(out, &carrier) == NSP_OK || out->baggage.length != 0;
}

static void nspy_inject(const nsp_context *context, const nsp_baggage *baggage, nspy_fields *out)
{
    out->length = 0;
    nsp_carrier carrier = {out, NULL, nspy_set};
    (void)nsp_inject(context, baggage, &carrier);
}

#endif

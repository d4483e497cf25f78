// SPDX-License-Identifier: Apache-2.0
//
// The inline hot path: all of an unsampled span, and the setters. To begin or end a recorded span is one call
// into the library: the stores overlap with the clock read, so the call costs nothing, and call sites stay
// small. Not for direct inclusion.
#ifndef NANOSPAN_SPAN_H
#error "include <nanospan/nanospan.h>"
#endif
#ifndef NANOSPAN_ABI_SPAN_H
#define NANOSPAN_ABI_SPAN_H

#include <nanospan/abi/layout.h>

NSP_BEGIN_DECLS

// A place in the inline code where the library's own tests stall or kill a thread (base/testpoint.h).
#ifdef NSP_TESTPOINTS
extern void (*nsp__testpoint_hook)(const char *name);
// TP2: as NSP__TESTPOINT.
#define NSP__INLINE_TESTPOINT(name)                                                                          \
    do {                                                                                                     \
        void (*hook_)(const char *) = __atomic_load_n(&nsp__testpoint_hook, __ATOMIC_ACQUIRE);               \
        if (NSP__UNLIKELY(hook_ != NULL))                                                                    \
            hook_(name);                                                                                     \
    } while (0)
#else
#define NSP__INLINE_TESTPOINT(name) ((void)0)
#endif

// The calls of a recorded span do not go through the program's table of jumps (.plt), which would be one more
// page of code, and is bound at the first call where the program is not linked with -z now.
#if defined(__has_attribute)
#if __has_attribute(noplt)
#define NSP__DIRECT __attribute__((noplt))
#endif
#endif
#ifndef NSP__DIRECT
#define NSP__DIRECT
#endif

// start, end, at: 0 stands for now. thread: nsp__thread_v4, which the caller has at hand.
NSP__API NSP__DIRECT nsp_span *nsp__begin_root(nsp__thread *thread, nsp_name name, nsp_ticks start,
                                               uint32_t name_class);
NSP__API NSP__DIRECT nsp_span *nsp__begin_child(nsp__thread *thread, nsp_name name, nsp_ticks start);
NSP__API nsp_span *nsp__begin_special(nsp__thread *thread, nsp_name name, nsp_ticks start);
NSP__API NSP__DIRECT void nsp__end_on(nsp_span *span, nsp_ticks end, nsp__thread *thread);
NSP__API void nsp__end_inert(nsp_span *span, nsp_ticks end);
NSP__API NSP__DIRECT nsp_span *nsp__next_on(nsp_span *span, nsp_name name, nsp_ticks at, nsp__thread *thread);
NSP__API nsp_span *nsp__next_inert(nsp_span *span, nsp_name name, nsp_ticks at);
// value: the bits of an I64 or F64, 0 or 1 of a BOOL.
NSP__API void nsp__attr_set_number(nsp_span *span, nsp_name key, uint32_t type, uint64_t value);
NSP__API NSP__DIRECT void nsp__attr_set_text(nsp_span *span, nsp_name key, const char *value, size_t length);
// length: bytes of a text or byte value, elements of an array.
NSP__API void nsp__attr_set_slow(nsp_span *span, nsp_name key, nsp_type type, const void *value,
                                 size_t length);
NSP__API void nsp__event_add(nsp_span *span, nsp_name name, nsp_ticks at, const nsp_attr *attributes,
                             size_t count);
NSP__API void nsp__link_add(nsp_span *span, const nsp_context *context, const nsp_attr *attributes,
                            size_t count);
NSP__API void nsp__status_set(nsp_span *span, nsp_span_status status, const char *message);
NSP__API void nsp__name_set(nsp_span *span, nsp_name name);

// ---- begin ----

// Counts down; false if nothing is left. The count falls below zero if the root of a signal handler takes the
// last one in between. It is one instruction where that is possible, so that what a handler has counted is
// not undone.
static inline __attribute__((unused, always_inline)) bool nsp__skip(int64_t *left)
{
    if (__atomic_load_n(left, __ATOMIC_RELAXED) <= 0)
        return false;
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
    // A plain address: only of such do processors forward a store to the next load of the same word without
    // delay.
    __asm__ __volatile__("subq $1, (%1)" : "+m"(*left) : "r"(left));
#else
    __atomic_store_n(left, __atomic_load_n(left, __ATOMIC_RELAXED) - 1, __ATOMIC_RELAXED);
#endif
    return true;
}

NSP_INLINE nsp_span *nsp_span_begin_at(nsp_name name, nsp_ticks start)
{
    nsp__thread *thread = nsp__thread_v4;
    nsp__entry *top = thread->top;
    uintptr_t current = __atomic_load_n(&top->current, __ATOMIC_RELAXED);
    if (current == NSP__NOTHING) {
        // A root. Left out: one load to see that the policy is the same, one decrement.
        if (NSP__UNLIKELY(thread->generation !=
                          __atomic_load_n(&thread->skips->generation, __ATOMIC_RELAXED))) // N1
            return nsp__begin_special(thread, name, start);
        uint32_t name_class = __atomic_load_n(&thread->classes[name & (NSP_NAME_MAX - 1)], __ATOMIC_RELAXED);
        if (!nsp__skip(&thread->skips->left[name_class]))
            return nsp__begin_root(thread, name, start, name_class);
        thread->unsampled_class = name_class;
        top->current = NSP__UNSAMPLED_ROOT;
        return (nsp_span *)NSP__UNSAMPLED_ROOT;
    }
    if (current & NSP__RECORDING)
        return nsp__begin_child(thread, name, start);
    if (NSP__LIKELY(current == NSP__UNSAMPLED_ROOT))
        return (nsp_span *)NSP__UNSAMPLED_CHILD;
    if (NSP__LIKELY(current == NSP__OFF))
        return NULL;
    return nsp__begin_special(thread, name, start);
}

NSP_INLINE nsp_span *nsp_span_begin(nsp_name name)
{
    return nsp_span_begin_at(name, 0);
}

// ---- end ----

NSP_INLINE void nsp_span_end_at(nsp_span *span, nsp_ticks end)
{
    uintptr_t handle = (uintptr_t)span;
    if (handle & NSP__RECORDING) {
        nsp__end_on(span, end, nsp__thread_v4);
        return;
    }
    if (NSP__LIKELY(handle == NSP__UNSAMPLED_ROOT)) {
        nsp__entry *top = nsp__thread_v4->top;
        if (NSP__LIKELY(__atomic_load_n(&top->current, __ATOMIC_RELAXED) == NSP__UNSAMPLED_ROOT)) {
            top->current = NSP__NOTHING;
            return;
        }
    } else if (handle == 0 || handle == NSP__UNSAMPLED_CHILD) {
        return;
    }
    nsp__end_inert(span, end);
}

NSP_INLINE void nsp_span_end(nsp_span *span)
{
    nsp_span_end_at(span, 0);
}

NSP_INLINE nsp_span *nsp_span_next_at(nsp_span *span, nsp_name name, nsp_ticks at)
{
    uintptr_t handle = (uintptr_t)span;
    if (handle & NSP__RECORDING)
        return nsp__next_on(span, name, at, nsp__thread_v4);
    if (handle == 0 || handle == NSP__UNSAMPLED_CHILD)
        return span;
    return nsp__next_inert(span, name, at);
}

NSP_INLINE nsp_span *nsp_span_next(nsp_span *span, nsp_name name)
{
    return nsp_span_next_at(span, name, 0);
}

static inline __attribute__((unused)) void nsp__span_cleanup(nsp_span **span)
{
    nsp_span_end(*span);
}

NSP_INLINE nsp_span *nsp_span_current(void)
{
    const nsp__entry *top = nsp__thread_v4->top;
    uintptr_t current = __atomic_load_n(&top->current, __ATOMIC_RELAXED);
    if (NSP__UNLIKELY(current >= NSP__ENTERED_INERT && current <= NSP__SUSPENDED)) {
        while (current == NSP__SUSPENDED || current == NSP__ENDED)
            current = __atomic_load_n(&(--top)->current, __ATOMIC_RELAXED);
        if (current >= NSP__ENTERED_INERT && current <= NSP__NOTHING)
            return current >= NSP__OFF ? NULL : (nsp_span *)NSP__UNSAMPLED_CHILD;
    }
    return (nsp_span *)current;
}

NSP_INLINE nsp_ticks nsp_span_start(const nsp_span *span)
{
    return nsp_span_recording(span) ? nsp__frame_of(span)->record.start : 0;
}

// ---- items ----

// Takes room for one attribute. NULL if there is none; the caller then goes the slow way. The cursor moves
// before anything is written, so that a signal handler that sets an attribute on this span in between writes
// behind it.
//
// Callers compute the mark before they call this, on both paths, so that compilers keep it for all setters of a
// span. And the place is found from the new cursor, so that only that one is in a register.
static inline __attribute__((unused, always_inline)) uint64_t *nsp__attr_claim(nsp_span *span, uint32_t bytes)
{
    nsp__frame *frame = nsp__frame_of(span);
    uint32_t cursor = frame->cursor;
    uint32_t next = cursor + bytes - NSP__CURSOR(1, 0);
    if (NSP__UNLIKELY((int32_t)next < 0 || (uint16_t)next > frame->limit ||
                      frame->tag != (uint32_t)(uintptr_t)span))
        return NULL;
    frame->cursor = next;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    NSP__INLINE_TESTPOINT("attribute: claimed");
    return (uint64_t *)(void *)((char *)nsp__frame_place(frame, next) - bytes);
}

// Setters of a span that records; what the macros at the end of this file call.
static inline __attribute__((unused, always_inline)) void nsp__attr_set_word(nsp_span *span, nsp_name key,
                                                                             uint32_t type, uint64_t value)
{
    const uint64_t mark = nsp__item_mark((uintptr_t)span);
    uint64_t *item = nsp__attr_claim(span, NSP__ITEM_BYTES(8));
    if (NSP__UNLIKELY(item == NULL)) {
        nsp__attr_set_number(span, key, type, value);
        return;
    }
    nsp__pair both = {nsp__item_tag(key, type, 0, 8) | mark, value};
    *(nsp__pair *)(void *)item = both;
}

static inline __attribute__((unused, always_inline)) void nsp__set_i64(nsp_span *span, nsp_name key,
                                                                       int64_t value)
{
    nsp__attr_set_word(span, key, NSP_TYPE_I64, (uint64_t)value);
}

static inline __attribute__((unused, always_inline)) void nsp__set_f64(nsp_span *span, nsp_name key,
                                                                       double value)
{
    uint64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    nsp__attr_set_word(span, key, NSP_TYPE_F64, bits);
}

static inline __attribute__((unused, always_inline)) void nsp__set_bool(nsp_span *span, nsp_name key,
                                                                        bool value)
{
    const uint64_t mark = nsp__item_mark((uintptr_t)span);
    uint64_t *item = nsp__attr_claim(span, NSP__ITEM_BYTES(0));
    if (NSP__UNLIKELY(item == NULL)) {
        nsp__attr_set_number(span, key, NSP_TYPE_BOOL, value ? 1 : 0);
        return;
    }
    nsp__pair both = {nsp__item_tag(key, NSP_TYPE_BOOL, value ? 1 : 0, 0) | mark, 0};
    *(nsp__pair *)(void *)item = both;
}

NSP_INLINE void nsp_span_set_i64(nsp_span *span, nsp_name key, int64_t value)
{
    if ((uintptr_t)span & NSP__RECORDING)
        nsp__set_i64(span, key, value);
}

NSP_INLINE void nsp_span_set_f64(nsp_span *span, nsp_name key, double value)
{
    if ((uintptr_t)span & NSP__RECORDING)
        nsp__set_f64(span, key, value);
}

NSP_INLINE void nsp_span_set_bool(nsp_span *span, nsp_name key, bool value)
{
    if ((uintptr_t)span & NSP__RECORDING)
        nsp__set_bool(span, key, value);
}

// Writes an item with a text of at most 16 bytes, as pairs that are padded with zeros. The copy into the ring
// loads pairs, and a load is served at once only by a store that covers all of it. The pair with the tag comes
// last: a reader after a crash takes an item that has it for a whole one.
static inline __attribute__((unused, always_inline)) void nsp__store_short(uint64_t *item, uint64_t tag,
                                                                           const char *from, size_t length)
{
    uint64_t first = 0;
    if (length >= 8) {
        __builtin_memcpy(&first, from, 8);
    } else if (length >= 4) {
        uint32_t low, high;
        __builtin_memcpy(&low, from, 4);
        __builtin_memcpy(&high, from + length - 4, 4);
        first = low | (uint64_t)high << (8 * (length - 4));
    } else if (length != 0) {
        size_t middle = length / 2;
        first = (uint64_t)(uint8_t)from[0] | (uint64_t)(uint8_t)from[middle] << (8 * middle) |
                (uint64_t)(uint8_t)from[length - 1] << (8 * (length - 1));
    }
    if (length > 8) {
        uint64_t last;
        __builtin_memcpy(&last, from + length - 8, 8);
        nsp__pair rest = {last >> (8 * (16 - length)), 0}; // the bytes that `first` has already go
        *(nsp__pair *)(void *)&item[2] = rest;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    }
    nsp__pair head = {tag, first};
    *(nsp__pair *)(void *)item = head;
}

// False if there is no room, or the value is to be cut.
static inline __attribute__((unused, always_inline)) bool nsp__attr_set_short(nsp_span *span, nsp_name key,
                                                                              const char *value,
                                                                              size_t length)
{
    if (NSP__UNLIKELY(length > nsp__frame_of(span)->value_limit))
        return false;
    const uint64_t mark = nsp__item_mark((uintptr_t)span);
    uint64_t *item = nsp__attr_claim(span, NSP__ITEM_BYTES(length));
    if (NSP__UNLIKELY(item == NULL))
        return false;
    nsp__store_short(item, nsp__item_tag(key, NSP_TYPE_STR, 0, length) | mark, value, length);
    return true;
}

// A literal's length is known here, and a short one is stored in place; any other text is a call.
static inline __attribute__((unused, always_inline)) void nsp__set_strn(nsp_span *span, nsp_name key,
                                                                        const char *value, size_t length)
{
    if (__builtin_constant_p(length) && length <= 16 &&
        NSP__LIKELY(nsp__attr_set_short(span, key, value, length)))
        return;
    nsp__attr_set_text(span, key, value, length);
}

static inline __attribute__((unused, always_inline)) void nsp__set_str(nsp_span *span, nsp_name key,
                                                                       const char *value)
{
    nsp__set_strn(span, key, value, value != NULL ? __builtin_strlen(value) : 0);
}

NSP_INLINE_ALWAYS void nsp_span_set_strn(nsp_span *span, nsp_name key, const char *value, size_t length)
{
    if ((uintptr_t)span & NSP__RECORDING)
        nsp__set_strn(span, key, value, length);
}

NSP_INLINE void nsp_span_set_str(nsp_span *span, nsp_name key, const char *value)
{
    if ((uintptr_t)span & NSP__RECORDING)
        nsp__set_str(span, key, value);
}

NSP_INLINE void nsp_span_set_bytes(nsp_span *span, nsp_name key, const void *value, size_t length)
{
    if ((uintptr_t)span & NSP__RECORDING)
        nsp__attr_set_slow(span, key, NSP_TYPE_BYTES, value, length);
}

NSP_INLINE void nsp_span_set_strs(nsp_span *span, nsp_name key, const char *const *values, size_t count)
{
    if ((uintptr_t)span & NSP__RECORDING)
        nsp__attr_set_slow(span, key, NSP_TYPE_STRS, values, count);
}

NSP_INLINE void nsp_span_set_i64s(nsp_span *span, nsp_name key, const int64_t *values, size_t count)
{
    if ((uintptr_t)span & NSP__RECORDING)
        nsp__attr_set_slow(span, key, NSP_TYPE_I64S, values, count);
}

NSP_INLINE void nsp_span_set_f64s(nsp_span *span, nsp_name key, const double *values, size_t count)
{
    if ((uintptr_t)span & NSP__RECORDING)
        nsp__attr_set_slow(span, key, NSP_TYPE_F64S, values, count);
}

NSP_INLINE void nsp_span_set_bools(nsp_span *span, nsp_name key, const bool *values, size_t count)
{
    if ((uintptr_t)span & NSP__RECORDING)
        nsp__attr_set_slow(span, key, NSP_TYPE_BOOLS, values, count);
}

NSP_INLINE void nsp_span_add_event_with(nsp_span *span, nsp_name name, nsp_ticks at,
                                        const nsp_attr *attributes, size_t count)
{
    if ((uintptr_t)span & NSP__RECORDING)
        nsp__event_add(span, name, at, attributes, count);
}

NSP_INLINE void nsp_span_add_event_at(nsp_span *span, nsp_name name, nsp_ticks at)
{
    nsp_span_add_event_with(span, name, at, NULL, 0);
}

NSP_INLINE void nsp_span_add_event(nsp_span *span, nsp_name name)
{
    nsp_span_add_event_with(span, name, 0, NULL, 0);
}

NSP_INLINE void nsp_span_add_link_with(nsp_span *span, const nsp_context *context, const nsp_attr *attributes,
                                       size_t count)
{
    if ((uintptr_t)span & NSP__RECORDING)
        nsp__link_add(span, context, attributes, count);
}

NSP_INLINE void nsp_span_add_link(nsp_span *span, const nsp_context *context)
{
    nsp_span_add_link_with(span, context, NULL, 0);
}

NSP_INLINE void nsp_span_set_status(nsp_span *span, nsp_span_status status, const char *message)
{
    if ((uintptr_t)span & NSP__RECORDING)
        nsp__status_set(span, status, message);
}

NSP_INLINE void nsp_span_set_name(nsp_span *span, nsp_name name)
{
    if ((uintptr_t)span & NSP__RECORDING)
        nsp__name_set(span, name);
}

NSP_END_DECLS

// The most common setters are macros as well. An unsampled span then does not even check whether the key of
// the call site has been interned, which is most of what its setters would cost. The value is evaluated
// either way. The functions themselves are reached by (nsp_span_set_i64)(...), and by taking their address.
#define NSP__SET(type, function, span, key, ...)                                                             \
    (__extension__({                                                                                         \
        nsp_span *nsp__set_span_ = (span);                                                                   \
        type nsp__set_value_ = (__VA_ARGS__);                                                                \
        if (nsp_span_recording(nsp__set_span_))                                                              \
            function(nsp__set_span_, (key), nsp__set_value_);                                                \
    }))
#define nsp_span_set_i64(span, key, ...) NSP__SET(int64_t, nsp__set_i64, span, key, __VA_ARGS__)
#define nsp_span_set_f64(span, key, ...) NSP__SET(double, nsp__set_f64, span, key, __VA_ARGS__)
#define nsp_span_set_bool(span, key, ...) NSP__SET(bool, nsp__set_bool, span, key, __VA_ARGS__)
#define nsp_span_set_str(span, key, ...) NSP__SET(const char *, nsp__set_str, span, key, __VA_ARGS__)

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The inline half of declared paths: how a path lies in its span's frame, and what begin, mark and end do before
// they call the library. Not for direct inclusion.
//
// A path is a span whose record has a body, right behind its fixed part: the struct that the declaration has made.
// So the pointer that the program has leads into the span's frame, and everything that works for spans works for
// paths. Its address says whether it records: frames lie at multiples of 256 bytes and bodies 128 bytes behind
// that, and where nothing records, the bit is clear. Such a path has room that nobody reads, and in the word in
// front of it the handle of the span that it stands for.
#ifndef NANOSPAN_PATH_H
#error "include <nanospan/nanospan.h>"
#endif
#ifndef NANOSPAN_ABI_PATH_H
#define NANOSPAN_ABI_PATH_H

#include <nanospan/abi/span.h>
#include <nanospan/clock.h>

enum {
    NSP__PATH_RECORDS = 128, // this bit of a path's address: it is the body of a record
    // Of a record's kind: it has a body. Of a frame's `reserved`: the same, for the code that ends spans.
    NSP__KIND_PATH = 0x80,
    NSP__FRAME_PATH = 1 << 30,
    // Where in a frame of a span that does not record its path has room. It is behind the tracestate.
    NSP__PATH_INERT_AT = 768
};

// What a body begins with. Behind it lie the readings of the phases, in their order (0: the phase did not happen), and
// then the fields.
typedef struct nsp__path_head {
    uint16_t declaration; // its number in the session's table, from 1
    uint16_t bytes;       // of the body, a multiple of 16
    uint8_t open;         // the phase that is open, from 1; 0: none. With NSP__PATH_BY_CALL, marks are calls
    uint8_t skipped;      // phases before it that did not happen
    uint8_t phases;       // how many are declared
    uint8_t flags;        // NSP__PATH_STARTS
} nsp__path_head;

// In `open`: the clock is not read in line.
#define NSP__PATH_BY_CALL 0x80u

// The first phase begins with the path, by the same reading.
#define NSP__PATH_STARTS 1u

// A phase or a field, in the order of the declaration. Fields behind a phase belong to it.
typedef struct nsp__path_part {
    const char *name;
    uint16_t offset, size; // in the struct; size: of a text, its capacity
    uint8_t type;          // nsp_type; 0: a phase
    uint8_t flags;         // of the first phase: NSP__PATH_STARTS
} nsp__path_part;

// One for each declaration and translation unit.
typedef struct nsp__path_declaration {
    // The nsp__path_head of a path that begins; 0: not declared yet. Without a number where the table had no room.
    uint64_t head;
    nsp_name name;     // of the path's span; 0: not declared yet. Written last
    uint32_t bytes;    // of the struct
    const void *unset; // a struct in which nothing is set, and 16 bytes behind it that may be read
    const char *root;  // the text of `name`
    uint32_t root_length, part_count;
    const nsp__path_part *parts;
} nsp__path_declaration;

// A path is never NULL, so nothing that ends with its scope has to be asked whether it is.
#define NSP__NEVER_NULL __attribute__((returns_nonnull))

NSP_BEGIN_DECLS

// Room for the thread's paths that do not record and have no frame, by what they stand for. NULL: not made yet.
extern NSP_API __thread char *nsp__path_scratch_v4 __attribute__((tls_model("initial-exec")));

enum {
    NSP__SCRATCH_ROOT = 256,
    NSP__SCRATCH_CHILD = 1536,
    NSP__SCRATCH_NOTHING = 2816,
    NSP__SCRATCH_BYTES = 4096
};

// Makes that room. Never NULL: if there is no memory, it is one that all threads share.
NSP__API NSP__NEVER_NULL char *nsp__path_scratch_make(void);

// Takes the declaration into the table, unless that was tried. False if it could not be tried now: in a signal handler
// that interrupted nanospan, or while another thread fills the table's last place.
NSP__API bool nsp__path_declare(nsp__path_declaration *declaration);

// start, end, at: 0 stands for now.
NSP__API NSP__NEVER_NULL NSP__DIRECT void *nsp__path_begin_root(nsp__path_declaration *declaration,
                                                                nsp_ticks start, nsp__thread *thread,
                                                                uint32_t name_class);
NSP__API NSP__NEVER_NULL NSP__DIRECT void *nsp__path_begin_child(nsp__path_declaration *declaration,
                                                                 nsp_ticks start, nsp__thread *thread);
NSP__API NSP__NEVER_NULL void *nsp__path_begin_special(nsp__path_declaration *declaration, nsp_ticks start);
NSP__API NSP__NEVER_NULL void *nsp__path_begin_with(nsp__path_declaration *declaration,
                                                    const nsp_path_options *options);
// Adds the links and the status of a path that records and has just begun.
NSP__API void nsp__path_describe(void *path, const nsp_path_options *options);
NSP__API NSP__DIRECT void nsp__path_end_on(void *path, nsp_ticks end, nsp__thread *thread);
// The end of a path that does not record, and of which nothing says what it stands for: its frame reads as zero, since
// its session is over.
NSP__API void nsp__path_end_lost(void *path, nsp_ticks end);
// A mark that is not the next one, or that reads the clock by a call.
NSP__API void nsp__path_mark_slow(void *path, uint32_t phase, nsp_ticks at);
// The same as nsp__path_set_text for a text that is perhaps too long, or NULL.
NSP__API void nsp__path_set_cut(void *path, uint16_t *length, char *bytes, uint32_t capacity,
                                const char *value, size_t size);

static inline __attribute__((unused, always_inline)) void *nsp__path_scratch(size_t at)
{
    char *scratch = nsp__path_scratch_v4;
    if (NSP__UNLIKELY(scratch == NULL))
        scratch = nsp__path_scratch_make();
    return scratch + at;
}

static inline __attribute__((unused, always_inline)) bool nsp__path_records(const void *path)
{
    return ((uintptr_t)path & NSP__PATH_RECORDS) != 0;
}

static inline __attribute__((unused, always_inline)) nsp__frame *nsp__path_frame(const void *path)
{
    return (nsp__frame *)((uintptr_t)path & ~NSP__TAG_MASK);
}

// The id of a phase, from 1, of the path whose span has this id: the finalizer of SplitMix64 (G. Steele, D. Lea and
// C. Flood, 2014), so that no two of a process's spans have the same id more often than random ones would.
static inline __attribute__((unused)) uint64_t nsp__path_phase_id(uint64_t path_id, uint32_t phase)
{
    uint64_t id = path_id + phase * UINT64_C(0x9e3779b97f4a7c15);
    id = (id ^ id >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    id = (id ^ id >> 27) * UINT64_C(0x94d049bb133111eb);
    id ^= id >> 31;
    return id != 0 ? id : 1;
}

static inline __attribute__((unused, always_inline)) void *nsp__path_begin_at(
    nsp__path_declaration *declaration, nsp_ticks start)
{
    nsp_name name = __atomic_load_n(&declaration->name, __ATOMIC_ACQUIRE); // PD2: acquires PD1
    if (NSP__UNLIKELY(name == 0))
        return nsp__path_begin_special(declaration, start);
    nsp__thread *thread = nsp__thread_v4;
    nsp__entry *top = thread->top;
    uintptr_t current = __atomic_load_n(&top->current, __ATOMIC_RELAXED);
    if (current == NSP__NOTHING) {
        // As nsp_span_begin_at.
        if (NSP__UNLIKELY(thread->generation !=
                          __atomic_load_n(&thread->skips->generation, __ATOMIC_RELAXED))) // N1
            return nsp__path_begin_special(declaration, start);
        uint32_t name_class = __atomic_load_n(&thread->classes[name & (NSP_NAME_MAX - 1)], __ATOMIC_RELAXED);
        if (!nsp__skip(&thread->skips->left[name_class]))
            return nsp__path_begin_root(declaration, start, thread, name_class);
        thread->unsampled_class = name_class;
        top->current = NSP__UNSAMPLED_ROOT;
        return nsp__path_scratch(NSP__SCRATCH_ROOT);
    }
    if (current & NSP__RECORDING)
        return nsp__path_begin_child(declaration, start, thread);
    if (NSP__LIKELY(current == NSP__UNSAMPLED_ROOT))
        return nsp__path_scratch(NSP__SCRATCH_CHILD);
    if (NSP__LIKELY(current == NSP__OFF))
        return nsp__path_scratch(NSP__SCRATCH_NOTHING);
    return nsp__path_begin_special(declaration, start);
}

// Most paths with options begin where their thread is, on the way of all others. Where the compiler knows that there are
// no links and no status, nothing of the options is written to memory.
static inline __attribute__((unused, always_inline)) void *nsp__path_begin_as(
    nsp__path_declaration *declaration, const nsp_path_options *options)
{
    if (NSP__UNLIKELY(options == NULL || options->size < sizeof *options || options->parent != NULL ||
                      options->new_root || options->detached))
        return nsp__path_begin_with(declaration, options);
    void *path = nsp__path_begin_at(declaration, options->start);
    if (nsp__path_records(path)) {
        const unsigned given = (unsigned)options->kind;
        const unsigned kind = given <= (unsigned)NSP_KIND_CONSUMER ? given : (unsigned)NSP_KIND_INTERNAL;
        nsp__path_frame(path)->record.kind = (uint8_t)(kind | NSP__KIND_PATH);
        if (options->links != NULL || options->status != NSP_SPAN_STATUS_UNSET)
            nsp__path_describe(path, options);
    }
    return path;
}

// reading: where the phase with this number, from 1, has its reading.
static inline __attribute__((unused, always_inline)) void nsp__path_mark(void *path, nsp_ticks *reading,
                                                                         uint32_t phase, nsp_ticks at)
{
    if (!nsp__path_records(path))
        return;
    nsp__path_head *head = (nsp__path_head *)path;
    if (NSP__UNLIKELY(head->open != phase - 1)) {
        nsp__path_mark_slow(path, phase, at);
        return;
    }
    // A signal handler that ends the path meanwhile, and a reader after a crash, take a phase for begun once it is open.
    // Compilers keep volatile stores in order, and less else than at a fence.
    *(volatile nsp_ticks *)reading = at != 0 ? at : nsp__counter_read();
    *(volatile uint8_t *)&head->open = (uint8_t)phase;
}

static inline __attribute__((unused, always_inline)) void nsp__path_set_text(void *path, uint16_t *length,
                                                                             char *bytes, uint32_t capacity,
                                                                             const char *value, size_t size)
{
    if (!nsp__path_records(path))
        return;
    if (NSP__UNLIKELY(size > capacity || size > nsp__path_frame(path)->value_limit || value == NULL)) {
        nsp__path_set_cut(path, length, bytes, capacity, value, size);
        return;
    }
    if (__builtin_constant_p(size) || capacity > 16) {
        __builtin_memcpy(bytes, value, size);
    } else if (size >= 8) {
        uint64_t first, last;
        __builtin_memcpy(&first, value, 8);
        __builtin_memcpy(&last, value + size - 8, 8);
        __builtin_memcpy(bytes, &first, 8);
        __builtin_memcpy(bytes + size - 8, &last, 8);
    } else if (size >= 4) {
        uint32_t first, last;
        __builtin_memcpy(&first, value, 4);
        __builtin_memcpy(&last, value + size - 4, 4);
        __builtin_memcpy(bytes, &first, 4);
        __builtin_memcpy(bytes + size - 4, &last, 4);
    } else if (size != 0) {
        bytes[0] = value[0];
        bytes[size / 2] = value[size / 2];
        bytes[size - 1] = value[size - 1];
    }
    // A reader after a crash takes the text for whole once it has a length.
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *length = (uint16_t)size;
}

static inline __attribute__((unused, always_inline)) nsp_span *nsp__path_span(const void *path)
{
    if (!nsp__path_records(path))
        return ((nsp_span *const *)path)[-1];
    const nsp__frame *frame = nsp__path_frame(path);
    return (nsp_span *)((uintptr_t)frame | (uint8_t)frame->tag);
}

static inline __attribute__((unused, always_inline)) nsp_ticks nsp__path_start(const void *path)
{
    return nsp__path_records(path) ? nsp__path_frame(path)->record.start : 0;
}

static inline __attribute__((unused, always_inline)) void nsp__path_end_at(void *path, nsp_ticks end)
{
    if (nsp__path_records(path)) {
        nsp__path_end_on(path, end, nsp__thread_v4);
        return;
    }
    nsp_span *span = ((nsp_span **)path)[-1];
    if (span != NULL)
        nsp_span_end_at(span, end);
    else if (NSP__UNLIKELY((char *)path != nsp__path_scratch_v4 + NSP__SCRATCH_NOTHING))
        nsp__path_end_lost(path, end);
}

NSP_END_DECLS
#endif

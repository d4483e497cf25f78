// SPDX-License-Identifier: Apache-2.0
//
// What the inline hot path and the library agree on: handles, records, frames, a thread's hot state. A change
// here is a new ABI (SOVERSION, and the number in the name of the thread-local symbol). Not for direct
// inclusion.
#ifndef NANOSPAN_SPAN_H
#error "include <nanospan/nanospan.h>"
#endif
#ifndef NANOSPAN_ABI_LAYOUT_H
#define NANOSPAN_ABI_LAYOUT_H

// Tags are halves of addresses, items are read as the words that were written, and a cursor's low half comes
// first.
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || UINTPTR_MAX != UINT64_MAX
#error "nanospan is for little-endian processors of 64 bits"
#endif

// A span's handle is the address of its frame (256-byte aligned) plus eight low bits. Bit 0 says "recording".
// The other seven are taken from the span's id, so that a second end of the same span differs from the end of
// a new one. One test of bit 0 tells setters whether there is anything to do; NULL and the sentinels below
// have it clear.
#define NSP__RECORDING ((uintptr_t)1)
#define NSP__FRAME_ALIGN 256u
#define NSP__TAG_MASK ((uintptr_t)0xff)

#define NSP__UNSAMPLED_ROOT                                                                                  \
    ((uintptr_t)2) // an unsampled root without frame: its end lets the thread's next root decide
#define NSP__UNSAMPLED_CHILD ((uintptr_t)4) // any span under it
// What only a thread's stack holds, never the caller:
#define NSP__ENTERED_INERT ((uintptr_t)6) // an inert span was entered
#define NSP__ENDED ((uintptr_t)8)         // ended before the spans above it
#define NSP__BUSY ((uintptr_t)10)         // nanospan is at work; a signal handler keeps out
// What stands on the stack that all threads share that are not attached:
#define NSP__OFF ((uintptr_t)12)        // tracing is off: there is nothing to do
#define NSP__UNATTACHED ((uintptr_t)14) // the next span attaches the thread
// What stands at the bottom of a thread's stack while nothing is open. It is not 0, because that is what the child of
// a fork finds there before its handlers have run: it may touch nothing of the session, which it does not have.
#define NSP__NOTHING ((uintptr_t)16)
// What is under it records a trace of which it is decided at its end whether anybody will see it (speculation.h), and
// may not have children as it stands: either a span of another trace was current meanwhile, or it is a detached span.
#define NSP__SUSPENDED ((uintptr_t)18)

// The fixed part of a record; items (see nsp_item_next) follow. Ids are stored as on the wire. In shared
// memory: written by the span's thread, read by the drainer once it is published in a ring.
typedef struct nsp__record {
    uint32_t bytes; // whole record, a multiple of 8; in a ring (of an open span, nsp__frame_bytes)
    nsp_name name;
    uint64_t start, end; // ticks; end in a ring only, and before start where a user supplied such ticks
    uint8_t flags;       // NSP__RECORD_...
    uint8_t kind;
    uint8_t status;
    uint8_t detached;   // 1: it was a detached span, which belongs to no thread; in a ring only
    uint32_t threshold; // code of the sampling threshold
    uint64_t trace_id[2];
    uint64_t span_id, parent_id, local_root_id;
} nsp__record;

// Two words written or read at once: what a span costs is mostly the number of its stores.
typedef uint64_t nsp__pair __attribute__((vector_size(16), aligned(8), may_alias));

enum {
    NSP__RECORD_SAMPLED = 0x01, // as NSP_TRACE_FLAG_...
    NSP__RECORD_RANDOM = 0x02,
    NSP__RECORD_KEPT = 0x04, // recorded (always set in a ring; without SAMPLED: kept for retention only)
    NSP__RECORD_PARENT_REMOTE = 0x08,
    NSP__RECORD_TRACESTATE = 0x10, // has a TRACESTATE item, which children inherit
    NSP__RECORD_DROPS = 0x20,      // has an item that counts what was dropped
    NSP__RECORD_ROOT = 0x40,       // no parent
    NSP__RECORD_DECIDED = 0x80     // a local root that was sampled by this process's rates
};

// Type of the item that a record with NSP__RECORD_DROPS has somewhere; its payload is an nsp__dropped.
#define NSP__ITEM_DROPS 20u

// A frame's cursor. Low half: bytes of the record so far, which is where the next item goes. High half:
// attributes that may still be set; when there are none left, one more makes it negative.
#define NSP__CURSOR(attributes, bytes) ((uint32_t)(attributes) << 16 | (uint32_t)(bytes))

typedef struct nsp__dropped {
    uint16_t attributes, events, links, reserved;
} nsp__dropped;

// An open span. In the session's shared memory: written by the thread that owns the span; a reader after a
// crash takes frames whose tag is not 0 and whose position was not published.
typedef struct nsp__frame {
    uint32_t tag; // low half of the handle of the open span; 0: closed
    uint32_t reserved;
    uint64_t position; // ring position up to which its record reaches, once it is being committed; else 0
    uint32_t cursor;
    uint16_t events, links; // used up; with the cursor in one word, so that all are set at once
    uint64_t initial;       // that word, of a span just begun; never changes
    uint32_t ring;          // index of the thread slot whose ring that is
    uint16_t limit;         // bytes that the record may have
    uint16_t value_limit;   // characters of a text, bytes of a byte value
    uint16_t drops_at;      // where the DROPS item lies in the record, if its flag says that there is one
    uint16_t detached;      // not 0: not on a stack. 2: and a rule looks at it where it ends (speculation.h)
    uint16_t
        locked;   // 1 while the library writes into the record: the cursor has no attributes left meanwhile
    uint16_t cpu; // of a local root: the CPU on which it began; 0xffff: not known
    nsp__dropped interrupting; // what signal handlers tried to set while it was locked
    nsp__record record;        // its items begin on a cache line
} nsp__frame;

// The bytes of an open span's record so far. A session that ends at this moment turns its memory into zeroes,
// even between two loads. Hence the half word: whatever is read, it is the size of something that lies within
// the session's memory.
static inline __attribute__((unused, always_inline)) uint32_t nsp__frame_bytes(const nsp__frame *frame)
{
    uint16_t bytes; // the low half alone (little endian)
    __builtin_memcpy(&bytes, &frame->cursor, sizeof bytes);
    return bytes;
}

// Where the next item goes if the cursor is this.
static inline __attribute__((unused, always_inline)) uint64_t *nsp__frame_place(nsp__frame *frame,
                                                                                uint32_t cursor)
{
    return (uint64_t *)(void *)((char *)&frame->record + (uint16_t)cursor);
}

// Bytes of an item with this payload. Items are whole pairs, since that is how they are copied.
#define NSP__ITEM_BYTES(payload) (((uint32_t)(payload) + 8u + 15u) & ~15u)

// The word that an item begins with, but for its mark. small: the value itself where it has no payload, 0 or 1.
static inline __attribute__((unused, always_inline)) uint64_t nsp__item_tag(nsp_name key, uint32_t type,
                                                                            uint32_t small, size_t length)
{
    return key | (uint64_t)length << 32 | (uint64_t)type << 48 | (uint64_t)small << 56;
}

// Every item is marked as one of its span: the upper seven bits of its first word are those of the span's
// handle or, which is the same, of its frame's tag. An inline setter moves the cursor first and writes the item
// then, so if the thread dies in between, what lies there is a leftover of whatever span used the frame before.
// By the mark a reader tells it from an item of the span: the last span in the frame has another one, unless a
// multiple of 128 spans have begun on the thread since. (A handle's lowest bit is always 1.) The mark and the first
// word of the value are one pair, which x86 stores at once. On arm64 a pair is one instruction but two single-copy
// atomic halves, so a thread that is killed in the middle of it may leave the mark with an older value.
#define NSP__ITEM_MARK_BITS UINT64_C(0xfe)

static inline __attribute__((unused, always_inline)) uint64_t nsp__item_mark(uintptr_t handle)
{
    return (handle - 1) << 56; // in fewer instructions than by the mask, since the lowest bit is 1
}

// True if the item that begins with this word belongs to the span with this handle, or this tag of its frame.
static inline __attribute__((unused, always_inline)) bool nsp__item_of_span(uint64_t item, uintptr_t handle)
{
    return ((item >> 56 ^ handle) & NSP__ITEM_MARK_BITS) == 0;
}

// One step of a thread's stack of open spans. Process-local.
typedef struct nsp__entry {
    uintptr_t current; // handle that is current at this depth, or what stands for it
    nsp__frame *frame; // the frame of this depth; NULL at the bottom and past the top
} nsp__entry;

// What an unsampled root touches. In shared memory.
typedef struct nsp__skips {
    // Of the policy in force. Written by whoever changes the policy, in any process, and by the thread (relaxed load
    // N1, see sampler.c); 0: the session is over.
    uint32_t generation;
    uint32_t reserved;
    // By class of names, written by the thread: roots still to be left out before the next hit. A signal handler may
    // make it negative.
    int64_t left[64];
} nsp__skips;

// A thread's hot state, as far as inline code knows it. Process-local, written only by its thread.
typedef struct nsp__thread {
    nsp__entry *top;
    const uint8_t *classes; // by name: class of a local root
    nsp__skips *skips;
    uint32_t generation;      // of the policy that classes and skips belong to
    uint32_t unsampled_class; // class of the unsampled root; its context is not drawn yet
    bool reads_counter;       // the clock is a counter that may be read here
} nsp__thread;

NSP_BEGIN_DECLS
// The calling thread's state. Threads that are not attached share one state. Never NULL.
// Initial-exec, so that reading it is one instruction.
extern NSP_API __thread nsp__thread *nsp__thread_v4 __attribute__((tls_model("initial-exec")));
NSP_END_DECLS

static inline __attribute__((unused, always_inline)) nsp__frame *nsp__frame_of(const nsp_span *span)
{
    return (nsp__frame *)((uintptr_t)span & ~NSP__TAG_MASK);
}

NSP_INLINE bool nsp_span_recording(const nsp_span *span)
{
    return ((uintptr_t)span & NSP__RECORDING) != 0;
}

#endif

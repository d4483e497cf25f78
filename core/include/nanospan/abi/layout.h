// SPDX-License-Identifier: Apache-2.0
//
// What the inline hot path and the library agree on: handles, records, frames, a thread's hot state. A change here is
// a new ABI (SOVERSION, and the number in the name of the thread-local symbol). Not for direct inclusion.
#ifndef NANOSPAN_SPAN_H
#error "include <nanospan/nanospan.h>"
#endif
#ifndef NANOSPAN_ABI_LAYOUT_H
#define NANOSPAN_ABI_LAYOUT_H

// A span's handle is the address of its frame (256-byte aligned) plus eight low bits: bit 0 says "recording", the
// other seven are a generation, which lets a second end of the same span be told from the end of a new one. So one
// test of bit 0 tells what setters have to do; NULL and the sentinels below have it clear.
#define NSP__RECORDING ((uintptr_t)1)
#define NSP__FRAME_ALIGN 256u
#define NSP__TAG_MASK ((uintptr_t)0xff)

#define NSP__MUTED_ROOT ((uintptr_t)2)  // an unsampled root without frame: its end unmutes the thread
#define NSP__MUTED_CHILD ((uintptr_t)4) // any span under it
// What only a thread's stack holds, never the caller:
#define NSP__ENTERED_INERT ((uintptr_t)6) // an inert span was entered
#define NSP__HOLE ((uintptr_t)8)          // ended before the spans above it
#define NSP__BUSY ((uintptr_t)10)         // nanospan is at work; a signal handler keeps out

// The fixed part of a record; items (see nsp_item_next) follow. Ids are stored as on the wire. In shared memory:
// written by the span's thread, read by the drainer once it is published in a ring.
typedef struct nsp__record {
    uint32_t bytes; // whole record, a multiple of 8; in a ring (of an open span, nsp__frame_bytes)
    nsp_name name;
    uint64_t start, end; // ticks; end in a ring
    uint8_t flags;       // NSP__RECORD_...
    uint8_t kind;
    uint8_t status;
    uint8_t reserved;
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
    NSP__RECORD_DROPS = 0x20       // has an item that counts what was dropped
};

// Type of the item that a record with NSP__RECORD_DROPS has somewhere; its payload is an nsp__dropped.
#define NSP__ITEM_DROPS 20u

// What a span has used up so far.
typedef struct nsp__used {
    uint16_t events, links;
    uint32_t drops_at; // where the DROPS item lies in the record, if its flag says that there is one
} nsp__used;

// A pen of these halves. An underflow of either half shows in its top bit.
#define NSP__PEN(attributes, bytes) ((uint64_t)(attributes) << 32 | (uint32_t)(bytes))
#define NSP__PEN_UNDERFLOW UINT64_C(0x8000000080000000)

typedef struct nsp__dropped {
    uint16_t attributes, events, links, reserved;
} nsp__dropped;

// An open span. In the session's shared memory: written by the thread that owns the span; a reader after a crash takes
// frames whose tag is not 0 and whose position was not published.
typedef struct nsp__frame {
    uint32_t tag; // low bits of the handle of the open span; 0: closed
    uint32_t reserved;
    uint64_t position;    // ring position up to which its record reaches, once it is being committed; else 0
    uint64_t pen;         // what may still be written: bytes (low half), attributes (high half)
    nsp__used used;       // behind the pen, so that both are set at once
    uint64_t fresh_pen;   // of a span just begun; never changes
    uint32_t ring;        // index of the thread slot whose ring that is
    uint32_t limit;       // bytes that the record may have
    uint32_t value_limit; // bytes of a text or byte value
    uint16_t detached;    // 1: not on a stack
    uint16_t locked; // 1 while the library writes into the record: the pen has no attributes left meanwhile
    nsp__dropped interrupting; // what signal handlers tried to set while it was locked
    nsp__record record;
} nsp__frame;

// Bytes of an open span's record so far, if `pen` is its frame's. A session that ends at this moment turns its
// memory to zeroes, between two loads too. Hence the mask (records have less than 64 KiB): whatever was read, it is
// the size of something that lies within the session's memory.
static inline __attribute__((unused, always_inline)) uint32_t nsp__bytes_at(const nsp__frame *frame,
                                                                            uint64_t pen)
{
    return (uint16_t)(__atomic_load_n(&frame->limit, __ATOMIC_ACQUIRE) - (uint32_t)pen);
}

static inline __attribute__((unused, always_inline)) uint32_t nsp__frame_bytes(const nsp__frame *frame)
{
    return nsp__bytes_at(frame, frame->pen);
}

// Where the next item goes.
static inline __attribute__((unused, always_inline)) uint64_t *nsp__frame_place(nsp__frame *frame,
                                                                                uint64_t pen)
{
    return (uint64_t *)(void *)((char *)&frame->record + nsp__bytes_at(frame, pen));
}

// One step of a thread's stack of open spans. Process-local.
typedef struct nsp__entry {
    uintptr_t current; // handle that is current at this depth; 0 at the bottom: none
    nsp__frame *frame; // the frame of this depth; NULL at the bottom and past the top
} nsp__entry;

// What an unsampled root touches, one for each class of names. In shared memory, written by the thread.
typedef struct nsp__skips {
    uint64_t left[64]; // roots still to be left out before the next hit
} nsp__skips;

// A thread's hot state, as far as inline code knows it. Process-local, written only by its thread.
typedef struct nsp__thread {
    nsp__entry *top;
    const uint32_t
        *generation_now;    // the policy's, in the session; relaxed load N1, published at N2 (sampler.c)
    const uint8_t *classes; // by name: class of a local root
    nsp__skips *skips;
    uint32_t generation;  // the one that classes and skips belong to
    uint32_t muted_class; // class of the unsampled root; its context is not drawn yet
} nsp__thread;

NSP_BEGIN_DECLS
// The calling thread's state, or NULL if it is not attached. Initial-exec, so that reading it is one instruction.
extern NSP_API __thread nsp__thread *nsp__thread_v1 __attribute__((tls_model("initial-exec")));
// True while tracing runs; a thread that is not attached looks here first.
extern NSP_API bool nsp__active;
NSP_END_DECLS

static inline __attribute__((unused, always_inline)) nsp__frame *nsp__frame_of(const nsp_span *span)
{
    return (nsp__frame *)((uintptr_t)span & ~NSP__TAG_MASK);
}

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The identity of a span that travels between processes (W3C Trace Context level 2). No call allocates, locks or blocks, or
// takes more than 4 KiB of stack.
#ifndef NANOSPAN_CONTEXT_H
#define NANOSPAN_CONTEXT_H

#include <nanospan/base.h>

enum {
    NSP_TRACE_ID_SIZE = 16,
    NSP_SPAN_ID_SIZE = 8,
    NSP_TRACEPARENT_SIZE = 56,   // 55 characters and the terminating zero
    NSP_TRACESTATE_MAX = 512,    // bytes kept of a tracestate, without a terminating zero
    NSP_CONTEXT_PACKED_MIN = 26, // packed without tracestate
    NSP_CONTEXT_PACKED_SIZE = 26 + 2 + 512
};

enum {
    NSP_TRACE_FLAG_SAMPLED = 0x01,
    NSP_TRACE_FLAG_RANDOM = 0x02, // the right-most 7 bytes of the trace id are random
    // What B3 can say beyond that. Known to nsp_extract, nsp_inject and explicit parents alone: never in a traceparent,
    // in packed bytes or in what is exported.
    NSP_TRACE_FLAG_DEFERRED = 0x20, // the sender leaves the decision to this process
    NSP_TRACE_FLAG_DEBUG = 0x40,    // recorded whatever rates and policies say, here and further on
    NSP_TRACE_FLAG_DECIDED = 0x80   // no ids (the context is invalid), but a decision for a new trace
};

// "No threshold", "no explicit randomness": both are 56-bit quantities otherwise.
#define NSP_CONTEXT_UNKNOWN UINT64_MAX

// A value: copy it, keep it, send it. All zero is the invalid context, which as a parent means "none".
typedef struct nsp_context {
    uint8_t trace_id[NSP_TRACE_ID_SIZE]; // as on the wire
    uint8_t span_id[NSP_SPAN_ID_SIZE];
    uint8_t flags;              // NSP_TRACE_FLAG_...
    bool remote;                // came from another process
    uint16_t tracestate_length; // 0 to NSP_TRACESTATE_MAX
    uint64_t threshold;         // the `th` of the tracestate's `ot` member; NSP_CONTEXT_UNKNOWN if none
    uint64_t randomness;        // its `rv`; NSP_CONTEXT_UNKNOWN if none
    uint64_t local_root;        // id of the trace's first span in this process, 0 if unknown; never sent
    char tracestate[NSP_TRACESTATE_MAX]; // the whole list, `ot` included; not zero terminated
} nsp_context;

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// True if both ids are non-zero.
NSP_API bool nsp_context_valid(const nsp_context *context);

// Reads the two headers; tracestate may be NULL. A bad traceparent gives NSP_ERR_INVALID and the invalid context; a
// bad tracestate is dropped whole and the traceparent kept (NSP_OK). *out is always written, remote is set. Never
// allocates. Thread and signal safe.
NSP_API nsp_status nsp_context_parse(nsp_context *out, const char *traceparent, const char *tracestate);

// The same for texts that are not zero terminated; NULL with length 0 where there is none.
NSP_API nsp_status nsp_context_parsen(nsp_context *out, const char *traceparent, size_t traceparent_length,
                                      const char *tracestate, size_t tracestate_length);

// Writes the traceparent, zero terminated. The invalid context gives "". Thread and signal safe.
NSP_API void nsp_context_format(const nsp_context *context, char traceparent[NSP_TRACEPARENT_SIZE]);

// Writes the tracestate, zero terminated, with `ot` first if a threshold or randomness was changed; returns its
// length without the zero. If size is too small, whole members are left out from the right.
NSP_API size_t nsp_context_format_state(const nsp_context *context, char *tracestate, size_t size);

// Raw bytes for binary protocols, a fixed NSP_CONTEXT_PACKED_SIZE of which nsp_context_packed_size are used: version
// 0, trace id (16), span id (8), flags (1), then, only if there is a tracestate, its length (2, little endian) and
// bytes. Unused bytes are zero.
NSP_API void nsp_context_pack(const nsp_context *context, uint8_t out[NSP_CONTEXT_PACKED_SIZE]);
NSP_API size_t nsp_context_packed_size(const nsp_context *context);

// Reads packed bytes, NSP_CONTEXT_PACKED_MIN of them or more; NSP_ERR_INVALID and the invalid context if they are
// not well formed. A bad tracestate is dropped whole. Thread and signal safe.
NSP_API nsp_status nsp_context_unpack(nsp_context *out, const uint8_t *bytes, size_t length);

#endif
NSP_END_DECLS
#endif

// SPDX-License-Identifier: Apache-2.0
//
// A span's identity, which travels between processes (W3C Trace Context level 2). No call allocates, locks,
// blocks or uses more than 4 KiB of stack. All are thread safe and signal safe.
#ifndef NANOSPAN_CONTEXT_H
#define NANOSPAN_CONTEXT_H

#include <nanospan/base.h>

enum {
    NSP_TRACE_ID_SIZE = 16,
    NSP_SPAN_ID_SIZE = 8,
    NSP_TRACEPARENT_SIZE = 56,   // 55 characters and the terminating zero
    NSP_TRACESTATE_MAX = 512,    // bytes kept of a tracestate, without a terminating zero
    NSP_CONTEXT_PACKED_MIN = 26, // bytes of a packed context without a tracestate
    NSP_CONTEXT_PACKED_SIZE = 26 + 2 + 512
};

enum {
    NSP_TRACE_FLAG_SAMPLED = 0x01,
    NSP_TRACE_FLAG_RANDOM = 0x02, // the right-most 7 bytes of the trace id are random
    // What B3 can express in addition. Only nsp_extract, nsp_inject and explicit parents use these flags.
    // They never appear in a traceparent, in packed bytes or in exported spans.
    NSP_TRACE_FLAG_DEFERRED = 0x20, // the sender leaves the sampling decision to this process
    NSP_TRACE_FLAG_DEBUG = 0x40,    // recorded regardless of rates and policies, here and downstream
    NSP_TRACE_FLAG_DECIDED = 0x80 // no ids (the context is invalid), but a sampling decision for a new trace
};

// No threshold, or no explicit randomness. Otherwise both are 56-bit quantities.
#define NSP_CONTEXT_UNKNOWN UINT64_MAX

// A plain value, which may be copied, kept and sent. All zero is the invalid context; as a parent, it means
// "none".
typedef struct nsp_context {
    uint8_t trace_id[NSP_TRACE_ID_SIZE]; // in the order of the bytes on the wire
    uint8_t span_id[NSP_SPAN_ID_SIZE];
    uint8_t flags;              // NSP_TRACE_FLAG_...
    bool remote;                // it came from another process
    uint16_t tracestate_length; // 0 to NSP_TRACESTATE_MAX
    uint64_t threshold;         // `th` of the tracestate's `ot` member; NSP_CONTEXT_UNKNOWN if there is none
    uint64_t randomness;        // `rv` of the same member; NSP_CONTEXT_UNKNOWN if there is none
    uint64_t local_root;        // id of the trace's first span in this process, 0 if unknown; never sent
    char tracestate[NSP_TRACESTATE_MAX]; // the whole list, including `ot`; not zero terminated
} nsp_context;

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Returns true if both ids are non-zero.
NSP_API bool nsp_context_valid(const nsp_context *context);

// Reads the two headers; `tracestate` may be NULL. A malformed traceparent gives NSP_ERR_INVALID and the
// invalid context. A malformed tracestate is dropped as a whole and the traceparent is kept (NSP_OK). *out is
// always written, with `remote` set.
NSP_API nsp_status nsp_context_parse(nsp_context *out, const char *traceparent, const char *tracestate);

// Does the same for texts that are not zero terminated. Pass NULL and length 0 for a header that is absent.
NSP_API nsp_status nsp_context_parsen(nsp_context *out, const char *traceparent, size_t traceparent_length,
                                      const char *tracestate, size_t tracestate_length);

// Writes the traceparent, zero terminated. The invalid context gives "".
NSP_API void nsp_context_format(const nsp_context *context, char traceparent[NSP_TRACEPARENT_SIZE]);

// Writes the tracestate, zero terminated, with `ot` first if the threshold or the randomness was changed.
// Returns its length without the terminating zero. If `size` (in bytes) is too small, whole members are left
// out from the right.
NSP_API size_t nsp_context_format_state(const nsp_context *context, char *tracestate, size_t size);

// Writes a context as raw bytes for binary protocols: version 0 (1 byte), trace id (16), span id (8), flags
// (1) and, only if there is a tracestate, its length (2, little endian) and its bytes.
// nsp_context_packed_size returns how many of the NSP_CONTEXT_PACKED_SIZE bytes are used; the others are
// zero.
NSP_API void nsp_context_pack(const nsp_context *context, uint8_t out[NSP_CONTEXT_PACKED_SIZE]);
NSP_API size_t nsp_context_packed_size(const nsp_context *context);

// Reads packed bytes, of which there must be at least NSP_CONTEXT_PACKED_MIN. Malformed bytes give
// NSP_ERR_INVALID and the invalid context. A malformed tracestate is dropped as a whole.
NSP_API nsp_status nsp_context_unpack(nsp_context *out, const uint8_t *bytes, size_t length);

#endif
NSP_END_DECLS
#endif

// SPDX-License-Identifier: Apache-2.0
#include "context/context.h"

#include "common/hex.h"
#include "context/tracestate.h"
#include <string.h>

enum {
    TRACEPARENT_LENGTH = NSP_TRACEPARENT_SIZE - 1,
    TRACE_ID_AT = 3, // in a traceparent, after "00-"
    SPAN_ID_AT = 36,
    FLAGS_AT = 53,
    PACKED_TRACE_ID_AT = 1,
    PACKED_SPAN_ID_AT = 17,
    PACKED_FLAGS_AT = 25,
    PACKED_LENGTH_AT = 26,
    PACKED_TEXT_AT = 28,
    KNOWN_FLAGS = NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_RANDOM
};

void nsp__context_invalid(nsp_context *context)
{
    memset(context, 0, sizeof *context);
}

// Sets everything to zero except the tracestate, which nsp__tracestate_read fills completely.
static void clear_head(nsp_context *context)
{
    memset(context, 0, offsetof(nsp_context, tracestate));
}

bool nsp_context_valid(const nsp_context *context)
{
    return context != NULL && nsp__context_has_ids(context);
}

// Reads version, ids and flags. False if the text is not a traceparent; *out may then hold anything.
static bool read_traceparent(nsp_context *out, const char *text, size_t length)
{
    if (length < TRACEPARENT_LENGTH)
        return false;
    // The two digits of the version and those of the flags are decoded as one word, filled up with zeros.
    uint64_t ends = (uint64_t)(uint8_t)text[0] | (uint64_t)(uint8_t)text[1] << 8 |
                    (uint64_t)(uint8_t)text[FLAGS_AT] << 16 | (uint64_t)(uint8_t)text[FLAGS_AT + 1] << 24 |
                    (NSP__HEX_EACH('0') << 32);
    uint32_t version_and_flags, trace_bits = 0, span_bits = 0;
    bool ok = nsp__hex_decode_word(ends, &version_and_flags);
    for (size_t i = 0; i < NSP_TRACE_ID_SIZE / 4; i++)
        ok &= nsp__hex_decode8(out->trace_id + 4 * i, text + TRACE_ID_AT + 8 * i, &trace_bits);
    for (size_t i = 0; i < NSP_SPAN_ID_SIZE / 4; i++)
        ok &= nsp__hex_decode8(out->span_id + 4 * i, text + SPAN_ID_AT + 8 * i, &span_bits);
    ok &= text[TRACE_ID_AT - 1] == '-' && text[SPAN_ID_AT - 1] == '-' && text[FLAGS_AT - 1] == '-';
    uint32_t version = version_and_flags & 0xff;
    ok &= version != 0xff;
    // A future version may have more fields. All that is known of them is that a dash separates them.
    if (length > TRACEPARENT_LENGTH)
        ok &= version != 0 && text[TRACEPARENT_LENGTH] == '-';
    out->flags = (uint8_t)(version_and_flags >> 8 & KNOWN_FLAGS);
    return ok && trace_bits != 0 && span_bits != 0;
}

nsp_status nsp_context_parsen(nsp_context *out, const char *traceparent, size_t traceparent_length,
                              const char *tracestate, size_t tracestate_length)
{
    clear_head(out);
    if (traceparent == NULL || !read_traceparent(out, traceparent, traceparent_length)) {
        nsp__context_invalid(out);
        return NSP_ERR_INVALID;
    }
    out->remote = true;
    nsp__tracestate_read(out, tracestate, tracestate != NULL ? tracestate_length : 0);
    return NSP_OK;
}

nsp_status nsp_context_parse(nsp_context *out, const char *traceparent, const char *tracestate)
{
    // Only the first character after a traceparent matters; later ones do not.
    size_t length = traceparent != NULL ? strnlen(traceparent, TRACEPARENT_LENGTH + 1) : 0;
    return nsp_context_parsen(out, traceparent, length, tracestate,
                              tracestate != NULL ? strlen(tracestate) : 0);
}

void nsp_context_format(const nsp_context *context, char traceparent[NSP_TRACEPARENT_SIZE])
{
    traceparent[0] = '\0';
    if (!nsp_context_valid(context))
        return;
    memcpy(traceparent, "00-", 3);
    for (size_t i = 0; i < NSP_TRACE_ID_SIZE / 4; i++)
        nsp__hex_encode4(traceparent + TRACE_ID_AT + 8 * i, context->trace_id + 4 * i);
    for (size_t i = 0; i < NSP_SPAN_ID_SIZE / 4; i++)
        nsp__hex_encode4(traceparent + SPAN_ID_AT + 8 * i, context->span_id + 4 * i);
    traceparent[SPAN_ID_AT - 1] = traceparent[FLAGS_AT - 1] = '-';
    traceparent[FLAGS_AT] = '0';
    traceparent[FLAGS_AT + 1] = (char)('0' + (context->flags & KNOWN_FLAGS));
    traceparent[TRACEPARENT_LENGTH] = '\0';
}

size_t nsp_context_format_state(const nsp_context *context, char *tracestate, size_t size)
{
    if (size == 0)
        return 0;
    size_t length = nsp_context_valid(context) ? nsp__tracestate_write(context, tracestate, size - 1) : 0;
    tracestate[length] = '\0';
    return length;
}

void nsp_context_pack(const nsp_context *context, uint8_t out[NSP_CONTEXT_PACKED_SIZE])
{
    memset(out, 0, NSP_CONTEXT_PACKED_SIZE);
    if (!nsp_context_valid(context))
        return;
    memcpy(out + PACKED_TRACE_ID_AT, context->trace_id, NSP_TRACE_ID_SIZE);
    memcpy(out + PACKED_SPAN_ID_AT, context->span_id, NSP_SPAN_ID_SIZE);
    out[PACKED_FLAGS_AT] = context->flags & KNOWN_FLAGS;
    size_t length = nsp__tracestate_write(context, (char *)out + PACKED_TEXT_AT, NSP_TRACESTATE_MAX);
    out[PACKED_LENGTH_AT] = (uint8_t)length;
    out[PACKED_LENGTH_AT + 1] = (uint8_t)(length >> 8);
}

size_t nsp_context_packed_size(const nsp_context *context)
{
    char text[NSP_TRACESTATE_MAX];
    size_t length = nsp_context_valid(context) ? nsp__tracestate_write(context, text, sizeof text) : 0;
    return length == 0 ? (size_t)NSP_CONTEXT_PACKED_MIN : PACKED_TEXT_AT + length;
}

nsp_status nsp_context_unpack(nsp_context *out, const uint8_t *bytes, size_t length)
{
    if (bytes == NULL || length < NSP_CONTEXT_PACKED_MIN || bytes[0] != 0) {
        nsp__context_invalid(out);
        return NSP_ERR_INVALID;
    }
    clear_head(out);
    memcpy(out->trace_id, bytes + PACKED_TRACE_ID_AT, NSP_TRACE_ID_SIZE);
    memcpy(out->span_id, bytes + PACKED_SPAN_ID_AT, NSP_SPAN_ID_SIZE);
    if (!nsp__context_has_ids(out)) {
        nsp__context_invalid(out);
        return NSP_ERR_INVALID;
    }
    out->flags = bytes[PACKED_FLAGS_AT] & KNOWN_FLAGS;
    out->remote = true;
    const char *text = NULL;
    size_t text_length = 0;
    if (length > PACKED_TEXT_AT) {
        text = (const char *)bytes + PACKED_TEXT_AT;
        text_length = (size_t)bytes[PACKED_LENGTH_AT] | (size_t)bytes[PACKED_LENGTH_AT + 1] << 8;
        if (text_length > NSP_TRACESTATE_MAX || text_length > length - PACKED_TEXT_AT)
            text_length = 0;
    }
    nsp__tracestate_read(out, text, text_length);
    return NSP_OK;
}

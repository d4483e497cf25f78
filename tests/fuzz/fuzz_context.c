// SPDX-License-Identifier: Apache-2.0
//
// Input: a packed context, which is also read as a traceparent on one line and a tracestate on the next. A
// context that is accepted packs to the same bytes again, and its header fields read back as the same
// context. Whatever its members hold, what is written of it is well formed.
//
// Parsers: core/context/context.c core/context/tracestate.c common/hex.h
#include "fuzz.h"

#include <nanospan/context.h>

static const nsp_context nothing;

// Both functions that read header fields agree, and what they accept reads back as the same.
static void check_fields(const uint8_t *bytes, size_t size)
{
    nsp_context context, again;
    char *parent = fuzz_line(&bytes, &size), *list = fuzz_text(bytes, size);
    char written[NSP_TRACEPARENT_SIZE], state[NSP_TRACESTATE_MAX + 1];
    nsp_status status = nsp_context_parse(&context, parent, size != 0 ? list : NULL);
    char *exact = fuzz_copy(list, strlen(list));
    MUST(nsp_context_parsen(&again, parent, parent != NULL ? strlen(parent) : 0, exact, strlen(list)) ==
         status);
    MUST(memcmp(&again, &context, sizeof again) == 0);
    MUST((status == NSP_OK) == nsp_context_valid(&context));
    nsp_context_format(&context, written);
    MUST(nsp_context_format_state(&context, state, sizeof state) == context.tracestate_length);
    MUST(nsp_context_parse(&again, written, state) == status);
    MUST(memcmp(&again, &context, sizeof again) == 0);
    free(exact);
    free(list);
    free(parent);
}

// The bytes as members that the application has filled in.
static void check_filled(const nsp_context *accepted, const uint8_t *bytes, size_t size)
{
    nsp_context context = *accepted, again;
    char parent[NSP_TRACEPARENT_SIZE], list[NSP_TRACESTATE_MAX + 1];
    // Any threshold and randomness can be written, into a buffer of any size, and are read back unchanged.
    memcpy(&context.threshold, bytes, sizeof context.threshold);
    memcpy(&context.randomness, bytes + 8, sizeof context.randomness);
    context.threshold >>= 8;
    context.randomness >>= 8;
    if ((bytes[25] & 4) != 0)
        context.threshold = NSP_CONTEXT_UNKNOWN;
    if ((bytes[25] & 8) != 0)
        context.randomness = NSP_CONTEXT_UNKNOWN;
    nsp_context_format(&context, parent);
    nsp_context_format_state(&context, list, sizeof list);
    MUST(nsp_context_parse(&again, parent, list) == NSP_OK);
    MUST(again.threshold == context.threshold && again.randomness == context.randomness);
    size_t room = bytes[size - 1];
    MUST(nsp_context_format_state(&context, list, room) < (room != 0 ? room : 1));
    // Of a tracestate that is not well formed nothing is written.
    size_t text = size > 28 ? size - 28 : 0;
    text = text < NSP_TRACESTATE_MAX ? text : NSP_TRACESTATE_MAX;
    memset(context.tracestate, 0, sizeof context.tracestate);
    memcpy(context.tracestate, bytes + size - text, text);
    memcpy(list, context.tracestate, NSP_TRACESTATE_MAX);
    list[text] = '\0';
    nsp_context said;
    nsp_context_parse(&said, parent, list);
    for (int way = 0; way < 4; way++) {
        context.tracestate_length = (uint16_t)(way == 0 ? NSP_TRACESTATE_MAX + 1 : text);
        if (way == 2) // what the text says
            context.threshold = said.threshold;
        if (way == 3)
            context.randomness = said.randomness;
        size_t written = nsp_context_format_state(&context, list, sizeof list);
        MUST(nsp_context_parse(&again, parent, list) == NSP_OK);
        MUST(again.tracestate_length == written && memcmp(again.tracestate, list, written) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    nsp_context context, again;
    uint8_t packed[NSP_CONTEXT_PACKED_SIZE];
    char parent[NSP_TRACEPARENT_SIZE], list[NSP_TRACESTATE_MAX + 1];
    check_fields(bytes, size);
    memset(&context, 0xa5, sizeof context);
    if (nsp_context_unpack(&context, bytes, size) != NSP_OK) {
        MUST(memcmp(&context, &nothing, sizeof nothing) == 0);
        MUST(nsp_context_packed_size(&context) == NSP_CONTEXT_PACKED_MIN);
        nsp_context_pack(&context, packed);
        MUST(nsp_context_unpack(&again, packed, sizeof packed) != NSP_OK);
        MUST(nsp_context_unpack(&again, NULL, 0) != NSP_OK && !nsp_context_valid(NULL));
        return 0;
    }
    MUST(nsp_context_valid(&context) && context.remote && (context.flags & ~3) == 0);
    nsp_context_pack(&context, packed);
    size_t used = nsp_context_packed_size(&context);
    MUST(used >= NSP_CONTEXT_PACKED_MIN && used <= NSP_CONTEXT_PACKED_SIZE);
    for (size_t length = used; length <= sizeof packed; length += sizeof packed - used + (length != used)) {
        MUST(nsp_context_unpack(&again, packed, length) == NSP_OK);
        MUST(memcmp(&again, &context, sizeof again) == 0);
    }
    nsp_context_format(&context, parent);
    MUST(nsp_context_format_state(&context, list, sizeof list) == context.tracestate_length);
    MUST(nsp_context_parse(&again, parent, list) == NSP_OK);
    MUST(memcmp(&again, &context, sizeof again) == 0);
    check_filled(&context, bytes, size);
    return 0;
}

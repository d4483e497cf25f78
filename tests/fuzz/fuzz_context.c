// SPDX-License-Identifier: Apache-2.0
//
// Input: a packed context. If it is accepted, it packs to the same bytes again, and its header fields read
// back as the same context.
#include "fuzz.h"

#include <nanospan/context.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const nsp_context nothing;
    nsp_context context, again;
    uint8_t packed[NSP_CONTEXT_PACKED_SIZE];
    char parent[NSP_TRACEPARENT_SIZE], list[NSP_TRACESTATE_MAX + 1];
    memset(&context, 0xa5, sizeof context);
    if (nsp_context_unpack(&context, bytes, size) != NSP_OK) {
        MUST(memcmp(&context, &nothing, sizeof nothing) == 0);
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
    // Any threshold and randomness can be written, into a buffer of any size, and are read back unchanged.
    memcpy(&context.threshold, bytes, sizeof context.threshold);
    memcpy(&context.randomness, bytes + 8, sizeof context.randomness);
    context.threshold >>= 8;
    context.randomness >>= 8;
    nsp_context_format_state(&context, list, sizeof list);
    MUST(nsp_context_parse(&again, parent, list) == NSP_OK);
    MUST(again.threshold == context.threshold && again.randomness == context.randomness);
    size_t room = bytes[size - 1];
    MUST(nsp_context_format_state(&context, list, room) < (room != 0 ? room : 1));
    return 0;
}

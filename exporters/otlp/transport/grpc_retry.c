// SPDX-License-Identifier: Apache-2.0
#include "otlp/transport/grpc_retry.h"

#include <string.h>

nsp_send_result nsp__otlp_grpc_result(nsp__grpc_code code, bool retry_info)
{
    switch (code) {
    case NSP__GRPC_CANCELLED:
    case NSP__GRPC_DEADLINE_EXCEEDED:
        return NSP_SEND_UNKNOWN; // somebody on the way gave up; the spans may have been taken before that
    case NSP__GRPC_ABORTED:
    case NSP__GRPC_OUT_OF_RANGE:
    case NSP__GRPC_UNAVAILABLE:
    case NSP__GRPC_DATA_LOSS: return NSP_SEND_RETRY;
    case NSP__GRPC_RESOURCE_EXHAUSTED: return retry_info ? NSP_SEND_RETRY : NSP_SEND_REJECTED;
    default: return NSP_SEND_REJECTED;
    }
}

static bool mentions_size(const char *text)
{
    static const char *const words[] = {"larg", "too big", "too long", "size", "length", "byte"};
    for (size_t i = 0; i < sizeof words / sizeof *words; ++i)
        if (strcasestr(text, words[i]) != NULL)
            return true;
    return false;
}

// RESOURCE_EXHAUSTED usually means the size, if not a quota, and some servers answer OUT_OF_RANGE.
bool nsp__otlp_grpc_size_refused(nsp__grpc_code code, bool retry_info, const char *message)
{
    if (retry_info)
        return false;
    bool mentioned = mentions_size(message);
    return (code == NSP__GRPC_RESOURCE_EXHAUSTED && (!message[0] || mentioned)) ||
           (code == NSP__GRPC_OUT_OF_RANGE && mentioned);
}

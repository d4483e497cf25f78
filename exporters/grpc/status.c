// SPDX-License-Identifier: Apache-2.0
#include "grpc/status.h"

#include "common/base64.h"
#include "common/percent.h"
#include "common/time.h"
#include "common/utf8.h"

#include "rpc.pb-c.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
    "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
};

const char *nsp__grpc_code_name(nsp__grpc_code code)
{
    return code <= NSP__GRPC_UNAUTHENTICATED ? names[code] : names[NSP__GRPC_UNKNOWN];
}

bool nsp__grpc_code_read(const char *text, nsp__grpc_code *code)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits])
        return false;
    unsigned long number = digits > 3 ? 999 : strtoul(text, NULL, 10);
    *code = number <= NSP__GRPC_UNAUTHENTICATED ? (nsp__grpc_code)number : NSP__GRPC_UNKNOWN;
    return true;
}

nsp__grpc_code nsp__grpc_code_of_http(unsigned status)
{
    switch (status) {
    case 400: return NSP__GRPC_INTERNAL;
    case 401: return NSP__GRPC_UNAUTHENTICATED;
    case 403: return NSP__GRPC_PERMISSION_DENIED;
    case 404: return NSP__GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504: return NSP__GRPC_UNAVAILABLE;
    default: return NSP__GRPC_UNKNOWN;
    }
}

nsp__grpc_code nsp__grpc_code_of_reset(unsigned reset_code)
{
    switch (reset_code) {
    case 0x0: // NO_ERROR, although there is no status
    case 0x1: // PROTOCOL_ERROR
    case 0x2: // INTERNAL_ERROR
    case 0x3: // FLOW_CONTROL_ERROR
    case 0x4: // SETTINGS_TIMEOUT
    case 0x6: // FRAME_SIZE_ERROR
    case 0x9: // COMPRESSION_ERROR
    case 0xa: // CONNECT_ERROR
        return NSP__GRPC_INTERNAL;
    case 0x7: return NSP__GRPC_UNAVAILABLE;        // REFUSED_STREAM
    case 0x8: return NSP__GRPC_CANCELLED;          // CANCEL
    case 0xb: return NSP__GRPC_RESOURCE_EXHAUSTED; // ENHANCE_YOUR_CALM
    case 0xc: return NSP__GRPC_PERMISSION_DENIED;  // INADEQUATE_SECURITY
    default: return NSP__GRPC_UNKNOWN;
    }
}

void nsp__grpc_message_text(char *out, size_t size, const char *text)
{
    size_t length = strlen(text), used = 0;
    for (size_t at = 0; at < length && used < size; used++) {
        uint8_t byte;
        at += nsp__percent_byte(text + at, length - at, &byte);
        out[used] = (char)byte;
    }
    size_t kept = nsp__utf8_cut(out, used, size - 1);
    nsp__utf8_make_line(out, kept);
    out[kept] = 0;
}

static bool read_delay(const uint8_t *bytes, size_t length, uint64_t *delay_ns)
{
    enum { DAY_SECONDS = 86400 };
    Nanospan__Rpc__RetryInfo *info = nanospan__rpc__retry_info__unpack(NULL, length, bytes);
    const Nanospan__Rpc__Duration *delay = info != NULL ? info->retry_delay : NULL;
    bool sensible = info != NULL && (delay == NULL ||
                                     (delay->seconds >= 0 && delay->nanos >= 0 && delay->nanos < 1000000000));
    if (sensible && delay != NULL && delay->seconds < DAY_SECONDS)
        *delay_ns = (uint64_t)delay->seconds * NSP__SECOND + (uint64_t)delay->nanos;
    else if (sensible && delay != NULL)
        *delay_ns = (uint64_t)DAY_SECONDS * NSP__SECOND;
    if (info != NULL)
        nanospan__rpc__retry_info__free_unpacked(info, NULL);
    return sensible;
}

// The type is the part after the last slash.
static bool is_retry_info(const char *type_url)
{
    const char *slash = strrchr(type_url, '/');
    return strcmp(slash != NULL ? slash + 1 : type_url, "google.rpc.RetryInfo") == 0;
}

bool nsp__grpc_retry_info(const char *text, uint64_t *delay_ns)
{
    *delay_ns = 0;
    size_t digits = text != NULL ? strlen(text) : 0, length;
    uint8_t *bytes = text != NULL ? malloc(NSP__BASE64_BYTES(digits)) : NULL;
    bool read = bytes != NULL && nsp__base64_decode(bytes, text, digits, NSP__BASE64_STANDARD, &length);
    Nanospan__Rpc__Status *status = read ? nanospan__rpc__status__unpack(NULL, length, bytes) : NULL;
    free(bytes);
    if (status == NULL)
        return false;
    bool found = false;
    for (size_t i = 0; i < status->n_details && !found; ++i)
        if (is_retry_info(status->details[i]->type_url))
            found = read_delay(status->details[i]->value.data, status->details[i]->value.len, delay_ns);
    nanospan__rpc__status__free_unpacked(status, NULL);
    return found;
}

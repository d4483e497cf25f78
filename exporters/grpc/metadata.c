// SPDX-License-Identifier: Apache-2.0
#include "grpc/metadata.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "http/headers.h"

// Ours to set, or HTTP/2's. Everything that begins with grpc- is gRPC's own.
static const char *const reserved[] = {
    "content-type", "content-encoding", "content-length", "transfer-encoding",
    "te",           "connection",       "keep-alive",     "proxy-connection",
    "upgrade",      "http2-settings",   "accept-encoding"};

static bool is_reserved(const char *name)
{
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; ++i)
        if (strcmp(name, reserved[i]) == 0)
            return true;
    return strncmp(name, "grpc-", 5) == 0;
}

static bool is_printable(const char *value, size_t length)
{
    for (size_t i = 0; i < length; ++i)
        if (value[i] < ' ' || value[i] > '~')
            return false;
    return true;
}

static nsp_status append(void *context, char *name, char *value, size_t length, char *detail, size_t size)
{
    struct curl_slist **list = context;
    size_t name_length = strlen(name);
    for (char *c = name; *c; ++c)
        *c = (char)tolower((unsigned char)*c);
    if (is_reserved(name)) {
        snprintf(detail, size, "headers: %.64s is set by gRPC itself", name);
        return NSP_ERR_CONFIG;
    }
    if (name_length > 4 && strcmp(name + name_length - 4, "-bin") == 0) {
        char *text = malloc(NSP__BASE64_DIGITS(length) + 1);
        if (!text) {
            snprintf(detail, size, "headers: out of memory");
            return NSP_ERR_NO_MEMORY;
        }
        text[nsp__base64_encode(text, (const uint8_t *)value, length, false)] = 0;
        nsp_status status = nsp__http_headers_add_pair(list, name, text, detail, size);
        free(text);
        return status;
    }
    if (!is_printable(value, length)) {
        snprintf(detail, size,
                 "headers: the value of %.64s has other characters than printable ASCII; a name that ends in "
                 "-bin may",
                 name);
        return NSP_ERR_CONFIG;
    }
    return nsp__http_headers_add_pair(list, name, value, detail, size);
}

nsp_status nsp__grpc_metadata_append(struct curl_slist **list, const char *text, char *detail, size_t size)
{
    return nsp__http_headers_read(text, append, list, detail, size);
}

void nsp__grpc_timeout_write(char line[NSP__GRPC_TIMEOUT_BYTES], uint64_t timeout_ns)
{
    static const struct {
        char letter;
        uint64_t ns;
    } units[] = {{'n', 1},          {'u', 1000},           {'m', 1000000},
                 {'S', 1000000000}, {'M', 60000000000ull}, {'H', 3600000000000ull}};
    size_t unit = 0;
    while (unit < 5 && timeout_ns / units[unit].ns > 99999999)
        ++unit;
    uint64_t count = timeout_ns / units[unit].ns;
    snprintf(line, NSP__GRPC_TIMEOUT_BYTES, "grpc-timeout: %" PRIu64 "%c", count ? count : 1,
             units[unit].letter);
}

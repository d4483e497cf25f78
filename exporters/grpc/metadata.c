// SPDX-License-Identifier: Apache-2.0
#include "grpc/metadata.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "http/headers.h"

static nsp_status append(void *context, char *name, char *value, size_t length, char *detail, size_t size)
{
    struct curl_slist **list = context;
    for (char *c = name; *c; ++c)
        *c = (char)tolower((unsigned char)*c);
    if (nsp__header_binary(nsp__slice_of(name))) {
        char *text = malloc(NSP__BASE64_DIGITS(length) + 1);
        if (text == NULL) {
            snprintf(detail, size, "headers: out of memory");
            return NSP_ERR_NO_MEMORY;
        }
        text[nsp__base64_encode(text, (const uint8_t *)value, length, false)] = 0;
        nsp_status status = nsp__http_headers_add_pair(list, name, text, detail, size);
        free(text);
        return status;
    }
    return nsp__http_headers_add_pair(list, name, value, detail, size);
}

nsp_status nsp__grpc_metadata_append(struct curl_slist **list, const char *text, char *detail, size_t size)
{
    return nsp__http_headers_read(text, NSP__HEADER_GRPC, append, list, detail, size);
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

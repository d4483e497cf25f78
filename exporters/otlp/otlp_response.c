// SPDX-License-Identifier: Apache-2.0
#include "encode/utf8.h"
#include "otlp/otlp.h"

#include "otlp.pb-c.h"

#include <string.h>

// Copies a text as one line: control characters become spaces.
static void copy_line(char *out, size_t size, const char *text)
{
    if (size == 0)
        return;
    size_t length = nsp__utf8_cut((const uint8_t *)text, strlen(text), size - 1);
    for (size_t i = 0; i < length; i++)
        out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7F ? ' ' : text[i];
    out[length] = 0;
}

bool nsp__otlp_response_decode(const uint8_t *bytes, size_t length, int64_t *rejected, char *message,
                               size_t size)
{
    *rejected = 0;
    copy_line(message, size, "");
    Nanospan__Otlp__Response *response = nanospan__otlp__response__unpack(NULL, length, bytes);
    if (!response)
        return false;
    const Nanospan__Otlp__PartialSuccess *partial = response->partial_success;
    if (partial) {
        *rejected = partial->rejected_spans > 0 ? partial->rejected_spans : 0;
        copy_line(message, size, partial->error_message);
    }
    nanospan__otlp__response__free_unpacked(response, NULL);
    return true;
}

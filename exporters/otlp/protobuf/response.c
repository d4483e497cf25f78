// SPDX-License-Identifier: Apache-2.0
#include "common/utf8.h"
#include "otlp/protobuf/protobuf.h"

#include "otlp.pb-c.h"

bool nsp__otlp_response_decode(const uint8_t *bytes, size_t length, int64_t *rejected, char *message,
                               size_t size)
{
    *rejected = 0;
    nsp__utf8_line(message, size, "");
    Nanospan__Otlp__Response *response = nanospan__otlp__response__unpack(NULL, length, bytes);
    if (response == NULL)
        return false;
    const Nanospan__Otlp__PartialSuccess *partial = response->partial_success;
    if (partial != NULL) {
        *rejected = partial->rejected_spans > 0 ? partial->rejected_spans : 0;
        nsp__utf8_line(message, size, partial->error_message);
    }
    nanospan__otlp__response__free_unpacked(response, NULL);
    return true;
}

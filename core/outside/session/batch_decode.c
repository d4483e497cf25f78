// SPDX-License-Identifier: Apache-2.0
#include "outside/session/batch_decode.h"

#include <string.h>

#include "config/exporter_set.h"
#include "shm/batches.h"

static bool known(uint32_t encoding)
{
    return encoding == NSP_ENCODING_OTLP_PROTOBUF || encoding == NSP_ENCODING_OTLP_JSON;
}

// Finds what the library's encoders wrote: of a list, the first part in a known encoding, since each part has
// all the spans. The part's bytes are data[head..length).
static bool find_part(const nsp__batch_decoding *decoding, uint32_t *encoding, const uint8_t **bytes,
                      size_t *length)
{
    nsp__batch_part parts[NSP__BATCH_PARTS_MAX] = {
        {.head = decoding->head, .length = decoding->length, .encoding = decoding->encoding}};
    size_t count = 1;
    if (decoding->encoding == NSP_ENCODING_LIST) {
        if (decoding->size < sizeof parts)
            return false;
        memcpy(parts, decoding->bytes, sizeof parts);
        count = NSP__BATCH_PARTS_MAX;
    }
    for (size_t i = 0; i < count; i++) {
        const nsp__batch_part *part = &parts[i];
        if (!known(part->encoding) || part->offset > decoding->size ||
            part->length > decoding->size - part->offset || part->head > part->length)
            continue;
        *encoding = part->encoding;
        *bytes = decoding->bytes + part->offset + part->head;
        *length = (size_t)(part->length - part->head);
        return true;
    }
    return false;
}

bool nsp__batch_decodable(const nsp__batch_decoding *decoding)
{
    uint32_t encoding;
    const uint8_t *bytes;
    size_t length;
    return nsp__exporters() != NULL && find_part(decoding, &encoding, &bytes, &length);
}

uint64_t nsp__batch_decode(const nsp__batch_decoding *decoding)
{
    uint32_t encoding;
    const uint8_t *bytes;
    size_t length;
    const nsp__exporter_set *exporters = nsp__exporters();
    if (exporters == NULL || !find_part(decoding, &encoding, &bytes, &length))
        return 0;
    return exporters->decode(encoding, decoding->closed, bytes, length, decoding->spans, decoding->intern,
                             decoding->visit, decoding->argument);
}

// SPDX-License-Identifier: Apache-2.0
//
// Input: the JSON body of a request to `nanospan sink`. The decoded request is the same with and without the
// line of JSON that is kept of it, and decoding that line gives the same request.
//
// Parsers: tools/nanospan/support/otlp_json.c tools/nanospan/support/otlp_request.c
#include "fuzz.h"

#include "support/otlp_request.h"

static void same(const otlp_request *a, const otlp_request *b)
{
    MUST(a->key_count == b->key_count && a->service_count == b->service_count);
    MUST(a->key_count == 0 || memcmp(a->keys, b->keys, a->key_count * sizeof a->keys[0]) == 0);
    for (size_t i = 0; i < a->service_count; i++) {
        MUST(strcmp(a->services[i].name, b->services[i].name) == 0);
        MUST(a->services[i].spans == b->services[i].spans && a->services[i].errors == b->services[i].errors);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    otlp_request bare = {0}, with = {.want_json = true}, again = {0};
    bool good = otlp_decode_json(&bare, (const char *)bytes, size);
    MUST(otlp_decode_json(&with, (const char *)bytes, size) == good);
    MUST(good == (bare.error[0] == '\0') && strcmp(bare.error, with.error) == 0);
    if (good) {
        same(&bare, &with);
        MUST(bare.rejected == with.rejected);
        MUST(with.json.length != 0 && memchr(with.json.data, '\n', with.json.length) == NULL);
        MUST(otlp_decode_json(&again, with.json.data, with.json.length));
        same(&bare, &again);
    }
    otlp_request_free(&bare);
    otlp_request_free(&with);
    otlp_request_free(&again);
    return 0;
}

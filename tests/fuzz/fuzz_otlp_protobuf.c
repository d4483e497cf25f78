// SPDX-License-Identifier: Apache-2.0
//
// Input: the protobuf body of a request to `nanospan sink`. The decoded request is the same with and without
// the JSON that is made of it, and the sink's JSON decoder reads that JSON as the same request.
//
// Parsers: tools/nanospan/support/otlp_protobuf.c tools/nanospan/support/otlp_decoder.c
// Parsers: tools/nanospan/support/otlp_values.c tools/nanospan/support/wire.c tools/nanospan/support/wire.h
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
    bool good = otlp_decode_protobuf(&bare, bytes, size);
    MUST(otlp_decode_protobuf(&with, bytes, size) == good);
    MUST(good == (bare.error[0] == '\0') && strcmp(bare.error, with.error) == 0);
    if (good) {
        same(&bare, &with);
        MUST(bare.rejected == with.rejected);
        MUST(with.json.length != 0 && memchr(with.json.data, '\n', with.json.length) == NULL);
        if (!otlp_decode_json(&again, with.json.data, with.json.length)) {
            // JSON of what protobuf allows may be nested too deeply for the JSON decoder.
            MUST(strstr(again.error, "deep") != NULL);
        } else {
            same(&bare, &again);
        }
    }
    otlp_request_free(&bare);
    otlp_request_free(&with);
    otlp_request_free(&again);
    return 0;
}

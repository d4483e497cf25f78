// SPDX-License-Identifier: Apache-2.0
//
// Input: two bytes that give a limit, then a compressed body. The result never exceeds the limit, and is the
// same with a larger one.
//
// Parsers: tools/nanospan/sink/body.c
#include "fuzz.h"

#include "sink/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 2)
        return 0;
    size_t most = bytes[0] | (size_t)bytes[1] << 8;
    char *copy = fuzz_copy(bytes + 2, size - 2);
    text packed = {.data = copy, .length = size - 2}, plain = {0}, roomy = {0};
    const char *wrong = sink_gunzip(&packed, most, &plain);
    const char *wrong_too = sink_gunzip(&packed, 1 << 20, &roomy);
    MUST(plain.length <= most && roomy.length <= 1 << 20);
    if (wrong == NULL)
        MUST(wrong_too == NULL && roomy.length == plain.length &&
             (plain.length == 0 || memcmp(roomy.data, plain.data, plain.length) == 0));
    else if (wrong_too == NULL)
        MUST(wrong == SINK_TOO_LARGE && roomy.length > most);
    text_free(&plain);
    text_free(&roomy);
    free(copy);
    return 0;
}

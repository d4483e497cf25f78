// SPDX-License-Identifier: Apache-2.0
//
// Input: a receiver's reply, in protobuf if the first byte is even and in JSON if it is odd. The number of
// rejected spans is never negative, the message is one line, and a smaller buffer gets the same line, cut
// short.
//
// Parsers: exporters/otlp/json/response.c exporters/otlp/protobuf/response.c
#include "fuzz.h"

#include "otlp/encoding.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const nsp__otlp_encoding *encoding =
        size != 0 && bytes[0] % 2 == 1 ? &nsp__otlp_json : &nsp__otlp_protobuf;
    char whole[512], cut[40];
    int64_t rejected = -1, again = -1;
    memset(whole, 'x', sizeof whole);
    memset(cut, 'x', sizeof cut);
    bytes += size != 0;
    size -= size != 0;
    bool good = encoding->read_response(bytes, size, &rejected, whole, sizeof whole);
    MUST(rejected >= 0 && memchr(whole, '\0', sizeof whole) != NULL);
    MUST(fuzz_is_line(whole, strlen(whole)));
    MUST(good || (rejected == 0 && whole[0] == '\0'));
    size_t room = 1 + size % (sizeof cut - 1);
    MUST(encoding->read_response(bytes, size, &again, cut, room) == good);
    MUST(again == rejected && strlen(cut) < room);
    MUST(strncmp(whole, cut, strlen(cut)) == 0);
    return 0;
}

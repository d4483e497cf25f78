// SPDX-License-Identifier: Apache-2.0
//
// Input: the reply to a gRPC call, either a frame or one of the trailers status, message and details. The
// first byte chooses which.
#include "fuzz.h"

#include "common/base64.h"
#include "grpc/frame.h"
#include "grpc/status.h"

enum { MOST = 1 << 16 };

static void frame(const uint8_t *bytes, size_t size, const char *encoding)
{
    nsp__grpc_message message = {0};
    const char *wrong = nsp__grpc_message_read(&message, bytes, size, encoding, MOST);
    if (wrong != NULL) {
        MUST(message.length == 0 && message.unpacked == NULL && wrong[0] != '\0');
        return;
    }
    MUST(message.length <= MOST && size >= NSP__GRPC_PREFIX_BYTES);
    if (message.unpacked == NULL) { // shown as it was sent
        uint8_t prefix[NSP__GRPC_PREFIX_BYTES];
        nsp__grpc_prefix_write(prefix, false, message.length);
        MUST(message.length + sizeof prefix == size && message.bytes == bytes + sizeof prefix);
        MUST(memcmp(prefix, bytes, sizeof prefix) == 0);
    }
    uint8_t sum = 0;
    for (size_t i = 0; i < message.length; i++)
        sum ^= message.bytes[i];
    (void)*(volatile uint8_t *)&sum;
    free(message.unpacked);
}

static void trailers(const char *text)
{
    char whole[300], cut[40];
    nsp__grpc_code code = NSP__GRPC_OK;
    if (nsp__grpc_code_read(text, &code))
        MUST((unsigned)code <= NSP__GRPC_UNAUTHENTICATED);
    MUST(nsp__grpc_code_name(code)[0] != '\0');
    nsp__grpc_message_text(whole, sizeof whole, text);
    MUST(fuzz_is_line(whole, strlen(whole)));
    nsp__grpc_message_text(cut, sizeof cut, text);
    MUST(strncmp(whole, cut, strlen(cut)) == 0);
    uint64_t delay = 0;
    if (nsp__grpc_retry_info(text, &delay))
        MUST(delay <= UINT64_C(86400) * 1000000000u);
    size_t length = strlen(text), decoded = 0, again_length = 0;
    uint8_t *bytes = malloc(NSP__BASE64_BYTES(length)), *again = malloc(NSP__BASE64_BYTES(length) + 3);
    char *digits = malloc(NSP__BASE64_DIGITS(NSP__BASE64_BYTES(length)) + 1);
    MUST(bytes != NULL && again != NULL && digits != NULL);
    if (nsp__base64_decode(bytes, text, length, NSP__BASE64_ANY, &decoded)) {
        MUST(decoded <= NSP__BASE64_BYTES(length));
        size_t count = nsp__base64_encode(digits, bytes, decoded, length % 2 == 0);
        MUST(nsp__base64_decode(again, digits, count, NSP__BASE64_STANDARD, &again_length));
        MUST(again_length == decoded && memcmp(again, bytes, decoded) == 0);
    }
    free(digits);
    free(again);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    unsigned choice = size != 0 ? bytes[0] % 4 : 0;
    bytes += size != 0;
    size -= size != 0;
    char *text = fuzz_text(bytes, size);
    switch (choice) {
    case 0: frame(bytes, size, NULL); break;
    case 1: frame(bytes, size, "gzip"); break;
    case 2: frame(bytes, size, "identity"); break;
    default: trailers(text); break;
    }
    free(text);
    return 0;
}

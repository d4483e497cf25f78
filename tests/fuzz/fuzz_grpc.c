// SPDX-License-Identifier: Apache-2.0
//
// Input: a byte that chooses, then the reply to a gRPC call: a frame, or one of the trailers status, message
// and details; or numbers, for the codes of HTTP and HTTP/2 that stand for a status, and for timeouts.
//
// Parsers: exporters/grpc/frame.c exporters/grpc/status.c exporters/http/gzip.c common/base64.c
// Parsers: exporters/otlp/transport/grpc_retry.c
#include "fuzz.h"

#include <inttypes.h>

#include "common/base64.h"
#include "grpc/frame.h"
#include "grpc/metadata.h"
#include "grpc/status.h"
#include "otlp/transport/grpc_retry.h"

enum { MOST = 1 << 16, LITTLE = 32 };

static void frame(const uint8_t *bytes, size_t size, const char *encoding, size_t most)
{
    nsp__grpc_message message = {0};
    const char *wrong = nsp__grpc_message_read(&message, bytes, size, encoding, most);
    if (wrong != NULL) {
        MUST(message.length == 0 && message.unpacked == NULL && wrong[0] != '\0');
        return;
    }
    MUST(message.length <= most && size >= NSP__GRPC_PREFIX_BYTES);
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

// What the sender makes of each status. Only two of them can refuse spans for their size.
static void results(const char *message)
{
    for (unsigned code = 0; code <= NSP__GRPC_UNAUTHENTICATED + 1; code++)
        for (int informed = 0; informed < 2; informed++) {
            nsp_send_result result = nsp__otlp_grpc_result((nsp__grpc_code)code, informed != 0);
            MUST(result == NSP_SEND_UNKNOWN || result == NSP_SEND_RETRY || result == NSP_SEND_REJECTED);
            bool large = nsp__otlp_grpc_size_refused((nsp__grpc_code)code, informed != 0, message);
            MUST(!large ||
                 (informed == 0 && (code == NSP__GRPC_RESOURCE_EXHAUSTED || code == NSP__GRPC_OUT_OF_RANGE)));
        }
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
    results(whole);
    nsp__grpc_message_text(cut, sizeof cut, text);
    MUST(strncmp(whole, cut, strlen(cut)) == 0);
    uint64_t delay = 0;
    bool informed = nsp__grpc_retry_info(text, &delay);
    if (informed)
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

// The numbers are separated by anything else.
static void numbers(const char *text)
{
    for (; *text != '\0'; text += strspn(text, "0123456789"), text += *text != '\0') {
        uint64_t number = strtoull(text, NULL, 10), count = 0;
        MUST(nsp__grpc_code_of_http((unsigned)number) <= NSP__GRPC_UNAUTHENTICATED);
        MUST(nsp__grpc_code_of_reset((unsigned)number) <= NSP__GRPC_UNAUTHENTICATED);
        MUST(*nsp__grpc_code_name((nsp__grpc_code)(number & 0xff)) != '\0');
        char line[NSP__GRPC_TIMEOUT_BYTES], unit = 0;
        nsp__grpc_timeout_write(line, number);
        MUST(sscanf(line, "grpc-timeout: %8" SCNu64 "%c", &count, &unit) == 2 && count != 0);
        MUST(strchr("numSMH", unit) != NULL && strlen(line) < sizeof line);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    unsigned choice = size != 0 ? bytes[0] % 8 : 0;
    bytes += size != 0;
    size -= size != 0;
    char *text = fuzz_text(bytes, size);
    switch (choice) {
    case 0: frame(bytes, size, NULL, MOST); break;
    case 1: frame(bytes, size, "gzip", MOST); break;
    case 2: frame(bytes, size, "identity", MOST); break;
    case 4: frame(bytes, size, "gzip", LITTLE); break;
    case 5: numbers(text); break;
    case 6: MUST(!nsp__grpc_retry_info(NULL, &(uint64_t){0})); break;
    default: trailers(text); break;
    }
    free(text);
    return 0;
}

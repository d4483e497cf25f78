// SPDX-License-Identifier: Apache-2.0
//
// Looks for two members and skips the rest.
#include "otlp/json/response.h"

#include <stdlib.h>

#include "common/json_read.h"
#include "common/text.h"
#include "common/utf8.h"

enum { MESSAGE_BYTES = 1024 };

// Writes a zero-terminated text, cut between characters. A zero inside, which would end the text, becomes
// U+FFFD.
static void read_message(nsp__json_reader *json, char out[MESSAGE_BYTES])
{
    nsp__slice message, part = {NULL, 0};
    if (!nsp__json_string(json, &message) || message.text == NULL)
        return;
    nsp__text to = {(uint8_t *)out, (uint8_t *)out + MESSAGE_BYTES - 1, false};
    message.length = nsp__utf8_cut(message.text, message.length, MESSAGE_BYTES - 1);
    while (nsp__slice_split(&message, '\0', &part)) {
        nsp__text_bytes(&to, part.text, part.length);
        if (message.text != NULL)
            nsp__text_put(&to, "\xEF\xBF\xBD");
    }
    *to.at = 0;
}

static void read_partial_success(nsp__json_reader *json, int64_t *rejected, char message[MESSAGE_BYTES])
{
    nsp__slice key;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &key)) {
        if (nsp__slice_is(key, "rejectedSpans"))
            nsp__json_integer(json, rejected);
        else if (nsp__slice_is(key, "errorMessage"))
            read_message(json, message);
        else
            nsp__json_skip(json);
    }
}

static bool read_response(char *text, size_t length, int64_t *rejected, char message[MESSAGE_BYTES])
{
    nsp__json_reader json;
    nsp__slice key;
    nsp__json_begin(&json, text, length);
    nsp__json_enter(&json, '{');
    if (json.depth == 0) // null
        return false;
    while (nsp__json_key(&json, &key)) {
        if (nsp__slice_is(key, "partialSuccess"))
            read_partial_success(&json, rejected, message);
        else
            nsp__json_skip(&json);
    }
    return nsp__json_finish(&json);
}

static bool is_empty(const uint8_t *bytes, size_t length)
{
    while (length != 0 &&
           (bytes[length - 1] == ' ' || (bytes[length - 1] >= '\t' && bytes[length - 1] <= '\r')))
        length--;
    return length == 0;
}

bool nsp__otlp_json_response_decode(const uint8_t *bytes, size_t length, int64_t *rejected, char *message,
                                    size_t size)
{
    char text[MESSAGE_BYTES] = "";
    int64_t count = 0;
    *rejected = 0;
    nsp__utf8_line(message, size, "");
    if (is_empty(bytes, length))
        return true;
    // A copy, because the reader writes to its input.
    char *copy = nsp__utf8_valid(bytes, length) ? malloc(length) : NULL;
    if (copy == NULL)
        return false;
    memcpy(copy, bytes, length);
    bool sound = read_response(copy, length, &count, text);
    free(copy);
    if (!sound)
        return false;
    *rejected = count > 0 ? count : 0;
    nsp__utf8_line(message, size, text);
    return true;
}

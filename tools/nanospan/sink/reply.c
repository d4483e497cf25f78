// SPDX-License-Identifier: Apache-2.0
#include "reply.h"

#include "support/json_text.h"
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#define NO_IDENTITY "spans without a trace id or a span id were left out"

sink_encoding sink_encoding_of(const char *content_type)
{
    static const struct {
        const char *name;
        sink_encoding encoding;
    } KNOWN[] = {{"application/x-protobuf", SINK_PROTOBUF}, {"application/json", SINK_JSON}};
    if (content_type == NULL)
        return SINK_UNKNOWN;
    // Parameters such as a charset follow a semicolon and change nothing.
    size_t length = strcspn(content_type, "; \t");
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++)
        if (length == strlen(KNOWN[i].name) && strncasecmp(content_type, KNOWN[i].name, length) == 0)
            return KNOWN[i].encoding;
    return SINK_UNKNOWN;
}

static void put_varint(text *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        text_char(out, (char)(value | 0x80));
    text_char(out, (char)value);
}

// Field `number` of a message (below 16), holding bytes.
static void put_bytes(text *out, unsigned number, slice bytes)
{
    text_char(out, (char)(number << 3 | 2));
    put_varint(out, bytes.length);
    text_slice(out, bytes);
}

static void put_number(text *out, unsigned number, uint64_t value)
{
    text_char(out, (char)(number << 3));
    put_varint(out, value);
}

static void write_response(text *out, sink_encoding encoding, uint64_t rejected)
{
    if (encoding == SINK_JSON) {
        if (rejected)
            text_format(out,
                        "{\"partialSuccess\":{\"rejectedSpans\":\"%" PRIu64 "\",\"errorMessage\":\"%s\"}}",
                        rejected, NO_IDENTITY);
        else
            text_put(out, "{}");
    } else if (rejected) {
        text partial = {0};
        put_number(&partial, 1, rejected);
        put_bytes(&partial, 2, nsp__slice_of(NO_IDENTITY));
        put_bytes(out, 1, (slice){partial.data, partial.length});
        text_free(&partial);
    }
}

// The google.rpc.Status code that corresponds to an HTTP status.
static unsigned status_code(unsigned http)
{
    enum {
        INVALID_ARGUMENT = 3,
        NOT_FOUND = 5,
        PERMISSION_DENIED = 7,
        RESOURCE_EXHAUSTED = 8,
        UNIMPLEMENTED = 12,
        UNAVAILABLE = 14
    };
    switch (http) {
    case MHD_HTTP_FORBIDDEN: return PERMISSION_DENIED;
    case MHD_HTTP_NOT_FOUND: return NOT_FOUND;
    case MHD_HTTP_METHOD_NOT_ALLOWED: return UNIMPLEMENTED;
    case MHD_HTTP_TOO_MANY_REQUESTS: return RESOURCE_EXHAUSTED;
    default: return http >= 500 ? UNAVAILABLE : INVALID_ARGUMENT;
    }
}

static void write_status(text *out, sink_encoding encoding, unsigned http, const char *why)
{
    if (encoding == SINK_PROTOBUF) {
        put_number(out, 1, status_code(http));
        put_bytes(out, 2, nsp__slice_of(why));
    } else {
        text_format(out, "{\"code\":%u,\"message\":", status_code(http));
        json_string(out, nsp__slice_of(why));
        text_char(out, '}');
    }
}

enum MHD_Result sink_reply(struct MHD_Connection *connection, sink_encoding encoding, unsigned status,
                           const char *why, uint64_t rejected, uint64_t retry_after_s)
{
    text body = {0};
    if (status)
        write_status(&body, encoding, status, why);
    else
        write_response(&body, encoding, rejected);
    struct MHD_Response *response =
        MHD_create_response_from_buffer(body.length, body.data, MHD_RESPMEM_MUST_COPY);
    text_free(&body);
    if (response == NULL)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type",
                            encoding == SINK_PROTOBUF ? "application/x-protobuf" : "application/json");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "POST");
    if (retry_after_s != UINT64_MAX) {
        char seconds[24];
        snprintf(seconds, sizeof seconds, "%" PRIu64, retry_after_s);
        MHD_add_response_header(response, "Retry-After", seconds);
    }
    enum MHD_Result result = MHD_queue_response(connection, status ? status : MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

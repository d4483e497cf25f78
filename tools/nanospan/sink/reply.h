// SPDX-License-Identifier: Apache-2.0
//
// The sink's answers, in the encoding of the request: an ExportTraceServiceResponse, or a Status that says
// what was wrong.
#ifndef NANOSPAN_SINK_REPLY_H
#define NANOSPAN_SINK_REPLY_H

#include <microhttpd.h>
#include <stdint.h>

typedef enum sink_encoding { SINK_UNKNOWN, SINK_PROTOBUF, SINK_JSON } sink_encoding;

// The encoding that a Content-Type header names; the header may be NULL.
sink_encoding sink_encoding_of(const char *content_type);

// With status 0, all but `rejected` spans were accepted; otherwise `why` is the message. With retry_after_s
// UINT64_MAX, no Retry-After header is sent.
enum MHD_Result sink_reply(struct MHD_Connection *connection, sink_encoding encoding, unsigned status,
                           const char *why, uint64_t rejected, uint64_t retry_after_s);

#endif

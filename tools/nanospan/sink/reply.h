// SPDX-License-Identifier: Apache-2.0
//
// The sink's answers: an ExportTraceServiceResponse, or a Status that says what was wrong, in the encoding of the request.
#ifndef NANOSPAN_SINK_REPLY_H
#define NANOSPAN_SINK_REPLY_H

#include <microhttpd.h>
#include <stdint.h>

typedef enum sink_encoding { SINK_UNKNOWN, SINK_PROTOBUF, SINK_JSON } sink_encoding;

// Of a Content-Type header, or NULL.
sink_encoding sink_encoding_of(const char *content_type);

// status 0: taken, all but `rejected` spans. Otherwise `why` is told. retry_after_s UINT64_MAX: no such header.
enum MHD_Result sink_reply(struct MHD_Connection *connection, sink_encoding encoding, unsigned status,
                           const char *why, uint64_t rejected, uint64_t retry_after_s);

#endif

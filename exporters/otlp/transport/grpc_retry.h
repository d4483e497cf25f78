// SPDX-License-Identifier: Apache-2.0
//
// The retry rule of OTLP over gRPC: what the status of a failed call means for its spans. Pure functions.
#ifndef NSP_OTLP_TRANSPORT_GRPC_RETRY_H
#define NSP_OTLP_TRANSPORT_GRPC_RETRY_H

#include <nanospan/exporter.h>

#include "grpc/status.h"

// retry_info: the server sent a RetryInfo with the status. For any code but OK.
nsp_send_result nsp__otlp_grpc_result(nsp__grpc_code code, bool retry_info);

// Was the message refused because of its size? message: the text of grpc-message, "" if there is none.
bool nsp__otlp_grpc_size_refused(nsp__grpc_code code, bool retry_info, const char *message);

#endif

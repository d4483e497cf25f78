// SPDX-License-Identifier: Apache-2.0
//
// The attributes of a server span, by the HTTP semantic conventions, that are known when its request begins.
#ifndef NSP_INSTRUMENTATION_MICROHTTPD_DESCRIBE_H
#define NSP_INSTRUMENTATION_MICROHTTPD_DESCRIBE_H

#include "microhttpd/request.h"

// Only for a span that records. route may be NULL.
void nsp__describe_request(const nsp__request *request, struct MHD_Connection *connection,
                           const nsp__method *method, const nsp__route *route, const nsp__request_line *line);

#endif

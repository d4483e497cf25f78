// SPDX-License-Identifier: Apache-2.0
//
// The attributes of a client span, by the HTTP semantic conventions. Only for spans that record.
#ifndef NSP_INSTRUMENTATION_CURL_DESCRIBE_H
#define NSP_INSTRUMENTATION_CURL_DESCRIBE_H

#include "http/methods.h"
#include <nanospan/curl.h>

// The method that the handle reports. Before its first transfer, a handle reports GET for what will be a
// POST.
const nsp__method *nsp__call_method(CURL *easy, const char **original);

// Sets url.full, server.address and server.port. False if the handle does not report its URL yet.
bool nsp__describe_target(nsp_span *span, CURL *easy);

// Sets everything that is known only after the transfer, and the status.
void nsp__describe_outcome(nsp_span *span, CURL *easy, CURLcode result);

#endif

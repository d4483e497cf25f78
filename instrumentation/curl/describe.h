// SPDX-License-Identifier: Apache-2.0
//
// A client span's attributes by the HTTP semantic conventions. For spans that record.
#ifndef NSP_INSTRUMENTATION_CURL_DESCRIBE_H
#define NSP_INSTRUMENTATION_CURL_DESCRIBE_H

#include "http/methods.h"
#include <nanospan/curl.h>

// The method, as far as the handle says: before its first transfer it says GET for what will be a POST.
const nsp__method *nsp__call_method(CURL *easy, const char **original);

// url.full, server.address, server.port. False if the handle does not say what it will ask for.
bool nsp__describe_target(nsp_span *span, CURL *easy);

// Everything that is known after the transfer, and the status.
void nsp__describe_outcome(nsp_span *span, CURL *easy, CURLcode result);

#endif

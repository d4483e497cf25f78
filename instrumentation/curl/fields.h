// SPDX-License-Identifier: Apache-2.0
//
// The header fields of a request: ours come before the application's, whose list is not changed.
#ifndef NSP_INSTRUMENTATION_CURL_FIELDS_H
#define NSP_INSTRUMENTATION_CURL_FIELDS_H

#include <nanospan/curl.h>

// Writes the span's context and the current baggage into the call, and sets CURLOPT_HTTPHEADER to all fields.
void nsp__fields_send(nsp_curl_call *call);

// Sets CURLOPT_HTTPHEADER to the application's list.
void nsp__fields_restore(nsp_curl_call *call);

#endif

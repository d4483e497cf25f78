// SPDX-License-Identifier: Apache-2.0
//
// A transfer that curl is led through by hand; and short talks with a stranger, to find out what it speaks.
#ifndef NSP_HTTP_TRANSFER_H
#define NSP_HTTP_TRANSFER_H

#include <curl/curl.h>
#include <nanospan/base.h>

// Drives the one transfer of `multi` to its end. Fails by itself at the deadline (CLOCK_MONOTONIC ns), or within 50 ms of
// *cancel, with a line in error, of CURL_ERROR_SIZE.
CURLcode nsp__http_transfer(CURLM *multi, const int *cancel, uint64_t deadline_ns, char *error);

// What answered a request in clear text without a word that was understood? `post` is that request, whose options are
// used but for its headers and body; url: the endpoint without user and password, NULL of a Unix socket. Each question is
// a connection of its own, of at most a second.
bool nsp__http_answers_http1(CURLM *multi, CURL *post, const char *url, const int *cancel,
                             uint64_t deadline_ns);
bool nsp__http_speaks_tls(CURLM *multi, CURL *post, const char *url, const int *cancel, uint64_t deadline_ns);

#endif

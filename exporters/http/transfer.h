// SPDX-License-Identifier: Apache-2.0
//
// Drives a transfer of curl's by hand; and short probes that find out what an unknown server speaks.
#ifndef NSP_HTTP_TRANSFER_H
#define NSP_HTTP_TRANSFER_H

#include <curl/curl.h>
#include <nanospan/base.h>

// Drives the only transfer of `multi` to its end. Fails at the deadline (CLOCK_MONOTONIC ns), or within 50 ms
// of *cancel, with a line in error, which has CURL_ERROR_SIZE bytes.
CURLcode nsp__http_transfer(CURLM *multi, const int *cancel, uint64_t deadline_ns, char *error);

// What does a server speak that ended a clear-text request without an answer that was understood? `post` is
// that request; its options are used, apart from its headers and body. url: the peer's, without user and
// password; NULL for a Unix socket. Each probe is a connection of its own and takes at most a second.
bool nsp__http_answers_http1(CURLM *multi, CURL *post, const char *url, const int *cancel,
                             uint64_t deadline_ns);
bool nsp__http_speaks_tls(CURLM *multi, CURL *post, const char *url, const int *cancel, uint64_t deadline_ns);

#endif

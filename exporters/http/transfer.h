// SPDX-License-Identifier: Apache-2.0
//
// Drives a transfer of curl's by hand; and short probes that find out what an unknown server speaks.
#ifndef NSP_HTTP_TRANSFER_H
#define NSP_HTTP_TRANSFER_H

#include <curl/curl.h>
#include <nanospan/base.h>

#include "http/sockets.h"

// What drives a transfer, and what ends it early.
typedef struct nsp__http_drive {
    CURLM *multi;
    const nsp__http_sockets *sockets; // of its handles
    const int *cancel;
    uint64_t deadline_ns; // CLOCK_MONOTONIC
} nsp__http_drive;

// Drives the only transfer of the multi handle to its end. Fails at the deadline, within 50 ms of *cancel, or
// when the application has closed the sockets, with a line in error, which has CURL_ERROR_SIZE bytes. In the
// last case the handles must not be used any more.
CURLcode nsp__http_transfer(const nsp__http_drive *drive, char *error);

// What does a server speak that ended a clear-text request without an answer that was understood? `post` is
// that request; its options are used, apart from its headers and body. url: the peer's, without user and
// password; NULL for a Unix socket. Each probe is a connection of its own and takes at most a second.
bool nsp__http_answers_http1(const nsp__http_drive *drive, CURL *post, const char *url);
bool nsp__http_speaks_tls(const nsp__http_drive *drive, CURL *post, const char *url);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Initialises libcurl for the whole process.
#ifndef NSP_HTTP_CURL_START_H
#define NSP_HTTP_CURL_START_H

#include <curl/curl.h>

// Initialises libcurl once, and returns the same result each time. This is never undone, because the
// application, or a thread of ours that was left behind, may still use libcurl. In a program that runs with
// more rights than its caller, SSLKEYLOGFILE is hidden from libcurl meanwhile, which would append to the file
// that the caller names there. Thread safe.
CURLcode nsp__curl_start(void);

#endif

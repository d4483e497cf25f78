// SPDX-License-Identifier: Apache-2.0
//
// libcurl for the whole process.
#ifndef NSP_HTTP_CURL_START_H
#define NSP_HTTP_CURL_START_H

#include <curl/curl.h>

// Initialises libcurl, once; the same answer each time. Never undone: the application, or a thread of ours that was left
// behind, may use it still. In a program that runs with more rights than its caller, libcurl does not get to see
// SSLKEYLOGFILE meanwhile: it would append to the file that the caller names there. Thread safe.
CURLcode nsp__curl_start(void);

#endif

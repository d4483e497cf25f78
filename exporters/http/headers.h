// SPDX-License-Identifier: Apache-2.0
//
// Request headers from their configured form, k=v,k=v with percent escapes.
#ifndef NSP_HTTP_HEADERS_H
#define NSP_HTTP_HEADERS_H

#include <curl/curl.h>
#include <nanospan/base.h>

// Appends the headers to *list, which the caller frees, on failure too. NULL and "" are none. NSP_ERR_CONFIG with one
// line in detail (it names the header, never the value) for what is no k=v, a name or value that HTTP does not allow, or
// a header that describes the body.
nsp_status nsp__http_headers_append(struct curl_slist **list, const char *text, char *detail, size_t size);

// Appends one line. False: out of memory, the list is as before.
bool nsp__http_headers_add(struct curl_slist **list, const char *line);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Request headers from their configured form; common/header_list.h has its grammar. Entries that cannot be
// headers are passed over, and the others stand.
#ifndef NSP_HTTP_HEADERS_H
#define NSP_HTTP_HEADERS_H

#include <curl/curl.h>
#include <nanospan/base.h>

#include "common/header_list.h"

// Takes one header; name and value may be changed in place, and are zero-terminated. Not NSP_OK, with one
// line in detail that never shows the value, ends the reading.
typedef nsp_status (*nsp__header_fn)(void *context, char *name, char *value, size_t value_length,
                                     char *detail, size_t size);

// Calls `take` for each header that this use allows, the value unescaped. NULL and "" are none.
nsp_status nsp__http_headers_read(const char *text, nsp__header_use use, nsp__header_fn take, void *context,
                                  char *detail, size_t size);

// Appends the headers to *list, which the caller frees, on failure too. NSP_ERR_NO_MEMORY with one line in
// detail.
nsp_status nsp__http_headers_append(struct curl_slist **list, const char *text, char *detail, size_t size);

// Appends one line. False: out of memory, the list is as before.
bool nsp__http_headers_add(struct curl_slist **list, const char *line);

// Appends `name: value`, or curl's way to say it of an empty value. NSP_ERR_NO_MEMORY with one line in
// detail.
nsp_status nsp__http_headers_add_pair(struct curl_slist **list, const char *name, const char *value,
                                      char *detail, size_t size);

#endif

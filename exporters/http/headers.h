// SPDX-License-Identifier: Apache-2.0
//
// Request headers from the configured list; common/header_list.h has its grammar. Entries that cannot be
// headers are left out; the others count.
#ifndef NSP_HTTP_HEADERS_H
#define NSP_HTTP_HEADERS_H

#include <curl/curl.h>
#include <nanospan/base.h>

#include "common/header_list.h"

// Takes one header. Name and value are zero-terminated and may be changed in place. A result other than
// NSP_OK ends the reading; it comes with one line in detail, which never shows the value.
typedef nsp_status (*nsp__header_fn)(void *context, char *name, char *value, size_t value_length,
                                     char *detail, size_t size);

// Calls `take` for each header that this use allows, with the value unescaped. NULL and "" hold no headers.
nsp_status nsp__http_headers_read(const char *text, nsp__header_use use, nsp__header_fn take, void *context,
                                  char *detail, size_t size);

// Appends the headers to *list. The caller frees the list, also on failure. NSP_ERR_NO_MEMORY with one line
// in detail.
nsp_status nsp__http_headers_append(struct curl_slist **list, const char *text, char *detail, size_t size);

// Appends one line. False: out of memory, and the list is unchanged.
bool nsp__http_headers_add(struct curl_slist **list, const char *line);

// Appends `name: value`, or what curl takes for a header with an empty value. NSP_ERR_NO_MEMORY with one line
// in detail.
nsp_status nsp__http_headers_add_pair(struct curl_slist **list, const char *name, const char *value,
                                      char *detail, size_t size);

#endif

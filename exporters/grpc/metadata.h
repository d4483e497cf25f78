// SPDX-License-Identifier: Apache-2.0
//
// What a call sends before its message: the configured headers as gRPC's metadata, and the time that is left.
#ifndef NSP_GRPC_METADATA_H
#define NSP_GRPC_METADATA_H

#include <curl/curl.h>
#include <nanospan/base.h>

// Appends the headers of the configured list to *list. The caller frees the list, also on failure. Names are
// in lower case; values of names that end in -bin, which may be any bytes, are in base64. What gRPC does not
// allow is left out (common/header_list.h). NSP_ERR_NO_MEMORY with one line in detail.
nsp_status nsp__grpc_metadata_append(struct curl_slist **list, const char *text, char *detail, size_t size);

enum { NSP__GRPC_TIMEOUT_BYTES = 40 };

// Writes `grpc-timeout: `, at most 8 digits and the finest unit that needs no more of them. Rounds down, but
// never to 0.
void nsp__grpc_timeout_write(char line[NSP__GRPC_TIMEOUT_BYTES], uint64_t timeout_ns);

#endif

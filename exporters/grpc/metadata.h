// SPDX-License-Identifier: Apache-2.0
//
// What goes before the message: the configured headers as gRPC's metadata, and the time that is left.
#ifndef NSP_GRPC_METADATA_H
#define NSP_GRPC_METADATA_H

#include <curl/curl.h>
#include <nanospan/base.h>

// Appends the headers of the configured list to *list, which the caller frees, on failure too: names in lower
// case, values of names that end in -bin (any bytes) as base64. What gRPC does not allow is left out
// (common/header_list.h). NSP_ERR_NO_MEMORY with one line in detail.
nsp_status nsp__grpc_metadata_append(struct curl_slist **list, const char *text, char *detail, size_t size);

enum { NSP__GRPC_TIMEOUT_BYTES = 40 };

// Writes `grpc-timeout: ` and at most 8 digits with the finest unit that they suffice for; rounded down, but
// never 0.
void nsp__grpc_timeout_write(char line[NSP__GRPC_TIMEOUT_BYTES], uint64_t timeout_ns);

#endif

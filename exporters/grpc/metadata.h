// SPDX-License-Identifier: Apache-2.0
//
// What goes before the message: the configured headers as gRPC's metadata, and the time that is left.
#ifndef NSP_GRPC_METADATA_H
#define NSP_GRPC_METADATA_H

#include <curl/curl.h>
#include <nanospan/base.h>

// Appends the headers of k=v,k=v with percent escapes to *list, which the caller frees, on failure too: names in lower
// case, values of names that end in -bin (any bytes) as base64. NSP_ERR_CONFIG with one line in detail, which names the
// header and never shows the value, for names that gRPC or HTTP/2 keeps to itself, and for other values than printable
// ASCII.
nsp_status nsp__grpc_metadata_append(struct curl_slist **list, const char *text, char *detail, size_t size);

enum { NSP__GRPC_TIMEOUT_BYTES = 40 };

// Writes `grpc-timeout: ` and at most 8 digits with the finest unit that they suffice for; rounded down, but never 0.
void nsp__grpc_timeout_write(char line[NSP__GRPC_TIMEOUT_BYTES], uint64_t timeout_ns);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Decides which entries of a header variable become headers of a request. common/pairs.h reads the list
// itself. Names are used as they are, values are percent-decoded.
#ifndef NSP_COMMON_HEADER_LIST_H
#define NSP_COMMON_HEADER_LIST_H

#include "common/pairs.h"

// Where the headers go. gRPC accepts any bytes if the name ends in -bin, and otherwise only printable ASCII.
typedef enum nsp__header_use {
    NSP__HEADER_EITHER, // not known yet: accepts what one of the two would accept
    NSP__HEADER_HTTP,
    NSP__HEADER_GRPC
} nsp__header_use;

// An nsp__pair_fault: says why the entry cannot be a header. `use` points to an nsp__header_use. Names that
// describe the body or the connection are refused, because the user must not set them.
const char *nsp__header_fault(const nsp__key_value *pair, const void *use);

// The same, but only for an entry that could not be a header with any name, because it is not name=value or
// has a control character in its value.
const char *nsp__header_shapeless(const nsp__key_value *pair, const void *unused);

// Finds only the faults that show once it is known where the headers go: NULL if nsp__header_fault already
// finds one for NSP__HEADER_EITHER.
const char *nsp__header_late_fault(const nsp__key_value *pair, const void *use);

// True if the name ends in -bin.
bool nsp__header_binary(nsp__slice name);

#endif

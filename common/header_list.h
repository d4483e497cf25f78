// SPDX-License-Identifier: Apache-2.0
//
// Which entries of a header variable become headers of a request. The list itself is common/pairs.h's. Names
// stand as they are, values are percent-decoded.
#ifndef NSP_COMMON_HEADER_LIST_H
#define NSP_COMMON_HEADER_LIST_H

#include "common/pairs.h"

// Where the headers go. Of a name that ends in -bin gRPC takes any bytes; else printable ASCII only.
typedef enum nsp__header_use {
    NSP__HEADER_EITHER, // not known yet: what one of the two would take
    NSP__HEADER_HTTP,
    NSP__HEADER_GRPC
} nsp__header_use;

// An nsp__pair_fault: why the entry is no header; `use` points to an nsp__header_use. Names that describe the
// body or the connection are not the user's to set.
const char *nsp__header_fault(const nsp__key_value *pair, const void *use);

// The same, of an entry that could be no header of any name: what is no name=value, or has a control
// character in its value.
const char *nsp__header_shapeless(const nsp__key_value *pair, const void *unused);

// The faults that show only once it is known where the headers go: NULL where nsp__header_fault finds one for
// NSP__HEADER_EITHER.
const char *nsp__header_late_fault(const nsp__key_value *pair, const void *use);

// Does the name end in -bin?
bool nsp__header_binary(nsp__slice name);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Is a text an endpoint that OTLP could be sent to?
#ifndef NSP_LIFECYCLE_ENDPOINT_H
#define NSP_LIFECYCLE_ENDPOINT_H

#include <stdbool.h>

// [http[s]://][user@]host[:port][/path], the host also as [IPv6]; unix:path, unix:///path, unix-abstract:name. Finds what can never work; the transport looks closer.
bool nsp__endpoint_valid(const char *text);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// What proxies report about the request that they pass on: Forwarded (RFC 7239), and the older X-Forwarded-
// fields.
#ifndef NSP_INSTRUMENTATION_MICROHTTPD_FORWARDED_H
#define NSP_INSTRUMENTATION_MICROHTTPD_FORWARDED_H

#include "http/url.h"

// A parameter of the first element of a Forwarded field, without quotes; empty (text NULL) if there is none.
// field may be NULL.
nsp__slice nsp__forwarded(const char *field, const char *parameter);

// The first element of a comma-separated list, without blanks around it; empty (text NULL) if there is none.
// list may be NULL.
nsp__slice nsp__first_of(const char *list);

#endif

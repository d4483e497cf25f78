// SPDX-License-Identifier: Apache-2.0
//
// How a span says that what it stands for has failed.
#ifndef PLATFORM_FAILURE_H
#define PLATFORM_FAILURE_H

#include <nanospan/nanospan.h>

// Status error with this message, and the attributes error.type (one of few values; "insufficient_balance", say) and
// error = true. An inert span costs nothing but the call.
__attribute__((format(printf, 3, 4))) void span_fail(nsp_span *span, const char *type, const char *message,
                                                     ...);

#endif

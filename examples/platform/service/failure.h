// SPDX-License-Identifier: Apache-2.0
//
// How a span reports that its operation failed.
#ifndef PLATFORM_FAILURE_H
#define PLATFORM_FAILURE_H

#include <nanospan/nanospan.h>

// Sets status error with this message, and the attributes error.type (one of a few values, such as
// "insufficient_balance") and error = true. For a span that does not record, this costs only the call.
__attribute__((format(printf, 3, 4))) void span_fail(nsp_span *span, const char *type, const char *message,
                                                     ...);

#endif

// SPDX-License-Identifier: Apache-2.0
#include "platform/service/failure.h"

#include <stdarg.h>
#include <stdio.h>

void span_fail(nsp_span *span, const char *type, const char *message, ...)
{
    char text[256];
    va_list arguments;
    if (!nsp_span_recording(span))
        return;
    va_start(arguments, message);
    vsnprintf(text, sizeof text, message, arguments);
    va_end(arguments);
    nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, text);
    nsp_span_set_str(span, NSP_KEY("error.type"), type);
    nsp_span_set_bool(span, NSP_KEY("error"), true);
}

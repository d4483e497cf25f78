// SPDX-License-Identifier: Apache-2.0
//
// A request, from begin to finish.
#include <string.h>

#include "curl/describe.h"
#include "curl/fields.h"

typedef nsp_span *begin_function(nsp_name name, const nsp_span_options *options);

static void begin(nsp_curl_call *call, CURL *easy, nsp_name name, struct curl_slist *headers,
                  begin_function *begin_span)
{
    const char *original;
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.kind = NSP_KIND_CLIENT;
    memset(call, 0, offsetof(nsp_curl_call, fields));
    call->easy = easy;
    call->headers = headers;
    call->named = name != 0;
    call->span = begin_span(call->named ? name : nsp__call_method(easy, &original)->name, &options);
    if (nsp_span_recording(call->span)) {
        // After a redirected request, the handle may still report the URL at which that request ended.
        long redirects = 0;
        curl_easy_getinfo(easy, CURLINFO_REDIRECT_COUNT, &redirects);
        call->located = redirects == 0 && nsp__describe_target(call->span, easy);
    }
    nsp__fields_send(call);
}

static void finish(nsp_curl_call *call, CURLcode result)
{
    const char *original;
    nsp__fields_restore(call);
    if (nsp_span_recording(call->span)) {
        if (!call->located)
            nsp__describe_target(call->span, call->easy);
        if (!call->named)
            nsp_span_set_name(call->span, nsp__call_method(call->easy, &original)->name);
        nsp__describe_outcome(call->span, call->easy, result);
    }
    nsp_span_end(call->span);
}

CURLcode nsp_curl_perform(CURL *easy, nsp_name name, struct curl_slist *headers)
{
    if (easy == NULL)
        return CURLE_BAD_FUNCTION_ARGUMENT;
    nsp_curl_call call;
    begin(&call, easy, name, headers, nsp_span_begin_with);
    CURLcode result = curl_easy_perform(easy);
    finish(&call, result);
    return result;
}

void nsp_curl_begin(nsp_curl_call *call, CURL *easy, nsp_name name, struct curl_slist *headers)
{
    if (easy == NULL) // finish does nothing without a handle, so a span would stay open
        memset(call, 0, offsetof(nsp_curl_call, fields));
    else
        begin(call, easy, name, headers, nsp_span_begin_detached);
}

void nsp_curl_finish(nsp_curl_call *call, CURLcode result)
{
    if (call->easy == NULL)
        return;
    finish(call, result);
    call->easy = NULL;
    call->span = NULL;
}

// SPDX-License-Identifier: Apache-2.0
//
// Tracing of HTTP requests made with libcurl: a client span for each, and its context and baggage in the request's fields.
// Library libnanospan-curl, CMake target nanospan::curl, pkg-config nanospan-curl.
//
//     curl_easy_setopt(easy, CURLOPT_URL, "http://ai-engine:8001/signal?symbol=BTCUSDT");
//     CURLcode result = nsp_curl_perform(easy, NSP_NAME("ai-engine: get_signal"), headers);
//
// What is sent (OTEL_PROPAGATORS says in which form): the client span's context, the baggage that is current
// (nsp_incoming_current). With tracing off what came in goes on unchanged; in a trace that is not sampled its context does.
//
// Attributes follow the HTTP semantic conventions of OpenTelemetry: http.request.method (and method_original), url.full,
// server.address and port, http.response.status_code, network.protocol.version, network.peer.address and port,
// error.type; http.request.resend_count, the number of redirects that were followed (one span covers them all; url.full is
// what was asked for, the method is that of the last request). Credentials in url.full, and values that are secrets by their
// names, are replaced by REDACTED; it is cut at 512 bytes. Status is ERROR for answers of 400 and above, and where the
// transfer failed, then with libcurl's text. error.type: the status code as text, or a word for the failure of the
// transfer, such as timeout or connect_failed, curl_56 for rare ones.
//
// Nothing is allocated, unless the application's list has a field that is to be sent by nanospan: then the rest of it is
// copied for the time of the request.
#ifndef NANOSPAN_CURL_H
#define NANOSPAN_CURL_H

#include <curl/curl.h>
#include <nanospan/nanospan.h>

enum {
    NSP_CURL_FIELDS_MAX = 8, // header fields added to one request
    NSP_CURL_TEXT_MAX = 9216 // bytes of text of all of them
};

// A request that is under way. The application keeps it, unmoved, from nsp_curl_begin to nsp_curl_finish; its members
// are not for use.
typedef struct nsp_curl_call {
    CURL *easy;
    nsp_span *span;
    struct curl_slist *headers; // the application's list
    struct curl_slist *copy;    // of a part of it, NULL as a rule
    bool named;                 // by the application
    bool located;               // url.full is set
    unsigned field_count;
    size_t text_used;
    struct curl_slist fields[NSP_CURL_FIELDS_MAX];
    char text[NSP_CURL_TEXT_MAX];
} nsp_curl_call;

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// curl_easy_perform under a client span, child of the current one, that is current for the callbacks. name 0 (no name):
// the method. headers is the list that would be given to CURLOPT_HTTPHEADER, or NULL; it is not changed, and it is what
// CURLOPT_HTTPHEADER says afterwards: a list that was set on the handle itself before is replaced. Everything else of the
// handle stays as the application has set it. Answers what curl_easy_perform answers. Takes 10 KiB of stack, and what
// libcurl takes on top of them, which TLS makes 64 KiB or more.
NSP_API CURLcode nsp_curl_perform(CURL *easy, nsp_name name, struct curl_slist *headers);

// The two halves of it, for the multi interface: begin before curl_multi_add_handle, finish with the transfer's result
// (CURLMsg.data.result) after curl_multi_remove_handle, on whatever thread; a transfer given up is finished with
// CURLE_ABORTED_BY_CALLBACK. The span is detached: it is child of the span that is current at begin, and never current
// itself. The list must stay valid until finish. Finishing twice does nothing. Both
// take less than 4 KiB of stack, besides what libcurl's functions for options and information take.
NSP_API void nsp_curl_begin(nsp_curl_call *call, CURL *easy, nsp_name name, struct curl_slist *headers);
NSP_API void nsp_curl_finish(nsp_curl_call *call, CURLcode result);

// The span of a request between begin and finish, to set attributes on; NULL as a span is where nothing is traced.
NSP_INLINE nsp_span *nsp_curl_span(const nsp_curl_call *call)
{
    return call->span;
}

#else

static inline __attribute__((unused)) CURLcode nsp_curl_perform(CURL *easy, nsp_name name,
                                                                struct curl_slist *headers)
{
    (void)name;
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    return curl_easy_perform(easy);
}
static inline __attribute__((unused)) void nsp_curl_begin(nsp_curl_call *call, CURL *easy, nsp_name name,
                                                          struct curl_slist *headers)
{
    (void)name;
    call->easy = easy;
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
}
static inline __attribute__((unused)) void nsp_curl_finish(nsp_curl_call *call, CURLcode result)
{
    (void)call;
    (void)result;
}
static inline __attribute__((unused)) nsp_span *nsp_curl_span(const nsp_curl_call *call)
{
    (void)call;
    return NULL;
}

#endif
NSP_END_DECLS
#endif

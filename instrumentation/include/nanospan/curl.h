// SPDX-License-Identifier: Apache-2.0
//
// Tracing of HTTP requests made with libcurl: each request gets a client span, and carries its context and
// the baggage in its header fields. Library libnanospan-curl, CMake target nanospan::curl, pkg-config
// nanospan-curl.
//
//     curl_easy_setopt(easy, CURLOPT_URL, "http://ai-engine:8001/signal?symbol=BTCUSDT");
//     CURLcode result = nsp_curl_perform(easy, NSP_NAME("ai-engine: get_signal"), headers);
//
// A request carries the client span's context and the current baggage (nsp_incoming_current), in the formats
// that OTEL_PROPAGATORS selects. With tracing off, the context and baggage that came in are passed on
// unchanged. In a trace that is not sampled, the request carries that trace's context.
//
// Attributes follow the HTTP semantic conventions of OpenTelemetry: http.request.method (and
// method_original), url.full, server.address and port, http.response.status_code, network.protocol.version,
// network.peer.address and port, error.type, and http.request.resend_count, the number of redirects that were
// followed. One span covers all redirects: url.full is the URL of the first request, the method is that of
// the last one. In url.full, credentials and the values of parameters whose names mark them as secrets are
// replaced by REDACTED; it is cut at 512 bytes.
//
// The span's status is ERROR for responses of 400 and above, and for transfers that failed, which also get
// libcurl's text as the message. error.type is the status code as text, or a word for the failure of the
// transfer, such as timeout or connect_failed; rare failures have libcurl's number, such as curl_56.
//
// Nothing is allocated, unless the application's list has a field that nanospan sends itself: then the rest
// of the list is copied for the duration of the request.
#ifndef NANOSPAN_CURL_H
#define NANOSPAN_CURL_H

#include <curl/curl.h>
#include <nanospan/nanospan.h>

enum {
    NSP_CURL_FIELDS_MAX = 8, // header fields added to one request
    NSP_CURL_TEXT_MAX = 9216 // bytes of text in all of them together
};

// A request in progress. The application owns it and must not move it between nsp_curl_begin and
// nsp_curl_finish. The members are private.
typedef struct nsp_curl_call {
    CURL *easy;
    nsp_span *span;
    struct curl_slist *headers; // the application's list
    struct curl_slist *copy;    // a copy of a part of that list; usually NULL
    bool named;                 // the application gave a name
    bool located;               // url.full is set
    unsigned field_count;
    size_t text_used;
    struct curl_slist fields[NSP_CURL_FIELDS_MAX];
    char text[NSP_CURL_TEXT_MAX];
} nsp_curl_call;

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Calls curl_easy_perform under a client span. The span is a child of the current span, and is itself current
// while libcurl runs its callbacks. With name 0 (no name) the span is named after the method. headers is the
// list that the application would give to CURLOPT_HTTPHEADER, or NULL. The list is not changed, and
// CURLOPT_HTTPHEADER is set to it afterwards: it replaces a list that was set on the handle before. All other
// options of the handle stay as they are. Returns what curl_easy_perform returns; without a handle,
// CURLE_BAD_FUNCTION_ARGUMENT, and there is no span. Takes 10 KiB of stack, and what libcurl takes on top of
// them, which TLS makes 64 KiB or more.
NSP_API CURLcode nsp_curl_perform(CURL *easy, nsp_name name, struct curl_slist *headers);

// The two halves of nsp_curl_perform, for the multi interface. Call begin before curl_multi_add_handle, and
// finish after curl_multi_remove_handle, with the result of the transfer (CURLMsg.data.result), on any
// thread. Finish a transfer that was given up with CURLE_ABORTED_BY_CALLBACK. The span is detached: it is a
// child of the span that is current at begin, and is never current itself. The list must stay valid until
// finish. Without a handle, begin does nothing but prepare the call for finish; a finish after that, and a
// second finish, do nothing. Both take less than 4 KiB of stack, besides what libcurl's functions for options
// and information take.
NSP_API void nsp_curl_begin(nsp_curl_call *call, CURL *easy, nsp_name name, struct curl_slist *headers);
NSP_API void nsp_curl_finish(nsp_curl_call *call, CURLcode result);

// The span of a request between begin and finish, to set attributes on. NULL where nothing is traced; all
// span functions accept that.
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

// SPDX-License-Identifier: Apache-2.0
#include "curl/describe.h"

#include <stdio.h>
#include <string.h>

#include "http/url.h"

enum { URL_SHOWN = 512, HOST_SHOWN = 128 };

static const char *text_of(CURL *easy, CURLINFO info)
{
    char *text = NULL;
    return curl_easy_getinfo(easy, info, &text) == CURLE_OK && text != NULL ? text : "";
}

static long number_of(CURL *easy, CURLINFO info)
{
    long number = 0;
    return curl_easy_getinfo(easy, info, &number) == CURLE_OK ? number : 0;
}

const nsp__method *nsp__call_method(CURL *easy, const char **original)
{
    *original = text_of(easy, CURLINFO_EFFECTIVE_METHOD);
    return nsp__method_of(*original);
}

bool nsp__describe_target(nsp_span *span, CURL *easy)
{
    char shown[URL_SHOWN + 1];
    nsp__url url;
    const char *text = text_of(easy, CURLINFO_EFFECTIVE_URL);
    if (text[0] == '\0')
        return false;
    nsp__url_split(&url, text);
    size_t length = nsp__redact_url(shown, sizeof shown, &url);
    nsp_span_set_strn(span, NSP_KEY("url.full"), shown, length);
    nsp_span_set_strn(span, NSP_KEY("server.address"), url.host.text,
                      url.host.length < HOST_SHOWN ? url.host.length : HOST_SHOWN);
    nsp_span_set_i64(span, NSP_KEY("server.port"), url.port != 0 ? url.port : nsp__default_port(url.scheme));
    return true;
}

static const char *version_of(long version)
{
    switch (version) {
    case CURL_HTTP_VERSION_1_0: return "1.0";
    case CURL_HTTP_VERSION_1_1: return "1.1";
    case CURL_HTTP_VERSION_2_0: return "2";
    case CURL_HTTP_VERSION_3: return "3";
    default: return NULL;
    }
}

// A word for the failure of a transfer; rare failures get libcurl's number.
static const char *failure(CURLcode result, char *text, size_t size)
{
    switch (result) {
    case CURLE_UNSUPPORTED_PROTOCOL: return "unsupported_protocol";
    case CURLE_URL_MALFORMAT: return "malformed_url";
    case CURLE_COULDNT_RESOLVE_PROXY: return "proxy_not_resolved";
    case CURLE_COULDNT_RESOLVE_HOST: return "host_not_resolved";
    case CURLE_COULDNT_CONNECT: return "connect_failed";
    case CURLE_OPERATION_TIMEDOUT: return "timeout";
    case CURLE_SSL_CONNECT_ERROR: return "tls_failed";
    case CURLE_PEER_FAILED_VERIFICATION: return "certificate_invalid";
    case CURLE_TOO_MANY_REDIRECTS: return "too_many_redirects";
    case CURLE_GOT_NOTHING: return "no_answer";
    case CURLE_PARTIAL_FILE: return "answer_incomplete";
    case CURLE_SEND_ERROR: return "send_failed";
    case CURLE_RECV_ERROR: return "receive_failed";
    case CURLE_WRITE_ERROR: return "write_callback";
    case CURLE_READ_ERROR: return "read_callback";
    case CURLE_ABORTED_BY_CALLBACK: return "aborted";
    case CURLE_OUT_OF_MEMORY: return "out_of_memory";
    default: snprintf(text, size, "curl_%d", (int)result); return text;
    }
}

static void describe_result(nsp_span *span, long status, CURLcode result)
{
    char text[32];
    if (status >= 400) {
        snprintf(text, sizeof text, "%ld", status);
        nsp_span_set_str(span, NSP_KEY("error.type"), text);
    }
    bool failed = result != CURLE_OK && !(result == CURLE_HTTP_RETURNED_ERROR && status >= 400);
    if (failed)
        nsp_span_set_str(span, NSP_KEY("error.type"), failure(result, text, sizeof text));
    if (failed || status >= 400)
        nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, failed ? curl_easy_strerror(result) : NULL);
}

void nsp__describe_outcome(nsp_span *span, CURL *easy, CURLcode result)
{
    const char *original;
    const nsp__method *method = nsp__call_method(easy, &original);
    nsp__method_set(span, method, original);
    long status = number_of(easy, CURLINFO_RESPONSE_CODE);
    if (status != 0)
        nsp_span_set_i64(span, NSP_KEY("http.response.status_code"), status);
    const char *version = version_of(number_of(easy, CURLINFO_HTTP_VERSION));
    if (version != NULL)
        nsp_span_set_str(span, NSP_KEY("network.protocol.version"), version);
    const char *peer = text_of(easy, CURLINFO_PRIMARY_IP);
    if (peer[0] != '\0') {
        nsp_span_set_str(span, NSP_KEY("network.peer.address"), peer);
        nsp_span_set_i64(span, NSP_KEY("network.peer.port"), number_of(easy, CURLINFO_PRIMARY_PORT));
    }
    long redirects = number_of(easy, CURLINFO_REDIRECT_COUNT);
    if (redirects != 0)
        nsp_span_set_i64(span, NSP_KEY("http.request.resend_count"), redirects);
    describe_result(span, status, result);
}

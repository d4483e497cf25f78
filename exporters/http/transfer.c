// SPDX-License-Identifier: Apache-2.0
#include "http/transfer.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "common/time.h"

enum { POLL_MS = 50 };

CURLcode nsp__http_transfer(CURLM *multi, const int *cancel, uint64_t deadline_ns, char *error)
{
    for (;;) {
        int running, left;
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            return CURLE_FAILED_INIT;
        for (CURLMsg *message; (message = curl_multi_info_read(multi, &left)) != NULL;)
            if (message->msg == CURLMSG_DONE)
                return message->data.result;
        uint64_t now = nsp__monotonic_ns();
        if (now >= deadline_ns) {
            snprintf(error, CURL_ERROR_SIZE, "timed out");
            return CURLE_OPERATION_TIMEDOUT;
        }
        if (__atomic_load_n(cancel, __ATOMIC_ACQUIRE)) {
            snprintf(error, CURL_ERROR_SIZE, "stopped before it was complete");
            return CURLE_ABORTED_BY_CALLBACK;
        }
        uint64_t milliseconds = (deadline_ns - now) / 1000000u + 1;
        curl_multi_poll(multi, NULL, 0, milliseconds < POLL_MS ? (int)milliseconds : POLL_MS, NULL);
    }
}

// ---- what speaks there ----

// A copy of the request without its headers and body. NULL: failed.
static CURL *ask(CURL *post, const char *url, char *error)
{
    CURL *easy = curl_easy_duphandle(post);
    if (easy != NULL &&
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error) == CURLE_OK &&
        (url == NULL || curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK) &&
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK)
        return easy;
    curl_easy_cleanup(easy);
    return NULL;
}

static CURLcode hear(CURLM *multi, CURL *easy, const int *cancel, uint64_t deadline_ns, char *error)
{
    static const uint64_t patience_ns = 1000000000;
    uint64_t until = nsp__monotonic_ns() + patience_ns;
    if (curl_multi_add_handle(multi, easy) != CURLM_OK)
        return CURLE_FAILED_INIT;
    CURLcode code = nsp__http_transfer(multi, cancel, until < deadline_ns ? until : deadline_ns, error);
    curl_multi_remove_handle(multi, easy);
    return code;
}

bool nsp__http_answers_http1(CURLM *multi, CURL *post, const char *url, const int *cancel,
                             uint64_t deadline_ns)
{
    char error[CURL_ERROR_SIZE] = "";
    long status = 0;
    CURL *easy = ask(post, url, error);
    if (easy != NULL && hear(multi, easy, cancel, deadline_ns, error) == CURLE_OK)
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    return status != 0;
}

// Makes a handshake only, and accepts any server. A server that requires a certificate ends it with an alert,
// which is TLS as well.
bool nsp__http_speaks_tls(CURLM *multi, CURL *post, const char *url, const int *cancel, uint64_t deadline_ns)
{
    char error[CURL_ERROR_SIZE] = "", secure[512];
    static const char clear[] = "http://";
    bool speaks = false;
    if (url == NULL || strncasecmp(url, clear, sizeof clear - 1) != 0 || strlen(url) + 2 > sizeof secure)
        return false;
    snprintf(secure, sizeof secure, "https://%s", url + sizeof clear - 1);
    CURL *easy = ask(post, secure, error);
    if (easy != NULL && curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L) == CURLE_OK &&
        curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK) {
        CURLcode code = hear(multi, easy, cancel, deadline_ns, error);
        speaks = code == CURLE_OK || (code == CURLE_SSL_CONNECT_ERROR && strstr(error, "alert") != NULL);
    }
    curl_easy_cleanup(easy);
    return speaks;
}

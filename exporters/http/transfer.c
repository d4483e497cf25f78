// SPDX-License-Identifier: Apache-2.0
#include "http/transfer.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/time.h"

enum { POLL_MS = 50, PAUSE_NS = 1000000 };

// Not curl_multi_poll, which reads from a descriptor of its own whatever that number stands for by then.
static void wait_a_little(CURLM *multi, int milliseconds)
{
    int ready = 0;
    uint64_t begin = nsp__monotonic_ns();
    curl_multi_wait(multi, NULL, 0, milliseconds, &ready);
    // It does not wait at all while there is no descriptor to wait for.
    if (ready == 0 && nsp__monotonic_ns() - begin < PAUSE_NS)
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

CURLcode nsp__http_transfer(const nsp__http_drive *drive, char *error)
{
    for (;;) {
        int running, left;
        if (!nsp__http_sockets_held(drive->sockets)) {
            snprintf(error, CURL_ERROR_SIZE, "the descriptors were closed");
            return CURLE_ABORTED_BY_CALLBACK;
        }
        if (curl_multi_perform(drive->multi, &running) != CURLM_OK)
            return CURLE_FAILED_INIT;
        for (CURLMsg *message; (message = curl_multi_info_read(drive->multi, &left)) != NULL;)
            if (message->msg == CURLMSG_DONE)
                return message->data.result;
        uint64_t now = nsp__monotonic_ns();
        if (now >= drive->deadline_ns) {
            snprintf(error, CURL_ERROR_SIZE, "timed out");
            return CURLE_OPERATION_TIMEDOUT;
        }
        if (__atomic_load_n(drive->cancel, __ATOMIC_ACQUIRE)) {
            snprintf(error, CURL_ERROR_SIZE, "stopped before it was complete");
            return CURLE_ABORTED_BY_CALLBACK;
        }
        uint64_t milliseconds = (drive->deadline_ns - now) / 1000000u + 1;
        wait_a_little(drive->multi, milliseconds < POLL_MS ? (int)milliseconds : POLL_MS);
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

static CURLcode hear(const nsp__http_drive *drive, CURL *easy, char *error)
{
    static const uint64_t patience_ns = 1000000000;
    uint64_t until = nsp__monotonic_ns() + patience_ns;
    nsp__http_drive shorter = *drive;
    if (until < drive->deadline_ns)
        shorter.deadline_ns = until;
    if (curl_multi_add_handle(drive->multi, easy) != CURLM_OK)
        return CURLE_FAILED_INIT;
    CURLcode code = nsp__http_transfer(&shorter, error);
    if (nsp__http_sockets_held(drive->sockets))
        curl_multi_remove_handle(drive->multi, easy);
    return code;
}

bool nsp__http_answers_http1(const nsp__http_drive *drive, CURL *post, const char *url)
{
    char error[CURL_ERROR_SIZE] = "";
    long status = 0;
    CURL *easy = ask(post, url, error);
    if (easy != NULL && hear(drive, easy, error) == CURLE_OK)
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    nsp__http_sockets_free(drive->sockets, easy);
    return status != 0;
}

// Makes a handshake only, and accepts any server. A server that requires a certificate ends it with an alert,
// which is TLS as well.
bool nsp__http_speaks_tls(const nsp__http_drive *drive, CURL *post, const char *url)
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
        CURLcode code = hear(drive, easy, error);
        speaks = code == CURLE_OK || (code == CURLE_SSL_CONNECT_ERROR && strstr(error, "alert") != NULL);
    }
    nsp__http_sockets_free(drive->sockets, easy);
    return speaks;
}

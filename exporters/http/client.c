// SPDX-License-Identifier: Apache-2.0
#include "http/client.h"

#include <curl/curl.h>
#include <nanospan/version.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http/gzip.h"
#include "http/headers.h"

enum { POLL_MS = 50, GZIP_MIN_BYTES = 1024, MAX_ANSWER_BYTES = 4 << 20 };

struct nsp__http_client {
    CURLM *multi; // driven by hand, so that cancel is seen while curl waits
    CURL *easy;
    struct curl_slist *plain_headers, *gzip_headers;
    nsp__gzip *gzip; // NULL: no compression
    size_t max_body;
    const int *cancel;
    uint8_t *answer; // grows to MAX_ANSWER_BYTES
    size_t answer_length, answer_room;
    bool answer_too_large;
    char error[CURL_ERROR_SIZE];
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

// Never undone: the application, or a thread of ours that was left behind, may use curl still.
static void initialise_curl(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT);
}

uint64_t nsp__http_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool is_set(const char *text)
{
    return text && *text;
}

static size_t keep_answer(char *bytes, size_t one, size_t length, void *context)
{
    (void)one;
    nsp__http_client *client = context;
    if (length > MAX_ANSWER_BYTES - client->answer_length) {
        client->answer_too_large = true;
        return 0;
    }
    if (client->answer_length + length > client->answer_room) {
        size_t room = 2 * (client->answer_length + length);
        uint8_t *larger = realloc(client->answer, room);
        if (!larger)
            return 0;
        client->answer = larger;
        client->answer_room = room;
    }
    memcpy(client->answer + client->answer_length, bytes, length);
    client->answer_length += length;
    return length;
}

static bool make_headers(nsp__http_client *client, const nsp__http_options *options, nsp_status *status,
                         char *detail, size_t size)
{
    char type[128];
    snprintf(type, sizeof type, "Content-Type: %s", options->content_type);
    struct curl_slist **lists[] = {&client->plain_headers, &client->gzip_headers};
    for (int i = 0; i < 2; ++i) {
        // Without "Expect:" curl would ask before each large body, and wait a second for servers that do not know that.
        if (!nsp__http_headers_add(lists[i], type) || !nsp__http_headers_add(lists[i], "Expect:") ||
            (i == 1 && !nsp__http_headers_add(lists[i], "Content-Encoding: gzip"))) {
            snprintf(detail, size, "headers: out of memory");
            *status = NSP_ERR_NO_MEMORY;
            return false;
        }
        *status = nsp__http_headers_append(lists[i], options->headers, detail, size);
        if (*status != NSP_OK)
            return false;
    }
    return true;
}

// What stays the same from request to request.
static bool set_options(nsp__http_client *client, const nsp__http_options *options)
{
    CURL *easy = client->easy;
    CURLcode code = CURLE_OK;
#define SET(option, value)                                                                                   \
    if (code == CURLE_OK)                                                                                    \
    code = curl_easy_setopt(easy, CURLOPT_##option, value)
    SET(URL, options->endpoint->url);
    SET(PROTOCOLS_STR, "http,https");
    SET(FOLLOWLOCATION, 0L); // a redirect may lead the headers, with their keys, to somebody else
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(USERAGENT, "nanospan/" NSP_VERSION);
    SET(NOSIGNAL, 1L);
    SET(QUICK_EXIT, 1L); // a resolver thread that hangs is left alone, not waited for
    SET(TCP_KEEPALIVE, 1L);
    SET(UPLOAD_BUFFERSIZE, 256L << 10);
    SET(ERRORBUFFER, client->error);
    SET(WRITEFUNCTION, keep_answer);
    SET(WRITEDATA, client);
    SET(POST, 1L);
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (options->endpoint->loopback)
        SET(PROXY, "");
    if (is_set(options->certificate))
        SET(CAINFO, options->certificate);
    if (is_set(options->client_certificate))
        SET(SSLCERT, options->client_certificate);
    if (is_set(options->client_key))
        SET(SSLKEY, options->client_key);
#undef SET
    return code == CURLE_OK && curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, 1L) == CURLM_OK;
}

nsp_status nsp__http_client_create(nsp__http_client **out, const nsp__http_options *options, char *detail,
                                   size_t size)
{
    *out = NULL;
    pthread_once(&curl_once, initialise_curl);
    if (curl_ready != CURLE_OK) {
        snprintf(detail, size, "libcurl: %s", curl_easy_strerror(curl_ready));
        return NSP_ERR_SYSTEM;
    }
    nsp__http_client *client = calloc(1, sizeof *client);
    if (!client) {
        snprintf(detail, size, "HTTP client: out of memory");
        return NSP_ERR_NO_MEMORY;
    }
    client->max_body = options->max_body;
    client->cancel = options->cancel;
    nsp_status status = NSP_OK;
    if (make_headers(client, options, &status, detail, size)) {
        client->multi = curl_multi_init();
        client->easy = curl_easy_init();
        if (options->gzip_bytes)
            client->gzip = nsp__gzip_create(options->gzip_bytes);
        if (!client->multi || !client->easy || (options->gzip_bytes && !client->gzip)) {
            snprintf(detail, size, "HTTP client: out of memory");
            status = NSP_ERR_NO_MEMORY;
        } else if (!set_options(client, options)) {
            snprintf(detail, size, "libcurl refuses an option%s%s", client->error[0] ? ": " : "",
                     client->error);
            status = NSP_ERR_SYSTEM;
        }
    }
    if (status == NSP_OK)
        *out = client;
    else
        nsp__http_client_destroy(client);
    return status;
}

void nsp__http_client_destroy(nsp__http_client *client)
{
    if (!client)
        return;
    if (client->easy)
        curl_easy_cleanup(client->easy);
    if (client->multi)
        curl_multi_cleanup(client->multi);
    curl_slist_free_all(client->plain_headers);
    curl_slist_free_all(client->gzip_headers);
    nsp__gzip_destroy(client->gzip);
    free(client->answer);
    free(client);
}

// Drives the transfer to its end. Fails by itself at the deadline or when cancelled.
static CURLcode transfer(nsp__http_client *client, uint64_t deadline_ns)
{
    for (;;) {
        int running;
        if (curl_multi_perform(client->multi, &running) != CURLM_OK)
            return CURLE_FAILED_INIT;
        int left;
        for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left)) != NULL;)
            if (message->msg == CURLMSG_DONE)
                return message->data.result;
        uint64_t now = nsp__http_now();
        if (now >= deadline_ns) {
            snprintf(client->error, sizeof client->error, "timed out");
            return CURLE_OPERATION_TIMEDOUT;
        }
        if (__atomic_load_n(client->cancel, __ATOMIC_ACQUIRE)) {
            snprintf(client->error, sizeof client->error, "stopped before it was done");
            return CURLE_ABORTED_BY_CALLBACK;
        }
        uint64_t milliseconds = (deadline_ns - now) / 1000000u + 1;
        curl_multi_poll(client->multi, NULL, 0, milliseconds < POLL_MS ? (int)milliseconds : POLL_MS, NULL);
    }
}

// "Connection refused" rather than curl's "Couldn't connect to server".
static void describe(const nsp__http_client *client, CURLcode code, char *error, size_t size)
{
    long number = 0;
    if (code == CURLE_COULDNT_CONNECT)
        curl_easy_getinfo(client->easy, CURLINFO_OS_ERRNO, &number);
    char text[80];
    if (number)
        snprintf(error, size, "%s", strerror_r((int)number, text, sizeof text));
    else
        snprintf(error, size, "%.120s", client->error[0] ? client->error : curl_easy_strerror(code));
}

// What a finished transfer means. `size`: of the request's body as it was to be sent.
static void judge(nsp__http_client *client, CURLcode code, size_t size, nsp__http_answer *answer)
{
    long status = 0;
    curl_off_t sent = 0, retry_after = 0;
    curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(client->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    curl_easy_getinfo(client->easy, CURLINFO_RETRY_AFTER, &retry_after);
    answer->bytes = sent > 0 ? (uint64_t)sent : 0;
    answer->status = (unsigned)status;
    answer->body = client->answer;
    answer->length = client->answer_length;
    if (retry_after > 0)
        answer->retry_after_ns = (uint64_t)(retry_after < 86400 ? retry_after : 86400) * 1000000000u;
    if (client->answer_too_large) {
        answer->outcome = NSP__HTTP_TOO_LARGE;
        snprintf(answer->error, sizeof answer->error, "the answer (status %ld) is longer than 4 MiB", status);
    } else if (code == CURLE_OK || status >= 300) {
        // An error's status says enough, even if the rest of the answer got lost.
        answer->outcome = NSP__HTTP_ANSWERED;
    } else {
        answer->outcome = (uint64_t)sent >= size ? NSP__HTTP_UNCERTAIN : NSP__HTTP_NOT_SENT;
        describe(client, code, answer->error, sizeof answer->error);
    }
}

void nsp__http_post(nsp__http_client *client, const uint8_t *body, size_t length, uint64_t deadline_ns,
                    nsp__http_answer *answer)
{
    memset(answer, 0, sizeof *answer);
    if (length > client->max_body) {
        answer->outcome = NSP__HTTP_TOO_LARGE;
        snprintf(answer->error, sizeof answer->error, "the request of %zu bytes is longer than %zu", length,
                 client->max_body);
        return;
    }
    size_t compressed;
    const uint8_t *packed = NULL;
    if (client->gzip && length >= GZIP_MIN_BYTES)
        packed = nsp__gzip_compress(client->gzip, body, length, &compressed);
    size_t size = packed ? compressed : length;

    client->answer_length = 0;
    client->answer_too_large = false;
    client->error[0] = 0;
    curl_easy_setopt(client->easy, CURLOPT_HTTPHEADER, packed ? client->gzip_headers : client->plain_headers);
    curl_easy_setopt(client->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    curl_easy_setopt(client->easy, CURLOPT_POSTFIELDS, packed ? packed : body);
    if (curl_multi_add_handle(client->multi, client->easy) != CURLM_OK) {
        answer->outcome = NSP__HTTP_NOT_SENT;
        snprintf(answer->error, sizeof answer->error, "libcurl takes no request");
        return;
    }
    CURLcode code = transfer(client, deadline_ns);
    judge(client, code, size, answer);
    curl_multi_remove_handle(client->multi, client->easy);
}

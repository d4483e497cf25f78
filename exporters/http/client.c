// SPDX-License-Identifier: Apache-2.0
#include "http/client.h"

#include <limits.h>
#include <nanospan/version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "http/curl_start.h"
#include "http/curl_version.h"
#include "http/lines.h"
#include "http/proxy.h"
#include "http/sockets.h"
#include "http/transfer.h"

enum {
    // The answers that matter here are short. A longer one, which may cost its decoder a hundred times its
    // size, is refused.
    MAX_ANSWER_BYTES = 64 << 10
};

struct nsp__http_client {
    CURLM *multi; // driven by hand, so cancel is noticed while curl waits
    CURL *easy;
    nsp__http_sockets sockets;
    size_t max_body;
    const int *cancel;
    int *held_back;
    char *bare_url; // without user and password; NULL for a Unix socket
    bool http2, tls;
    bool single_use; // no connection is used for a second request
    bool distrust;   // the last request failed: do not use its connection again
    bool heard;      // the last request was answered in HTTP
    nsp__http_proxy proxy;

    // The request, and how much of it curl has asked for.
    const nsp__http_request *request;
    size_t given; // bytes
    bool lost;    // all was given, and then curl started again: it may have been taken the first time

    uint8_t *answer; // grows to MAX_ANSWER_BYTES
    size_t answer_length, answer_room;
    bool answer_too_large;
    nsp__http_lines lines; // its headers and trailers
    char error[CURL_ERROR_SIZE];
};

static size_t keep_answer(char *bytes, size_t one, size_t length, void *context)
{
    (void)one;
    nsp__http_client *client = context;
    if (length > MAX_ANSWER_BYTES - client->answer_length) {
        client->answer_too_large = true;
        return 0; // curl ends the transfer
    }
    if (client->answer_length + length > client->answer_room) {
        size_t room = 2 * (client->answer_length + length);
        uint8_t *larger = realloc(client->answer, room);
        if (larger == NULL)
            return 0;
        client->answer = larger;
        client->answer_room = room;
    }
    memcpy(client->answer + client->answer_length, bytes, length);
    client->answer_length += length;
    return length;
}

static size_t size_of(const nsp__http_request *request)
{
    return request->prefix_length + request->message_length;
}

// May the last byte leave? A request that the sender counts as held back must not leave after that
// (nsp_exporter_context says how the two words work together).
static bool may_complete(const nsp__http_client *client)
{
    if (client->held_back != NULL)
        __atomic_store_n(client->held_back, 0, __ATOMIC_SEQ_CST);
    return !__atomic_load_n(client->cancel, __ATOMIC_SEQ_CST);
}

static size_t give(char *out, size_t one, size_t room, void *context)
{
    (void)one;
    nsp__http_client *client = context;
    const nsp__http_request *request = client->request;
    size_t given = 0;
    if (size_of(request) - client->given <= room && !may_complete(client))
        return CURL_READFUNC_ABORT;
    while (given < room && client->given < size_of(request)) {
        bool prefix = client->given < request->prefix_length;
        const uint8_t *from = prefix ? request->prefix + client->given
                                     : request->message + (client->given - request->prefix_length);
        size_t part = (prefix ? request->prefix_length : size_of(request)) - client->given;
        if (part > room - given)
            part = room - given;
        memcpy(out + given, from, part);
        given += part;
        client->given += part;
    }
    return given;
}

// curl starts again on another connection, because the one that it had kept was dead.
static int give_again(void *context, curl_off_t offset, int origin)
{
    nsp__http_client *client = context;
    if (origin != SEEK_SET || offset < 0 || (size_t)offset > size_of(client->request))
        return CURL_SEEKFUNC_FAIL;
    client->lost = client->lost || client->given == size_of(client->request);
    client->given = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

// With TLS, the handshake negotiates HTTP/2.
static long http_version(const nsp__http_client *client)
{
    if (!client->http2)
        return CURL_HTTP_VERSION_1_1;
    return client->tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
}

// The options that are the same for every request.
static bool set_options(nsp__http_client *client, const nsp__http_options *options)
{
    const nsp__http_peer *peer = options->peer;
    CURL *easy = client->easy;
    CURLcode code = CURLE_OK;
#define SET(option, value) code = code != CURLE_OK ? code : curl_easy_setopt(easy, CURLOPT_##option, value)
    SET(URL, peer->url);
    SET(PROTOCOLS_STR, "http,https");
    SET(FOLLOWLOCATION, 0L); // a redirect may take the headers, with their keys, to another host
    SET(HTTP_VERSION, http_version(client));
    SET(USERAGENT, "nanospan/" NSP_VERSION);
    SET(NOSIGNAL, 1L);
    SET(QUICK_EXIT, 1L); // do not wait for a resolver thread that hangs
    SET(TCP_KEEPALIVE, 1L);
    SET(UPLOAD_BUFFERSIZE, 256L << 10);
    SET(ERRORBUFFER, client->error);
    SET(WRITEFUNCTION, keep_answer);
    SET(WRITEDATA, client);
    SET(HEADERFUNCTION, nsp__http_lines_keep);
    SET(HEADERDATA, &client->lines);
    SET(POST, 1L);
    SET(READFUNCTION, give);
    SET(READDATA, client);
    SET(SEEKFUNCTION, give_again);
    SET(SEEKDATA, client);
    SET(FORBID_REUSE, client->single_use ? 1L : 0L);
    code = code == CURLE_OK ? nsp__http_sockets_set(easy, &client->sockets) : code;
    if (peer->abstract)
        SET(ABSTRACT_UNIX_SOCKET, peer->unix_socket);
    else
        SET(UNIX_SOCKET_PATH, peer->unix_socket); // NULL: none
#undef SET
    if (code == CURLE_OK)
        code = nsp__http_proxy_set(easy, &client->proxy, peer);
    if (code == CURLE_OK && peer->tls)
        code = nsp__tls_set(easy, &options->tls);
    return code == CURLE_OK && curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, 1L) == CURLM_OK;
}

static nsp_status check_curl(const nsp__http_peer *peer, char *detail, size_t size)
{
    CURLcode code = nsp__curl_start();
    if (code == CURLE_OK)
        return nsp__curl_check(peer, detail, size);
    snprintf(detail, size, "libcurl: %s", curl_easy_strerror(code));
    return NSP_ERR_SYSTEM;
}

static nsp_status set_up(nsp__http_client *client, const nsp__http_options *options, char *detail,
                         size_t size)
{
    client->max_body = options->max_body;
    client->cancel = options->cancel;
    client->held_back = options->held_back;
    bool bare = options->peer->unix_socket == NULL;
    if (bare)
        client->bare_url = strdup(options->peer->shown);
    client->http2 = options->peer->http2;
    client->tls = options->peer->tls;
    client->single_use = client->http2 && !client->tls &&
                         !nsp__curl_reuses_clear_http2(curl_version_info(CURLVERSION_NOW)->version_num);
    client->multi = nsp__http_sockets_begin(&client->sockets);
    client->easy = curl_easy_init();
    if (client->multi == NULL && nsp__http_no_descriptor(0, detail, size))
        return NSP_ERR_SYSTEM;
    if (client->multi == NULL || client->easy == NULL || (bare && client->bare_url == NULL)) {
        snprintf(detail, size, "HTTP client: out of memory");
        return NSP_ERR_NO_MEMORY;
    }
    if (set_options(client, options)) {
        if (client->proxy.fault == NULL)
            return NSP_OK;
        snprintf(detail, size, "the proxy %.60s (%s) cannot be used: %s", client->proxy.shown,
                 client->proxy.variable, client->proxy.fault);
        return NSP_ERR_CONFIG;
    }
    snprintf(detail, size, "libcurl rejects an option%s%s", client->error[0] ? ": " : "", client->error);
    return NSP_ERR_SYSTEM;
}

nsp_status nsp__http_client_create(nsp__http_client **out, const nsp__http_options *options, char *detail,
                                   size_t size)
{
    *out = NULL;
    nsp_status status = check_curl(options->peer, detail, size);
    if (status == NSP_OK && options->peer->tls)
        status = nsp__tls_check(&options->tls, detail, size);
    if (status != NSP_OK)
        return status;
    nsp__http_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        snprintf(detail, size, "HTTP client: out of memory");
        return NSP_ERR_NO_MEMORY;
    }
    status = set_up(client, options, detail, size);
    if (status == NSP_OK)
        *out = client;
    else
        nsp__http_client_destroy(client);
    return status;
}

void nsp__http_client_destroy(nsp__http_client *client)
{
    if (client == NULL)
        return;
    nsp__http_sockets_end(&client->sockets, client->multi, client->easy);
    free(client->bare_url);
    free(client->answer);
    free(client);
}

// May the request have been sent completely? curl's own count does not include what it gave to a kept
// connection before it started again on another one.
static bool left_whole(const nsp__http_client *client, uint64_t sent)
{
    size_t size = size_of(client->request);
    curl_off_t begun = 0; // when the connection was ready for the request
    if (size == 0) {
        curl_easy_getinfo(client->easy, CURLINFO_PRETRANSFER_TIME_T, &begun);
        return begun > 0;
    }
    return client->lost || sent >= size || (sent == 0 && client->given == size);
}

// Fills the answer in from a finished transfer.
static void judge(nsp__http_client *client, CURLcode code, nsp__http_answer *answer)
{
    long status = 0, version = 0;
    curl_off_t sent = 0, retry_after = 0;
    curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(client->easy, CURLINFO_HTTP_VERSION, &version);
    curl_easy_getinfo(client->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
    curl_easy_getinfo(client->easy, CURLINFO_RETRY_AFTER, &retry_after);
    answer->bytes = sent > 0 ? (uint64_t)sent : 0;
    answer->status = (unsigned)status;
    answer->version = !status ? 0 : version == CURL_HTTP_VERSION_2_0 ? 2 : 1;
    answer->body = client->answer;
    answer->length = client->answer_length;
    answer->reset_code = UINT_MAX;
    if (retry_after > 0)
        answer->retry_after_ns = (uint64_t)(retry_after < 86400 ? retry_after : 86400) * 1000000000u;
    if (client->answer_too_large && status < 300) {
        answer->outcome = NSP__HTTP_TOO_LARGE;
        snprintf(answer->error, sizeof answer->error, "the answer (status %ld) is longer than 64 KiB",
                 status);
    } else if (code == CURLE_OK || status >= 300) {
        // The status of an error says enough, even if the rest of the answer was lost.
        answer->outcome = NSP__HTTP_ANSWERED;
    } else {
        answer->timed_out = code == CURLE_OPERATION_TIMEDOUT;
        answer->reset_code = client->http2 ? nsp__http_reset_code(client->error) : UINT_MAX;
        answer->outcome = left_whole(client, answer->bytes) ? NSP__HTTP_UNCERTAIN : NSP__HTTP_NOT_SENT;
        nsp__http_failure failure = {.easy = client->easy,
                                     .code = code,
                                     .error = client->error,
                                     .proxy = &client->proxy,
                                     .socket_error = client->sockets.error,
                                     .closed = nsp__http_sockets_closed(&client->sockets),
                                     .tls = client->tls,
                                     .http2 = client->http2};
        answer->trouble = nsp__http_failure_explain(&failure, answer->error, sizeof answer->error);
    }
}

static bool broke_off(CURLcode code, const nsp__http_answer *answer)
{
    return (code == CURLE_HTTP2_STREAM && answer->reset_code == UINT_MAX) || code == CURLE_HTTP2 ||
           code == CURLE_GOT_NOTHING || code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR ||
           code == CURLE_SEND_ERROR;
}

// The application has closed the descriptors that libcurl works with: starts again with the same options.
static bool renew(nsp__http_client *client)
{
    CURL *easy = curl_easy_duphandle(client->easy);
    if (easy == NULL)
        return false;
    nsp__http_sockets_end(&client->sockets, client->multi, client->easy);
    client->easy = easy;
    client->multi = nsp__http_sockets_begin(&client->sockets);
    return client->multi != NULL && curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, 1L) == CURLM_OK;
}

// A clear-text connection ended without an answer: finds out whether the server speaks something else.
static void find_other_protocol(nsp__http_client *client, const nsp__http_drive *drive,
                                nsp__http_answer *answer)
{
    if (!client->heard && nsp__http_speaks_tls(drive, client->easy, client->bare_url))
        answer->trouble = NSP__HTTP_WANTS_TLS;
    else if (client->http2 && nsp__http_answers_http1(drive, client->easy, client->bare_url))
        answer->trouble = NSP__HTTP_OTHER_PROTOCOL;
}

// The request is over, and judged: frees what only it needed.
static void settle(nsp__http_client *client, const nsp__http_drive *drive, CURLcode code,
                   nsp__http_answer *answer)
{
    curl_socket_t kept = CURL_SOCKET_BAD;
    if (nsp__http_sockets_held(&client->sockets)) {
        // Of the multi handle's, so as long as it is there.
        curl_easy_getinfo(client->easy, CURLINFO_ACTIVESOCKET, &kept);
        curl_multi_remove_handle(client->multi, client->easy);
        if (!client->tls && !answer->status && broke_off(code, answer))
            find_other_protocol(client, drive, answer);
    }
    if (nsp__http_sockets_held(&client->sockets))
        nsp__http_sockets_settle(&client->sockets, kept);
    else
        renew(client); // if it fails, the next request tries again
}

void nsp__http_post(nsp__http_client *client, const nsp__http_request *request, uint64_t deadline_ns,
                    nsp__http_answer *answer)
{
    memset(answer, 0, sizeof *answer);
    answer->reset_code = UINT_MAX;
    size_t size = size_of(request);
    if (size > client->max_body) {
        answer->outcome = NSP__HTTP_TOO_LARGE;
        snprintf(answer->error, sizeof answer->error,
                 "the request of %zu bytes is over the limit of %zu bytes", size, client->max_body);
        return;
    }
    // A short request could leave in the first step, and nobody would wait for its answer.
    if (nsp__monotonic_ns() >= deadline_ns) {
        answer->outcome = NSP__HTTP_NOT_SENT;
        answer->timed_out = true;
        snprintf(answer->error, sizeof answer->error, "timed out");
        return;
    }
    client->request = request;
    client->given = 0;
    client->lost = false;
    nsp__http_sockets_expect(&client->sockets);
    client->answer_length = 0;
    client->answer_too_large = false;
    nsp__http_lines_clear(&client->lines);
    client->error[0] = 0;
    bool usable = (client->multi != NULL && nsp__http_sockets_intact(&client->sockets)) || renew(client);
    curl_easy_setopt(client->easy, CURLOPT_HTTPHEADER, request->headers);
    curl_easy_setopt(client->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)size);
    curl_easy_setopt(client->easy, CURLOPT_FRESH_CONNECT, client->single_use || client->distrust ? 1L : 0L);
    if (!usable || curl_multi_add_handle(client->multi, client->easy) != CURLM_OK) {
        answer->outcome = NSP__HTTP_NOT_SENT;
        snprintf(answer->error, sizeof answer->error, "libcurl does not accept the request");
        return;
    }
    const nsp__http_drive drive = {client->multi, &client->sockets, client->cancel, deadline_ns};
    CURLcode code = nsp__http_transfer(&drive, client->error);
    judge(client, code, answer);
    client->distrust = code != CURLE_OK;
    settle(client, &drive, code, answer);
    client->heard = answer->status != 0;
}

const char *nsp__http_proxy_shown(const nsp__http_client *client)
{
    return client->proxy.variable != NULL ? client->proxy.shown : NULL;
}

const char *nsp__http_header(const nsp__http_client *client, const char *name)
{
    return nsp__http_lines_find(&client->lines, false, name);
}

const char *nsp__http_trailer(const nsp__http_client *client, const char *name)
{
    return nsp__http_lines_find(&client->lines, true, name);
}

bool nsp__http_has_trailers(const nsp__http_client *client)
{
    return client->lines.length > client->lines.head;
}

// SPDX-License-Identifier: Apache-2.0
#include "request.h"

#include "doctor.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

enum { BODY_MAX = 1 << 20 }; // the list of services of a trace store may be long

static size_t keep_body(char *bytes, size_t one, size_t length, void *context)
{
    request_answer *answer = context;
    (void)one;
    size_t room = BODY_MAX - answer->body.length;
    text_add(&answer->body, bytes, length < room ? length : room);
    return length;
}

static bool header_is(const char *line, size_t length, const char *name, char *out, size_t size)
{
    size_t name_length = strlen(name);
    if (length <= name_length || line[name_length] != ':' || strncasecmp(line, name, name_length) != 0)
        return false;
    const char *value = line + name_length + 1, *end = line + length;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;
    snprintf(out, size, "%.*s", (int)(end - value), value);
    return true;
}

// Called for headers and for gRPC's trailers.
static size_t keep_header(char *line, size_t one, size_t length, void *context)
{
    request_answer *answer = context;
    (void)one;
    char status[16];
    header_is(line, length, "content-type", answer->type, sizeof answer->type);
    header_is(line, length, "date", answer->date, sizeof answer->date);
    if (header_is(line, length, "location", answer->location, sizeof answer->location))
        answer->location[strcspn(answer->location, "?#")] = '\0'; // the rest may be secret
    if (header_is(line, length, "grpc-message", answer->grpc_message, sizeof answer->grpc_message)) {
        int decoded_length = 0;
        char *decoded = curl_easy_unescape(NULL, answer->grpc_message, 0, &decoded_length);
        if (decoded != NULL)
            snprintf(answer->grpc_message, sizeof answer->grpc_message, "%s", decoded);
        curl_free(decoded);
    }
    if (header_is(line, length, "grpc-status", status, sizeof status))
        answer->grpc_status = atoi(status);
    return length;
}

static long version_of(const request *r)
{
    bool tls = strncasecmp(r->url, "https:", 6) == 0;
    switch (r->version) {
    case REQUEST_HTTP1: return CURL_HTTP_VERSION_1_1;
    case REQUEST_HTTP2: return tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
    default: return CURL_HTTP_VERSION_2TLS;
    }
}

static void set_tls(CURL *easy, const request *r)
{
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_CERTINFO, 1L);
    if (r->skip_verification) {
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    } else if (r->certificate != NULL && *r->certificate) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, r->certificate);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); // instead of the system's
    }
    if (r->client_certificate != NULL && *r->client_certificate) {
        curl_easy_setopt(easy, CURLOPT_SSLCERT, r->client_certificate);
        curl_easy_setopt(easy, CURLOPT_KEYPASSWD, ""); // or the TLS library would ask for it on the terminal
    }
    if (r->client_key != NULL && *r->client_key)
        curl_easy_setopt(easy, CURLOPT_SSLKEY, r->client_key);
}

// The first certificate of the chain is the server's own.
static void keep_certificate(CURL *easy, request_answer *answer)
{
    struct curl_certinfo *certificates = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_CERTINFO, &certificates) != CURLE_OK || certificates == NULL ||
        certificates->num_of_certs < 1)
        return;
    for (const struct curl_slist *at = certificates->certinfo[0]; at != NULL; at = at->next) {
        size_t length = strlen(at->data);
        header_is(at->data, length, "Subject", answer->subject, sizeof answer->subject);
        header_is(at->data, length, "Issuer", answer->issuer, sizeof answer->issuer);
        header_is(at->data, length, "Expire date", answer->expires, sizeof answer->expires);
    }
}

static void exchange(CURL *easy, const request *r, request_answer *answer)
{
    curl_easy_setopt(easy, CURLOPT_URL, r->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version_of(r));
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "nanospan/" NSP_VERSION);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, r->headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(r->timeout_ns / 1000000));
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, answer->error);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, keep_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, answer);
    if (r->body != NULL) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, r->body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)r->body_length);
    }
    // The exporter does the same: without a tunnel, clear-text gRPC would reach the proxy as HTTP/1.
    curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, r->version == REQUEST_HTTP2 ? 1L : 0L);
    if (r->no_proxy)
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
    if (r->socket != NULL && *r->socket)
        curl_easy_setopt(easy, r->abstract ? CURLOPT_ABSTRACT_UNIX_SOCKET : CURLOPT_UNIX_SOCKET_PATH,
                         r->socket);
    set_tls(easy, r);
    answer->code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &answer->connect_status);
    curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &answer->version);
    curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &answer->verify);
    keep_certificate(easy, answer);
}

void request_send(const request *r, request_answer *answer)
{
    *answer = (request_answer){.grpc_status = -1, .code = CURLE_FAILED_INIT};
    CURL *easy = curl_easy_init();
    if (easy == NULL)
        return;
    exchange(easy, r, answer);
    curl_easy_cleanup(easy);
    if (answer->code != CURLE_OK && !answer->error[0])
        snprintf(answer->error, sizeof answer->error, "%s", curl_easy_strerror(answer->code));
    for (char *c = answer->error; *c; c++) // some messages end with a newline
        *c = *c == '\n' || *c == '\r' ? ' ' : *c;
}

// OpenSSL's last complaint. libcurl's error buffer is not enough: it keeps only the first message of a
// connection, whatever that was.
typedef struct complaint {
    char *line;
    size_t size;
} complaint;

static int keep_complaint(CURL *easy, curl_infotype type, char *bytes, size_t length, void *context)
{
    const complaint *kept = context;
    (void)easy;
    if (type == CURLINFO_TEXT && memmem(bytes, length, "SSL routines", 12) != NULL) {
        const char *end = memchr(bytes, '\n', length);
        snprintf(kept->line, kept->size, "%.*s", (int)(end != NULL ? (size_t)(end - bytes) : length), bytes);
    }
    return 0;
}

static void wait_for(curl_socket_t socket)
{
    struct pollfd waiting = {.fd = socket, .events = POLLIN};
    poll(&waiting, 1, 50);
}

static bool hangs_up(CURL *easy, curl_socket_t socket, uint64_t until)
{
    char byte;
    size_t got;
    CURLcode code;
    while ((code = curl_easy_recv(easy, &byte, 1, &got)) == CURLE_AGAIN && doctor_now() < until)
        wait_for(socket);
    return code == CURLE_OK ? got == 0 : code != CURLE_AGAIN;
}

// Does the server close the connection, whatever it sends before? Used for HTTP/2, which curl_easy_recv
// cannot handle (7.88 crashes).
static bool closes(curl_socket_t socket, uint64_t until)
{
    char bytes[4096];
    while (doctor_now() < until) {
        ssize_t got = recv(socket, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            return true;
        if (got < 0)
            wait_for(socket);
    }
    return false;
}

bool request_refused_late(const request *r, char *why, size_t size)
{
    complaint kept = {why, size};
    request_answer ignored = {0};
    CURL *easy = curl_easy_init();
    curl_socket_t socket = CURL_SOCKET_BAD;
    if (easy == NULL)
        return false;
    request quiet = *r;
    quiet.body = NULL;
    quiet.headers = NULL;
    why[0] = '\0';
    // Sends nothing after the handshake: with data under way, the server's alert may be lost.
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, keep_complaint);
    curl_easy_setopt(easy, CURLOPT_DEBUGDATA, &kept);
    exchange(easy, &quiet, &ignored);
    CURLcode code = ignored.code;
    uint64_t until = doctor_now() + r->timeout_ns;
    bool connected = code == CURLE_OK && curl_easy_getinfo(easy, CURLINFO_ACTIVESOCKET, &socket) == CURLE_OK;
    bool refused = code != CURLE_OK;
    if (connected)
        refused = r->version == REQUEST_HTTP1 ? hangs_up(easy, socket, until) : closes(socket, until);
    curl_easy_cleanup(easy);
    request_answer_free(&ignored);
    return refused;
}

void request_answer_free(request_answer *answer)
{
    text_free(&answer->body);
}

// SPDX-License-Identifier: Apache-2.0
#include "http/failure.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

// Makes as many sockets as libcurl needs to resolve a name. 0, or the errno of the first one that could not
// be made.
static int try_sockets(void)
{
    enum { NEEDED = 3 };
    int made[NEEDED], count = 0, error = 0;
    while (count < NEEDED && (made[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0)
        ++count;
    error = count < NEEDED ? errno : 0;
    while (count > 0)
        close(made[--count]);
    return error;
}

bool nsp__http_no_descriptor(int error, char *out, size_t size)
{
    if (!error)
        error = try_sockets();
    struct rlimit limit = {0};
    if (error == ENFILE)
        snprintf(out, size, "no file descriptor is left on this machine (fs.file-max)");
    else if (error == EMFILE && getrlimit(RLIMIT_NOFILE, &limit) == 0)
        snprintf(out, size,
                 "no file descriptor is left: the process may have %llu (ulimit -n, RLIMIT_NOFILE)",
                 (unsigned long long)limit.rlim_cur);
    return error == ENFILE || error == EMFILE;
}

// Only libcurl's text has the code: "... was not closed cleanly: NAME (err NUMBER)".
unsigned nsp__http_reset_code(const char *error)
{
    const char *number = strstr(error, "not closed cleanly") != NULL ? strstr(error, "(err ") : NULL;
    unsigned code;
    return number != NULL && sscanf(number, "(err %u)", &code) == 1 ? code : UINT_MAX;
}

// With HTTP/2, curl does not report the server's TLS alerts. All that a refused client sees is the end of a
// connection that was made for this request.
static bool ended_unheard(const nsp__http_failure *failure)
{
    long connects = 0, status = 0;
    curl_easy_getinfo(failure->easy, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(failure->easy, CURLINFO_RESPONSE_CODE, &status);
    bool ended = failure->code == CURLE_SEND_ERROR || failure->code == CURLE_RECV_ERROR ||
                 failure->code == CURLE_PARTIAL_FILE ||
                 (failure->code == CURLE_HTTP2_STREAM && nsp__http_reset_code(failure->error) == UINT_MAX);
    return failure->tls && failure->http2 && connects > 0 && !status && ended &&
           strstr(failure->error, "alert") == NULL;
}

// Is it something on this side that prevents the connection? Then out gets the line about it.
static nsp__http_trouble hindered(const nsp__http_failure *failure, char *out, size_t size)
{
    bool resolved =
        failure->code != CURLE_COULDNT_RESOLVE_HOST && failure->code != CURLE_COULDNT_RESOLVE_PROXY;
    bool socket = failure->code == CURLE_COULDNT_CONNECT && failure->socket_error;
    if ((socket || !resolved) && nsp__http_no_descriptor(failure->socket_error, out, size))
        return NSP__HTTP_NO_DESCRIPTOR;
    if (nsp__http_proxy_blamed(failure->easy, failure->proxy, failure->code, failure->error, out, size))
        return NSP__HTTP_PROXY;
    return NSP__HTTP_NO_TROUBLE;
}

// Prefers "Connection refused" to curl's "Couldn't connect to server".
static void describe(const nsp__http_failure *failure, char *error, size_t size)
{
    long number = 0;
    if (failure->code == CURLE_COULDNT_CONNECT)
        curl_easy_getinfo(failure->easy, CURLINFO_OS_ERRNO, &number);
    char text[80];
    if (number)
        snprintf(error, size, "%s", strerror_r((int)number, text, sizeof text));
    else if (ended_unheard(failure))
        snprintf(error, size, "the server ended a new TLS connection; it may require a client certificate");
    else
        snprintf(error, size, "%.120s",
                 failure->error[0] ? failure->error : curl_easy_strerror(failure->code));
}

static nsp__http_trouble trouble_of(const nsp__http_failure *failure)
{
    switch (failure->code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS: return NSP__HTTP_NOT_TRUSTED;
    case CURLE_SSL_CONNECT_ERROR:
        if (strstr(failure->error, "application protocol") != NULL)
            return NSP__HTTP_OTHER_PROTOCOL;
        return strstr(failure->error, "alert") != NULL && strstr(failure->error, "certificate") != NULL
                   ? NSP__HTTP_CLIENT_REFUSED
                   : NSP__HTTP_NO_HANDSHAKE;
    case CURLE_SSL_CERTPROBLEM: return NSP__HTTP_OWN_PAIR;
    case CURLE_SSL_CACERT_BADFILE: return NSP__HTTP_NO_AUTHORITIES;
    case CURLE_SSL_CLIENTCERT: return NSP__HTTP_CLIENT_REFUSED;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY: return NSP__HTTP_OTHER_PROTOCOL;
    default: break;
    }
    // With TLS 1.3 the client considers itself connected before the server has looked at its certificate.
    if (failure->tls && strstr(failure->error, "alert") != NULL)
        return NSP__HTTP_CLIENT_REFUSED;
    return NSP__HTTP_NO_TROUBLE;
}

nsp__http_trouble nsp__http_failure_explain(const nsp__http_failure *failure, char *out, size_t size)
{
    // Whatever libcurl says then, about TLS or a bad descriptor, is only a consequence.
    if (failure->closed) {
        snprintf(out, size,
                 "the application closed the descriptors of the connection (does it call closefrom?)");
        return NSP__HTTP_NO_TROUBLE;
    }
    nsp__http_trouble trouble = hindered(failure, out, size);
    if (trouble != NSP__HTTP_NO_TROUBLE)
        return trouble;
    describe(failure, out, size);
    return trouble_of(failure);
}

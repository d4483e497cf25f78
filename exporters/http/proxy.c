// SPDX-License-Identifier: Apache-2.0
#include "http/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/percent.h"

static const char *variable_set(const char *name)
{
    const char *value = secure_getenv(name);
    return value != NULL && *value ? value : NULL;
}

// In libcurl's order. HTTP_PROXY is not among them, because a request's header `Proxy:` would set it in CGI
// programs.
static const char *find(bool tls, const char **variable)
{
    static const char *const clear[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const secure[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
    const char *value = NULL;
    for (const char *const *name = tls ? secure : clear; *name != NULL && value == NULL; ++name) {
        value = variable_set(*name);
        *variable = value != NULL ? *name : NULL;
    }
    return value;
}

static void copy_part(CURLU *url, CURLUPart part, char *out, size_t size)
{
    char *text = NULL;
    if (curl_url_get(url, part, &text, 0) == CURLUE_OK)
        snprintf(out, size, "%s", text);
    curl_free(text);
}

static bool has_control(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool found =
        curl_url_get(url, part, &text, 0) == CURLUE_OK && nsp__percent_hides_control(text, strlen(text));
    curl_free(text);
    return found;
}

// Host and port, in the form of libcurl's error texts.
static void describe(nsp__http_proxy *proxy, const char *value)
{
    CURLU *url = curl_url();
    if (url != NULL &&
        curl_url_set(url, CURLUPART_URL, value, CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME) == CURLUE_OK) {
        char host[sizeof proxy->host] = "";
        bool https = strncasecmp(value, "https:", 6) == 0;
        copy_part(url, CURLUPART_HOST, host, sizeof host);
        copy_part(url, CURLUPART_PORT, proxy->port, sizeof proxy->port);
        if (!proxy->port[0])
            snprintf(proxy->port, sizeof proxy->port, "%s", https ? "443" : "1080");
        size_t bracket = host[0] == '[';
        snprintf(proxy->host, sizeof proxy->host, "%.*s", (int)strcspn(host + bracket, "]"), host + bracket);
        snprintf(proxy->shown, sizeof proxy->shown, "%s:%s", host, proxy->port);
        // With a zero in one of them, libcurl would go around the proxy without a word.
        if (has_control(url, CURLUPART_USER) || has_control(url, CURLUPART_PASSWORD))
            proxy->fault = "the user name or password before its @ contains a control character";
    } else {
        snprintf(proxy->shown, sizeof proxy->shown, "(not a URL)");
    }
    curl_url_cleanup(url);
}

CURLcode nsp__http_proxy_set(CURL *easy, nsp__http_proxy *proxy, const nsp__http_peer *peer)
{
    *proxy = (nsp__http_proxy){0};
    const char *value = peer->loopback ? NULL : find(peer->tls, &proxy->variable);
    const char *except = variable_set("no_proxy");
    if (except == NULL)
        except = variable_set("NO_PROXY");
    if (value != NULL)
        describe(proxy, value);
    bool tunnel = peer->http2 && !peer->tls;
    CURLcode code = curl_easy_setopt(easy, CURLOPT_PROXY, value != NULL ? value : "");
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_NOPROXY, except != NULL ? except : "");
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_HTTPPROXYTUNNEL, tunnel ? 1L : 0L);
    return code;
}

// "Failed to connect to HOST port PORT after ...": are they the proxy's?
static bool failed_to_connect(const nsp__http_proxy *proxy, const char *error)
{
    static const char start[] = "Failed to connect to ";
    char whole[sizeof proxy->host + sizeof proxy->port + 16];
    int length = snprintf(whole, sizeof whole, "%s port %s ", proxy->host, proxy->port);
    return strncmp(error, start, sizeof start - 1) == 0 && proxy->host[0] &&
           strncasecmp(error + sizeof start - 1, whole, (size_t)length) == 0;
}

bool nsp__http_proxy_blamed(CURL *easy, const nsp__http_proxy *proxy, CURLcode code, const char *error,
                            char *out, size_t size)
{
    long answer = 0, number = 0;
    char text[80];
    if (proxy->variable == NULL)
        return false;
    curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &answer);
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
    // libcurl's own text is not repeated, because it may hold the proxy's URL with its password.
    if (code == CURLE_URL_MALFORMAT) // the endpoint was checked when tracing started
        snprintf(out, size, "the proxy %.60s (%s) is not a URL that libcurl accepts", proxy->shown,
                 proxy->variable);
    else if (answer >= 300)
        snprintf(out, size, "the proxy %.60s (%s) answered %ld%s", proxy->shown, proxy->variable, answer,
                 answer == 407 ? ": it wants a user and password" : "");
    else if (code == CURLE_COULDNT_RESOLVE_PROXY)
        snprintf(out, size, "the name of the proxy %.60s (%s) cannot be resolved", proxy->shown,
                 proxy->variable);
    else if (code == CURLE_COULDNT_CONNECT && failed_to_connect(proxy, error))
        snprintf(out, size, "the proxy %.60s (%s): %s", proxy->shown, proxy->variable,
                 number ? strerror_r((int)number, text, sizeof text) : "cannot be connected");
    else if (strstr(error, "roxy") != NULL || strstr(error, "CONNECT") != NULL || code == CURLE_PROXY)
        snprintf(out, size, "the proxy %.60s (%s) does not make the connection", proxy->shown,
                 proxy->variable);
    else
        return false;
    return true;
}

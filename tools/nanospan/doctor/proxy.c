// SPDX-License-Identifier: Apache-2.0
//
// libcurl takes proxies from the environment, except for receivers on this machine.
#include "proxy.h"

#include <stdlib.h>
#include <strings.h>

// Does no_proxy name the host? Entries are hosts or domains; `*` matches all hosts.
static bool excepted(const char *host)
{
    const char *list = getenv("no_proxy");
    list = list != NULL ? list : getenv("NO_PROXY");
    while (list != NULL && *list) {
        list += strspn(list, ", ");
        size_t length = strcspn(list, ", ");
        const char *entry = list + (*list == '.');
        size_t entry_length = length - (*list == '.'), host_length = strlen(host);
        bool tail = entry_length && host_length >= entry_length &&
                    strncasecmp(host + host_length - entry_length, entry, entry_length) == 0;
        if ((length == 1 && *list == '*') ||
            (tail && (host_length == entry_length || host[host_length - entry_length - 1] == '.')))
            return true;
        list += length;
    }
    return false;
}

static void copy_part(CURLU *url, CURLUPart part, char *out, size_t size)
{
    char *value = NULL;
    if (curl_url_get(url, part, &value, 0) == CURLUE_OK)
        snprintf(out, size, "%s", value);
    curl_free(value);
}

static void take_apart(doctor *d, const char *value, doctor_proxy *out)
{
    char secret[256] = "";
    CURLU *url = curl_url();
    if (url != NULL &&
        curl_url_set(url, CURLUPART_URL, value, CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME) == CURLUE_OK) {
        copy_part(url, CURLUPART_HOST, out->host, sizeof out->host);
        copy_part(url, CURLUPART_PORT, out->port, sizeof out->port);
        copy_part(url, CURLUPART_PASSWORD, secret, sizeof secret);
        doctor_hide(d, secret, strlen(secret));
    }
    if (!*out->port)
        snprintf(out->port, sizeof out->port, "%s", strncasecmp(value, "https:", 6) == 0 ? "443" : "1080");
    curl_url_cleanup(url);
}

bool doctor_proxy_find(doctor *d, doctor_proxy *out)
{
    const doctor_target *t = &d->target;
    static const char *const CLEAR[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
    static const char *const TLS[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
    *out = (doctor_proxy){0};
    if (t->way.loopback || excepted(t->host))
        return false;
    for (const char *const *name = t->way.tls ? TLS : CLEAR; *name != NULL; name++) {
        const char *value = getenv(*name);
        if (value == NULL || !*value)
            continue;
        out->variable = *name;
        take_apart(d, value, out);
        doctor_say(d, DOCTOR_WARN, "endpoint.proxy",
                   "%s is set: spans go through the proxy %s:%s, not directly to %s", *name, out->host,
                   out->port, t->host);
        doctor_advise(d, "if you do not want that, add %s to no_proxy", t->host);
        return true;
    }
    return false;
}

bool doctor_proxy_connect(doctor *d, const doctor_proxy *proxy, connect_address *addresses, size_t *count)
{
    char error[128] = "";
    *count = connect_resolve(proxy->host, proxy->port, addresses, doctor_time(d, 5 * DOCTOR_SECOND), error,
                             sizeof error);
    connect_try(addresses, *count, doctor_time(d, 3 * DOCTOR_SECOND));
    bool connected = false;
    for (size_t i = 0; i < *count; i++) {
        connected = connected || addresses[i].error == 0;
        if (addresses[i].error)
            snprintf(error, sizeof error, "%s", strerror(addresses[i].error));
    }
    d->target.connected = connected;
    if (connected) {
        doctor_say(d, DOCTOR_OK, "endpoint.proxy_connect", "the proxy %s:%s accepts connections", proxy->host,
                   proxy->port);
    } else {
        doctor_say(d, DOCTOR_FAIL, "endpoint.proxy_connect", "cannot connect to the proxy %s:%s: %s",
                   proxy->host, proxy->port, error);
        doctor_advise(d, "correct or unset %s, or add %s to no_proxy", proxy->variable, d->target.host);
    }
    return connected;
}

bool doctor_proxy_refused(doctor *d, const doctor_proxy *proxy, const request_answer *answer)
{
    bool wants_user = answer->connect_status == 407 || answer->status == 407;
    bool refused = answer->connect_status >= 300 || answer->status == 407;
    bool broke_off = answer->code != CURLE_OK &&
                     (strstr(answer->error, "roxy") != NULL || strstr(answer->error, "CONNECT") != NULL);
    if (!refused && !broke_off)
        return false;
    if (refused)
        doctor_say(d, DOCTOR_FAIL, "endpoint.proxy_connect", "the proxy %s:%s refused with HTTP status %ld",
                   proxy->host, proxy->port,
                   answer->connect_status >= 300 ? answer->connect_status : answer->status);
    else
        doctor_say(d, DOCTOR_FAIL, "endpoint.proxy_connect", "the proxy %s:%s did not set up the connection",
                   proxy->host, proxy->port);
    if (wants_user)
        doctor_advise(d, "the proxy requires a user and a password: %s=http://USER:PASSWORD@%s:%s",
                      proxy->variable, proxy->host, proxy->port);
    doctor_advise(d, "check that the proxy lets requests through to %s:%s, or add %s to no_proxy",
                  d->target.host, d->target.port, d->target.host);
    return true;
}

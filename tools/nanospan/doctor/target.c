// SPDX-License-Identifier: Apache-2.0
#include "target.h"

#include <curl/curl.h>

static void copy_part(CURLU *url, CURLUPart part, unsigned flags, char *out, size_t size)
{
    char *value = NULL;
    out[0] = '\0';
    if (curl_url_get(url, part, &value, flags) == CURLUE_OK)
        snprintf(out, size, "%s", value);
    curl_free(value);
}

static void hide_part(doctor *d, CURLU *url, CURLUPart part, unsigned flags)
{
    char secret[4096];
    copy_part(url, part, flags, secret, sizeof secret);
    doctor_hide(d, secret, strlen(secret));
}

static void take_apart(doctor *d)
{
    doctor_target *t = &d->target;
    CURLU *url = curl_url();
    if (curl_url_set(url, CURLUPART_URL, t->way.url, 0) == CURLUE_OK) {
        hide_part(d, url, CURLUPART_PASSWORD, CURLU_URLDECODE);
        hide_part(d, url, CURLUPART_PASSWORD, 0);
        hide_part(d, url, CURLUPART_QUERY, 0);
        copy_part(url, CURLUPART_HOST, 0, t->host, sizeof t->host);
        copy_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, t->port, sizeof t->port);
        copy_part(url, CURLUPART_PATH, 0, t->path, sizeof t->path);
    }
    if (t->way.unix_socket != NULL)
        t->port[0] = '\0';
    curl_url_cleanup(url);
}

bool doctor_target_read(doctor *d)
{
    doctor_target *t = &d->target;
    char detail[512] = "";
    t->protocol_given = d->config.protocol != NULL && *d->config.protocol;
    if (nsp_otlp_target_resolve(&t->way, &d->config, detail, sizeof detail) != NSP_OK) {
        doctor_say(d, DOCTOR_FAIL, "endpoint.url", "%s", detail);
        doctor_advise(d, "an endpoint is http://HOST:4317 (gRPC), http://HOST:4318 (HTTP) or "
                         "unix:///run/otlp.sock; headers are NAME=VALUE,NAME=VALUE");
        return false;
    }
    if (*detail) {
        doctor_say(d, DOCTOR_WARN, "endpoint.doubt", "%s", detail);
        doctor_advise(d, "correct the endpoint or the headers if you meant something else");
    }
    t->grpc = t->way.protocol == NSP_OTLP_GRPC;
    take_apart(d);
    return true;
}

// SPDX-License-Identifier: Apache-2.0
#include "http/curl_version.h"

#include <curl/curl.h>
#include <stdio.h>

nsp_status nsp__curl_check(const nsp__http_peer *peer, char *detail, size_t size)
{
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    static const struct {
        int feature;
        const char *text;
    } needs[] = {{CURL_VERSION_HTTP2, "HTTP/2"},
                 {CURL_VERSION_SSL, "TLS"},
                 {CURL_VERSION_UNIX_SOCKETS, "Unix sockets"}};
    const bool needed[] = {peer->http2, peer->tls, peer->unix_socket != NULL};
    for (size_t i = 0; i < sizeof needs / sizeof *needs; ++i)
        if (needed[i] && !(curl->features & needs[i].feature)) {
            snprintf(detail, size, "libcurl %s was built without %s", curl->version, needs[i].text);
            return NSP_ERR_UNSUPPORTED;
        }
    return NSP_OK;
}

// SPDX-License-Identifier: Apache-2.0
//
// What the loaded libcurl can do, and known faults of its versions. Versions have the form of
// curl_version_info_data.version_num: 0x075801 is 7.88.1.
#ifndef NSP_HTTP_CURL_VERSION_H
#define NSP_HTTP_CURL_VERSION_H

#include <nanospan/base.h>

#include "http/peer.h"

// Before 8.0.0 a second request on a clear-text HTTP/2 connection that was not made by an upgrade fails with
// error 16.
static inline bool nsp__curl_reuses_clear_http2(unsigned version)
{
    return version >= 0x080000;
}

// 8.12.1 leaves out the header `te: trailers`, which some gRPC servers require.
static inline bool nsp__curl_strips_te(unsigned version)
{
    return version == 0x080c01;
}

// Checks that the loaded libcurl can do what this peer needs. NSP_ERR_UNSUPPORTED, with one line in detail,
// if not.
nsp_status nsp__curl_check(const nsp__http_peer *peer, char *detail, size_t size);

#endif

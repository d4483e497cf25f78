// SPDX-License-Identifier: Apache-2.0
//
// Certificates and keys of a TLS connection.
#ifndef NSP_HTTP_TLS_H
#define NSP_HTTP_TLS_H

#include <curl/curl.h>
#include <nanospan/base.h>

// PEM files, named as in nsp_config. NULL or "": not set. The certificate's file may hold the key as well.
typedef struct nsp__tls_files {
    const char *certificate; // the authorities to trust; not set: the system's
    const char *client_certificate, *client_key;
} nsp__tls_files;

bool nsp__tls_files_any(const nsp__tls_files *files);

// Are the files there, and can TLS use them? Starts a handshake with an end that never answers, so curl's TLS
// library, whichever it is, loads the files. NSP_ERR_CONFIG with one line in detail that names the member; a
// key that has a password is an error too. Takes a second at most and needs no network.
nsp_status nsp__tls_check(const nsp__tls_files *files, char *detail, size_t size);

CURLcode nsp__tls_set(CURL *easy, const nsp__tls_files *files);

#endif

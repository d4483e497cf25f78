// SPDX-License-Identifier: Apache-2.0
//
// The exporters that come with the library. nsp_config.exporter chooses one by name. An application needs
// this header only to build an exporter of its own (nsp_config.custom_exporter) around one of them, or to
// find out how spans would be sent.
#ifndef NANOSPAN_EXPORTERS_H
#define NANOSPAN_EXPORTERS_H

#include <nanospan/exporter.h>

typedef enum nsp_otlp_protocol {
    NSP_OTLP_HTTP_PROTOBUF,
    NSP_OTLP_HTTP_JSON,
    NSP_OTLP_GRPC
} nsp_otlp_protocol;

struct curl_slist; // <curl/curl.h>

// Where the exporter "otlp" sends spans, and how. nanospan owns what it points to, until
// nsp_otlp_target_free.
typedef struct nsp_otlp_target {
    nsp_otlp_protocol protocol;
    bool tls;
    bool loopback;           // the host is this machine; then no proxy is used
    bool abstract_socket;    // unix_socket is an abstract name, not a path
    const char *unix_socket; // NULL: none
    const char *url;         // of the requests; may hold a user name and password
    const char *shown;       // for messages: without those and without a query
    // Headers of a request whose body is not compressed, for CURLOPT_HTTPHEADER, without gRPC's deadline. May
    // hold secrets.
    struct curl_slist *headers;
    void *owner;
} nsp_otlp_target;

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// The exporter "otlp", "file" or "console". NULL for any other name, including "none", and for NULL. Static
// storage. Thread and signal safe.
NSP_API const nsp_exporter *nsp_exporter_builtin(const char *name);

// Reads endpoint, endpoint_exact, insecure, protocol, headers and compression in the same way as the
// exporter, and connects nothing. NSP_ERR_CONFIG for settings that cannot be used, or NSP_ERR_NO_MEMORY, with
// one line in detail (size bytes); then *out is empty. With NSP_OK, detail gets a line about settings that
// work but may not do what was intended, such as headers that are left out because the protocol does not
// allow them, or "". Thread safe; allocates; takes up to 16 KiB of stack.
NSP_API nsp_status nsp_otlp_target_resolve(nsp_otlp_target *out, const nsp_config *config, char *detail,
                                           size_t size);
NSP_API void nsp_otlp_target_free(nsp_otlp_target *target); // an empty one is fine

#endif
NSP_END_DECLS
#endif

// SPDX-License-Identifier: Apache-2.0
//
// The exporters of libnanospan; libnanospan-core alone has none. nsp_config.exporter selects them by name. An
// application needs this header only to build an exporter of its own (nsp_config.custom_exporter) around one
// of them, or to find out how spans would be sent.
#ifndef NANOSPAN_EXPORTERS_H
#define NANOSPAN_EXPORTERS_H

#include <nanospan/exporter.h>

typedef enum nsp_otlp_protocol {
    NSP_OTLP_HTTP_PROTOBUF,
    NSP_OTLP_HTTP_JSON,
    NSP_OTLP_GRPC
} nsp_otlp_protocol;

struct curl_slist; // <curl/curl.h>

// Where and how the exporter "otlp" sends. nanospan owns what it points to, until nsp_otlp_target_free.
typedef struct nsp_otlp_target {
    nsp_otlp_protocol protocol;
    bool tls;
    bool loopback;           // the host is this machine, so no proxy is used
    bool abstract_socket;    // unix_socket is the name of an abstract socket, not a path
    const char *unix_socket; // NULL: none
    const char *url;         // the URL of a request; may contain a user name and a password
    const char *shown;       // the same for people to read: without user name, password and query
    // The headers of a request whose body is not compressed, without gRPC's deadline, in the form that
    // CURLOPT_HTTPHEADER takes. May contain secrets.
    struct curl_slist *headers;
    void *owner; // internal
} nsp_otlp_target;

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Returns the exporter "otlp", "file" or "console", in static storage; NULL for any other name, for "none"
// and for NULL. Thread safe and signal safe.
NSP_API const nsp_exporter *nsp_exporter_builtin(const char *name);

// Evaluates endpoint, endpoint_exact, insecure, protocol, headers and compression like the exporter, without
// connecting to anything. Errors: NSP_ERR_CONFIG (values that make no sense) and NSP_ERR_NO_MEMORY; then
// `detail` (`size` bytes) receives one line that says why, and *out is empty. With NSP_OK, `detail` receives
// one line about settings that work but may not be what was meant, such as headers that are left out because
// the protocol does not allow them, or "". Thread safe; not signal safe. Allocates, and uses up to 16 KiB of
// stack.
NSP_API nsp_status nsp_otlp_target_resolve(nsp_otlp_target *out, const nsp_config *config, char *detail,
                                           size_t size);

// Frees a target. An empty one is allowed. Thread safe; not signal safe.
NSP_API void nsp_otlp_target_free(nsp_otlp_target *target);

#endif
NSP_END_DECLS
#endif

// SPDX-License-Identifier: Apache-2.0
#include "web.h"

#include "page/pack.h"
#include "page/page.h"
#include "common/hex.h"
#include "support/listen.h"
#include "support/output_file.h"
#include "support/trace_file.h"
#include "web_crowd.h"
#include "web_guard.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// One thread answers all requests, one after the other, so many at once take no more memory or processors than one.
// A page asks once a second; connections on which nothing happens end soon, so that others get their turn.
enum { CONNECTIONS = WEB_CROWD + 16, IDLE_SECONDS = 10, CONNECTION_BYTES = 16 << 10 };

#define TITLE "nanospan sink"

struct sink_web {
    struct MHD_Daemon *daemon;
    web_options options;
    web_guard guard;
    web_crowd crowd;
    sink_live *live;
    char url[WEB_PLACE_SIZE + 64];
};

// An answer. The body becomes libmicrohttpd's.
typedef struct answer {
    unsigned status;
    const char *type;
    text body;
    text policy;      // of a page's content; empty: that of what is no page
    uint64_t missing; // spans of a trace that are not held any more
    bool has_missing;
} answer;

// What is no page may do nothing if it is opened as one.
#define NO_PAGE "default-src 'none'; base-uri 'none'; form-action 'none'"
#define NO_FRAME "; frame-ancestors 'none'"

static const char TEXT_TYPE[] = "text/plain; charset=utf-8";

static enum MHD_Result reply(struct MHD_Connection *connection, answer *a)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(a->body.length, a->body.data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        text_free(&a->body);
        text_free(&a->policy);
        return MHD_NO;
    }
    if (a->policy.length == 0)
        text_put(&a->policy, NO_PAGE);
    text_add(&a->policy, NO_FRAME, sizeof NO_FRAME); // with the NUL
    const char *const headers[][2] = {
        {"Content-Type", a->type},
        {"Content-Security-Policy", a->policy.data},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cache-Control", "no-store"},
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    if (a->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    if (a->status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    if (a->has_missing) {
        char number[24];
        snprintf(number, sizeof number, "%" PRIu64, a->missing);
        MHD_add_response_header(response, "Nanospan-Missing-Spans", number);
    }
    const enum MHD_Result result = MHD_queue_response(connection, a->status, response);
    MHD_destroy_response(response);
    text_free(&a->policy);
    return result;
}

static void refuse(answer *a, unsigned status, const char *why)
{
    a->status = status;
    a->type = TEXT_TYPE;
    text_format(&a->body, "%s\n", why);
}

static void answer_page(answer *a)
{
    char nonce[PAGE_NONCE_SIZE];
    if (!page_nonce(nonce)) {
        refuse(a, MHD_HTTP_INTERNAL_SERVER_ERROR, "there are no random numbers");
        return;
    }
    page_policy(&a->policy, nonce, true);
    a->type = "text/html; charset=utf-8";
    page_live(&a->body, nonce, nsp__slice_of(TITLE));
}

// Packs the one trace that these lines have.
static bool pack_lines(const text *lines, text *out, text *problem)
{
    trace_file file;
    trace_store store;
    if (!trace_file_memory(&file, lines->data, lines->length, "what the sink holds"))
        return false;
    trace_store_init(&store);
    bool sound = trace_file_read(&file, &store);
    if (sound) {
        trace_store_arrange(&store);
        const trace *const one = store.traces;
        const pack_content content = {.files = &file,
                                      .file_count = 1,
                                      .store = &store,
                                      .traces = &one,
                                      .trace_count = store.trace_count,
                                      .title = TITLE};
        sound = store.trace_count == 1 && pack_traces(&content, out, problem);
    }
    trace_store_free(&store);
    trace_file_close(&file);
    return sound;
}

static void answer_trace(answer *a, sink_web *web, const char *digits)
{
    uint64_t id[2];
    text lines = {0};
    if (digits == NULL || strlen(digits) != 32 || !nsp__hex_words(id, digits, 2)) {
        refuse(a, MHD_HTTP_BAD_REQUEST, "id must be the 32 hexadecimal digits of a trace id");
        return;
    }
    // An answer without contents and not a 404, since nothing is wrong: the trace may come yet, or be gone.
    if (!live_trace_lines(web->live, id, &lines, &a->missing)) {
        a->status = MHD_HTTP_NO_CONTENT;
        return;
    }
    text problem = {0};
    if (pack_lines(&lines, &a->body, &problem)) {
        a->has_missing = true;
        a->type = "application/octet-stream";
    } else {
        text_free(&a->body);
        text_char(&problem, '\0');
        refuse(a, MHD_HTTP_INTERNAL_SERVER_ERROR,
               *problem.data ? problem.data : "the trace cannot be packed");
    }
    text_free(&problem);
    text_free(&lines);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *bytes, size_t *length,
                              void **state)
{
    sink_web *web = context;
    const char *why = NULL;
    answer a = {.status = web_guard_refuses(&web->guard, connection, method, &why), .type = TEXT_TYPE};
    (void)version;
    (void)bytes;
    (void)state;
    *length = 0;
    web_crowd_asked(&web->crowd, connection);
    if (a.status != 0) {
        refuse(&a, a.status, why);
        return reply(connection, &a);
    }
    a.status = MHD_HTTP_OK;
    const bool is_state = strcmp(path, "/api/state") == 0, is_trace = strcmp(path, "/api/trace") == 0;
    if (strcmp(path, "/") == 0) {
        answer_page(&a);
    } else if (!is_state && !is_trace) {
        refuse(&a, MHD_HTTP_NOT_FOUND, "not found; the page is at /");
    } else if (!web_guard_knows(&web->guard, connection)) {
        refuse(&a, MHD_HTTP_UNAUTHORIZED,
               "the token is missing or wrong; it is in the address that nanospan sink prints when "
               "it starts, and is sent as Authorization: Bearer TOKEN");
    } else if (is_state) {
        a.type = "application/json";
        live_state(web->live, &a.body);
    } else {
        answer_trace(&a, web, MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "id"));
    }
    return reply(connection, &a);
}

// libmicrohttpd reports broken connections, which are of no interest here.
static void quiet(void *context, const char *format, va_list arguments)
{
    (void)context;
    (void)format;
    (void)arguments;
}

sink_web *web_start(const web_options *options, int listener, unsigned port, sink_live *live)
{
    sink_web *web = need_zeroes(1, sizeof *web);
    web->options = *options;
    web->live = live;
    if (!web_guard_init(&web->guard, listener, options->address, port)) {
        close(listener);
        free(web);
        return NULL;
    }
    web_guard_url(&web->guard, web->url, sizeof web->url);
    web_crowd_init(&web->crowd);
    web->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0, NULL, NULL,
        handle, web, MHD_OPTION_EXTERNAL_LOGGER, quiet, NULL, MHD_OPTION_LISTEN_SOCKET, listener,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_NOTIFY_CONNECTION, web_crowd_changes, &web->crowd, MHD_OPTION_END);
    if (web->daemon == NULL) {
        complain("cannot start the live page: %s", strerror(errno));
        close(listener);
        free(web);
        return NULL;
    }
    return web;
}

const char *web_url(const sink_web *web)
{
    return web->url;
}

bool web_is_exposed(const sink_web *web)
{
    return !web->guard.loopback;
}

// Whoever can read the address can read the spans, so only this user can.
bool web_write_files(const sink_web *web)
{
    return (web->options.url_file == NULL || output_file_line(web->options.url_file, 0600, web->url)) &&
           (web->options.port_file == NULL || listen_write_port(web->options.port_file, web->guard.port));
}

void web_stop(sink_web *web)
{
    MHD_stop_daemon(web->daemon); // closes the socket
    free(web);
}

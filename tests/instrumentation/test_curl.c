// SPDX-License-Identifier: Apache-2.0
//
// Traced libcurl requests to a traced server in the same process, so that both ends of a trace can be
// checked.
//
// ctest: TIMEOUT 240
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <nanospan/curl.h>
#include <nanospan/microhttpd.h>
#include <nanospan/propagation.h>

#include "http/methods.h"
#include "http/url.h"
#include "support/capture.h"
#include "support/child.h"

#define TRACE_ID "0af7651916cd43dd8448eb211c80319c"
#define PARENT_ID "b7ad6b7169203331"

// ---- the server ----

static struct MHD_Daemon *server;
static uint16_t port;

// Header fields of the last request, one a line.
static char fields[16384];
static size_t fields_length;
static bool silence_is_over; // atomic; until then /silent is not answered
static pthread_mutex_t fields_lock = PTHREAD_MUTEX_INITIALIZER;

static enum MHD_Result note(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)context;
    (void)kind;
    fields_length +=
        (size_t)snprintf(fields + fields_length, sizeof fields - fields_length, "\n%s: %s", name, value);
    return MHD_YES;
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *location)
{
    static char text[] = "answer\n";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT);
    if (location != NULL)
        MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, location);
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

// Sends one more request to the same server.
static void ask_further(void)
{
    char url[64];
    CURL *easy = curl_easy_init();
    snprintf(url, sizeof url, "http://127.0.0.1:%u/end", port);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    nsp_curl_perform(easy, NSP_NAME("further"), NULL);
    curl_easy_cleanup(easy);
}

static enum MHD_Result handler(void *context, struct MHD_Connection *connection, const char *path,
                               const char *method, const char *version, const char *data, size_t *size,
                               void **state)
{
    static int begun;
    (void)context;
    (void)method;
    (void)version;
    (void)data;
    if (*state == NULL || *size != 0) {
        *state = &begun;
        *size = 0;
        return MHD_YES;
    }
    pthread_mutex_lock(&fields_lock);
    fields_length = 0;
    MHD_get_connection_values(connection, MHD_HEADER_KIND, note, NULL);
    pthread_mutex_unlock(&fields_lock);
    if (strcmp(path, "/redirect/2") == 0)
        return answer(connection, 302, "/redirect/1");
    if (strcmp(path, "/redirect/1") == 0)
        return answer(connection, 302, "/end");
    if (strcmp(path, "/stall") == 0) {
        usleep(300000);
        return MHD_NO;
    }
    if (strcmp(path, "/silent") == 0) {
        while (!__atomic_load_n(&silence_is_over, __ATOMIC_ACQUIRE))
            usleep(1000);
        return MHD_NO;
    }
    if (strcmp(path, "/further") == 0)
        ask_further();
    NSP_SPAN(span, "work");
    return answer(connection, strncmp(path, "/status/", 8) == 0 ? (unsigned)atoi(path + 8) : 200, NULL);
}

static void serve(void)
{
    static const nsp_mhd_route routes[] = {{NULL, "/end", "the end"}, {NULL, "/further", "go further"}};
    struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    nsp_mhd_server about = NSP_MHD_SERVER_INIT;
    about.routes = routes;
    about.route_count = 2;
    // A thread for each connection, because a handler that waits for a further request to this server must
    // not block it.
    server = nsp_mhd_start_daemon(&about, MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0,
                                  NULL, NULL, handler, NULL, MHD_OPTION_SOCK_ADDR, &loopback, MHD_OPTION_END);
    assert_non_null(server);
    port = MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static void settle(void)
{
    nsp_mhd_stop_daemon(server);
    server = NULL;
    capture_settle();
}

static int begin(void **state)
{
    (void)state;
    nsp_thread_reset();
    capture_begin(1.0);
    serve();
    return 0;
}

static int end(void **state)
{
    (void)state;
    nsp_mhd_stop_daemon(server);
    server = NULL;
    nsp_incoming_enter(NULL);
    capture_end();
    return 0;
}

// ---- requests ----

static size_t drop_body(char *data, size_t size, size_t count, void *context)
{
    (void)data;
    (void)context;
    return size * count;
}

static CURL *handle(const char *path)
{
    char url[1024];
    CURL *easy = curl_easy_init();
    assert_non_null(easy);
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop_body);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 60000L);
    return easy;
}

// The value of a field that the server received exactly once; NULL if it did not receive it.
static const char *sent(const char *name)
{
    static char value[9216];
    char line[64];
    snprintf(line, sizeof line, "\n%s: ", name);
    const char *at = strcasestr(fields, line);
    if (at == NULL)
        return NULL;
    at += strlen(line);
    assert_null(strcasestr(at, line));
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\n"), at);
    return value;
}

static const captured_span *client_span(size_t index)
{
    for (size_t i = 0; i < capture_count(); i++)
        if (capture_at(i)->kind == NSP_KIND_CLIENT && index-- == 0)
            return capture_at(i);
    fail_msg("there are fewer client spans");
    return NULL;
}

static void assert_hex(const uint8_t *id, size_t size, const char *hex)
{
    char text[2 * NSP_TRACE_ID_SIZE + 1];
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", id[i]);
    assert_memory_equal(text, hex, 2 * size);
}

#define assert_text(span, key, value) assert_string_equal(captured_text(span, key), value)
#define assert_no_text(span, key) assert_null(captured_text(span, key))

static char *local(const char *path)
{
    static char url[256];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
    return url;
}

// ---- one trace ----

static void client_and_server_are_one_trace(void **state)
{
    (void)state;
    nsp_incoming came;
    memset(&came, 0, sizeof came);
    nsp_baggage_set(&came.baggage, "tenant", "blue sky");
    nsp_incoming_enter(&came);
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    CURL *easy = handle("/further?symbol=BTCUSDT&token=s3cret");
    assert_int_equal(nsp_curl_perform(easy, NSP_NAME("ai-engine: get_signal"), NULL), CURLE_OK);
    assert_ptr_equal(nsp_span_current(), root);
    nsp_span_end(root);
    curl_easy_cleanup(easy);
    nsp_incoming_enter(NULL);
    settle();

    const captured_span *client = capture_named("ai-engine: get_signal");
    const captured_span *middle = capture_named("go further");
    const captured_span *further = capture_named("further");
    const captured_span *last = capture_named("the end");
    assert_true(captured_child_of(client, capture_named("root")));
    assert_true(captured_child_of(middle, client));
    assert_true(captured_child_of(further, middle));
    assert_true(captured_child_of(last, further));
    assert_int_equal(capture_count(), 7); // with a work span of each server
    assert_false(client->parent_remote);
    assert_true(middle->parent_remote && last->parent_remote);
    assert_int_equal(client->kind, NSP_KIND_CLIENT);
    assert_int_equal(middle->kind, NSP_KIND_SERVER);
    assert_string_equal(sent("baggage"), "tenant=blue%20sky"); // passed through the server to the next one
    assert_hex(further->trace_id, sizeof further->trace_id, sent("traceparent") + 3);
    assert_hex(further->span_id, sizeof further->span_id, sent("traceparent") + 36);

    char number[8];
    snprintf(number, sizeof number, "%u", port);
    assert_text(client, "http.request.method", "GET");
    assert_text(client, "url.full", local("/further?symbol=BTCUSDT&token=REDACTED"));
    assert_text(client, "server.address", "127.0.0.1");
    assert_text(client, "server.port", number);
    assert_text(client, "http.response.status_code", "200");
    assert_int_equal(captured_attribute_of(client, "http.response.status_code")->type, NSP_TYPE_I64);
    assert_text(client, "network.protocol.version", "1.1");
    assert_text(client, "network.peer.address", "127.0.0.1");
    assert_text(client, "network.peer.port", number);
    assert_int_equal(client->attribute_count, 8);
    assert_int_equal(client->status, NSP_SPAN_STATUS_UNSET);
    assert_text(further, "http.request.method", "HEAD");
    assert_text(last, "http.request.method", "HEAD");
}

static void read_methods(void *unused)
{
    (void)unused;
    setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", " GET ,\tLOCK\r\n", 1);
    CHILD_CHECK(nsp__method_of("GET")->known);
    CHILD_CHECK(nsp__method_of("LOCK")->known);
    CHILD_CHECK(!nsp__method_of("POST")->known);
}

// The variable is read once per process, so this runs in a process that has not read it yet.
static void white_space_around_a_method_is_ignored(void **state)
{
    (void)state;
    assert_int_equal(child_run(read_methods, NULL, 20), 0);
}

static void without_a_name_it_is_the_method(void **state)
{
    (void)state;
    CURL *easy = handle("/end");
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "body");
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OK);
    curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OK);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "DELETE");
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OK);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "BREW");
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OK);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL);
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OK);
    curl_easy_cleanup(easy);
    settle();
    static const char *const names[] = {"POST", "GET", "DELETE", "HTTP", "HEAD"};
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(client_span(i)->name, names[i]);
        assert_text(client_span(i), "http.request.method", i == 3 ? "_OTHER" : names[i]);
        if (i == 3)
            assert_text(client_span(i), "http.request.method_original", "BREW");
        else
            assert_no_text(client_span(i), "http.request.method_original");
    }
}

// ---- outcomes ----

static void answers_from_400_on_are_errors(void **state)
{
    (void)state;
    static const char *const paths[] = {"/status/204", "/status/304", "/status/404", "/status/503"};
    for (size_t i = 0; i < 4; i++) {
        CURL *easy = handle(paths[i]);
        assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OK);
        curl_easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
        assert_int_equal(nsp_curl_perform(easy, 0, NULL), i < 2 ? CURLE_OK : CURLE_HTTP_RETURNED_ERROR);
        curl_easy_cleanup(easy);
    }
    settle();
    for (size_t i = 0; i < 8; i++) {
        const captured_span *span = client_span(i);
        const char *status = paths[i / 2] + 8;
        assert_text(span, "http.response.status_code", status);
        assert_int_equal(span->status, i < 4 ? NSP_SPAN_STATUS_UNSET : NSP_SPAN_STATUS_ERROR);
        assert_string_equal(span->status_message, "");
        if (i < 4)
            assert_no_text(span, "error.type");
        else
            assert_text(span, "error.type", status);
    }
}

static void assert_failure(size_t index, const char *type, CURLcode result, bool located)
{
    const captured_span *span = client_span(index);
    assert_int_equal(span->status, NSP_SPAN_STATUS_ERROR);
    assert_text(span, "error.type", type);
    assert_string_equal(span->status_message, curl_easy_strerror(result));
    assert_no_text(span, "http.response.status_code");
    assert_true((captured_text(span, "url.full") != NULL) == located);
}

static void failed_transfers_are_errors(void **state)
{
    (void)state;
    int unused = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); // a port on which nothing listens
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    char url[128];
    assert_int_equal(bind(unused, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(unused, (struct sockaddr *)&at, &size), 0);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", ntohs(at.sin_port));

    CURL *easy = handle("/stall");
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_GOT_NOTHING);
    curl_easy_setopt(easy, CURLOPT_URL, local("/silent"));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 50L);
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OPERATION_TIMEDOUT);
    __atomic_store_n(&silence_is_over, true, __ATOMIC_RELEASE);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 60000L);
    assert_int_equal(nsp_curl_perform(easy, NSP_NAME("named"), NULL), CURLE_COULDNT_CONNECT);
    curl_easy_setopt(easy, CURLOPT_URL, "nonsense://127.0.0.1/");
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_UNSUPPORTED_PROTOCOL);
    curl_easy_cleanup(easy);
    easy = curl_easy_init();
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_URL_MALFORMAT);
    curl_easy_cleanup(easy);
    close(unused);
    assert_int_equal(nsp_curl_perform(NULL, 0, NULL), CURLE_BAD_FUNCTION_ARGUMENT);
    settle();
    assert_failure(0, "no_answer", CURLE_GOT_NOTHING, true);
    assert_failure(1, "timeout", CURLE_OPERATION_TIMEDOUT, true);
    assert_failure(2, "connect_failed", CURLE_COULDNT_CONNECT, true);
    assert_string_equal(client_span(2)->name, "named");
    assert_failure(3, "unsupported_protocol", CURLE_UNSUPPORTED_PROTOCOL, true);
    assert_failure(4, "malformed_url", CURLE_URL_MALFORMAT, false);
}

static void redirects_are_counted_in_one_span(void **state)
{
    (void)state;
    CURL *easy = handle("/redirect/2");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OK);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OK); // the same URL, not the redirect's target
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 1L);
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_TOO_MANY_REDIRECTS);
    curl_easy_cleanup(easy);
    settle();
    assert_text(client_span(0), "http.request.resend_count", "2");
    assert_text(client_span(0), "url.full", local("/redirect/2"));
    assert_text(client_span(0), "http.response.status_code", "200");
    assert_no_text(client_span(1), "http.request.resend_count");
    assert_text(client_span(1), "url.full", local("/redirect/2"));
    assert_text(client_span(1), "http.response.status_code", "302");
    assert_int_equal(client_span(1)->status, NSP_SPAN_STATUS_UNSET);
    assert_text(client_span(2), "error.type", "too_many_redirects");
    size_t servers = 0;
    for (size_t i = 0; i < capture_count(); i++)
        servers += captured_child_of(capture_at(i), client_span(0));
    assert_int_equal(servers, 3); // one for each of its requests
}

static void secrets_of_the_url_are_not_shown(void **state)
{
    (void)state;
    char url[256], expected[256];
    CURL *easy = handle("/end");
    snprintf(url, sizeof url, "http://name:pass%%40word@127.0.0.1:%u/end?a=1&Signature=abc#part", port);
    snprintf(expected, sizeof expected, "http://REDACTED:REDACTED@127.0.0.1:%u/end?a=1&Signature=REDACTED",
             port);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OK);
    assert_non_null(sent("Authorization")); // the password was used
    snprintf(url, sizeof url, "127.0.0.1:%u/end", port);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OK);
    curl_easy_cleanup(easy);

    easy = handle("");
    CURLU *parts = curl_url();
    curl_url_set(parts, CURLUPART_URL, local("/end?parts"), 0);
    curl_easy_setopt(easy, CURLOPT_URL, NULL);
    curl_easy_setopt(easy, CURLOPT_CURLU, parts);
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OK);
    curl_easy_cleanup(easy);
    curl_url_cleanup(parts);
    settle();
    assert_text(client_span(0), "url.full", expected);
    assert_text(client_span(0), "server.address", "127.0.0.1");
    assert_text(client_span(1), "url.full", local("/end"));
    assert_text(client_span(2), "url.full", local("/end?parts"));
}

// ---- header fields ----

static void the_list_of_the_application_is_its_own(void **state)
{
    (void)state;
    struct curl_slist *list = curl_slist_append(NULL, "X-One: 1");
    list = curl_slist_append(list, "Accept:");
    list = curl_slist_append(list, "X-Two: 2");
    struct curl_slist *second = list->next;
    CURL *easy = handle("/end");
    assert_int_equal(nsp_curl_perform(easy, 0, list), CURLE_OK);
    assert_string_equal(sent("X-One"), "1");
    assert_string_equal(sent("X-Two"), "2");
    assert_null(sent("Accept"));
    assert_non_null(sent("traceparent"));
    assert_ptr_equal(list->next, second);
    assert_string_equal(list->data, "X-One: 1");
    assert_string_equal(list->next->next->data, "X-Two: 2");
    assert_null(list->next->next->next);
    // Afterwards the handle has that list.
    assert_int_equal(curl_easy_perform(easy), CURLE_OK);
    assert_string_equal(sent("X-One"), "1");
    assert_null(sent("traceparent"));
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OK);
    assert_null(sent("X-One"));
    assert_int_equal(curl_easy_perform(easy), CURLE_OK);
    assert_null(sent("traceparent"));
    curl_easy_cleanup(easy);
    curl_slist_free_all(list);
}

static void a_field_of_ours_is_sent_once(void **state)
{
    (void)state;
    struct curl_slist *list = curl_slist_append(NULL, "X-One: 1");
    list = curl_slist_append(list, "Traceparent: 00-11111111111111111111111111111111-2222222222222222-01");
    list = curl_slist_append(list, "X-Two: 2");
    CURL *easy = handle("/end");
    assert_int_equal(nsp_curl_perform(easy, 0, list), CURLE_OK);
    assert_string_equal(sent("X-One"), "1");
    assert_string_equal(sent("X-Two"), "2");
    assert_null(strstr(sent("traceparent"), "1111"));
    assert_string_equal(list->next->data,
                        "Traceparent: 00-11111111111111111111111111111111-2222222222222222-01");
    // Now only that list contains our fields.
    struct curl_slist *alone = curl_slist_append(NULL, "traceparent: x");
    assert_int_equal(nsp_curl_perform(easy, 0, alone), CURLE_OK);
    assert_null(strchr(sent("traceparent"), 'x'));
    curl_easy_cleanup(easy);
    curl_slist_free_all(list);
    curl_slist_free_all(alone);
}

static void all_formats_find_room(void **state)
{
    (void)state;
    nsp_incoming came;
    nsp_config config;
    char value[4001];
    capture_end();
    capture_config(&config);
    config.sample_rate = 1.0;
    config.propagators = "tracecontext,baggage,b3,b3multi";
    capture_start(&config);
    memset(&came, 0, sizeof came);
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    assert_int_equal(nsp_baggage_set(&came.baggage, "first", value), NSP_OK);
    assert_int_equal(nsp_baggage_set(&came.baggage, "second", value), NSP_OK);
    nsp_incoming_enter(&came);
    CURL *easy = handle("/end");
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OK);
    curl_easy_cleanup(easy);
    nsp_incoming_enter(NULL);
    assert_int_equal(strlen(sent("baggage")), came.baggage.length);
    assert_non_null(sent("traceparent"));
    assert_non_null(sent("b3"));
    assert_non_null(sent("X-B3-TraceId"));
    assert_non_null(sent("X-B3-SpanId"));
    assert_string_equal(sent("X-B3-Sampled"), "1");
}

// ---- the multi interface ----

static void transfers_at_the_same_time_have_a_span_each(void **state)
{
    (void)state;
    enum { TRANSFERS = 6 };
    static nsp_curl_call calls[TRANSFERS];
    CURL *handles[TRANSFERS];
    CURLM *multi = curl_multi_init();
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    struct curl_slist *list = curl_slist_append(NULL, "X-One: 1");
    for (size_t i = 0; i < TRANSFERS; i++) {
        handles[i] = handle(i == 0 ? "/status/500" : "/end");
        if (i == 1)
            curl_easy_setopt(handles[i], CURLOPT_POSTFIELDS, "body");
        nsp_curl_begin(&calls[i], handles[i], i == 2 ? NSP_NAME("third") : 0, list);
        assert_ptr_equal(nsp_span_current(), root);
        nsp_span_set_i64(nsp_curl_span(&calls[i]), NSP_KEY("number"), (int64_t)i);
        curl_multi_add_handle(multi, handles[i]);
    }
    nsp_span_end(root);
    int running = 1, left;
    while (running != 0) {
        assert_int_equal(curl_multi_perform(multi, &running), CURLM_OK);
        curl_multi_poll(multi, NULL, 0, 100, NULL);
        CURLMsg *message;
        while ((message = curl_multi_info_read(multi, &left)) != NULL) {
            CURL *easy = message->easy_handle;
            CURLcode result = message->data.result;
            curl_multi_remove_handle(multi, easy);
            for (size_t i = 0; i < TRANSFERS; i++)
                if (handles[i] == easy) {
                    nsp_curl_finish(&calls[i], result);
                    nsp_curl_finish(&calls[i], result);
                    assert_null(nsp_curl_span(&calls[i]));
                }
        }
    }
    // A transfer that is given up.
    CURL *easy = handle("/stall");
    nsp_curl_begin(&calls[0], easy, 0, NULL);
    nsp_curl_finish(&calls[0], CURLE_ABORTED_BY_CALLBACK);
    curl_easy_cleanup(easy);
    for (size_t i = 0; i < TRANSFERS; i++)
        curl_easy_cleanup(handles[i]);
    curl_multi_cleanup(multi);
    curl_slist_free_all(list);
    settle();
    bool seen[TRANSFERS] = {false};
    for (size_t i = 0; i < TRANSFERS; i++) {
        const captured_span *span = client_span(i);
        int number = atoi(captured_text(span, "number"));
        assert_false(seen[number]);
        seen[number] = true;
        assert_true(captured_child_of(span, capture_named("root")));
        assert_string_equal(span->name, number == 1 ? "POST" : number == 2 ? "third" : "GET");
        assert_text(span, "http.response.status_code", number == 0 ? "500" : "200");
        size_t servers = 0;
        for (size_t k = 0; k < capture_count(); k++)
            servers += captured_child_of(capture_at(k), span);
        assert_int_equal(servers, 1);
    }
    assert_text(client_span(TRANSFERS), "error.type", "aborted");
}

enum { CLIENTS = 4, EACH = 25 };

static void *ask(void *argument)
{
    CURL *easy = handle("/further");
    uintptr_t failures = 0;
    (void)argument;
    for (int i = 0; i < EACH; i++) {
        NSP_SPAN(span, "thread");
        failures += nsp_curl_perform(easy, 0, NULL) != CURLE_OK;
    }
    curl_easy_cleanup(easy);
    return (void *)failures;
}

static void threads_do_not_mix_their_traces(void **state)
{
    (void)state;
    pthread_t threads[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, NULL), 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        void *failures;
        pthread_join(threads[i], &failures);
        assert_null(failures);
    }
    settle();
    static const char *const chain[] = {"thread", "GET", "go further", "further", "the end"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(capture_count_named(chain[i]), CLIENTS * EACH);
    for (size_t i = 0; i < capture_count(); i++)
        for (size_t link = 1; link < 5; link++) {
            size_t parents = 0;
            if (strcmp(capture_at(i)->name, chain[link]) != 0)
                continue;
            for (size_t k = 0; k < capture_count(); k++)
                parents += captured_child_of(capture_at(i), capture_at(k)) &&
                           strcmp(capture_at(k)->name, chain[link - 1]) == 0;
            assert_int_equal(parents, 1);
        }
}

// ---- traces that are not recorded ----

static void an_unsampled_trace_is_passed_on_as_one(void **state)
{
    (void)state;
    nsp_context own;
    char expected[NSP_TRACEPARENT_SIZE];
    assert_int_equal(nsp_sampler_set_rate(0.0), NSP_OK);
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    CURL *easy = handle("/further");
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OK);
    nsp_span_context(root, &own);
    nsp_context_format(&own, expected);
    assert_memory_equal(sent("traceparent") + 3, expected + 3, 32); // two requests further on
    assert_int_equal(sent("traceparent")[54] & 1, 0);
    nsp_span_end(root);
    curl_easy_cleanup(easy);
    settle();
    assert_int_equal(capture_count(), 0);
}

static void with_tracing_off_what_came_goes_on_unchanged(void **state)
{
    (void)state;
    static const char traceparent[] = "00-" TRACE_ID "-" PARENT_ID "-01";
    serve();
    struct curl_slist *list = curl_slist_append(NULL, "traceparent: 00-" TRACE_ID "-" PARENT_ID "-01");
    list = curl_slist_append(list, "tracestate: vendor=value");
    list = curl_slist_append(list, "baggage: tenant=a");
    CURL *easy = handle("/further"); // its server sends one more request, with what it received
    assert_int_equal(nsp_curl_perform(easy, NSP_NAME("off"), list), CURLE_OK);
    assert_string_equal(sent("traceparent"), traceparent);
    assert_string_equal(sent("tracestate"), "vendor=value");
    assert_string_equal(sent("baggage"), "tenant=a");
    assert_int_equal(nsp_curl_perform(easy, 0, NULL), CURLE_OK);
    assert_null(sent("traceparent"));
    curl_easy_cleanup(easy);
    curl_slist_free_all(list);
    nsp_mhd_stop_daemon(server);
    server = NULL;
}

// ---- the parts ----

static void urls_are_redacted(void **state)
{
    (void)state;
    static const struct {
        const char *url, *shown, *host;
        uint32_t port;
    } cases[] = {
        {"https://a.test/b?c=d", "https://a.test/b?c=d", "a.test", 0},
        {"https://u@a.test:1/", "https://REDACTED@a.test:1/", "a.test", 1},
        {"https://u:p@[::1]:1/", "https://REDACTED:REDACTED@[::1]:1/", "::1", 1},
        {"https://u:p@ss@a.test", "https://REDACTED:REDACTED@a.test", "a.test", 0},
        {"a.test:80?x=1", "http://a.test:80?x=1", "a.test", 80},
        {"a.test/http://b", "http://a.test/http://b", "a.test", 0},
        {"http://a/?X-Amz-Signature=1&X-Goog-Signature=2&AWSAccessKeyId=3&sig=4",
         "http://a/?X-Amz-Signature=REDACTED&X-Goog-Signature=REDACTED&AWSAccessKeyId=REDACTED&sig=REDACTED",
         "a", 0},
        {"http://a/?TOKEN=1&tokens=2&token&token=", "http://a/?TOKEN=REDACTED&tokens=2&token&token=REDACTED",
         "a", 0},
        {"http://a/?b=1;password=2#token=3", "http://a/?b=1;password=REDACTED", "a", 0},
        {"http://a/?%74oke%6E=1&toke%6=2&token%=3&%00token=4",
         "http://a/?%74oke%6E=REDACTED&toke%6=2&token%=3&%00token=4", "a", 0},
        {"http://", "http://", "", 0},
        {"", "http://", "", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char shown[256];
        nsp__url url;
        nsp__url_split(&url, cases[i].url);
        size_t length = nsp__redact_url(shown, sizeof shown, &url);
        assert_string_equal(shown, cases[i].shown);
        assert_int_equal(length, strlen(shown));
        assert_int_equal(url.host.length, strlen(cases[i].host));
        assert_memory_equal(url.host.text, cases[i].host, url.host.length);
        assert_int_equal(url.port, cases[i].port);
        for (size_t size = 1; size < sizeof shown; size++) { // whatever the buffer's size
            char *little = malloc(size);
            length = nsp__redact_url(little, size, &url);
            assert_true(length < size && strncmp(little, cases[i].shown, length) == 0 &&
                        little[length] == '\0');
            free(little);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(white_space_around_a_method_is_ignored), // first, for the reason given there
        TEST(client_and_server_are_one_trace),
        TEST(without_a_name_it_is_the_method),
        TEST(answers_from_400_on_are_errors),
        TEST(failed_transfers_are_errors),
        TEST(redirects_are_counted_in_one_span),
        TEST(secrets_of_the_url_are_not_shown),
        TEST(the_list_of_the_application_is_its_own),
        TEST(a_field_of_ours_is_sent_once),
        TEST(all_formats_find_room),
        TEST(transfers_at_the_same_time_have_a_span_each),
        TEST(threads_do_not_mix_their_traces),
        TEST(an_unsampled_trace_is_passed_on_as_one),
        cmocka_unit_test(with_tracing_off_what_came_goes_on_unchanged),
        cmocka_unit_test(urls_are_redacted),
    };
    curl_global_init(CURL_GLOBAL_ALL);
    int failed = cmocka_run_group_tests_name("curl", tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}

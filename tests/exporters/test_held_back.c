// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 120
//
// A deadline that strikes before anything of a batch has left: its spans were certainly not taken, so they
// are discarded, and not unconfirmed, even if the sender's thread does not come back in time to say so.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nanospan/nanospan.h>

#include "config/config.h"
#include "lifecycle/runtime.h"
#include "support/certificates.h"
#include "support/child.h"
#include "support/h2_server.h"
#include "support/http_server.h"
#include "support/otlp_sender.h"
#include "trace/trace_state.h"

enum { SPANS = 5 };

// ---- an exporter that does not come back ----

typedef struct plan {
    bool holds, sent_before;
    int hangs;
    const nsp_exporter_context *context;
} plan;

static plan chosen;

static nsp_status create(void **state, const nsp_exporter_context *context)
{
    *state = &chosen;
    chosen.context = context;
    return NSP_OK;
}

static void destroy(void *state)
{
    (void)state;
}

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    (void)state;
    (void)view;
    batch->length++;
    return true;
}

static nsp_send_result hang(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                            nsp_send_report *report)
{
    (void)deadline_ns;
    (void)report;
    plan *me = state;
    CHILD_CHECK(__atomic_load_n(me->context->held_back, __ATOMIC_RELAXED) == 0);
    if (me->holds)
        __atomic_store_n(me->context->held_back, 1, __ATOMIC_SEQ_CST);
    if (me->sent_before && batch->attempt == 0)
        return NSP_SEND_UNKNOWN;
    __atomic_store_n(&me->hangs, 1, __ATOMIC_RELEASE);
    for (;;)
        pause();
}

static const nsp_exporter hanging = {.size = sizeof(nsp_exporter),
                                     .name = "hanging",
                                     .create = create,
                                     .destroy = destroy,
                                     .append = append,
                                     .send = hang};

// `stuck`, unless NULL, is set when the sender's thread no longer comes back. Only the flush closes a batch,
// so that all spans are in one, however slowly they are recorded.
static void record_and_stop(nsp_config *config, const int *stuck, uint64_t expected_discarded)
{
    nsp_stats stats = NSP_STATS_INIT;
    config->log_level = NSP_LOG_NONE;
    config->schedule_delay_ns = 60000 * MS;
    config->retry_min_ns = config->retry_max_ns = MS;
    CHILD_CHECK(nsp_init(config) == NSP_OK);
    if (config->certificate != NULL) { // it was read once, and from now on it cannot be
        CHILD_CHECK(unlink(config->certificate) == 0);
        CHILD_CHECK(mkfifo(config->certificate, 0600) == 0);
    }
    for (int i = 0; i < SPANS; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
    CHILD_CHECK(nsp_flush(500 * MS) != NSP_OK);
    while (stuck != NULL && !__atomic_load_n(stuck, __ATOMIC_ACQUIRE))
        nanosleep(&(struct timespec){.tv_nsec = 10 * MS}, NULL);
    CHILD_CHECK(nsp_shutdown(100 * MS) != NSP_OK);
    CHILD_CHECK(nsp_stats_get(&stats) == NSP_OK);
    CHILD_CHECK(stats.discarded == expected_discarded);
    CHILD_CHECK(stats.unconfirmed == SPANS - expected_discarded);
}

static void engine_that_hangs(void *argument)
{
    chosen = *(plan *)argument;
    nsp_config config;
    nsp_config_init(&config);
    config.custom_exporter = &hanging;
    record_and_stop(&config, &chosen.hangs, chosen.holds && !chosen.sent_before ? SPANS : 0);
}

static void what_is_held_back_is_discarded(void **state)
{
    (void)state;
    static const plan plans[] = {{.holds = true}, {.holds = false}, {.holds = true, .sent_before = true}};
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++)
        assert_int_equal(child_run(engine_that_hangs, (void *)&plans[i], 60), 0);
}

// ---- a handshake that does not come back ----

// Accepts connections, and says nothing.
static int listen_silently(unsigned *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    *port = ntohs(at.sin_port);
    return listener;
}

typedef struct target {
    unsigned port;
    const char *protocol;
} target;

static void write_authority(char *path)
{
    int file = mkstemp(path);
    CHILD_CHECK(write(file, test_authority, strlen(test_authority)) == (ssize_t)strlen(test_authority));
    close(file);
}

// libcurl reads the authorities in each handshake. Here it blocks when it does: nobody writes into that file.
static void engine_in_a_handshake(void *argument)
{
    const target *at = argument;
    char path[] = "/tmp/nanospan-held-XXXXXX", endpoint[64];
    write_authority(path);
    snprintf(endpoint, sizeof endpoint, "https://127.0.0.1:%u", at->port);
    nsp_config config;
    nsp_config_init(&config);
    config.exporter = "otlp";
    config.endpoint = endpoint;
    config.protocol = at->protocol;
    config.certificate = path;
    record_and_stop(&config, NULL, SPANS);
    unlink(path);
}

static void spans_of_a_handshake_are_discarded(void **state)
{
    (void)state;
    static const char *const protocols[] = {"http/protobuf", "grpc"};
    target where;
    int listener = listen_silently(&where.port);
    for (int i = 0; i < 2; i++) {
        where.protocol = protocols[i];
        assert_int_equal(child_run(engine_in_a_handshake, &where, 60), 0);
    }
    close(listener);
}

// ---- one of a list that does not come back ----

typedef struct exchange {
    int came, exchanged;
} exchange;

// The answer is lost only when the next handshake will block.
static void hold_until_exchanged(void *context, const http_request *request, http_reply *reply)
{
    (void)request;
    (void)reply;
    exchange *what = context;
    __atomic_store_n(&what->came, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&what->exchanged, __ATOMIC_ACQUIRE))
        nanosleep(&(struct timespec){.tv_nsec = 10 * MS}, NULL);
}

// The first exporter's request is received, and its answer is lost. In the same attempt the second one blocks
// in its handshake. nsp_init would leave the second one out, because its name occurs twice.
static void list_that_hangs(void *argument)
{
    (void)argument;
    static const http_reply lost = {.manner = HTTP_HANG_UP};
    static nsp__runtime runtime;
    char path[] = "/tmp/nanospan-held-XXXXXX", endpoint[64];
    http_server *server = http_server_start_tls(NULL, test_certificate, test_key, NULL, 0);
    CHILD_CHECK(server != NULL);
    http_server_plan(server, &lost);
    exchange what = {0};
    http_server_judge(server, hold_until_exchanged, &what);
    write_authority(path);
    snprintf(endpoint, sizeof endpoint, "https://127.0.0.1:%u", http_server_port(server));
    nsp_config config;
    nsp_config_init(&config);
    config.endpoint = endpoint;
    config.certificate = path;
    config.log_level = NSP_LOG_NONE;
    config.schedule_delay_ns = 0;
    CHILD_CHECK(nsp__config_resolve(&runtime.config, &config) == NSP_OK);
    runtime.config.exporter = "otlp,otlp";
    CHILD_CHECK(nsp__runtime_start(&runtime) == NSP_OK);
    nsp__trace_activate(true);
    nsp_span_end(nsp_span_begin(NSP_NAME("span")));
    while (!__atomic_load_n(&what.came, __ATOMIC_ACQUIRE))
        nanosleep(&(struct timespec){.tv_nsec = 10 * MS}, NULL);
    CHILD_CHECK(unlink(path) == 0 && mkfifo(path, 0600) == 0);
    __atomic_store_n(&what.exchanged, 1, __ATOMIC_RELEASE);
    // There is a writer only when there is a reader. This one writes nothing, so the handshake goes on
    // waiting.
    while (open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC) < 0)
        nanosleep(&(struct timespec){.tv_nsec = 10 * MS}, NULL);
    CHILD_CHECK(http_server_requests(server) == 1); // it is still the first attempt

    nsp_stats stats = NSP_STATS_INIT;
    uint64_t given_up = 0;
    nsp__runtime_stop(&runtime, now_ns() + 100 * MS);
    nsp__runtime_end(&runtime, &stats, &given_up);
    CHILD_CHECK(nsp__runtime_left_behind(&runtime));
    CHILD_CHECK(given_up == 1 && stats.unconfirmed == 1 && stats.discarded == 0);
    unlink(path);
}

static void one_of_a_list_does_not_speak_for_the_others(void **state)
{
    (void)state;
    assert_int_equal(child_run(list_that_hangs, NULL, 60), 0);
}

// ---- the exporter `otlp` ----

static int held_back;

static void start(otlp_sender *sender, const target *at, bool tls)
{
    otlp_sender_prepare(sender, at->port);
    snprintf(sender->endpoint, sizeof sender->endpoint, "http%s://127.0.0.1:%u", tls ? "s" : "", at->port);
    sender->config.protocol = at->protocol;
    sender->context.held_back = &held_back;
    assert_int_equal(otlp_sender_create(sender), NSP_OK);
}

static void a_request_is_held_back_until_it_leaves(void **state)
{
    (void)state;
    static otlp_sender sender;
    target where = {.protocol = "http/protobuf"};
    int listener = listen_silently(&where.port);
    start(&sender, &where, true);
    assert_int_equal(otlp_sender_send(&sender, 0, 300), NSP_SEND_RETRY); // even one without a body
    assert_int_equal(otlp_sender_send(&sender, 1000, 300), NSP_SEND_RETRY);
    assert_int_equal(held_back, 1);
    otlp_sender_destroy(&sender);
    close(listener);

    http_server *server = http_server_start(NULL);
    where.port = http_server_port(server);
    start(&sender, &where, false);
    assert_int_equal(otlp_sender_send(&sender, 1000, PATIENCE_MS), NSP_SEND_EXPORTED);
    assert_int_equal(held_back, 0);
    otlp_sender_destroy(&sender);
    http_server_stop(server);
}

// A sender that was left behind may come back while it connects. What was counted as held back must not
// leave.
static void nothing_leaves_after_cancel(void **state)
{
    (void)state;
    static otlp_sender sender;
    http_server *http = http_server_start(NULL);
    h2_server *h2 = h2_server_start(NULL);
    const target where[] = {{http_server_port(http), "http/protobuf"}, {h2_server_port(h2), "grpc"}};
    for (int i = 0; i < 2; i++) {
        start(&sender, &where[i], false);
        assert_int_equal(otlp_sender_send(&sender, 1000, PATIENCE_MS),
                         NSP_SEND_EXPORTED); // and keeps the connection
        sender.cancel = 1;
        assert_int_equal(otlp_sender_send(&sender, 1000, 2000), NSP_SEND_RETRY);
        assert_int_equal(otlp_sender_send(&sender, BODY - 16, 2000), NSP_SEND_RETRY);
        sender.cancel = 0;
        assert_int_equal(otlp_sender_send(&sender, 1000, PATIENCE_MS), NSP_SEND_EXPORTED);
        otlp_sender_destroy(&sender);
    }
    assert_int_equal(http_server_last(http)->length, 1000);
    assert_int_equal(h2_server_last(h2)->length, 1005);
    http_server_stop(http);
    h2_server_stop(h2);
}

// Of several requests of one batch, each of which may use up the time.
static void no_request_begins_behind_its_deadline(void **state)
{
    (void)state;
    static otlp_sender sender;
    http_server *http = http_server_start(NULL);
    h2_server *h2 = h2_server_start(NULL);
    const target where[] = {{http_server_port(http), "http/protobuf"}, {h2_server_port(h2), "grpc"}};
    for (int i = 0; i < 2; i++) {
        start(&sender, &where[i], false);
        for (int n = 0; n < 20; n++)
            assert_int_equal(otlp_sender_send(&sender, 1000, 0), NSP_SEND_RETRY);
        assert_non_null(strstr(sender.report.detail, "timed out"));
        otlp_sender_destroy(&sender);
    }
    assert_int_equal(http_server_requests(http), 0);
    assert_int_equal(h2_server_requests(h2), 0);
    assert_int_equal(h2_server_connections(h2), 0);
    http_server_stop(http);
    h2_server_stop(h2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_held_back_is_discarded),
        cmocka_unit_test(spans_of_a_handshake_are_discarded),
        cmocka_unit_test(one_of_a_list_does_not_speak_for_the_others),
        cmocka_unit_test(a_request_is_held_back_until_it_leaves),
        cmocka_unit_test(nothing_leaves_after_cancel),
        cmocka_unit_test(no_request_begins_behind_its_deadline),
    };
    return cmocka_run_group_tests_name("held_back", tests, NULL, NULL);
}

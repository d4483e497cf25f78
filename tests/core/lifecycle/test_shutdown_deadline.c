// SPDX-License-Identifier: Apache-2.0
//
// ctest: TIMEOUT 240 COST 30
// Flush and shutdown end in time whatever the backend does, and so does the exit of a process that did not
// call them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/child.h"
#include "support/emulator.h"
#include "support/receiver.h"
#include "support/sanitizer.h"
#include "support/scripted.h"

#define SECOND 1000000000ull
#define MILLISECOND 1000000ull

// The grace that the documentation allows after the deadline; instrumented or emulated code on a busy machine
// gets more.
#define GRACE (TEST_UNDER_TSAN || TEST_UNDER_ASAN || test_emulated() ? 1500 * MILLISECOND : 250 * MILLISECOND)

enum { SPANS = 1000 };

// ---- how late this machine is ----

// A busy machine wakes threads late, and ending takes a few wake-ups. So the limit is extended by how late a
// thread is that does nothing but wake up during that time.
static uint64_t latest_ns; // atomic
static bool watching;      // atomic

static void *watch_lateness(void *argument)
{
    (void)argument;
    while (__atomic_load_n(&watching, __ATOMIC_ACQUIRE)) {
        uint64_t before = test_now_ns();
        test_sleep_ms(1);
        uint64_t late = test_now_ns() - before - MILLISECOND;
        if (late > __atomic_load_n(&latest_ns, __ATOMIC_RELAXED))
            __atomic_store_n(&latest_ns, late, __ATOMIC_RELAXED);
    }
    return NULL;
}

static uint64_t grace(void)
{
    return GRACE + 5 * __atomic_load_n(&latest_ns, __ATOMIC_RELAXED);
}

// ---- a name server that hangs ----

static bool resolver_hangs; // atomic
static bool callback_hangs; // atomic
static unsigned resolving;  // atomic: calls that hang at this moment

// libcurl resolves names in this process, and this definition takes precedence over the C library's.
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    (void)node;
    (void)service;
    (void)hints;
    (void)result;
    __atomic_fetch_add(&resolving, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&resolver_hangs, __ATOMIC_ACQUIRE))
        test_sleep_ms(5);
    __atomic_fetch_sub(&resolving, 1, __ATOMIC_RELAXED);
    return EAI_AGAIN;
}

// ---- backends ----

typedef struct backend {
    int listener;
    char endpoint[64];
    pthread_t thread;
    enum { DEAD, SILENT, HALF_CLOSED, SLOW, SLOW_HTTP2 } manner;
    bool over; // atomic
} backend;

// Accepts connections and then never answers.
static void *serve(void *argument)
{
    backend *me = argument;
    int connections[256];
    unsigned count = 0;
    while (!__atomic_load_n(&me->over, __ATOMIC_ACQUIRE)) {
        int connection = accept4(me->listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0)
            break;
        if (me->manner == HALF_CLOSED)
            shutdown(connection, SHUT_WR);
        if (count < sizeof connections / sizeof *connections)
            connections[count++] = connection;
        else
            close(connection);
        if (me->manner == SLOW &&
            write(connection, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", 43) < 0)
            break;
        // SETTINGS, their acknowledgement, and the beginning of a longer frame.
        if (me->manner == SLOW_HTTP2 && write(connection,
                                              "\0\0\0\4\0\0\0\0\0"
                                              "\0\0\0\4\1\0\0\0\0"
                                              "\0\1\0\1\4\0\0\0\1",
                                              27) < 0)
            break;
    }
    for (unsigned i = 0; i < count; i++)
        close(connections[i]);
    return NULL;
}

static void backend_start(backend *me)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    me->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(me->listener >= 0);
    assert_int_equal(bind(me->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(me->listener, (struct sockaddr *)&address, &size), 0);
    snprintf(me->endpoint, sizeof me->endpoint, "http://127.0.0.1:%u", ntohs(address.sin_port));
    if (me->manner == DEAD)
        return; // bound, but not listening: connections are refused, and no other process gets the port
    assert_int_equal(listen(me->listener, 16), 0);
    assert_int_equal(pthread_create(&me->thread, NULL, serve, me), 0);
}

static void backend_stop(backend *me)
{
    __atomic_store_n(&me->over, true, __ATOMIC_RELEASE);
    shutdown(me->listener, SHUT_RDWR);
    if (me->manner != DEAD)
        pthread_join(me->thread, NULL);
    close(me->listener);
}

// ---- measuring ----

static void record(unsigned spans)
{
    for (unsigned i = 0; i < spans; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
}

static void start(const nsp_config *config)
{
    nsp_status status = nsp_init(config);
    if (status != NSP_OK)
        fail_msg("nsp_init: %s: %s", nsp_status_str(status), nsp_error_detail());
}

static void otlp_config(nsp_config *config, const char *endpoint)
{
    script_config(config);
    config->custom_exporter = NULL;
    config->endpoint = endpoint;
}

// The lateness of one thread does not show that of another one, so each session is tried some times.
enum { TRIES = 5 };
static bool in_time; // whether the last one ended in time

// The session ends, by its deadline plus the grace, with all spans accounted for.
static nsp_stats end_session(uint64_t flush_ns, uint64_t shutdown_ns)
{
    record(SPANS);
    __atomic_store_n(&latest_ns, 0, __ATOMIC_RELAXED);
    uint64_t before = test_now_ns();
    assert_int_equal(nsp_flush(flush_ns), NSP_ERR_TIMEOUT);
    uint64_t flushed = test_now_ns();
    assert_int_equal(nsp_shutdown(shutdown_ns), NSP_ERR_TIMEOUT);
    uint64_t ended = test_now_ns();
    print_message("flush: %.3f of %.3f s, shutdown: %.3f of %.3f s\n", (double)(flushed - before) / 1e9,
                  (double)flush_ns / 1e9, (double)(ended - flushed) / 1e9, (double)shutdown_ns / 1e9);
    in_time = flushed - before <= flush_ns + grace() && ended - flushed <= shutdown_ns + grace();
    nsp_stats stats = script_balance();
    assert_int_equal(stats.attempted, SPANS);
    assert_int_equal(stats.in_rings + stats.in_batches + stats.open, 0);
    assert_int_equal(stats.discarded + stats.unconfirmed, SPANS);
    return stats;
}

static nsp_stats end_session_by(const char *protocol, int manner, uint64_t flush_ns, uint64_t shutdown_ns)
{
    backend end = {.manner = manner};
    backend_start(&end);
    nsp_config config;
    otlp_config(&config, end.endpoint);
    config.protocol = protocol;
    config.batch_spans = 300;
    start(&config);
    nsp_stats stats = end_session(flush_ns, shutdown_ns);
    backend_stop(&end);
    return stats;
}

static nsp_stats expect_in_time_by(const char *protocol, int manner, uint64_t flush_ns, uint64_t shutdown_ns)
{
    nsp_stats stats = end_session_by(protocol, manner, flush_ns, shutdown_ns);
    for (int tries = 1; tries < TRIES && !in_time; tries++)
        stats = end_session_by(protocol, manner, flush_ns, shutdown_ns);
    assert_true(in_time);
    return stats;
}

// The same with a backend that does not answer what it has received. On a busy machine nothing may have left
// by the deadline, and then it is tried again.
static nsp_stats expect_in_doubt(const char *protocol, int manner)
{
    nsp_stats stats = NSP_STATS_INIT;
    for (int tries = 0; tries < TRIES && stats.unconfirmed == 0; tries++)
        stats = expect_in_time_by(protocol, manner, 300 * MILLISECOND, 500 * MILLISECOND);
    assert_true(stats.unconfirmed > 0);
    return stats;
}

static nsp_stats expect_in_time_of(int manner, uint64_t flush_ns, uint64_t shutdown_ns)
{
    return expect_in_time_by(NULL, manner, flush_ns, shutdown_ns);
}

static int setup(void **state)
{
    (void)state;
    script_reset();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    __atomic_store_n(&resolver_hangs, false, __ATOMIC_RELEASE);
    __atomic_store_n(&callback_hangs, false, __ATOMIC_RELEASE);
    __atomic_store_n(&script.stalled, false, __ATOMIC_RELEASE);
    nsp_shutdown(SECOND);
    return 0;
}

static void a_dead_backend(void **state)
{
    (void)state;
    nsp_stats stats = expect_in_time_of(DEAD, 300 * MILLISECOND, 500 * MILLISECOND);
    assert_int_equal(stats.discarded, SPANS); // a refused connection is certain: the spans were not sent
}

static void a_silent_backend(void **state)
{
    (void)state;
    expect_in_doubt(NULL, SILENT);
}

static void a_backend_that_half_closes(void **state)
{
    (void)state;
    expect_in_time_of(HALF_CLOSED, 300 * MILLISECOND, 500 * MILLISECOND);
}

static void a_backend_that_begins_to_answer(void **state)
{
    (void)state;
    nsp_stats stats = expect_in_time_of(SLOW, 300 * MILLISECOND, 500 * MILLISECOND);
    assert_int_equal(stats.exported, 0);
}

static void over_grpc(void **state)
{
    (void)state;
    nsp_stats stats = expect_in_time_by("grpc", DEAD, 300 * MILLISECOND, 500 * MILLISECOND);
    assert_int_equal(stats.discarded, SPANS);
    expect_in_doubt("grpc", SILENT);
    expect_in_time_by("grpc", HALF_CLOSED, 300 * MILLISECOND, 500 * MILLISECOND);
    expect_in_time_by("grpc", SLOW, 300 * MILLISECOND, 500 * MILLISECOND); // HTTP/1, as on a wrong port
    stats = expect_in_doubt("grpc", SLOW_HTTP2);
    assert_int_equal(stats.exported, 0);
    for (int manner = DEAD; manner <= SLOW_HTTP2; manner++)
        expect_in_time_by("grpc", manner, MILLISECOND, 0);
}

static void no_time_at_all(void **state)
{
    (void)state;
    for (int manner = DEAD; manner <= SLOW; manner++) {
        expect_in_time_of(manner, 0, 0);
        expect_in_time_of(manner, MILLISECOND, MILLISECOND);
    }
}

static void a_name_server_that_hangs(void **state)
{
    (void)state;
    nsp_config config;
    __atomic_store_n(&resolver_hangs, true, __ATOMIC_RELEASE);
    otlp_config(&config, "http://collector.example.invalid:4318");
    in_time = false;
    for (int tries = 0; tries < TRIES && (!in_time || __atomic_load_n(&resolving, __ATOMIC_RELAXED) == 0);
         tries++) {
        start(&config);
        nsp_stats stats = end_session(500 * MILLISECOND, 500 * MILLISECOND);
        assert_int_equal(stats.discarded, SPANS);
    }
    assert_true(in_time);
    assert_true(__atomic_load_n(&resolving, __ATOMIC_RELAXED) > 0); // otherwise this tested nothing
    // The next session works beside the thread that was left behind.
    receiver *end = receiver_start(NULL, 0);
    otlp_config(&config, receiver_endpoint(end));
    start(&config);
    record(10);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    assert_int_equal(tally_distinct(receiver_tally(end)), 10);
    receiver_stop(end);
    __atomic_store_n(&resolver_hangs, false, __ATOMIC_RELEASE);
}

// The exporter's thread is left behind with everything that it holds.
static void an_exporter_that_blocks_for_ever(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    __atomic_store_n(&script.deaf, true, __ATOMIC_RELEASE);
    __atomic_store_n(&script.stalled, true, __ATOMIC_RELEASE);
    // Until the sender's thread has got there in time.
    in_time = false;
    for (int tries = 0; tries < TRIES && (!in_time || __atomic_load_n(&script.sends, __ATOMIC_RELAXED) == 0);
         tries++) {
        script.destroys = 0;
        start(&config);
        nsp_stats stats = end_session(200 * MILLISECOND, 200 * MILLISECOND);
        assert_int_equal(stats.unconfirmed + stats.discarded, SPANS);
    }
    assert_true(in_time);
    assert_int_equal(script.destroys, 0);
    nsp_config other;
    receiver *end = receiver_start(NULL, 0);
    otlp_config(&other, receiver_endpoint(end));
    start(&other);
    record(10);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    assert_int_equal(tally_distinct(receiver_tally(end)), 10);
    receiver_stop(end);
    __atomic_store_n(&script.stalled, false, __ATOMIC_RELEASE);
    test_sleep_ms(50); // the thread that was left behind returns, and touches nothing
}

// ---- a log callback that blocks for ever ----

static unsigned in_callback; // atomic: calls that hang at this moment

// Blocks on the collector's line about the sampler's change, and on all later lines.
static void hang_in_callback(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    if (strstr(line, "sampling changed: ") == NULL)
        return;
    __atomic_fetch_add(&in_callback, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&callback_hangs, __ATOMIC_ACQUIRE))
        test_sleep_ms(1);
    __atomic_fetch_sub(&in_callback, 1, __ATOMIC_RELAXED);
}

static void start_with_hanging_callback(nsp_collector_mode collector)
{
    nsp_config config;
    script_config(&config);
    config.log = hang_in_callback;
    config.collector = collector;
    __atomic_store_n(&callback_hangs, true, __ATOMIC_RELEASE);
    start(&config);
    nsp_do_work(1); // which sees the first policy, so that the next one is a change
}

// Changes the rate until the collector has noticed it, and leaves it at 1.
static void wait_until_callback_hangs(void)
{
    for (int i = 0; i < 10000 && __atomic_load_n(&in_callback, __ATOMIC_RELAXED) == 0; i++) {
        assert_int_equal(nsp_sampler_set_rate(i % 2 ? 1 : 0.5), NSP_OK);
        test_sleep_ms(1);
    }
    assert_int_equal(nsp_sampler_set_rate(1), NSP_OK);
    assert_int_equal(__atomic_load_n(&in_callback, __ATOMIC_RELAXED), 1);
}

// Nothing is lost, because flush and shutdown drain by themselves.
static void expect_all_sent_in_time(uint64_t shutdown_ns)
{
    record(SPANS);
    __atomic_store_n(&latest_ns, 0, __ATOMIC_RELAXED);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    record(SPANS);
    uint64_t before = test_now_ns();
    assert_int_equal(nsp_shutdown(shutdown_ns), NSP_OK);
    assert_true(test_now_ns() - before <= shutdown_ns + grace());
    assert_int_equal(tally_distinct(script.tally), 2 * SPANS);
    assert_int_equal(script_balance().exported, 2 * SPANS);
    assert_int_equal(__atomic_load_n(&in_callback, __ATOMIC_RELAXED), 1);
}

static void release_callback(void)
{
    __atomic_store_n(&callback_hangs, false, __ATOMIC_RELEASE);
    while (__atomic_load_n(&in_callback, __ATOMIC_RELAXED) != 0)
        test_sleep_ms(1);
}

static void a_log_callback_that_blocks_the_collector(void **state)
{
    (void)state;
    start_with_hanging_callback(NSP_COLLECTOR_THREAD);
    wait_until_callback_hangs();
    expect_all_sent_in_time(5 * SECOND);
    // The next session works beside the thread that was left behind, which touches nothing when it returns.
    nsp_config config;
    script_config(&config);
    start(&config);
    record(10);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    release_callback();
    record(10);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    assert_int_equal(tally_distinct(script.tally), 2 * SPANS + 20);
}

// Until one of these calls hangs: where the rate is the old one again when it looks, there is nothing to say.
static void *work_until_it_hangs(void *argument)
{
    (void)argument;
    while (__atomic_load_n(&callback_hangs, __ATOMIC_ACQUIRE)) {
        nsp_do_work(1);
        test_sleep_ms(1);
    }
    return NULL;
}

static void a_log_callback_that_blocks_an_invoker(void **state)
{
    (void)state;
    pthread_t invoker;
    start_with_hanging_callback(NSP_COLLECTOR_INVOKER);
    assert_int_equal(nsp_sampler_set_rate(0.5), NSP_OK);
    assert_int_equal(pthread_create(&invoker, NULL, work_until_it_hangs, NULL), 0);
    wait_until_callback_hangs();
    expect_all_sent_in_time(5 * SECOND);
    release_callback();
    pthread_join(invoker, NULL);
}

// ---- exit without shutdown ----

typedef enum exit_way { EXIT_CALLED, EXIT_FROM_A_THREAD, EXIT_WHILE_TRACING } exit_way;

typedef struct departure {
    exit_way way;
    const char *endpoint;
} departure;

static void *trace_on(void *argument)
{
    (void)argument;
    for (;;) {
        NSP_SPAN(root, "root");
        nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    }
    return NULL;
}

static void *exit_here(void *argument)
{
    (void)argument;
    record(10);
    exit(7);
}

static void live_and_exit(const departure *how)
{
    pthread_t threads[3];
    nsp_config config;
    otlp_config(&config, how->endpoint);
    config.ring_bytes = 64 * 1024;
    config.log_level = NSP_LOG_NONE;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    record(100);
    for (int i = 0; how->way == EXIT_WHILE_TRACING && i < 3; i++)
        CHILD_CHECK(pthread_create(&threads[i], NULL, trace_on, NULL) == 0);
    if (how->way == EXIT_FROM_A_THREAD) {
        CHILD_CHECK(pthread_create(&threads[0], NULL, exit_here, NULL) == 0);
        pthread_join(threads[0], NULL);
    }
    if (how->way == EXIT_WHILE_TRACING)
        test_sleep_ms(20);
    exit(7);
}

// The child exits with its own status. Returns whether it did within a second and the grace.
static bool departs(exit_way way, const char *endpoint)
{
    const char number[2] = {(char)('0' + way), 0};
    const char *hang = __atomic_load_n(&resolver_hangs, __ATOMIC_ACQUIRE) ? "hang" : "";
    fflush(NULL);
    __atomic_store_n(&latest_ns, 0, __ATOMIC_RELAXED);
    uint64_t before = test_now_ns();
    pid_t child = fork();
    if (child == 0) { // a new program: a fork would inherit the locks of our threads
        program_exec("/proc/self/exe", environ, "test_shutdown_deadline", "depart", number, endpoint, hang,
                     (char *)NULL);
        _exit(127);
    }
    int status = child_wait(child, 60);
    uint64_t took = test_now_ns() - before;
    assert_int_not_equal(status, -1);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7)
        fail_msg("the child ended with status %x", (unsigned)status);
    print_message("gone after %.3f s\n", (double)took / 1e9);
    // This includes the child's start: the calibration of the clock, threads, and what a busy machine adds.
    return took <= SECOND + grace() + 750 * MILLISECOND;
}

static void expect_departure(exit_way way, const char *endpoint)
{
    bool departed = false;
    for (int tries = 0; tries < TRIES && !departed; tries++)
        departed = departs(way, endpoint);
    assert_true(departed);
}

// The second that an exit gives the spans may be too little on a busy machine, so it is tried some times.
static uint64_t delivered_at_exit(exit_way way, uint64_t expected)
{
    uint64_t delivered = 0;
    bool departed = false;
    for (int tries = 0; tries < TRIES && (!departed || delivered < expected); tries++) {
        receiver *end = receiver_start(NULL, 0);
        departed = departs(way, receiver_endpoint(end));
        delivered = tally_distinct(receiver_tally(end));
        receiver_stop(end);
    }
    assert_true(departed);
    return delivered;
}

static void exit_delivers_to_a_live_receiver(void **state)
{
    (void)state;
    static const unsigned spans[] = {100, 110};
    for (int way = EXIT_CALLED; way <= EXIT_FROM_A_THREAD; way++) {
        assert_int_equal(delivered_at_exit((exit_way)way, spans[way]), spans[way]);
    }
    assert_true(delivered_at_exit(EXIT_WHILE_TRACING, 100) >= 100);
}

static void exit_does_not_hang_on_a_useless_backend(void **state)
{
    (void)state;
    for (int manner = DEAD; manner <= SILENT; manner++) {
        backend end = {.manner = manner};
        backend_start(&end);
        for (int way = EXIT_CALLED; way <= EXIT_WHILE_TRACING; way++)
            expect_departure((exit_way)way, end.endpoint);
        backend_stop(&end);
    }
}

static void exit_does_not_hang_on_a_name_server(void **state)
{
    (void)state;
    __atomic_store_n(&resolver_hangs, true, __ATOMIC_RELEASE);
    expect_departure(EXIT_CALLED, "http://collector.example.invalid:4318");
    __atomic_store_n(&resolver_hangs, false, __ATOMIC_RELEASE);
}

int main(int count, char **arguments)
{
    if (count == 5 && strcmp(arguments[1], "depart") == 0) {
        const departure how = {.way = (exit_way)(arguments[2][0] - '0'), .endpoint = arguments[3]};
        resolver_hangs = arguments[4][0] != 0;
        live_and_exit(&how);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(exit_delivers_to_a_live_receiver, setup, teardown),
        cmocka_unit_test_setup_teardown(exit_does_not_hang_on_a_useless_backend, setup, teardown),
        cmocka_unit_test_setup_teardown(exit_does_not_hang_on_a_name_server, setup, teardown),
        cmocka_unit_test_setup_teardown(a_dead_backend, setup, teardown),
        cmocka_unit_test_setup_teardown(a_silent_backend, setup, teardown),
        cmocka_unit_test_setup_teardown(a_backend_that_half_closes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_backend_that_begins_to_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(over_grpc, setup, teardown),
        cmocka_unit_test_setup_teardown(no_time_at_all, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_server_that_hangs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_callback_that_blocks_the_collector, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_callback_that_blocks_an_invoker, setup, teardown),
        // This is the last one, because the thread that it leaves behind may still use the tally.
        cmocka_unit_test_setup_teardown(an_exporter_that_blocks_for_ever, setup, teardown),
    };
    pthread_t watcher;
    __atomic_store_n(&watching, true, __ATOMIC_RELEASE);
    if (pthread_create(&watcher, NULL, watch_lateness, NULL) != 0)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    __atomic_store_n(&watching, false, __ATOMIC_RELEASE);
    pthread_join(watcher, NULL);
    return failed;
}

// SPDX-License-Identifier: Apache-2.0
//
// ctest: TIMEOUT 300 COST 40
// exit in every situation: recorded spans are sent if possible, the process ends in time, and no thread of
// the library is inside an exporter's library after that library's exit handler has run. That library belongs
// to this test; in the last tests it is OpenSSL.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "support/certificates.h"
#include "support/child.h"
#include "support/emulator.h"
#include "support/http_server.h"
#include "support/sanitizer.h"
#include "support/scripted.h"

#define SECOND 1000000000ull
#define MILLISECOND 1000000ull

enum { SPANS = 10, CODE = 7, REPEATS = 3 };

// ---- a library with an exit handler, and an exporter that uses it ----

static struct {
    bool late;          // the first send initialises it, instead of create
    bool stalled;       // atomic: send waits until its deadline or until it is cancelled
    unsigned create_ms; // how long create takes
    bool interrupted;   // a signal handler exits soon after create has begun
    bool exit_in_append, exit_in_send;
    unsigned inside; // atomic: threads in the library
    bool gone;       // atomic: its exit handler has run
    unsigned delivered, expected;
} library;

static const int *cancel;
static __thread unsigned inside_here; // 1 on a thread that is inside, which may call exit itself

static void end_library(void)
{
    CHILD_CHECK(__atomic_load_n(&library.inside, __ATOMIC_ACQUIRE) == inside_here);
    CHILD_CHECK(library.delivered >= library.expected);
    __atomic_store_n(&library.gone, true, __ATOMIC_RELEASE);
    test_sleep_ms(100); // a thread that entered now would find nothing left
}

static void enter_library(void)
{
    static bool initialised; // atomic
    CHILD_CHECK(!__atomic_load_n(&library.gone, __ATOMIC_ACQUIRE));
    __atomic_fetch_add(&library.inside, 1, __ATOMIC_ACQ_REL);
    inside_here++;
    if (!__atomic_exchange_n(&initialised, true, __ATOMIC_ACQ_REL))
        atexit(end_library);
}

static void leave_library(void)
{
    inside_here--;
    __atomic_fetch_sub(&library.inside, 1, __ATOMIC_ACQ_REL);
    CHILD_CHECK(!__atomic_load_n(&library.gone, __ATOMIC_ACQUIRE));
}

static void exit_in_handler(int signal)
{
    (void)signal;
    exit(CODE);
}

static void interrupt_soon(void)
{
    signal(SIGALRM, exit_in_handler);
    ualarm(300000, 0);
}

static nsp_status create(void **state, const nsp_exporter_context *context)
{
    *state = NULL;
    cancel = context->cancel;
    if (library.late)
        return NSP_OK;
    enter_library();
    if (library.interrupted)
        interrupt_soon();
    test_sleep_ms(library.create_ms);
    leave_library();
    return NSP_OK;
}

static void destroy(void *state)
{
    (void)state;
    enter_library();
    leave_library();
}

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    (void)state;
    (void)batch;
    (void)view;
    if (library.exit_in_append)
        exit(CODE);
    return true;
}

static nsp_send_result take_batch(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                  nsp_send_report *report)
{
    (void)state;
    (void)report;
    enter_library();
    if (library.exit_in_send)
        exit(CODE);
    bool cut = false;
    while (__atomic_load_n(&library.stalled, __ATOMIC_ACQUIRE) && !cut) {
        test_sleep_ms(5);
        cut = test_now_ns() >= deadline_ns || __atomic_load_n(cancel, __ATOMIC_ACQUIRE) != 0;
    }
    if (!cut)
        library.delivered += batch->spans;
    leave_library();
    return cut ? NSP_SEND_RETRY : NSP_SEND_EXPORTED;
}

static const nsp_exporter exporter = {
    .size = sizeof(nsp_exporter),
    .name = "library",
    .create = create,
    .destroy = destroy,
    .append = append,
    .send = take_batch,
};

// ---- the child's half ----

static const char *endpoint, *authority_file; // for the tests over TLS

static void configure(nsp_config *config)
{
    script_config(config);
    config->custom_exporter = endpoint ? NULL : &exporter;
    config->endpoint = endpoint;
    config->protocol = endpoint ? "http/protobuf" : NULL;
    config->certificate = authority_file;
    config->schedule_delay_ns = 10 * MILLISECOND;
    config->log_level = NSP_LOG_NONE;
}

static void start(uint64_t exit_timeout_ns)
{
    nsp_config config;
    configure(&config);
    config.exit_timeout_ns = exit_timeout_ns;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
}

static void record(void)
{
    for (int i = 0; i < SPANS; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
}

static void wait_for_send(void)
{
    for (int i = 0; i < 30000 && !endpoint && __atomic_load_n(&library.inside, __ATOMIC_ACQUIRE) == 0; i++)
        test_sleep_ms(1);
    if (endpoint)
        test_sleep_ms(300); // the connection is open, and the server does not answer
}

static void stall(void)
{
    __atomic_store_n(&library.stalled, true, __ATOMIC_RELEASE);
}

static void start_stalled(uint64_t exit_timeout_ns)
{
    start(exit_timeout_ns);
    stall();
    record();
}

static void *flush_for_long(void *argument)
{
    nsp_flush(60 * SECOND);
    return argument;
}

static void *shut_down_for_long(void *argument)
{
    nsp_shutdown(60 * SECOND);
    return argument;
}

static void *init_here(void *argument)
{
    start(SECOND);
    record();
    return argument;
}

static void on_a_thread(void *(*function)(void *))
{
    pthread_t thread;
    CHILD_CHECK(pthread_create(&thread, NULL, function, NULL) == 0);
}

// The library is first used by the second session, after our exit handler was first registered.
static void second_session(void)
{
    nsp_config config;
    script_config(&config);
    config.custom_exporter = NULL;
    config.exporter = "none";
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    CHILD_CHECK(nsp_shutdown(60 * SECOND) == NSP_OK);
    start(40 * SECOND);
    record();
    library.expected = SPANS;
    exit(CODE);
}

static void library_of_the_first_send(void)
{
    library.late = true;
    start(SECOND / 10);
    record();
    CHILD_CHECK(nsp_flush(60 * SECOND) == NSP_OK);
    library.expected = SPANS;
    stall();
    record();
    wait_for_send();
    exit(CODE);
}

static void during_a_shutdown(void)
{
    start_stalled(SECOND / 10);
    on_a_thread(shut_down_for_long);
    wait_for_send();
    while (nsp_flush(0) != NSP_ERR_NOT_INITIALISED)
        test_sleep_ms(1);
    exit(CODE);
}

static void during_a_flush(void)
{
    start_stalled(SECOND / 10);
    on_a_thread(flush_for_long);
    wait_for_send();
    exit(CODE);
}

// With a library that the application used first.
static void during_an_init(void)
{
    enter_library();
    leave_library();
    library.create_ms = 200; // an exit waits a second for it
    on_a_thread(init_here);
    while (__atomic_load_n(&library.inside, __ATOMIC_ACQUIRE) == 0)
        test_sleep_ms(1);
    exit(CODE);
}

static void handler_in_a_flush(void)
{
    start_stalled(SECOND);
    interrupt_soon();
    nsp_flush(60 * SECOND);
}

static void handler_in_a_shutdown(void)
{
    start_stalled(SECOND);
    interrupt_soon();
    nsp_shutdown(60 * SECOND);
}

static void handler_in_an_init(void)
{
    enter_library();
    leave_library();
    library.create_ms = 500;
    library.interrupted = true;
    init_here(NULL);
}

static const char *exit_on; // the text of the line at which the callback exits

static void exit_in_callback(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    if (strstr(line, exit_on) != NULL)
        exit(CODE);
}

static void start_with_callback(const char *line, uint64_t exit_timeout_ns)
{
    nsp_config config;
    configure(&config);
    exit_on = line;
    config.log = exit_in_callback;
    config.log_level = NSP_LOG_INFO;
    config.exit_timeout_ns = exit_timeout_ns;
    config.collector_cpus = strcmp(line, "usable CPU") == 0 ? "8191" : NULL;
    nsp_init(&config);
}

static void callback_in_an_init(void)
{
    start_with_callback("usable CPU", SECOND / 2);
}

// The collector does not log the first policy that it sees.
static void change_policy(void)
{
    for (unsigned i = 0;; i++) {
        nsp_sampler_set_rate(1.0 / (2 + i % 2));
        test_sleep_ms(10);
    }
}

static void callback_on_the_collector(void)
{
    start_with_callback("sampling changed: ", SECOND / 2);
    stall();
    record();
    wait_for_send();
    change_policy();
}

static void callback_on_the_collector_sends_all(void)
{
    start_with_callback("sampling changed: ", 40 * SECOND);
    library.expected = SPANS;
    record();
    change_policy();
}

// The first attempt fails, and the sender logs that.
static void callback_on_the_sender(void)
{
    start_with_callback("retrying", SECOND / 2);
    stall();
    record();
    wait_for_send();
    __atomic_store_n((int *)(uintptr_t)cancel, 1, __ATOMIC_RELEASE);
    pause();
}

static void callback_in_a_shutdown(void)
{
    start_with_callback("could be sent", SECOND / 2);
    stall();
    record();
    wait_for_send();
    nsp_shutdown(SECOND / 10);
}

static void exporter_that_exits_in_append(void)
{
    library.exit_in_append = true;
    start(SECOND);
    record();
    pause();
}

static void exporter_that_exits_in_send(void)
{
    library.exit_in_send = true;
    start(SECOND);
    record();
    nsp_flush(60 * SECOND);
}

// Registered first, so it runs last.
static void come_back(void)
{
    if (!endpoint) {
        CHILD_CHECK(nsp_init(NULL) != NSP_OK); // it would use the library again
        CHILD_CHECK(nsp_shutdown(0) != NSP_OK);
    }
    test_sleep_ms(200); // lets threads that are still inside OpenSSL meet what its exit handler has left
}

static const struct {
    const char *name;
    void (*run)(void);
    bool tls; // can also run over TLS
} cases[] = {
#define CASE(name, tls)                                                                                      \
    {                                                                                                        \
#name, name, tls                                                                                     \
    }
    CASE(second_session, true),
    CASE(library_of_the_first_send, false),
    CASE(during_a_shutdown, true),
    CASE(during_a_flush, true),
    CASE(during_an_init, false),
    CASE(handler_in_a_flush, true),
    CASE(handler_in_a_shutdown, true),
    CASE(handler_in_an_init, false),
    CASE(callback_in_an_init, false),
    CASE(callback_on_the_collector, true),
    CASE(callback_on_the_collector_sends_all, false),
    CASE(callback_on_the_sender, false),
    CASE(callback_in_a_shutdown, true),
    CASE(exporter_that_exits_in_append, false),
    CASE(exporter_that_exits_in_send, false),
#undef CASE
};
enum { CASES = sizeof cases / sizeof *cases };

// ---- the test's half ----

// The repeats run beside each other, because they mostly wait.
static bool ends_well(size_t number, const char *url, const char *authority)
{
    bool well = true;
    pid_t children[REPEATS];
    fflush(NULL);
    const uint64_t before = test_now_ns();
    for (int i = 0; i < REPEATS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            // These reports are about threads left behind and about exit in a signal handler, both of which
            // this test does on purpose.
            setenv("TSAN_OPTIONS", "report_signal_unsafe=0:report_thread_leaks=0", 1);
            program_exec("/proc/self/exe", environ, "test_exit", cases[number].name, url, authority,
                         (char *)NULL);
            _exit(127);
        }
    }
    for (int i = 0; i < REPEATS; i++) {
        const int status = child_wait(children[i], 60);
        const double took = (double)(test_now_ns() - before) / 1e9;
        well = well && WIFEXITED(status) && WEXITSTATUS(status) == CODE;
        print_message("%s: status %x after at most %.2f s\n", cases[number].name, (unsigned)status, took);
    }
    return well;
}

static void whatever_happens(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (size_t i = 0; i < CASES; i++)
        failed += !ends_well(i, NULL, NULL);
    assert_int_equal(failed, 0);
}

static void over_tls(void **state)
{
    (void)state;
    SKIP_ON_EMULATOR("a TLS handshake takes longer than an exit waits for its end");
    char folder[] = "/tmp/nanospan-exit-XXXXXX", path[64], url[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/ca.pem", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(test_authority, file);
    fclose(file);
    unsigned failed = 0;
    for (size_t i = 0; i < CASES; i++) {
        if (!cases[i].tls)
            continue;
        http_server *server = http_server_start_tls(NULL, test_certificate, test_key, NULL, 0);
        assert_non_null(server);
        bool answers = cases[i].run == second_session;
        const http_reply reply = {.status = 200, .manner = answers ? HTTP_WHOLE : HTTP_STALL};
        http_server_plan(server, &reply);
        snprintf(url, sizeof url, "https://127.0.0.1:%u", http_server_port(server));
        failed += !ends_well(i, url, path);
        failed += http_server_connections(server) == 0;
        failed += answers && http_server_requests(server) < REPEATS;
        http_server_stop(server);
    }
    unlink(path);
    rmdir(folder);
    assert_int_equal(failed, 0);
}

int main(int count, char **arguments)
{
    endpoint = count > 3 ? arguments[2] : NULL;
    authority_file = count > 3 ? arguments[3] : NULL;
    for (size_t i = 0; count > 1 && i < CASES; i++) {
        if (strcmp(arguments[1], cases[i].name) != 0)
            continue;
        script_reset();
        atexit(come_back);
        cases[i].run();
        return 98;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens),
        cmocka_unit_test(over_tls),
    };
    return cmocka_run_group_tests_name("exit", tests, NULL, NULL);
}

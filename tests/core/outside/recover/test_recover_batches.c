// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Recovery of what was in batches when the engine died: in each state of a batch, in each encoding, and at the
// steps at which a span moves from the ring to a batch, and from a batch to the counters.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <nanospan/exporters.h>

#include "shm/batches.h"
#include "support/child.h"
#include "support/http_server.h"
#include "support/recovered.h"
#include "support/session_fixture.h"

// ---- engines whose receiver does not take everything ----

typedef struct engine_plan {
    const nsp_exporter *encoder; // makes the batches
    nsp_send_result answer;      // UNKNOWN + 100: none, send never returns
    uint64_t accepted;           // so many requests are accepted before
    const char *point;           // dies there; NULL: when all spans are in batches
    int visit;
    bool writes;          // sends to the file all the same, but nobody learns of it
    uint64_t part;        // so many spans of the first batch were taken, and the answer is about the others
    const char *endpoint; // sends there; NULL: `answer` decides
    const char *exporter; // with an endpoint: a list, instead of `encoder`
    bool stops;           // shuts down when all spans are in batches, and dies at the point meanwhile
} engine_plan;

enum { NO_ANSWER = 100, SPANS = 25, IN_A_BATCH = 10 };

static const engine_plan *planned;
static uint64_t requests; // atomic

static nsp_send_result answer(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                              nsp_send_report *report)
{
    uint64_t before = __atomic_fetch_add(&requests, 1, __ATOMIC_SEQ_CST);
    report->answered = true;
    if (planned->writes) // really, into the file
        planned->encoder->send(state, batch, deadline_ns, report);
    if (before < planned->accepted)
        return NSP_SEND_EXPORTED;
    while (planned->answer == (nsp_send_result)NO_ANSWER)
        pause();
    report->part_exported = before == 0 ? planned->part : 0;
    report->retry_after_ns = 60000000000;
    return planned->answer;
}

static void engine(void *argument)
{
    static char file[SESSION_PATH_MAX + 20];
    planned = argument;
    nsp_exporter exporter = *planned->encoder;
    if (planned->endpoint == NULL)
        exporter.send = answer;
    snprintf(file, sizeof file, "%s/engine.jsonl", directory);
    nsp_config config;
    capture_config(&config);
    config.shm_dir = directory;
    config.custom_exporter = planned->exporter == NULL ? &exporter : NULL;
    config.exporter = planned->exporter;
    config.file = file;
    config.endpoint = planned->endpoint != NULL ? planned->endpoint : "http://127.0.0.1:9";
    config.batch_spans = IN_A_BATCH;
    config.schedule_delay_ns = 3600000000000;
    config.log_level = NSP_LOG_NONE;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    if (planned->point != NULL && !planned->stops)
        die_at(planned->point, planned->visit);
    for (int64_t i = 0; i < SPANS; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("phase"));
        nsp_span_set_i64(span, NSP_KEY("number"), i);
        nsp_span_set_str(span, NSP_KEY("text"), "a text of more than sixteen bytes");
        nsp_span_end(span);
    }
    nsp_stats stats = NSP_STATS_INIT;
    do {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        CHILD_CHECK(nsp_stats_get(&stats) == NSP_OK);
    } while (
        (planned->point != NULL && !planned->stops) || stats.in_rings != 0 ||
        (planned->endpoint == NULL && __atomic_load_n(&requests, __ATOMIC_SEQ_CST) <= planned->accepted) ||
        (planned->answer != (nsp_send_result)NO_ANSWER && stats.batches_failed == 0));
    if (planned->stops) {
        die_at(planned->point, planned->visit);
        nsp_shutdown(0);
    }
    raise(SIGKILL);
}

// All of them from this number on, below that one, in order, each whole.
static void check_phases_until(int64_t first, int64_t limit)
{
    assert_int_equal(recovered_count(), limit - first);
    for (size_t i = 0; i < recovered_count(); i++) {
        const recovered_span *span = recovered_at(i);
        assert_string_equal(span->name, "phase");
        assert_int_equal(span->number, first + (int64_t)i);
        assert_string_equal(span->text, "a text of more than sixteen bytes");
        assert_int_equal(span->attributes, 2);
        assert_true(span->end_ns > span->start_ns && !span->unfinished);
        assert_true(i == 0 || span->start_ns >= recovered_at(i - 1)->end_ns);
    }
}

static void check_phases(int64_t first)
{
    check_phases_until(first, SPANS);
}

static const char *const encoders[] = {"file", "otlp"};

static void in_each_state(void **state)
{
    (void)state;
    static const struct {
        int answer;
        nsp_in_doubt choice;
        uint64_t accepted, in_doubt, skipped;
    } cases[] = {
        {NO_ANSWER, NSP_IN_DOUBT_SEND, 0, 10, 0},         {NO_ANSWER, NSP_IN_DOUBT_SKIP, 0, 10, 10},
        {NO_ANSWER, NSP_IN_DOUBT_SKIP, 1, 10, 10},        {NSP_SEND_UNKNOWN, NSP_IN_DOUBT_SEND, 0, 10, 0},
        {NSP_SEND_UNKNOWN, NSP_IN_DOUBT_SKIP, 0, 10, 10}, {NSP_SEND_RETRY, NSP_IN_DOUBT_SKIP, 0, 0, 0},
    };
    for (size_t e = 0; e < 2; e++)
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            char session[SESSION_PATH_MAX];
            engine_plan plan = {.encoder = nsp_exporter_builtin(encoders[e]),
                                .answer = (nsp_send_result)cases[i].answer,
                                .accepted = cases[i].accepted};
            recovered_reset();
            engine_dies(directory, engine, &plan, session);
            nsp_recovery_account account = recover_with(session, cases[i].choice);
            uint64_t accepted = cases[i].accepted * IN_A_BATCH;
            assert_int_equal(account.engine_exported, accepted);
            assert_int_equal(account.from_batches, SPANS - accepted);
            assert_int_equal(account.in_doubt, cases[i].in_doubt);
            assert_int_equal(account.skipped, cases[i].skipped);
            assert_int_equal(account.finished + account.lost_at_crash + account.left, 0);
            check_phases((int64_t)(accepted + cases[i].skipped));
            account = recover_all(session);
            assert_int_equal(account.from_batches + account.finished, 0);
            assert_int_equal(account.engine_unconfirmed, cases[i].skipped);
        }
}

// Wherever a span is on its way: it is sent once, or the engine has counted it.
static void between_the_places(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    static const char *const points[] = {"collector: before coverage", "collector: spans noted",
                                         "collector: before release", "batch: settling", "batch: counted"};
    for (size_t e = 0; e < 2; e++)
        for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
            char session[SESSION_PATH_MAX];
            engine_plan plan = {.encoder = nsp_exporter_builtin(encoders[e]),
                                .accepted = UINT64_MAX,
                                .point = points[i],
                                .visit = 2};
            recovered_reset();
            engine_dies(directory, engine, &plan, session);
            nsp_recovery_account account = recover_all(session);
            // It was answered, so it is not sent again, whether it was counted or not.
            if (strncmp(points[i], "batch:", 6) == 0)
                assert_int_equal(account.engine_exported, 2 * IN_A_BATCH);
            assert_true(account.attempted <= SPANS);
            if (account.attempted - account.lost_at_crash != account.engine_exported + recovered_distinct() ||
                recovered_count() != recovered_distinct() || account.engine_exported % IN_A_BATCH != 0)
                fail_msg("%s, %s: attempted %d, lost %d, engine exported %d, recovered %d, distinct %d",
                         encoders[e], points[i], (int)account.attempted, (int)account.lost_at_crash,
                         (int)account.engine_exported, (int)recovered_count(), (int)recovered_distinct());
            assert_true(account.lost_at_crash <= 1);
            account = recover_all(session);
            assert_int_equal(account.finished + account.unfinished + account.from_batches, 0);
        }
#else
    skip();
#endif
}

// The first four spans of a batch were taken, and the others have to be sent again: they are recovered, and only
// they.
static void batches_that_were_sent_in_parts(void **state)
{
    (void)state;
    enum { PART = 4 };
    static const struct {
        int answer;
        const char *point;
        uint64_t in_doubt;
    } cases[] = {
        {NSP_SEND_RETRY, NULL, 0},
        {NSP_SEND_UNKNOWN, NULL, IN_A_BATCH - PART},
#ifdef NSP_TESTPOINTS
        {NSP_SEND_RETRY, "batch: settling", IN_A_BATCH - PART}, // the answer is being entered
        {NSP_SEND_RETRY, "batch: counted", IN_A_BATCH - PART},
#endif
    };
    for (size_t e = 0; e < 2; e++)
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            char session[SESSION_PATH_MAX];
            engine_plan plan = {.encoder = nsp_exporter_builtin(encoders[e]),
                                .answer = (nsp_send_result)cases[i].answer,
                                .part = PART,
                                .point = cases[i].point,
                                .visit = 1};
            recovered_reset();
            engine_dies(directory, engine, &plan, session);
            nsp_recovery_account account = recover_all(session);
            assert_int_equal(account.engine_exported, PART);
            assert_int_equal(account.in_doubt, cases[i].in_doubt);
            assert_int_equal(account.exported, account.attempted - account.lost_at_crash - PART);
            check_phases_until(PART, (int64_t)(account.attempted - account.lost_at_crash));
            account = recover_all(session);
            assert_int_equal(account.from_batches + account.finished, 0);
        }
}

// A receiver in a process of its own, so that none of this one's threads is in the way when it forks an engine.
// Gives these answers, then 200.
static pid_t receiver_start(const http_reply *answers, unsigned count, char endpoint[64])
{
    int ends[2];
    uint16_t port;
    assert_int_equal(pipe(ends), 0);
    pid_t receiver = child_fork();
    if (receiver == 0) {
        http_server *server = http_server_start(NULL);
        CHILD_CHECK(server != NULL);
        for (unsigned i = 0; i < count; i++)
            http_server_plan(server, &answers[i]);
        port = (uint16_t)http_server_port(server);
        CHILD_CHECK(write(ends[1], &port, sizeof port) == (ssize_t)sizeof port);
        while (true)
            pause();
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &port, sizeof port), sizeof port);
    close(ends[0]);
    snprintf(endpoint, 64, "http://127.0.0.1:%u", port);
    return receiver;
}

static void receiver_stop(pid_t receiver)
{
    kill(receiver, SIGKILL);
    assert_int_equal(waitpid(receiver, NULL, 0), receiver);
}

// The same over HTTP: the receiver finds the first batch too large, takes one half of it, and is busy then.
static void a_receiver_that_takes_one_half(void **state)
{
    (void)state;
    static const http_reply answers[] = {
        {.status = 413, .body = ""},
        {.status = 200, .body = ""},
        {.status = 503, .header = "Retry-After", .value = "60", .body = ""},
    };
    char session[SESSION_PATH_MAX], endpoint[64];
    pid_t receiver = receiver_start(answers, 3, endpoint);
    engine_plan plan = {
        .encoder = nsp_exporter_builtin("otlp"), .answer = NSP_SEND_RETRY, .endpoint = endpoint};
    engine_dies(directory, engine, &plan, session);
    receiver_stop(receiver);
    nsp_recovery_account account = recover_all(session);
    assert_int_equal(account.engine_exported, IN_A_BATCH / 2);
    assert_int_equal(account.in_doubt, 0);
    check_phases(IN_A_BATCH / 2);
}

// One exporter of a list has taken the batch, and the other has not: it is in doubt.
static void a_list_of_which_one_has_taken_it(void **state)
{
    (void)state;
    static const http_reply busy = {.status = 503, .header = "Retry-After", .value = "60", .body = ""};
    char session[SESSION_PATH_MAX], endpoint[64];
    pid_t receiver = receiver_start(&busy, 1, endpoint);
    engine_plan plan = {.encoder = nsp_exporter_builtin("otlp"),
                        .answer = NSP_SEND_RETRY,
                        .endpoint = endpoint,
                        .exporter = "file,otlp"};
    engine_dies(directory, engine, &plan, session);
    receiver_stop(receiver);
    nsp_recovery_account account = recover_with(session, NSP_IN_DOUBT_SKIP);
    assert_int_equal(account.in_doubt, IN_A_BATCH);
    assert_int_equal(account.skipped, IN_A_BATCH);
    check_phases(IN_A_BATCH);
}

static bool until_some(void *unused, const nsp_recovery_account *account)
{
    (void)unused;
    return account->exported == 0;
}

// What the receiver takes of a request may end in the middle of one of the engine's batches.
static void a_part_of_a_batch(void **state)
{
    (void)state;
    enum { PART = IN_A_BATCH + 4 };
    char session[SESSION_PATH_MAX];
    engine_plan plan = {.encoder = nsp_exporter_builtin("otlp"), .answer = NSP_SEND_RETRY};
    engine_dies(directory, engine, &plan, session);
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.exporter = &recovered_exporter;
    options.timeout_ns = 60000000000;
    options.progress = until_some; // only the first request is taken, and only this part of it
    recovered.part = PART;
    recovered.answer = NSP_SEND_RETRY;
    nsp_recovery *recovery = recovery_of(session);
    assert_int_equal(nsp_recovery_export(recovery, &options), NSP_ERR_TIMEOUT);
    assert_int_equal(balanced(recovery).exported, PART);
    assert_int_equal(balanced(recovery).left, SPANS - PART);
    nsp_recovery_close(recovery);
    recovered_reset();
    nsp_recovery_account account = recover_all(session);
    assert_int_equal(account.engine_exported, PART);
    check_phases(PART);
}

// What a shutdown gives up was not sent, and counts as discarded, whether the engine could still count it or not.
static void batches_that_were_given_up(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    static const char *const points[] = {"batch: settling", "batch: counted", "sender: batch empty"};
    for (size_t i = 0; i < 3; i++) {
        char session[SESSION_PATH_MAX];
        engine_plan plan = {.encoder = nsp_exporter_builtin("otlp"),
                            .answer = NSP_SEND_RETRY,
                            .point = points[i],
                            .visit = 1,
                            .stops = true};
        recovered_reset();
        engine_dies(directory, engine, &plan, session);
        for (int again = 0; again < 2; again++) {
            nsp_recovery_account account = recover_all(session);
            assert_int_equal(account.engine_discarded, IN_A_BATCH);
            assert_int_equal(account.engine_unconfirmed, 0);
            assert_int_equal(account.exported + account.engine_exported, SPANS - IN_A_BATCH);
        }
        check_phases(IN_A_BATCH);
    }
#else
    skip();
#endif
}

// An engine that drains when it is told to.
static void start_with_invoker(const nsp_exporter *exporter)
{
    nsp_config config;
    capture_config(&config);
    config.shm_dir = directory;
    config.collector = NSP_COLLECTOR_INVOKER;
    config.custom_exporter = exporter;
    config.endpoint = "http://127.0.0.1:9";
    config.schedule_delay_ns = 3600000000000;
    config.log_level = NSP_LOG_NONE;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
}

static void engine_of_one_pass(void *argument)
{
    planned = argument;
    nsp_exporter exporter = *planned->encoder;
    exporter.send = answer;
    start_with_invoker(&exporter);
    for (int i = 0; i < 5; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("phase")));
    die_at(planned->point, 1);
    nsp_do_work(SIZE_MAX);
}

// All that the ring has is in a batch, and the drainer had yet to say so. Once the batch is settled, the ring must
// say it.
static void a_ring_that_was_not_released(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    char session[SESSION_PATH_MAX];
    engine_plan plan = {.encoder = nsp_exporter_builtin("otlp"), .point = "collector: before release"};
    engine_dies(directory, engine_of_one_pass, &plan, session);
    nsp_recovery_account account = recover_all(session);
    assert_int_equal(account.from_batches, 5);
    assert_int_equal(account.finished, 0);
    assert_int_equal(account.exported, 5);
    account = recover_all(session);
    assert_int_equal(account.finished + account.from_batches, 0);
    assert_int_equal(account.engine_exported, 5);
    assert_int_equal(recovered_count(), 5);
#else
    skip();
#endif
}

static nsp_name large; // the name of spans that fit in no batch

static bool append_small(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    return view->name != large && planned->encoder->append(state, batch, view);
}

static void engine_with_a_large_span(void *argument)
{
    planned = argument;
    nsp_exporter exporter = *planned->encoder;
    exporter.append = append_small;
    start_with_invoker(&exporter);
    large = NSP_NAME("large");
    for (int i = 0; i < 5; i++)
        nsp_span_end(nsp_span_begin(i == 2 ? large : NSP_NAME("phase")));
    die_at(planned->point, planned->visit);
    nsp_do_work(SIZE_MAX);
}

// A span that fits in no batch is taken out of the ring and counts as discarded, also if the engine had no time to
// count it.
static void spans_that_fit_in_no_batch(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    static const char *const points[] = {"collector: before release", "collector: counted as drained",
                                         "collector: released"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        for (int visit = 1; visit <= 2; visit++) { // what comes before it closes a batch, and it comes after
            char session[SESSION_PATH_MAX];
            engine_plan plan = {.encoder = nsp_exporter_builtin("otlp"), .point = points[i], .visit = visit};
            engine_dies(directory, engine_with_a_large_span, &plan, session);
            nsp_recovery_account account = recover_all(session);
            assert_int_equal(account.engine_unconfirmed + account.lost_at_crash, 0);
            assert_int_equal(account.engine_discarded + account.dropped + account.exported, 5);
            assert_int_equal(recover_all(session).engine_unconfirmed, 0);
        }
#else
    skip();
#endif
}

static void engine_with_an_open_parent(void *argument)
{
    planned = argument;
    nsp_exporter exporter = *planned->encoder;
    exporter.send = answer;
    start_with_invoker(&exporter);
    nsp_span_begin(NSP_NAME("parent"));
    nsp_do_work(SIZE_MAX); // reads the clocks, unless it has just done so
    nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    nsp_do_work(SIZE_MAX); // takes the child, and has just read the clocks
    raise(SIGKILL);
}

// The session's last reading of the clock may be older than spans in a batch.
static void no_parent_ends_before_its_child(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        char session[SESSION_PATH_MAX];
        engine_plan plan = {.encoder = nsp_exporter_builtin(encoders[i % 2])};
        recovered_reset();
        engine_dies(directory, engine_with_an_open_parent, &plan, session);
        assert_int_equal(recover_all(session).from_batches, 1);
        assert_int_equal(recovered_count(), 2);
        assert_string_equal(recovered_at(0)->name, "child");
        assert_true(recovered_at(1)->unfinished);
        assert_true(recovered_at(1)->end_ns >= recovered_at(0)->end_ns);
    }
}

// A line of the file, which has the length of its beginning up to the first span.
static size_t read_line(const char *name, char *line, size_t size)
{
    char path[SESSION_PATH_MAX + 20];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, (int)size, file));
    fclose(file);
    const char *spans = strstr(line, "\"spans\":[");
    assert_non_null(spans);
    return (size_t)(spans - line);
}

// What the recovery writes, with the resource and all, is to the byte what the engine itself has written.
static void it_is_what_the_engine_sends(void **state)
{
    (void)state;
    static char from_engine[65536], from_recovery[65536];
    char session[SESSION_PATH_MAX], path[SESSION_PATH_MAX + 20];
    engine_plan plan = {.encoder = nsp_exporter_builtin("file"), .answer = NSP_SEND_UNKNOWN, .writes = true};
    engine_dies(directory, engine, &plan, session);
    nsp_config config;
    nsp_config_init(&config);
    snprintf(path, sizeof path, "%s/recovered.jsonl", directory);
    config.exporter = "file";
    config.file = path;
    config.batch_spans = IN_A_BATCH;
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.config = &config; // chooses the exporter
    nsp_recovery *recovery = recovery_of(session);
    assert_int_equal(nsp_recovery_export(recovery, &options), NSP_OK);
    nsp_recovery_close(recovery);
    size_t head = read_line("engine.jsonl", from_engine, sizeof from_engine);
    assert_int_equal(read_line("recovered.jsonl", from_recovery, sizeof from_recovery), head);
    assert_non_null(memmem(from_engine, head, "service.name", 12));
    assert_string_equal(from_recovery, from_engine);
}

static void refuse_the_fifth(const nsp_batch *batch)
{
    recovered.answer = NSP_SEND_EXPORTED;
    const recovered_span *spans = (const recovered_span *)(const void *)(batch->data + batch->head);
    for (uint32_t i = 0; i < batch->spans; i++)
        if (spans[i].number == 5)
            recovered.answer = NSP_SEND_REJECTED;
}

// The rest of its batch stays with it, and the other batches are sent.
static void a_request_that_is_refused(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_plan plan = {.encoder = nsp_exporter_builtin("otlp"), .answer = (nsp_send_result)NO_ANSWER};
    engine_dies(directory, engine, &plan, session);
    nsp_config config;
    nsp_config_init(&config);
    config.batch_spans = 4;
    config.log_level = NSP_LOG_NONE;
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.config = &config;
    options.exporter = &recovered_exporter;
    recovered.sending = refuse_the_fifth;
    nsp_recovery *recovery = recovery_of(session);
    assert_int_equal(nsp_recovery_export(recovery, &options), NSP_ERR_REFUSED);
    nsp_recovery_account account = balanced(recovery);
    assert_int_equal(account.left, IN_A_BATCH - 4);
    assert_int_equal(account.exported, SPANS - account.left);
    nsp_recovery_close(recovery);
    recovered_reset();
    assert_int_equal(recover_all(session).exported, IN_A_BATCH - 4);
    check_phases_until(4, IN_A_BATCH);
}

// Only the engine's own exporter can read such batches. Everything else is recovered.
static void foreign_batches_stay(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_plan plan = {.encoder = &recovered_exporter, .answer = (nsp_send_result)NO_ANSWER};
    engine_dies(directory, engine, &plan, session);
    for (int i = 0; i < 2; i++) {
        nsp_recovery_account account = recover_all(session);
        assert_int_equal(account.from_batches, SPANS);
        assert_int_equal(account.left, SPANS);
        assert_int_equal(account.left_foreign, SPANS);
        assert_int_equal(recovered_count(), 0);
    }
}

static void damaged_batches_are_invalid(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX], path[SESSION_PATH_MAX + 20];
    engine_plan plan = {.encoder = nsp_exporter_builtin("otlp"), .answer = NSP_SEND_RETRY};
    engine_dies(directory, engine, &plan, session);
    snprintf(path, sizeof path, "%s/batches", session);
    int fd = open(path, O_RDWR);
    nsp__batch_header header;
    bool found = false;
    for (off_t i = 0; !found && i < 8; i++) {
        assert_int_equal(pread(fd, &header, sizeof header, i * (off_t)sizeof header), sizeof header);
        found = header.state == NSP__BATCH_CLOSED;
    }
    assert_true(found);
    uint8_t noise[200];
    memset(noise, 0xff, sizeof noise);
    uint64_t middle = header.data_offset + (header.head + header.length) / 2;
    assert_int_equal(pwrite(fd, noise, sizeof noise, (off_t)middle), sizeof noise);
    close(fd);
    nsp_recovery_account account = recover_all(session);
    assert_true(account.invalid >= 1 && account.invalid <= IN_A_BATCH);
    assert_int_equal(account.exported, SPANS - account.invalid);
    assert_int_equal(recovered_distinct(), account.exported);
    nsp_recovery_account again = recover_all(session);
    assert_int_equal(again.exported, 0);
    assert_int_equal(again.invalid, account.invalid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_each_state, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(between_the_places, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(batches_that_were_sent_in_parts, recovered_set_up,
                                        recovered_tear_down),
        cmocka_unit_test_setup_teardown(a_receiver_that_takes_one_half, recovered_set_up,
                                        recovered_tear_down),
        cmocka_unit_test_setup_teardown(a_list_of_which_one_has_taken_it, recovered_set_up,
                                        recovered_tear_down),
        cmocka_unit_test_setup_teardown(a_part_of_a_batch, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(batches_that_were_given_up, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(spans_that_fit_in_no_batch, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(no_parent_ends_before_its_child, recovered_set_up,
                                        recovered_tear_down),
        cmocka_unit_test_setup_teardown(a_ring_that_was_not_released, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(it_is_what_the_engine_sends, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(a_request_that_is_refused, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(foreign_batches_stay, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(damaged_batches_are_invalid, recovered_set_up, recovered_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

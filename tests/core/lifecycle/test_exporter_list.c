// SPDX-License-Identifier: Apache-2.0
//
// Several exporters of the same batches: the spans are counted as one of the exporters answers, once all have
// finished.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nanospan/nanospan.h>

#include "common/time.h"
#include "support/http_server.h"

enum { SPANS = 4 };

#define MINUTE 60000000000u

static const http_reply taken = {.status = 200, .body = ""};
static const http_reply too_large = {.status = 413, .body = ""};
static const http_reply refused = {.status = 400, .body = "no", .length = 2};
static const http_reply away = {.status = 503, .body = ""};
static const http_reply web_page = {.status = 200,
                                    .header = "Content-Type",
                                    .value = "text/html",
                                    .body = "<html>hello</html>",
                                    .length = 18};

// Lines that are spans in the file exporter's JSON.
static unsigned spans_in(const char *path)
{
    static const char key[] = "\"spanId\"";
    unsigned count = 0, matched = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (int byte; (byte = fgetc(file)) != EOF;) {
        matched = byte == key[matched] ? matched + 1 : byte == key[0];
        if (key[matched] == 0) {
            count++;
            matched = 0;
        }
    }
    fclose(file);
    return count;
}

// Records one batch for a receiver that gives these answers and for a file, which gets each span once.
// Returns the accounting.
static nsp_stats send_to_both(const http_reply *const *plan)
{
    char path[] = "/tmp/nsp-list-XXXXXX", endpoint[64];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    http_server *server = http_server_start(NULL);
    for (; *plan != NULL; plan++)
        http_server_plan(server, *plan);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", http_server_port(server));
    nsp_config config;
    nsp_config_init(&config);
    config.exporter = "otlp,file";
    config.endpoint = endpoint;
    config.file = path;
    config.log_level = NSP_LOG_NONE;
    config.retry_min_ns = config.retry_max_ns = 1000000;
    config.schedule_delay_ns = MINUTE; // one batch
    assert_int_equal(nsp_init(&config), NSP_OK);
    for (int i = 0; i < SPANS; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
    assert_int_equal(nsp_flush(MINUTE), NSP_OK);
    assert_int_equal(nsp_shutdown(MINUTE), NSP_OK);
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    assert_int_equal(stats.attempted, SPANS);
    assert_int_equal(stats.exported + stats.rejected + stats.unconfirmed, SPANS);
    assert_int_equal(spans_in(path), SPANS);
    http_server_stop(server);
    unlink(path);
    return stats;
}

static void both_take_it(void **state)
{
    (void)state;
    nsp_stats stats = send_to_both((const http_reply *const[]){&away, &taken, NULL});
    assert_int_equal(stats.exported, SPANS);
    stats = send_to_both((const http_reply *const[]){&refused, NULL});
    assert_int_equal(stats.rejected, SPANS);
}

static void an_answer_that_is_not_otlp_is_final(void **state)
{
    (void)state;
    nsp_stats stats = send_to_both((const http_reply *const[]){&web_page, NULL});
    assert_int_equal(stats.unconfirmed, SPANS);
    assert_int_equal(stats.batches_failed, 1);
}

// The batch is halved. The result of the first half is known long before the second half is done.
static void halves_are_counted_each(void **state)
{
    (void)state;
    nsp_stats stats = send_to_both((const http_reply *const[]){&too_large, &refused, &away, &taken, NULL});
    assert_int_equal(stats.rejected, SPANS / 2);
    assert_int_equal(stats.exported, SPANS / 2);
    stats = send_to_both((const http_reply *const[]){&too_large, &taken, &away, &refused, NULL});
    assert_int_equal(stats.rejected, SPANS / 2);
    assert_int_equal(stats.exported, SPANS / 2);
    stats = send_to_both((const http_reply *const[]){&too_large, &web_page, &taken, NULL});
    assert_int_equal(stats.unconfirmed, SPANS / 2);
    assert_int_equal(stats.exported, SPANS / 2);
    stats = send_to_both((const http_reply *const[]){&too_large, &web_page, &refused, NULL});
    assert_int_equal(stats.unconfirmed, SPANS / 2);
    assert_int_equal(stats.rejected, SPANS / 2);
}

// A named pipe that nobody empties. It comes first in the list, and uses up the time of each attempt. Returns
// how often the other one was asked, before and after the pipe is emptied.
static unsigned beside_one_that_hangs(unsigned *before)
{
    char path[64], endpoint[64], bytes[4096] = "";
    snprintf(path, sizeof path, "/tmp/nsp-list-%d.pipe", (int)getpid());
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int writer = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0 && writer >= 0);
    while (write(writer, bytes, sizeof bytes) > 0)
        ;
    http_server *server = http_server_start(NULL);
    http_server_plan(server, &taken);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", http_server_port(server));
    nsp_config config;
    nsp_config_init(&config);
    config.exporter = "file,otlp";
    config.endpoint = endpoint;
    config.file = path;
    config.log_level = NSP_LOG_NONE;
    config.export_timeout_ns = 300000000;
    config.retry_min_ns = config.retry_max_ns = 1000000;
    config.schedule_delay_ns = MINUTE; // one batch
    assert_int_equal(nsp_init(&config), NSP_OK);
    for (int i = 0; i < SPANS; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
    uint64_t deadline = nsp__monotonic_ns() + MINUTE;
    while (http_server_requests(server) == 0 && nsp__monotonic_ns() < deadline)
        assert_int_equal(nsp_flush(100000000), NSP_ERR_TIMEOUT);
    assert_int_equal(nsp_flush(1000000000), NSP_ERR_TIMEOUT); // several attempts for the pipe alone
    *before = http_server_requests(server);
    while (read(reader, bytes, sizeof bytes) > 0)
        ;
    assert_int_equal(nsp_flush(MINUTE), NSP_OK);
    assert_int_equal(nsp_shutdown(MINUTE), NSP_OK);
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    assert_int_equal(stats.exported, SPANS);
    unsigned requests = http_server_requests(server);
    http_server_stop(server);
    close(reader);
    close(writer);
    unlink(path);
    return requests;
}

// On a busy machine the answer may come too late for its attempt; then the other one has to be asked again.
static void one_that_hangs_leaves_time_to_the_others(void **state)
{
    (void)state;
    unsigned before = 0, requests = 0;
    for (int tries = 0; tries < 5 && requests != 1; tries++) {
        requests = beside_one_that_hangs(&before);
        assert_in_range(before, 1, requests);
    }
    assert_int_equal(requests, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_take_it),
        cmocka_unit_test(an_answer_that_is_not_otlp_is_final),
        cmocka_unit_test(halves_are_counted_each),
        cmocka_unit_test(one_that_hangs_leaves_time_to_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

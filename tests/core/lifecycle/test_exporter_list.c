// SPDX-License-Identifier: Apache-2.0
//
// Several exporters of the same batches: the spans are counted as one of the exporters answers, once all have
// finished.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <nanospan/nanospan.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_take_it),
        cmocka_unit_test(an_answer_that_is_not_otlp_is_final),
        cmocka_unit_test(halves_are_counted_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

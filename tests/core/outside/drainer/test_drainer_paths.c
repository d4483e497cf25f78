// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 120
//
// Paths of an engine that is drained from outside: declared before the drainer has come, and while it drains; and one of
// which the declaration in the session is not what it was.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include <nanospan/drainer.h>

#include "shm/control.h"
#include "support/external_engine.h"
#include "support/recovered.h"
#include "support/scripted.h"

#define ORDER(PHASE, I64, F64, STR, BOOL)                                                                    \
    STR(text, 16, "text") PHASE(decode, "decode") I64(number, "number") PHASE(submit, "submit")
NSP_PATH_DECLARE(order_path, "order", ORDER)
#define LATER(PHASE, I64, F64, STR, BOOL) PHASE(wait, "wait")
NSP_PATH_DECLARE(later_path, "later", LATER)

enum { ORDERS = 500, LATERS = 300 };

static void record_orders(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        order_path *path = order_path_begin();
        NSP_PATH_STR(path, text, "AAPL", 4);
        NSP_PATH_MARK(path, decode);
        path->number = i;
        NSP_PATH_MARK(path, submit);
        order_path_end(path);
    }
}

// The rings hold 64 KiB, so it waits for the drainer.
static void engine(void *argument)
{
    (void)argument;
    record_orders(100);
    external_tell();
    for (int i = 1; i < ORDERS / 100; i++) {
        while (nsp_flush(100000000) != NSP_OK)
            ;
        record_orders(100);
    }
    for (int i = 0; i < LATERS; i++) {
        later_path *path = later_path_begin();
        NSP_PATH_MARK(path, wait);
        later_path_end(path);
    }
    while (nsp_flush(100000000) != NSP_OK)
        ;
}

static nsp_drainer *open_drainer(const char *session)
{
    static nsp_config config;
    script_reset();
    script_config(&config); // for its log
    config.custom_exporter = NULL;
    config.batch_spans = 50;
    config.schedule_delay_ns = 1000000;
    nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
    nsp_drainer *drainer;
    options.config = &config;
    options.exporter = &recovered_exporter;
    if (nsp_drainer_open(&drainer, &options) != NSP_OK)
        fail_msg("%s", nsp_error_detail());
    assert_int_equal(nsp_drainer_add(drainer, session, NULL, 0), NSP_OK);
    return drainer;
}

static void drain_until(nsp_drainer *drainer, size_t spans)
{
    for (int i = 0; i < 60000 && recovered_count() < spans; i++) {
        nsp_drainer_work(drainer, NULL);
        test_sleep_ms(1);
    }
    assert_int_equal(recovered_count(), spans);
}

static void while_it_is_drained(void **state)
{
    (void)state;
    external_engine it;
    recovered_reset();
    external_start(&it, engine, NULL);
    external_await(&it);
    nsp_drainer *drainer = open_drainer(it.session);
    drain_until(drainer, 3 * ORDERS + 2 * LATERS);
    external_join(&it);
    assert_int_equal(nsp_drainer_close(drainer, 60000000000), NSP_OK);
    assert_int_equal(recovered_count(), 3 * ORDERS + 2 * LATERS);
    assert_int_equal(recovered_distinct(), 3 * ORDERS + 2 * LATERS);
    assert_int_equal(recovered_named("decode"), ORDERS);
    assert_int_equal(recovered_named("submit"), ORDERS);
    assert_int_equal(recovered_named("wait"), LATERS);
    for (size_t i = 0; i < 3 * ORDERS; i += 3) {
        assert_int_equal(recovered_at(i)->parent_id, recovered_at(i + 2)->span_id);
        assert_int_equal(recovered_at(i)->number, i / 3 % 100);
        assert_string_equal(recovered_at(i + 2)->text, "AAPL");
    }
}

static void damage_declaration(const char *session)
{
    char path[SESSION_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/control", session);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    const long at = (long)(offsetof(nsp__control, paths) + offsetof(nsp__paths, path[0].field[0].offset));
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fputc(0xff, file), 0xff);
    assert_int_equal(fclose(file), 0);
}

static void orders_and_flush(void *argument)
{
    (void)argument;
    record_orders(100);
    external_tell();
    while (nsp_flush(100000000) != NSP_OK)
        ;
}

static void a_damaged_declaration(void **state)
{
    (void)state;
    external_engine it;
    recovered_reset();
    external_start(&it, orders_and_flush, NULL);
    external_await(&it);
    damage_declaration(it.session);
    nsp_drainer *drainer = open_drainer(it.session);
    drain_until(drainer, 100);
    external_join(&it);
    assert_int_equal(nsp_drainer_close(drainer, 60000000000), NSP_OK);
    assert_int_equal(recovered_named("order"), 100);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(recovered_at(i)->left_out, 2);
    assert_int_equal(script_lines_with("the declaration of the path order (number 1) is damaged"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(while_it_is_drained, external_folder_make, external_folder_remove),
        cmocka_unit_test_setup_teardown(a_damaged_declaration, external_folder_make, external_folder_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

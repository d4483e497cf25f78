// SPDX-License-Identifier: Apache-2.0
//
// Keys that are set repeatedly, and records that fill up: the last value of each key is kept, the limit
// counts distinct keys, and a long value leaves room for others.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/capture.h"

static void begin_with(size_t record_bytes, uint32_t attributes)
{
    nsp_thread_reset();
    nsp_config config;
    capture_config(&config);
    config.record_bytes = record_bytes;
    config.attribute_count_limit = attributes;
    capture_start(&config);
}

static int begin(void **state)
{
    (void)state;
    begin_with(4096, 128);
    return 0;
}

static int end(void **state)
{
    (void)state;
    nsp_thread_reset();
    capture_end();
    return 0;
}

static nsp_name numbered(int number)
{
    char text[16];
    int length = snprintf(text, sizeof text, "key%d", number);
    return nsp_intern(text, (size_t)length);
}

static size_t distinct(const captured_span *span)
{
    size_t count = 0;
    for (size_t i = 0; i < span->attribute_count; i++)
        count += captured_attribute_of(span, span->attributes[i].key) == &span->attributes[i];
    return count;
}

static const captured_span *only(void)
{
    capture_settle();
    assert_int_equal(capture_count(), 1);
    return capture_at(0);
}

static void a_key_set_300_times_has_its_last_value(void **state)
{
    (void)state;
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    for (int i = 0; i < 300; i++) {
        nsp_span_set_i64(span, NSP_KEY("bytes.sent"), i * 1000);
        nsp_span_set_f64(span, NSP_KEY("share"), i / 4.0);
        nsp_span_set_bool(span, NSP_KEY("odd"), i % 2 != 0);
        nsp_span_set_str(span, NSP_KEY("short"), i % 2 != 0 ? "odd" : "even");
        nsp_span_set_str(span, NSP_KEY("long"),
                         i % 2 != 0 ? "a text of more than sixteen bytes" : "not so long");
        nsp_span_set_i64s(span, NSP_KEY("two"), (const int64_t[]){i, -i}, 2);
    }
    nsp_span_set_bool(span, NSP_KEY("done"), true);
    nsp_span_end(span);
    const captured_span *got = only();
    assert_string_equal(captured_text(got, "bytes.sent"), "299000");
    assert_string_equal(captured_text(got, "share"), "74.75");
    assert_string_equal(captured_text(got, "odd"), "true");
    assert_string_equal(captured_text(got, "short"), "odd");
    assert_string_equal(captured_text(got, "long"), "a text of more than sixteen bytes");
    assert_string_equal(captured_text(got, "two"), "[299,-299]");
    assert_string_equal(captured_text(got, "done"), "true");
    assert_int_equal(distinct(got), 7);
    assert_int_equal(got->dropped_attributes, 0);
    assert_int_equal(capture_balance().values_cut, 0);
}

static void the_limit_is_one_of_different_keys(void **state)
{
    (void)state;
    enum { LIMIT = 128, KEYS = 150 };
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    for (int round = 0; round < 3; round++)
        for (int key = 0; key < KEYS; key++)
            nsp_span_set_i64(span, numbered(key), 1000 * round + key);
    nsp_span_end(span);
    const captured_span *got = only();
    assert_int_equal(distinct(got), LIMIT);
    for (int key = 0; key < KEYS; key++) {
        char name[16], value[16];
        snprintf(name, sizeof name, "key%d", key);
        snprintf(value, sizeof value, "%d", 2000 + key);
        if (key < LIMIT)
            assert_string_equal(captured_text(got, name), value);
        else
            assert_null(captured_text(got, name));
    }
    assert_int_equal(got->dropped_attributes, 3 * (KEYS - LIMIT));
}

// ---- any sequence ----

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

static void set_any(nsp_span *span, int key, char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
    nsp_name name = numbered(key);
    uint32_t number = draw(1000000), length = draw(24);
    switch (draw(5)) {
    case 0:
        nsp_span_set_i64(span, name, number);
        sprintf(text, "%u", number);
        break;
    case 1:
        nsp_span_set_bool(span, name, number % 2 != 0);
        strcpy(text, number % 2 != 0 ? "true" : "false");
        break;
    case 2:
        nsp_span_set_i64s(span, name, (const int64_t[]){number, 7}, 2);
        sprintf(text, "[%u,7]", number);
        break;
    case 3:
        nsp_span_set_strs(span, name, (const char *const[]){"x", letters + 40}, 2);
        sprintf(text, "[x,%s]", letters + 40);
        break;
    default:
        nsp_span_set_strn(span, name, letters + number % 26, length);
        sprintf(text, "%.*s", (int)length, letters + number % 26);
    }
}

// This is true as long as all last values fit together and some places are free.
static void whatever_the_sequence_the_last_values_stand(void **state)
{
    (void)state;
    static const struct {
        size_t record_bytes;
        uint32_t limit;
        int keys;
    } cases[] = {{4096, 128, 20}, {4096, 20, 20}, {4096, 3, 3},
                 {512, 128, 3},   {512, 3, 3},    {65528, 1000, 300}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        capture_end();
        begin_with(cases[c].record_bytes, cases[c].limit);
        for (int round = 0; round < (c == 5 ? 5 : 50); round++) {
            static char last[300][64];
            memset(last, 0, sizeof last);
            nsp_span *span = nsp_span_begin(NSP_NAME("span"));
            for (int sets = 50 + (int)draw(c == 5 ? 20000 : 1000); sets > 0; sets--) {
                int key = (int)draw((uint32_t)cases[c].keys);
                set_any(span, key, last[key]);
                if (draw(100) == 0)
                    nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, last[key]);
            }
            nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, "the end");
            nsp_span_end(span);
            const captured_span *got = only();
            for (int key = 0; key < cases[c].keys; key++) {
                char name[16];
                snprintf(name, sizeof name, "key%d", key);
                const char *text = captured_text(got, name);
                if (strcmp(text != NULL ? text : "", last[key]) != 0)
                    fail_msg("case %zu, round %d, %s: \"%s\" instead of \"%s\"", c, round, name,
                             text != NULL ? text : "(none)", last[key]);
            }
            assert_string_equal(got->status_message, "the end");
            assert_int_equal(got->dropped_attributes, 0);
            capture_forget();
        }
        assert_int_equal(capture_balance().values_cut, 0);
    }
}

// ---- events ----

static void the_last_value_wins_in_an_events_list_too(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    nsp_attr attributes[COUNT];
    for (int i = 0; i < COUNT; i++)
        attributes[i] = nsp_attr_i64(numbered(i % 100), i);
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    nsp_span_add_event_with(span, NSP_NAME("event"), 0, attributes, COUNT);
    nsp_span_end(span);
    const captured_event *event = &only()->events[0];
    assert_int_equal(event->attribute_count, 100);
    assert_int_equal(event->dropped_attributes, 0);
    for (size_t i = 0; i < event->attribute_count; i++)
        assert_in_range(atoi(event->attributes[i].text), 200, 299);
}

// ---- long values ----

static void a_long_value_leaves_room_to_others(void **state)
{
    (void)state;
    static char text[100001];
    memset(text, 'x', sizeof text - 1);
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    nsp_span_set_str(span, NSP_KEY("request"), text);
    nsp_span_set_bytes(span, NSP_KEY("answer"), text, sizeof text);
    nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, text);
    nsp_span_set_i64(span, NSP_KEY("order.id"), 7);
    nsp_span_set_str(span, NSP_KEY("symbol"), "AAPL");
    nsp_span_set_str(span, NSP_KEY("venue"), "a longer name");
    nsp_span_add_event(span, NSP_NAME("sent"));
    nsp_span_end(span);
    const captured_span *got = only();
    assert_in_range(strlen(captured_text(got, "request")), 3000, 4096);
    assert_string_equal(captured_text(got, "order.id"), "7");
    assert_string_equal(captured_text(got, "symbol"), "AAPL");
    assert_string_equal(captured_text(got, "venue"), "a longer name");
    assert_int_equal(got->event_count, 1);
    assert_in_range(captured_attribute_of(got, "answer")->count, 100, 400);
    assert_in_range(strlen(got->status_message), 64, 200);
    assert_int_equal(got->dropped_attributes, 0);
    assert_int_equal(capture_balance().values_cut, 3); // this counter shows it
}

static void *set_long(void *span)
{
    static char text[100001];
    memset(text, 'x', sizeof text - 1);
    nsp_span_set_str(span, NSP_KEY("request"), text);
    return NULL;
}

// With a thread that has no slot whose counter could be used.
static void a_cut_on_a_thread_without_slot_is_counted(void **state)
{
    (void)state;
    nsp_span *span = nsp_span_begin_detached(NSP_NAME("span"), NULL);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, set_long, span), 0);
    pthread_join(thread, NULL);
    nsp_span_end(span);
    assert_int_equal(capture_balance().values_cut, 1);
}

static void the_last_of_many_long_values_is_there(void **state)
{
    (void)state;
    char text[601];
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    for (int i = 0; i < 300; i++) {
        memset(text, 'a' + i % 26, sizeof text);
        text[1 + i * 7 % 600] = 0;
        nsp_span_set_str(span, NSP_KEY("state"), text);
        nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, text);
    }
    nsp_span_end(span);
    const captured_span *got = only();
    assert_string_equal(captured_text(got, "state"), text);
    assert_string_equal(got->status_message, text);
    assert_int_equal(got->dropped_attributes, 0);
    assert_int_equal(capture_balance().values_cut, 0);
}

// ---- signal handlers ----

static nsp_span *interrupted;
static bool storm_over;

static void set_in_handler(int number)
{
    (void)number;
    nsp_span_set_i64(interrupted, NSP_KEY("handler"), 1111);
    nsp_span_set_str(interrupted, NSP_KEY("handler.text"), "hhhhhhhhhhhh");
}

static void *storm(void *target)
{
    while (!__atomic_load_n(&storm_over, __ATOMIC_RELAXED)) {
        pthread_kill(*(pthread_t *)target, SIGUSR1);
        for (volatile int i = 0; i < 2000; i++)
            ;
    }
    return NULL;
}

static void handlers_do_not_spoil_a_record_that_is_full(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = set_in_handler, .sa_flags = SA_RESTART}, before;
    pthread_t self = pthread_self(), thread;
    interrupted = NULL;
    storm_over = false;
    NSP_KEY("handler"); // so that the handler interns nothing
    sigaction(SIGUSR1, &action, &before);
    assert_int_equal(pthread_create(&thread, NULL, storm, &self), 0);
    for (int round = 0; round < 100; round++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("span"));
        interrupted = span;
        for (int i = 0; i < 1000; i++) {
            nsp_span_set_i64(span, NSP_KEY("main"), 2222);
            nsp_span_set_str(span, NSP_KEY("main.text"), i % 2 != 0 ? "mm" : "mmmmmmmmmmmmmmmm");
        }
        nsp_span_set_bool(span, NSP_KEY("done"), true);
        interrupted = NULL;
        nsp_span_end(span);
    }
    __atomic_store_n(&storm_over, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    sigaction(SIGUSR1, &before, NULL);
    capture_settle();
    for (size_t i = 0; i < capture_count(); i++) {
        const captured_span *got = capture_at(i);
        assert_string_equal(captured_text(got, "main"), "2222");
        assert_string_equal(captured_text(got, "main.text"), "mm");
        assert_string_equal(captured_text(got, "done"), "true");
        for (size_t k = 0; k < got->attribute_count; k++) {
            const captured_attribute *a = &got->attributes[k];
            bool known = strcmp(a->text, "1111") == 0 || strcmp(a->text, "2222") == 0 ||
                         strcmp(a->text, "true") == 0 || strspn(a->text, "m") == a->count ||
                         strspn(a->text, "h") == a->count;
            if (!known)
                fail_msg("%s is \"%s\"", a->key, a->text);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_key_set_300_times_has_its_last_value),      TEST(the_limit_is_one_of_different_keys),
        TEST(whatever_the_sequence_the_last_values_stand), TEST(the_last_value_wins_in_an_events_list_too),
        TEST(a_long_value_leaves_room_to_others),          TEST(a_cut_on_a_thread_without_slot_is_counted),
        TEST(the_last_of_many_long_values_is_there),       TEST(handlers_do_not_spoil_a_record_that_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

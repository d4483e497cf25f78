// SPDX-License-Identifier: Apache-2.0
//
// Every item of an open span's record is marked as one of that span, so that a reader after a crash can tell it
// from what an earlier span left in the same frame. Each way to write an item is tried.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/testpoint.h"
#include "support/capture.h"
#include "trace/reuse.h"
#include "trace/thread_state.h"

static int end(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
#endif
    nsp_thread_reset();
    capture_end();
    return 0;
}

static uint64_t word_at(const nsp__frame *frame, uint32_t offset)
{
    uint64_t word;
    memcpy(&word, (const char *)&frame->record + offset, sizeof word);
    return word;
}

static uint32_t type_of(uint64_t item)
{
    return item >> 48 & 0xff;
}

// Walks the span's items. Returns how many of them are of this type.
static unsigned count_own(const nsp_span *span, uint32_t type)
{
    const nsp__frame *frame = nsp__frame_of(span);
    uint32_t end_of_items = nsp__frame_bytes(frame), at = sizeof(nsp__record), count = 0;
    for (uint64_t item; at < end_of_items; at += NSP__ITEM_BYTES(item >> 32 & 0xffff)) {
        item = word_at(frame, at);
        if (!nsp__item_of_span(item, (uintptr_t)span))
            fail_msg("an item of type %u, at %u, is not marked as the span's", type_of(item), at);
        assert_true(nsp__item_of_span(item, frame->tag));
        // Only of a BOOL does the lowest bit mean anything, and exporters see nothing else of that byte.
        assert_true(type_of(item) == NSP_TYPE_BOOL || (item >> 56 & 1) == 0);
        count += type_of(item) == type;
    }
    assert_int_equal(at, end_of_items);
    return count;
}

static void set_one_of_each(nsp_span *span)
{
    static const char *const texts[] = {"a", "bc"};
    static const int64_t integers[] = {1, 2};
    static const double numbers[] = {1, 2};
    static const bool truths[] = {true, false};
    const char *runtime_text = strlen(texts[0]) == 1 ? "0123456789ab" : "";
    nsp_span_set_i64(span, NSP_KEY("i64"), 1);
    nsp_span_set_f64(span, NSP_KEY("f64"), 1);
    nsp_span_set_bool(span, NSP_KEY("true"), true);
    nsp_span_set_bool(span, NSP_KEY("false"), false);
    nsp_span_set_str(span, NSP_KEY("short"), "short");
    nsp_span_set_str(span, NSP_KEY("short at run time"), runtime_text);
    nsp_span_set_str(span, NSP_KEY("long"), "a text that is longer than sixteen bytes");
    nsp_span_set_bytes(span, NSP_KEY("bytes"), "bytes", 5);
    nsp_span_set_strs(span, NSP_KEY("strs"), texts, 2);
    nsp_span_set_i64s(span, NSP_KEY("i64s"), integers, 2);
    nsp_span_set_f64s(span, NSP_KEY("f64s"), numbers, 2);
    nsp_span_set_bools(span, NSP_KEY("bools"), truths, 2);
}

static void setters_mark_their_items(void **state)
{
    (void)state;
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    set_one_of_each(span);
    assert_int_equal(count_own(span, NSP_TYPE_STR), 3);
    assert_int_equal(count_own(span, NSP_TYPE_BOOL), 2);
    for (uint32_t type = NSP_TYPE_I64; type <= NSP_TYPE_F64S; type++)
        assert_int_equal(count_own(span, type), 1);
    nsp_span_end(span);
}

// What the inline setters call when there is no room for them, or the call is not inlined.
static void slow_setters_mark_their_items(void **state)
{
    (void)state;
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    nsp__attr_set_number(span, NSP_KEY("i64"), NSP_TYPE_I64, 1);
    nsp__attr_set_number(span, NSP_KEY("true"), NSP_TYPE_BOOL, 1);
    nsp__attr_set_number(span, NSP_KEY("false"), NSP_TYPE_BOOL, 0);
    nsp__attr_set_slow(span, NSP_KEY("text"), NSP_TYPE_STR, "text", 4);
    assert_int_equal(count_own(span, NSP_TYPE_I64), 1);
    assert_int_equal(count_own(span, NSP_TYPE_BOOL), 2);
    assert_int_equal(count_own(span, NSP_TYPE_STR), 1);
    nsp_span_end(span);
}

static void events_and_links_mark_their_items(void **state)
{
    (void)state;
    const nsp_attr attributes[] = {
        {NSP_KEY("number"), NSP_TYPE_I64, 1, {.i64 = 7}},
        {NSP_KEY("truth"), NSP_TYPE_BOOL, 1, {.boolean = true}},
        {NSP_KEY("text"), NSP_TYPE_STR, 4, {.str = "text"}},
    };
    nsp_context context;
    nsp_context_parse(&context, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=state");
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    nsp_span_add_event(span, NSP_NAME("event"));
    nsp_span_add_event_with(span, NSP_NAME("event"), 0, attributes, 3);
    nsp_span_add_link(span, &context);
    nsp_span_add_link_with(span, &context, attributes, 3);
    nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, "message");
    assert_int_equal(count_own(span, NSP_ITEM_EVENT), 2);
    assert_int_equal(count_own(span, NSP_ITEM_LINK), 2);
    assert_int_equal(count_own(span, NSP_ITEM_STATUS_MESSAGE), 1);
    assert_int_equal(count_own(span, NSP_TYPE_I64), 2);
    nsp_span_end(span);
}

// Until the record is full and something was dropped, with keys that are set again and again, so that places
// are given up and used once more.
static void crowded_records_mark_their_items(void **state)
{
    (void)state;
    static const char text[] = "a text that takes up some room, so that the record is soon full of such ones";
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    for (int i = 0; i < 200; i++) {
        nsp_span_set_strn(span, NSP_KEY("again"), text, sizeof text - 1 - (size_t)(i % 40));
        nsp_span_set_i64(span, NSP_KEY("number"), i);
        nsp_span_set_bool(span, NSP_KEY("truth"), i % 2 == 0);
        nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, i % 2 ? "message" : text);
        nsp_span_add_event(span, NSP_NAME("event"));
    }
    assert_int_equal(count_own(span, NSP__ITEM_DROPS), 1);
    assert_true(count_own(span, NSP__ITEM_FILLER) != 0);
    assert_int_equal(nsp__frame_of(span)->record.flags & NSP__RECORD_DROPS, NSP__RECORD_DROPS);
    nsp_span_end(span);
}

static nsp_span *begin_remote(bool detached)
{
    nsp_context context;
    nsp_context_parse(&context, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=state");
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = &context;
    return detached ? nsp_span_begin_detached(NSP_NAME("remote"), &options)
                    : nsp_span_begin_with(NSP_NAME("remote"), &options);
}

static nsp_span *assert_inherits(nsp_span *span)
{
    assert_true(nsp_span_recording(span));
    assert_int_equal(count_own(span, NSP_ITEM_TRACESTATE), 1);
    nsp_span_set_i64(span, NSP_KEY("number"), 1);
    assert_int_equal(count_own(span, NSP_TYPE_I64), 1);
    return span;
}

static void inherited_tracestate_is_the_heirs(void **state)
{
    (void)state;
    nsp_span *remote = assert_inherits(begin_remote(false));
    nsp_span *child = assert_inherits(nsp_span_begin(NSP_NAME("child")));
    nsp_span *detached = assert_inherits(nsp_span_begin_detached(NSP_NAME("detached"), NULL));
    nsp_span *apart = assert_inherits(begin_remote(true));
    for (int i = 0; i < 3; i++) { // the sibling keeps the item in its place
        child = assert_inherits(nsp_span_next(child, NSP_NAME("child")));
        detached = assert_inherits(nsp_span_next(detached, NSP_NAME("detached")));
        apart = assert_inherits(nsp_span_next(apart, NSP_NAME("remote")));
    }
    nsp_span_end(apart);
    nsp_span_end(detached);
    nsp_span_end(child);
    remote = assert_inherits(nsp_span_next(remote, NSP_NAME("remote")));
    nsp_span_end(remote);
}

static void exporters_see_values_only(void **state)
{
    (void)state;
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    nsp_span_set_bool(span, NSP_KEY("true"), true);
    nsp_span_set_bool(span, NSP_KEY("false"), false);
    nsp_span_set_i64(span, NSP_KEY("number"), 1);
    const nsp__frame *frame = nsp__frame_of(span);
    const uint8_t *items = (const uint8_t *)(&frame->record + 1);
    nsp_item_cursor cursor = {items, (const uint8_t *)&frame->record + nsp__frame_bytes(frame)};
    static const uint8_t small[] = {1, 0, 0};
    nsp_item item;
    for (size_t i = 0; i < 3; i++) {
        assert_true(nsp_item_next(&cursor, &item));
        assert_int_equal(item.small, small[i]);
    }
    assert_false(nsp_item_next(&cursor, &item));
    nsp_span_end(span);
}

// ---- a thread that dies between the two steps of an inline setter ----

#ifdef NSP_TESTPOINTS
static nsp_span *interrupted;
static unsigned leftovers;

// The last item was claimed and not written: the record has its room already.
static void look_at_the_last_item(const char *name)
{
    if (strcmp(name, "attribute: claimed") != 0 || interrupted == NULL)
        return;
    const nsp__frame *frame = nsp__frame_of(interrupted);
    uint32_t end_of_items = nsp__frame_bytes(frame), at = sizeof(nsp__record);
    for (uint64_t item; at < end_of_items; at += NSP__ITEM_BYTES(item >> 32 & 0xffff)) {
        item = word_at(frame, at);
        if (nsp__item_of_span(item, frame->tag))
            continue;
        assert_true(type_of(item) != 0); // of the span before
        leftovers++;
        return;
    }
}

static void leftovers_are_recognised(void **state)
{
    (void)state;
    enum { SPANS = 100 };
    interrupted = NULL;
    leftovers = 0;
    __atomic_store_n(&nsp__testpoint_hook, look_at_the_last_item, __ATOMIC_RELEASE);
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span *span = NULL;
    for (int i = 0; i <= SPANS; i++) { // all in the same frame, by turns as another child and as a sibling
        if (i % 2 == 0) {
            nsp_span_end(span);
            span = nsp_span_begin(NSP_NAME("span"));
        } else {
            span = nsp_span_next(span, NSP_NAME("span"));
        }
        interrupted = i != 0 ? span : NULL; // the first finds an unused frame
        nsp_span_set_i64(span, NSP_KEY("number"), i);
        nsp_span_set_bool(span, NSP_KEY("truth"), i % 3 == 0);
        nsp_span_set_str(span, NSP_KEY("text"), "text");
    }
    assert_int_equal(leftovers, 3 * SPANS);
    interrupted = NULL;
    nsp_span_end(span);
    nsp_span_end(root);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(setters_mark_their_items, capture_sampled, end),
        cmocka_unit_test_setup_teardown(slow_setters_mark_their_items, capture_sampled, end),
        cmocka_unit_test_setup_teardown(events_and_links_mark_their_items, capture_sampled, end),
        cmocka_unit_test_setup_teardown(crowded_records_mark_their_items, capture_sampled, end),
        cmocka_unit_test_setup_teardown(inherited_tracestate_is_the_heirs, capture_sampled, end),
        cmocka_unit_test_setup_teardown(exporters_see_values_only, capture_sampled, end),
#ifdef NSP_TESTPOINTS
        cmocka_unit_test_setup_teardown(leftovers_are_recognised, capture_sampled, end),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

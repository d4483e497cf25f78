// SPDX-License-Identifier: Apache-2.0
//
// What a reader would find if the process were killed after any instruction of the span calls. SIGTRAP
// is raised after each instruction, and the handler examines frames and ring in the way such a reader does.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "support/capture.h"
#include "support/sanitizer.h"
#include "support/single_steps.h"
#include "trace/thread_state.h"

enum { ROUNDS = 8, FINISHED_MAX = 1024, DETACHED_LOOKED_AT = 8 };

static const nsp__producer *producer;
static uint64_t finished[FINISHED_MAX]; // ids of the spans in the ring
static size_t finished_count;
static uint64_t walked; // position up to which the ring has been read
static uint64_t steps, leftovers;
static const char *wrong; // the first thing that was wrong, and at which step
static uint64_t wrong_step;

static void expect(bool right, const char *what)
{
    if (!right && wrong == NULL) {
        wrong = what;
        wrong_step = steps;
    }
}

static bool is_finished(uint64_t id)
{
    for (size_t i = 0; i < finished_count; i++)
        if (finished[i] == id)
            return true;
    return false;
}

static void format_handle(char text[17], uint64_t handle)
{
    for (int i = 0; i < 16; i++)
        text[i] = "0123456789abcdef"[handle >> (60 - 4 * i) & 15];
    text[16] = 0;
}

// Sets the span's own handle, in the two forms that inline setters write.
static void set_handle(nsp_span *span)
{
    char text[17];
    format_handle(text, (uintptr_t)span);
    nsp_span_set_i64(span, NSP_KEY("number"), (int64_t)(uintptr_t)span);
    nsp_span_set_strn(span, NSP_KEY("text"), text, 16);
}

static void look_at_ring(void)
{
    while (walked < producer->slot->published && finished_count < FINISHED_MAX) {
        const nsp__record *record =
            (const nsp__record *)(const void *)(producer->ring.bytes + (walked & producer->ring.mask));
        expect(record->bytes >= sizeof *record && record->bytes % 8 == 0, "a record of an impossible size");
        expect(!is_finished(record->span_id), "a span finished twice");
        finished[finished_count++] = record->span_id;
        walked += record->bytes;
    }
}

// A reader takes the items that are marked as the span's, up to the first one that is not: that was claimed and
// not written yet. What it takes must be what the span has set: its own handle, as a number and as a text.
static void look_at_items(const nsp__frame *frame)
{
    uint64_t handle = (uintptr_t)frame | (uint8_t)frame->tag;
    const char *record = (const char *)&frame->record;
    uint32_t end = nsp__frame_bytes(frame), at = sizeof(nsp__record);
    for (uint64_t item, value; at + sizeof item + sizeof value <= end;
         at += NSP__ITEM_BYTES(item >> 32 & 0xffff)) {
        memcpy(&item, record + at, sizeof item);
        memcpy(&value, record + at + sizeof item, sizeof value);
        if (!nsp__item_of_span(item, frame->tag)) {
            leftovers++;
            return;
        }
        const uint32_t type = item >> 48 & 0xff;
        if (type == NSP_TYPE_I64)
            expect(value == handle, "a number of another span");
        char text[17];
        format_handle(text, handle);
        if (type == NSP_TYPE_STR)
            expect((item >> 32 & 0xffff) == 16 && memcmp(record + at + sizeof item, text, 16) == 0,
                   "a text of another span");
    }
}

// Would a reader consider the frame's span open?
static bool look_at_frame(const nsp__frame *frame)
{
    if ((frame->tag & NSP__RECORDING) == 0)
        return false;
    if (frame->position != 0 && frame->position <= producer->slot->published)
        return false;
    expect(!is_finished(frame->record.span_id), "a span both open and finished");
    expect((uint8_t)frame->tag == (uint8_t)frame->record.span_id, "a tag of another span");
    expect(frame->record.name != 0 && frame->record.start != 0 && frame->record.trace_id[1] != 0,
           "an open span without identity");
    expect(nsp__frame_bytes(frame) >= sizeof(nsp__record), "an open span without size");
    look_at_items(frame);
    return true;
}

static void look(int number)
{
    (void)number;
    steps++;
    look_at_ring();
    uint64_t open = 0;
    for (uint32_t i = 0; i < producer->slot->frame_count; i++)
        open += look_at_frame(nsp__frame_at(producer->slot, i));
    for (uint32_t i = 0; i < DETACHED_LOOKED_AT; i++)
        open += look_at_frame(nsp__detached_frame(&producer->recorded.pool, i));
    uint64_t attempted = producer->slot->counters.attempted;
    expect(finished_count + open <= attempted, "a span that was not attempted");
    expect(attempted <= finished_count + open + 1,
           "a span that is nowhere"); // except for one that is just being begun
}

static void run_stack(void)
{
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span *phase = nsp_span_begin(NSP_NAME("phase"));
    for (int i = 0; i < 3; i++) {
        set_handle(phase);
        nsp_span_add_event(phase, NSP_NAME("event"));
        phase = nsp_span_next(phase, NSP_NAME("phase"));
    }
    nsp_span_end(phase);
    root = nsp_span_next(root, NSP_NAME("root"));
    nsp_span *below = nsp_span_begin(NSP_NAME("ended before the one above it"));
    nsp_span *above = nsp_span_begin(NSP_NAME("above"));
    nsp_span_end(below);
    nsp_span_end(above);
    nsp_span_end(root);
}

static void run_special(const nsp_span_options *remote)
{
    nsp_span *root = nsp_span_begin_with(NSP_NAME("remote"), remote);
    nsp_span *child = nsp_span_begin(NSP_NAME("child"));
    nsp_span *detached = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    set_handle(detached);
    detached = nsp_span_next(detached, NSP_NAME("detached"));
    set_handle(detached);
    nsp_span_enter(detached);
    nsp_span_end(nsp_span_begin(NSP_NAME("within")));
    nsp_span_leave(detached);
    nsp_span_end(nsp_span_next(child, NSP_NAME("child")));
    nsp_span_end(detached);
    nsp_span_end(nsp_span_next(root, NSP_NAME("remote")));
}

static void after_any_instruction_each_span_is_there_once(void **state)
{
    (void)state;
    STEPS_OR_SKIP();
    if (TEST_UNDER_TSAN)
        SKIP_BECAUSE("the sanitizer's builds publish a frame by two stores, and no handler may interrupt its "
                     "functions");
    nsp_config config;
    capture_config(&config);
    config.collector = NSP_COLLECTOR_INVOKER; // nothing leaves the ring during the test
    capture_start(&config);
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    producer = nsp__producer_self();
    nsp_context context;
    nsp_context_parse(&context, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=state");
    nsp_span_options remote = NSP_SPAN_OPTIONS_INIT;
    remote.parent = &context;
    const struct sigaction action = {.sa_handler = look};
    assert_int_equal(sigaction(SIGTRAP, &action, NULL), 0);
    for (int i = 0; i < ROUNDS; i++) {
        step_on();
        run_stack();
        run_special(&remote);
        step_off();
    }
    if (wrong != NULL)
        fail_msg("step %llu: %s", (unsigned long long)wrong_step, wrong);
    assert_true(steps > ROUNDS * 1000);
    assert_true(leftovers > ROUNDS); // or nobody has looked between a claim and its item
    assert_int_equal(finished_count, ROUNDS * (8 + 7));
    assert_int_equal(producer->slot->counters.attempted, finished_count);
    capture_settle();
    assert_int_equal(capture_distinct(), finished_count);
    capture_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(after_any_instruction_each_span_is_there_once, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

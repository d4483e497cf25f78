// SPDX-License-Identifier: Apache-2.0
//
// Batches that a crash has cut, or that somebody has changed: what is decoded of them is sound, and nothing is read
// outside of them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/coded_batch.h"

// Decodes bytes that end where memory ends, so that a step beyond them is noticed.
static uint64_t decode_at_the_end(const uint8_t *bytes, size_t length, int encoding, bool closed,
                                  uint32_t spans)
{
    static uint8_t *pages;
    if (pages == NULL) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        pages = mmap(NULL, CODED_BATCH_CAPACITY + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                     -1, 0);
        assert_ptr_not_equal(pages, MAP_FAILED);
        assert_int_equal(mprotect(pages + CODED_BATCH_CAPACITY, page, PROT_NONE), 0);
    }
    uint8_t *copy = pages + CODED_BATCH_CAPACITY - length;
    memcpy(copy, bytes, length);
    const nsp_batch one = {
        .data = copy, .capacity = length, .length = length, .encoding = (uint32_t)encoding + 1};
    visited to = visited_all();
    return coded_batch_decode(&one, closed, spans, &to);
}

// How many spans there are in these bytes of a batch that is being filled.
static uint64_t found_in(const void *bytes, size_t length, int encoding)
{
    return decode_at_the_end(bytes, length, encoding, false, 10);
}

// Spans that no encoder of ours writes are not taken; those before them are.
static void what_is_no_span_of_ours(void **state)
{
    (void)state;
#define LINK_OF(bytes) "\x12\x02\x30\x02\x12" bytes
    // A link's tracestate behind an attribute, and before it.
    static const char late[] = LINK_OF("\x12\x6A\x10\x22\x09\x0A\x01k\x12\x04\x0A\x02vw\x1A\x03"
                                       "a=b");
    static const char early[] = LINK_OF("\x12\x6A\x10\x1A\x03"
                                        "a=b\x22\x09\x0A\x01k\x12\x04\x0A\x02vw");
    assert_int_equal(found_in(late, sizeof late - 1, 0), 1);
    assert_int_equal(found_in(early, sizeof early - 1, 0), 2);
    static const char json_late[] = "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{},{\"links\":[{"
                                    "\"attributes\":[{\"key\":\"k\",\"value\":{\"intValue\":\"1\"}}],"
                                    "\"traceState\":\"a=b\"}]}";
    assert_int_equal(found_in(json_late, sizeof json_late - 1, 1), 1);
}

// More attributes than any record of a thread can hold.
static void larger_than_any_record(void **state)
{
    (void)state;
    enum { EACH = 9, FEW = 10000, MANY = 60000, HEAD = 4 };
    static const uint8_t attribute[] = "\x4A\x07\x0A\x01k\x12\x02\x10\x01";
    uint8_t *bytes = malloc(HEAD + EACH * MANY);
    assert_non_null(bytes);
    for (int count = FEW; count <= MANY; count += MANY - FEW) {
        size_t length = (size_t)count * EACH;
        bytes[0] = 0x12;
        for (int i = 0; i < 3; i++)
            bytes[1 + i] = (uint8_t)((length >> 7 * i & 0x7f) | (i < 2 ? 0x80 : 0));
        for (int i = 0; i < count; i++)
            memcpy(bytes + HEAD + i * EACH, attribute, EACH);
        assert_int_equal(found_in(bytes, HEAD + length, 0), count == FEW ? 1 : 0);
    }
    free(bytes);
}

static void cut_anywhere(void **state)
{
    (void)state;
    generator_seed(3);
    for (int i = 0; i < CODED_BATCH_ENCODINGS; i++) {
        size_t ends[6];
        coded_batch made = coded_batch_open(i);
        for (size_t spans = 0; spans < 6;) {
            generated_span span;
            coded_batch_span(&span);
            if (span.built.view.items_bytes < 800) {
                assert_true(coded_batch_append(&made, &span.built.view));
                ends[spans++] = made.encoded.length;
            }
            generated_span_free(&span);
        }
        for (int closed = 0; closed < 2; closed++) {
            const nsp_batch *whole = &made.encoded;
            uint64_t complete = 0;
            for (size_t length = whole->head; length <= whole->length; length++) {
                uint64_t found =
                    decode_at_the_end(whole->data + whole->head, length - whole->head, i, closed, 6);
                while (complete < 6 && ends[complete] <= length)
                    complete++;
                if (!closed || i == 1) // the lengths around all spans of a closed request are wrong
                    assert_int_equal(found, complete);
            }
            coded_batch_close(&made);
        }
        coded_batch_free(&made);
    }
}

static void changed_anywhere(void **state)
{
    (void)state;
    static uint8_t bytes[CODED_BATCH_CAPACITY];
    generator_seed(4);
    uint64_t found = 0;
    for (int round = 0; round < 300; round++) {
        coded_batch batches[CODED_BATCH_ENCODINGS] = {coded_batch_open(0), coded_batch_open(1)};
        uint32_t spans = coded_batch_fill(batches, 1 + (uint32_t)generator_draw(5));
        for (int i = 0; i < CODED_BATCH_ENCODINGS; i++) {
            bool closed = generator_one_in(2);
            if (closed)
                coded_batch_close(&batches[i]);
            const nsp_batch *whole = &batches[i].encoded;
            size_t length = whole->length - whole->head;
            for (int change = 0; change < 20; change++) {
                memcpy(bytes, whole->data + whole->head, length);
                for (uint64_t hits = 1 + generator_draw(6); hits != 0; hits--)
                    bytes[generator_draw(length)] =
                        (uint8_t)(generator_one_in(2)
                                      ? generator_draw(256)
                                      : (uint8_t) "\x0A\x12\xFF\x7F\0{}[],:\"0"[generator_draw(13)]);
                found += decode_at_the_end(bytes, length, i, closed, spans);
            }
        }
        for (int i = 0; i < CODED_BATCH_ENCODINGS; i++)
            coded_batch_free(&batches[i]);
    }
    assert_true(found > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_span_of_ours),
        cmocka_unit_test(larger_than_any_record),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(changed_anywhere),
    };
    return cmocka_run_group_tests_name("batch_decode_damaged", tests, coded_batch_setup,
                                       coded_batch_teardown);
}

// SPDX-License-Identifier: Apache-2.0
//
// The window onto a ring: records of any size come out as they went in, wherever they lie, and what is no record
// does not come out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "drain/ring_window.h"

enum { RING = 256 * 1024, RECORD_MAX = 64 * 1024, WINDOW = 128 * 1024, RECORDS = 3000 };

static uint8_t *ring;
static nsp__ring_source source;
static nsp__ring_window window;

static int make(void **state)
{
    (void)state;
    ring = aligned_alloc(64, RING + RECORD_MAX);
    window = (nsp__ring_window){.bytes = aligned_alloc(64, WINDOW), .size = WINDOW};
    source = (nsp__ring_source){.bytes = ring, .ring_bytes = RING, .record_bytes = RECORD_MAX};
    if (ring == NULL || window.bytes == NULL)
        return -1;
    memset(ring, 0, RING + RECORD_MAX);
    return 0;
}

static int discard(void **state)
{
    (void)state;
    free(ring);
    free(window.bytes);
    return 0;
}

// Most are small, some larger than a piece, and a few as large as a record can be.
static uint32_t size_of(uint32_t number)
{
    uint32_t more = number % 50 == 7  ? RECORD_MAX - sizeof(nsp__record)
                    : number % 9 == 4 ? (number * 4099) % 20000
                                      : (number * 37) % 700;
    return (uint32_t)(sizeof(nsp__record) + more) & ~7u;
}

static uint8_t byte_of(uint32_t number, uint32_t at)
{
    return (uint8_t)(number * 31 + at);
}

static void put(uint32_t number, uint64_t position)
{
    uint8_t *at = ring + (position & (RING - 1));
    const uint32_t bytes = size_of(number);
    for (uint32_t i = sizeof bytes; i < bytes; i++)
        at[i] = byte_of(number, i);
    ((nsp__record *)(void *)at)->bytes = bytes;
}

static void is_there(const nsp__record *record, uint32_t number)
{
    assert_non_null(record);
    assert_true((const uint8_t *)record >= window.bytes && (const uint8_t *)record < window.bytes + WINDOW);
    assert_int_equal(record->bytes, size_of(number));
    for (uint32_t i = sizeof record->bytes; i < record->bytes; i++)
        if (((const uint8_t *)record)[i] != byte_of(number, i))
            fail_msg("byte %u of record %u is wrong", i, number);
}

// As many as fit are put in, then all of them are read, and so on round the ring.
static void records_come_as_they_are(void **state)
{
    (void)state;
    uint32_t written = 0, read = 0, larger = 0;
    for (uint64_t end = 0, at = 0; read < RECORDS;) {
        for (; end + size_of(written) - at <= RING; written++) {
            put(written, end);
            end += size_of(written);
        }
        window.from = window.to = at;
        for (; at != end; read++) {
            larger += size_of(read) > NSP__RING_PIECE;
            is_there(nsp__ring_window_record(&window, &source, at, end), read);
            at += size_of(read);
        }
    }
    assert_true(larger > RECORDS / 100);
}

// What was copied is what comes, whatever the ring says since; and small records come from one copy.
static void a_piece_is_copied_once(void **state)
{
    (void)state;
    uint64_t end = 0;
    uint32_t count = 0;
    for (; end + size_of(count) <= NSP__RING_PIECE && size_of(count) < 1024; count++) {
        put(count, end);
        end += size_of(count);
    }
    assert_true(count > 3);
    is_there(nsp__ring_window_record(&window, &source, 0, end), 0);
    memset(ring, 0xff, RING);
    uint64_t at = 0;
    for (uint32_t i = 0; i < count; i++, at += size_of(i - 1))
        is_there(nsp__ring_window_record(&window, &source, at, end), i);
}

static void what_is_no_record_does_not_come(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0,
                                     8,
                                     sizeof(nsp__record) - 8,
                                     sizeof(nsp__record) + 4,
                                     NSP__RING_PIECE * 2 + 4,
                                     RECORD_MAX + 8,
                                     WINDOW,
                                     UINT32_MAX};
    static const uint64_t positions[] = {0, RING - 64, 5 * (uint64_t)RING + 4096};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t p = 0; p < sizeof positions / sizeof *positions; p++) {
            const uint64_t at = positions[p];
            ((nsp__record *)(void *)(ring + (at & (RING - 1))))->bytes = sizes[i];
            window.from = window.to = at;
            assert_null(nsp__ring_window_record(&window, &source, at, at + RING));
        }
    // One that would be whole if the ring's records did not end before.
    put(1, 0);
    window.from = window.to = 0;
    for (uint64_t end = 0; end < size_of(1); end += 8)
        assert_null(nsp__ring_window_record(&window, &source, 0, end));
    is_there(nsp__ring_window_record(&window, &source, 0, size_of(1)), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, discard)
    const struct CMUnitTest tests[] = {
        TEST(records_come_as_they_are),
        TEST(a_piece_is_copied_once),
        TEST(what_is_no_record_does_not_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

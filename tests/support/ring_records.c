// SPDX-License-Identifier: Apache-2.0
#include "support/ring_records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shm/ring.h"
#include "support/capture.h"
#include "trace/trace_state.h"

enum { RECORDS_MAX = 1 << 20 };

static const nsp__record **records;
static size_t count;
static uint64_t spans_there;

void rings_config(nsp_config *config)
{
    capture_config(config);
    config->collector = NSP_COLLECTOR_INVOKER;
}

void rings_begin(double rate)
{
    nsp_config config;
    rings_config(&config);
    config.sample_rate = rate;
    capture_start(&config);
}

static nsp_item_cursor items_of(const nsp__record *record)
{
    const uint8_t *from = (const uint8_t *)(record + 1);
    return (nsp_item_cursor){from + nsp__record_body_bytes(record, record->bytes),
                             (const uint8_t *)record + record->bytes};
}

// As many readings up to the open phase as the head says. What lies behind it is a mark that a handler has interrupted.
static uint32_t check_body(const nsp__record *record)
{
    const nsp__path_head *head = nsp__record_path(record);
    const uint64_t *readings = nsp__path_readings(head);
    uint32_t marked = 0;
    assert_int_equal(nsp__record_body_bytes(record, record->bytes), head->bytes);
    for (uint32_t i = 0; i < nsp__path_open(head); i++)
        marked += readings[i] != 0;
    assert_int_equal(marked, nsp__path_phases(head));
    return marked;
}

static void check(const nsp__record *record)
{
    assert_true(record->bytes >= sizeof *record);
    assert_int_equal((record->bytes - sizeof *record) % 16, 0);
    const uint32_t phases = nsp__record_is_path(record) ? check_body(record) : 0;
    assert_int_equal(nsp__record_spans(record), 1 + phases);
    spans_there += 1 + phases;
    nsp_item_cursor cursor = items_of(record);
    nsp_item item;
    while (nsp_item_next(&cursor, &item))
        assert_true(item.type != 0);
    assert_ptr_equal(cursor.at, cursor.end);
}

size_t rings_read(void)
{
    if (records == NULL)
        records = calloc(RECORDS_MAX, sizeof *records);
    count = 0;
    spans_there = 0;
    for (uint32_t i = 0; i < NSP__THREADS_MAX; i++) {
        const nsp__slot *slot = __atomic_load_n(&nsp__trace_state.slots[i], __ATOMIC_ACQUIRE);
        if (slot == NULL)
            continue;
        const uint64_t to = __atomic_load_n(&slot->published, __ATOMIC_ACQUIRE);
        for (uint64_t at = slot->consumed; at != to && count < RECORDS_MAX;) {
            const char *place = (const char *)slot + slot->ring_offset + (at & (slot->ring_bytes - 1));
            const nsp__record *record = (const nsp__record *)(const void *)place;
            check(record);
            records[count++] = record;
            at += record->bytes;
        }
    }
    return count;
}

const nsp__record *ring_record_at(size_t index)
{
    assert_true(index < count);
    return records[index];
}

static bool is_named(const nsp__record *record, const char *name)
{
    const char *text = nsp_name_text(record->name, NULL);
    return text != NULL && strcmp(text, name) == 0;
}

const nsp__record *ring_record_number(const char *name, size_t number)
{
    rings_read();
    for (size_t i = 0; i < count; i++)
        if (is_named(records[i], name) && number-- == 0)
            return records[i];
    fail_msg("no record of \"%s\" among %zu", name, count);
    return NULL;
}

const nsp__record *ring_record(const char *name)
{
    return ring_record_number(name, 0);
}

size_t ring_count(const char *name)
{
    size_t found = 0;
    rings_read();
    for (size_t i = 0; i < count; i++)
        found += is_named(records[i], name);
    return found;
}

const char *ring_text(const nsp__record *record, const char *key)
{
    static char texts[8][1024]; // of the last calls
    static unsigned used;
    char *text = texts[used++ % 8];
    const char *found = NULL;
    nsp_item_cursor cursor = items_of(record);
    nsp_item item;
    while (nsp_item_next(&cursor, &item)) {
        const char *its = item.type < NSP_ITEM_EVENT ? nsp_name_text(item.key, NULL) : NULL;
        if (its == NULL || strcmp(its, key) != 0)
            continue;
        int64_t number = item.small;
        if (item.type == NSP_TYPE_I64)
            memcpy(&number, item.payload, sizeof number);
        if (item.type == NSP_TYPE_STR)
            snprintf(text, sizeof texts[0], "%.*s", (int)item.length, (const char *)item.payload);
        else
            snprintf(text, sizeof texts[0], "%" PRId64, number);
        found = text;
    }
    return found;
}

size_t ring_items(const nsp__record *record, unsigned type)
{
    size_t found = 0;
    nsp_item_cursor cursor = items_of(record);
    nsp_item item;
    while (nsp_item_next(&cursor, &item))
        found += item.type == type;
    return found;
}

const char *ring_tracestate(const nsp__record *record)
{
    static char text[NSP_TRACESTATE_MAX + 1];
    nsp_item_cursor cursor = items_of(record);
    nsp_item item = {0, 0, 0, 0, NULL};
    text[0] = 0;
    if ((record->flags & NSP__RECORD_TRACESTATE) != 0) {
        assert_true(nsp_item_next(&cursor, &item));
        assert_int_equal(item.type, NSP_ITEM_TRACESTATE); // always the first
        snprintf(text, sizeof text, "%.*s", (int)item.length, (const char *)item.payload);
    }
    return text;
}

const void *ring_body(const nsp__record *record)
{
    // In a ring records lie at multiples of 8, and the struct of a path at one of 16. The last ones that were asked for stay.
    static _Alignas(16) uint8_t bodies[8][NSP_PATH_BYTES_MAX];
    static unsigned next;
    assert_true(nsp__record_is_path(record));
    uint8_t *body = bodies[next++ % 8];
    memcpy(body, nsp__record_path(record), nsp__record_body_bytes(record, record->bytes));
    return body;
}

nsp_stats rings_balance(void)
{
    nsp_stats stats = NSP_STATS_INIT;
    rings_read();
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    const uint64_t sum = stats.open + stats.dropped + spans_there;
    if (stats.attempted != sum || stats.in_rings != spans_there)
        fail_msg("attempted %" PRIu64 " != %" PRIu64 " = open %" PRIu64 " + dropped %" PRIu64
                 " + there %" PRIu64 "; in rings %" PRIu64,
                 stats.attempted, sum, stats.open, stats.dropped, spans_there, stats.in_rings);
    if (stats.speculated != stats.speculating + stats.taken_back + stats.kept)
        fail_msg("speculated %" PRIu64 " != speculating %" PRIu64 " + taken back %" PRIu64 " + kept %" PRIu64,
                 stats.speculated, stats.speculating, stats.taken_back, stats.kept);
    return stats;
}

void rings_end(void)
{
    rings_balance();
    capture_end();
}

void *thread_result(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    void *result;
    assert_int_equal(pthread_create(&thread, NULL, body, argument), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    return result;
}

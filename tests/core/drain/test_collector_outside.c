// SPDX-License-Identifier: Apache-2.0
//
// A collector over the rings of another process, which may write there whatever it likes: here the test does.
// Records come from private copies, and a batch in the session is at each moment what its header says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/testpoint.h"
#include "common/time.h"
#include "config/exporter_list.h"
#include "drain/batch_fill.h"
#include "drain/pass.h"
#include "outside/session/batch_decode.h"
#include "support/coded_batch.h"

#define MS 1000000ull

enum {
    RINGS = 2,
    RING = 4096,
    RECORD_MAX = 512,
    BATCHES = 4,
    BATCH_BYTES = 64 * 1024,
    SPANS_MAX = 8192,
    PATIENCE_MS = 60000
};

// What both processes map.
typedef struct shared {
    nsp__slot slots[RINGS];
    uint64_t rings[RINGS][(RING + RECORD_MAX) / 8];
    nsp__batch_header headers[BATCHES];
    uint64_t coverage[BATCHES][RINGS];
    nsp__counters counters;
    uint8_t batches[BATCHES][BATCH_BYTES];
} shared;

typedef struct fixture {
    shared *session;
    nsp_config config;
    nsp__clock clock;
    nsp__batch_pool pool;
    uint64_t *window;
    int cancel;
    nsp__sender *sender;
    nsp__collector collector;
    nsp_exporter exporter;
    int encoding; // of coded_batch, or behind those one of `lists`
    void *list;
    nsp_config list_config;
    nsp_exporter_context list_context;
    uint64_t put;     // spans, which are numbered from 1
    bool overwriting; // the ring, while its records are being encoded
    uint64_t encoded; // spans
    // Of the test's receiver, for its thread until that has ended.
    uint32_t received[SPANS_MAX];
    uint64_t damaged; // batches
} fixture;

static fixture *world; // of the running test, for the hook and the exporter

static uint64_t span_number(const nsp__record *record)
{
    return __builtin_bswap64(record->span_id);
}

// ---- the other process ----

static uint32_t text_length(uint64_t number)
{
    return (uint32_t)(number * 37 % 400);
}

// A record whose size depends on its number, so that they cross the ring's end in many ways.
static void put_in(fixture *f, uint32_t ring)
{
    nsp__slot *slot = &f->session->slots[ring];
    const uint64_t number = ++f->put;
    assert_true(number < SPANS_MAX);
    uint64_t words[RECORD_MAX / 8] = {0};
    nsp__record *record = (nsp__record *)(void *)words;
    const uint32_t text = text_length(number);
    *record = (nsp__record){.bytes = sizeof *record + NSP__ITEM_BYTES(text),
                            .name = nsp_intern("work", 4),
                            .start = nsp_now(),
                            .flags = NSP__RECORD_SAMPLED | NSP__RECORD_KEPT | NSP__RECORD_ROOT,
                            .trace_id = {1, number},
                            .span_id = __builtin_bswap64(number)};
    record->end = record->start + 1000;
    words[sizeof *record / 8] = nsp_intern("text", 4) | (uint64_t)text << 32 | (uint64_t)NSP_TYPE_STR << 48;
    memset(&words[sizeof *record / 8 + 1], 'a' + (int)(number % 26), text);
    memcpy((uint8_t *)f->session->rings[ring] + (slot->published & (RING - 1)), record, record->bytes);
    slot->counters.committed++;
    slot->published += record->bytes;
}

static bool has_room(const fixture *f, uint32_t ring)
{
    const nsp__slot *slot = &f->session->slots[ring];
    return slot->published + RECORD_MAX - slot->consumed <= RING;
}

static void fill(fixture *f, uint32_t ring)
{
    while (has_room(f, ring))
        put_in(f, ring);
}

// ---- exporter and receiver ----

// The part that is decoded is the first one of an encoder: it is in the front, or behind another one.
static const char *const lists[] = {"otlp,file", "console,otlp"};
enum { ENCODINGS = CODED_BATCH_ENCODINGS + sizeof lists / sizeof *lists };

__attribute__((format(printf, 3, 4))) static void no_log(nsp_log_level level, const char *subject,
                                                         const char *format, ...)
{
    (void)level, (void)subject, (void)format;
}

static void create_list(fixture *f)
{
    f->list_config = (nsp_config){.size = sizeof f->list_config,
                                  .exporter = lists[f->encoding - CODED_BATCH_ENCODINGS],
                                  .endpoint = "http://127.0.0.1:1",
                                  .insecure = true,
                                  .export_timeout_ns = PATIENCE_MS * MS,
                                  .file = "/dev/null",
                                  .batch_bytes = BATCH_BYTES};
    f->list_context = *generated_context();
    f->list_context.config = &f->list_config;
    f->list_context.cancel = &f->cancel;
    f->list_context.log = no_log;
    assert_int_equal(nsp__exporter_list.create(&f->list, &f->list_context), NSP_OK);
    assert_true(nsp__exporter_complete(&nsp__exporter_list, f->list, &f->list_config));
}

static void open_batch(void *state, nsp_batch *batch)
{
    fixture *f = state;
    if (f->list != NULL)
        nsp__exporter_list.open(f->list, batch);
    else
        coded_batch_encodings[f->encoding]->open(coded_batch_encoders[f->encoding], batch);
}

// Whatever was checked in the ring is something else now.
static void overwrite(fixture *f)
{
    memset(f->session->rings, 0xff, sizeof f->session->rings);
}

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    fixture *f = state;
    if (f->overwriting)
        overwrite(f);
    bool fits =
        f->list != NULL
            ? nsp__exporter_list.append(f->list, batch, view)
            : coded_batch_encodings[f->encoding]->append(coded_batch_encoders[f->encoding], batch, view);
    f->encoded += fits;
    return fits;
}

static void close_batch(void *state, nsp_batch *batch)
{
    fixture *f = state;
    if (f->list != NULL)
        nsp__exporter_list.close(f->list, batch);
    else
        coded_batch_encodings[f->encoding]->close(coded_batch_encoders[f->encoding], batch);
}

// Is the text the one that this span was given?
static bool is_whole(const nsp__record *record)
{
    const uint8_t *items = (const uint8_t *)(record + 1);
    nsp_item_cursor cursor = {items, (const uint8_t *)record + record->bytes};
    nsp_item item;
    const uint64_t number = span_number(record);
    do
        if (!nsp_item_next(&cursor, &item))
            return false;
    while (item.type != NSP_TYPE_STR);
    if (item.length != text_length(number))
        return false;
    for (uint32_t i = 0; i < item.length; i++)
        if (item.payload[i] != 'a' + (int)(number % 26))
            return false;
    return true;
}

// Counts each span.
static bool visit(void *received, const nsp__record *record)
{
    uint64_t number = span_number(record);
    if (number >= SPANS_MAX || !is_whole(record))
        return false;
    ((uint32_t *)received)[number]++;
    return true;
}

static uint64_t decode(const nsp_batch *batch, bool closed, uint32_t *received)
{
    const nsp__batch_decoding decoding = {.encoding = batch->encoding,
                                          .closed = closed,
                                          .bytes = batch->data,
                                          .size = batch->capacity,
                                          .head = batch->head,
                                          .length = batch->length,
                                          .spans = batch->spans,
                                          .intern = coded_batch_intern,
                                          .visit = visit,
                                          .argument = received};
    return nsp__batch_decode(&decoding);
}

static nsp_send_result receive(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                               nsp_send_report *report)
{
    (void)deadline_ns;
    (void)report;
    fixture *f = state;
    const uint8_t *first = f->session->batches[0];
    bool in_session = batch->data >= first && batch->data < first + sizeof f->session->batches;
    const nsp_exporter *exporter = f->list != NULL ? &nsp__exporter_list : &f->exporter;
    if (!nsp__exporter_batch_sound(exporter, f->list, batch))
        f->damaged++;
    else if (!in_session || decode(batch, true, f->received) != batch->spans)
        f->damaged++;
    return NSP_SEND_EXPORTED;
}

// ---- the drainer ----

static uint32_t look(void *argument, nsp__ring_source *sources)
{
    fixture *f = argument;
    for (uint32_t i = 0; i < RINGS; i++)
        if (!sources[i].available)
            sources[i] = (nsp__ring_source){.slot = &f->session->slots[i],
                                            .bytes = (const uint8_t *)f->session->rings[i],
                                            .ring_bytes = RING,
                                            .record_bytes = RECORD_MAX,
                                            .index = i,
                                            .consumed = f->session->slots[i].consumed,
                                            .available = true};
    return RINGS;
}

static void start_collector(fixture *f, size_t window_bytes, uint64_t closed)
{
    f->window = malloc(window_bytes);
    assert_non_null(f->window);
    const nsp__collector_options options = {.config = &f->config,
                                            .counters = &f->session->counters,
                                            .clock = &f->clock,
                                            .exporter = &f->exporter,
                                            .exporter_state = f,
                                            .sender = f->sender,
                                            .pool = &f->pool,
                                            .closed = closed,
                                            .look = look,
                                            .look_argument = f,
                                            .window = (uint8_t *)f->window,
                                            .window_bytes = window_bytes};
    assert_int_equal(nsp__collector_start(&f->collector, &options), NSP_OK);
}

static fixture *make(int encoding, size_t window_bytes)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    world = f;
    f->encoding = encoding;
    f->session = aligned_alloc(128, (sizeof *f->session + 127) & ~(size_t)127);
    assert_non_null(f->session);
    memset(f->session, 0, sizeof *f->session);
    f->config = (nsp_config){.size = sizeof f->config,
                             .collector = NSP_COLLECTOR_INVOKER,
                             .threads = RINGS,
                             .batch_bytes = BATCH_BYTES,
                             .batch_spans = 150,
                             .schedule_delay_ns = 3600 * 1000 * MS};
    f->exporter = (nsp_exporter){.size = sizeof f->exporter,
                                 .name = "test",
                                 .open = open_batch,
                                 .append = append,
                                 .close = close_batch,
                                 .send = receive};
    if (encoding >= CODED_BATCH_ENCODINGS)
        create_list(f);
    for (uint32_t i = 0; i < RINGS; i++) { // what a slot says of its ring is not believed
        f->session->slots[i].state = NSP__SLOT_ACTIVE;
        f->session->slots[i].index = 4000 + i;
        f->session->slots[i].ring_bytes = f->session->slots[i].ring_offset = (uint64_t)1 << 50;
        f->session->slots[i].record_bytes = UINT32_MAX;
    }
    nsp__clock_calibrate(&f->clock);
    assert_true(nsp__batch_pool_init(&f->pool, BATCHES, &f->session->counters));
    for (uint32_t i = 0; i < BATCHES; i++) {
        f->pool.batches[i].exported.data = f->session->batches[i];
        f->pool.batches[i].exported.capacity = BATCH_BYTES;
        f->pool.batches[i].header = &f->session->headers[i];
        f->pool.batches[i].coverage = f->session->coverage[i];
    }
    const nsp__sender_options options = {.exporter = &f->exporter,
                                         .exporter_state = f,
                                         .closed_max = BATCHES,
                                         .cancel = &f->cancel,
                                         .export_timeout_ns = PATIENCE_MS * MS,
                                         .leave_rest = true};
    nsp__log_configure(NSP_LOG_NONE, NULL, NULL);
    assert_int_equal(nsp__sender_start(&f->sender, &options), NSP_OK);
    start_collector(f, window_bytes, 0);
    return f;
}

static void pass(fixture *f)
{
    size_t budget = SIZE_MAX;
    nsp__pass(&f->collector, &budget);
}

static bool is_drained(const fixture *f)
{
    for (uint32_t i = 0; i < RINGS; i++)
        if (f->session->slots[i].consumed != f->session->slots[i].published)
            return false;
    return true;
}

// Drains, sends and ends everything except what the session holds.
static void finish(fixture *f)
{
    const uint64_t give_up = nsp__monotonic_ns() + PATIENCE_MS * MS;
    for (pass(f); !is_drained(f); pass(f)) { // while no batch is free
        assert_true(nsp__monotonic_ns() < give_up);
        sched_yield();
    }
    nsp__batch_close(&f->collector);
    assert_true(nsp__sender_stop(f->sender, give_up).all_sent);
    nsp__collector_leave_rest(&f->collector);
    assert_int_equal(f->damaged, 0);
}

static void discard(fixture *f)
{
    nsp__batch_pool_destroy(&f->pool);
    if (f->list != NULL)
        nsp__exporter_list.destroy(f->list);
    free(f->window);
    free(f->session);
    free(f);
    world = NULL;
}

// Of the spans from `first` to `last`, each has come once.
static void expect_once(const fixture *f, uint64_t first, uint64_t last)
{
    for (uint64_t number = first; number <= last; number++)
        if (f->received[number] != 1)
            fail_msg("span %llu came %u times", (unsigned long long)number, f->received[number]);
}

// ---- the window ----

static void all_records_come_once(void **state)
{
    (void)state;
    static const size_t windows[] = {RECORD_MAX, 1000, RING, 64 * 1024};
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
        fixture *f = make(0, windows[i]);
        while (f->put < 2000) {
            for (uint32_t ring = 0; ring < RINGS; ring++)
                for (uint64_t n = f->put % 13; n != 0 && has_room(f, ring); n--)
                    put_in(f, ring);
            if (has_room(f, 0)) // whatever the number is, one comes
                put_in(f, 0);
            pass(f);
            while (!is_drained(f)) {
                sched_yield();
                pass(f);
            }
        }
        finish(f);
        expect_once(f, 1, f->put);
        assert_int_equal(f->session->counters.exported, f->put);
        assert_int_equal(f->session->counters.dropped_invalid, 0);
        discard(f);
    }
}

// A span is what its record was when it was checked, whatever the ring says later.
static void records_that_change_while_they_are_used_do_no_harm(void **state)
{
    (void)state;
    fixture *f = make(0, RING + RECORD_MAX);
    f->overwriting = true;
    for (int i = 0; i < 20; i++) {
        fill(f, 0); // one ring: the other's records would be overwritten before they are copied
        uint64_t before = f->encoded, put = f->put;
        pass(f);
        assert_int_equal(f->session->slots[0].consumed, f->session->slots[0].published);
        // Behind the ring's end the records are copied for a second time, and are damaged by then.
        assert_true(f->encoded > before && f->encoded <= put);
    }
    finish(f);
    const nsp__counters *counters = &f->session->counters;
    assert_int_equal(counters->exported, f->encoded);
    assert_int_equal(counters->exported + counters->dropped_invalid, f->put);
    uint64_t came = 0;
    for (uint64_t number = 1; number <= f->put; number++) {
        assert_in_range(f->received[number], 0, 1);
        came += f->received[number];
    }
    assert_int_equal(came, f->encoded);
    discard(f);
}

// The size of the record at the consumer's position.
static uint32_t *size_at(fixture *f, uint64_t position)
{
    return (uint32_t *)(void *)((uint8_t *)f->session->rings[0] + (position & (RING - 1)));
}

static void a_damaged_record_costs_the_rest_of_what_was_published(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {
        0, 8, sizeof(nsp__record) - 8, sizeof(nsp__record) + 4, RECORD_MAX + 8, 1 << 20, UINT32_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fixture *f = make(0, RECORD_MAX);
        put_in(f, 0);
        put_in(f, 0);
        uint64_t third = f->session->slots[0].published;
        put_in(f, 0);
        put_in(f, 0);
        *size_at(f, third) = sizes[i];
        pass(f);
        assert_true(is_drained(f));
        put_in(f, 0);
        finish(f);
        expect_once(f, 1, 2);
        expect_once(f, 5, 5);
        assert_int_equal(f->session->counters.exported, 3);
        assert_int_equal(f->session->counters.dropped_invalid, 2);
        discard(f);
    }
}

static void positions_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const uint64_t aheads[] = {RING + 8, (uint64_t)1 << 40, UINT64_MAX - RING};
    for (size_t i = 0; i < sizeof aheads / sizeof *aheads; i++) {
        fixture *f = make(0, RECORD_MAX);
        for (uint32_t n = 0; n < RING / 8; n++) // each of them would be a record
            memcpy(&f->session->rings[0][n], &(uint64_t){sizeof(nsp__record)}, 8);
        put_in(f, 1);
        const uint64_t before = f->session->slots[0].consumed;
        f->session->slots[0].published = before + aheads[i];
        pass(f);
        assert_true(f->collector.impossible);
        assert_int_equal(f->session->slots[0].consumed, before);
        assert_int_equal(f->encoded, 1); // that of the other ring
        f->session->slots[0].published = before;
        finish(f);
        expect_once(f, 1, 1);
        discard(f);
    }
}

// What stands in the slot could make it take records twice.
static void the_position_is_its_own(void **state)
{
    (void)state;
    fixture *f = make(0, RECORD_MAX);
    put_in(f, 0);
    pass(f);
    f->session->slots[0].consumed = 0;
    put_in(f, 0);
    pass(f);
    assert_true(is_drained(f));
    finish(f);
    expect_once(f, 1, 2);
    discard(f);
}

// ---- a batch in the session ----

static uint64_t looks, spans_seen;
static const char *looked_at; // the testpoint

static void look_at_batches(const char *testpoint)
{
    if (strcmp(testpoint, looked_at) != 0)
        return;
    const fixture *f = world;
    for (uint32_t i = 0; i < BATCHES; i++) {
        const nsp__batch_header *header = &f->session->headers[i];
        // Those that the sender has may become empty at any time.
        if (__atomic_load_n(&header->state, __ATOMIC_ACQUIRE) != NSP__BATCH_FILLING)
            continue;
        uint32_t received[SPANS_MAX] = {0};
        const nsp_batch batch = {.data = f->session->batches[i],
                                 .capacity = BATCH_BYTES,
                                 .head = header->head,
                                 .length = header->length,
                                 .spans = header->spans,
                                 .encoding = header->encoding};
        assert_int_equal(decode(&batch, false, received), header->spans);
        if (header->spans != 0 && strcmp(testpoint, "collector: spans noted") == 0)
            assert_int_equal(header->latest_coverage.spans, header->spans);
        looks++;
        spans_seen += header->spans;
    }
}

static void a_batch_in_the_session_is_what_its_header_says(void **state)
{
    (void)state;
    static const char *const points[] = {"collector: before coverage", "collector: spans noted",
                                         "collector: before release", "collector: released"};
    for (int encoding = 0; encoding < ENCODINGS; encoding++)
        for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
            fixture *f = make(encoding, RING);
            looks = spans_seen = 0;
            looked_at = points[i];
            __atomic_store_n(&nsp__testpoint_hook, look_at_batches, __ATOMIC_RELEASE);
            while (f->put < 600) {
                fill(f, 0);
                fill(f, 1);
                pass(f);
            }
            finish(f);
            __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
            assert_true(looks > 100 && spans_seen > looks);
            expect_once(f, 1, f->put);
            assert_int_equal(f->session->counters.exported, f->put);
            discard(f);
        }
}

// What is sent lies where the session's process may write: a table that leads elsewhere is noticed.
static void a_table_that_was_overwritten_is_not_sound(void **state)
{
    (void)state;
    static const nsp__batch_part changes[] = {
        {.offset = 8}, {.offset = (uint64_t)1 << 40}, {.head = (uint64_t)1 << 40}, {.length = BATCH_BYTES}};
    fixture *f = make(CODED_BATCH_ENCODINGS, RING);
    nsp_batch batch = {.data = f->session->batches[0], .capacity = BATCH_BYTES};
    nsp__exporter_list.open(f->list, &batch);
    nsp__exporter_list.close(f->list, &batch);
    assert_true(nsp__exporter_batch_sound(&nsp__exporter_list, f->list, &batch));
    for (size_t i = 0; i < 2 * sizeof changes / sizeof *changes; i++) {
        nsp__batch_part *part = (nsp__batch_part *)(void *)batch.data + i % 2, whole = *part;
        part->offset += changes[i / 2].offset;
        part->head += changes[i / 2].head;
        part->length += changes[i / 2].length;
        assert_false(nsp__exporter_batch_sound(&nsp__exporter_list, f->list, &batch));
        *part = whole;
    }
    assert_true(nsp__exporter_batch_sound(&nsp__exporter_list, f->list, &batch));
    finish(f);
    discard(f);
}

// What a collector leaves is in the batch or in the ring, and the headers say which.
static void what_a_collector_leaves_is_all_there(void **state)
{
    (void)state;
    fixture *f = make(0, RING);
    fill(f, 0);
    size_t budget = 3;
    nsp__pass(&f->collector, &budget);
    assert_int_equal(budget, 0);
    assert_true(nsp__sender_stop(f->sender, 0).all_sent);
    nsp__collector_leave_rest(&f->collector);
    const nsp__batch_header *header = &f->session->headers[0];
    assert_int_equal(header->state, NSP__BATCH_FILLING);
    assert_int_equal(header->spans, 3);
    assert_int_equal(f->session->coverage[0][0], f->session->slots[0].consumed);
    assert_int_equal(f->session->slots[0].drained, 3);
    const nsp_batch left = {.data = f->session->batches[0],
                            .capacity = BATCH_BYTES,
                            .head = header->head,
                            .length = header->length,
                            .spans = 3,
                            .encoding = header->encoding};
    assert_int_equal(decode(&left, false, f->received), 3);
    expect_once(f, 1, 3);
    assert_int_equal(f->received[4], 0);
    const nsp__counters *counters = &f->session->counters;
    assert_int_equal(counters->exported + counters->discarded + counters->unconfirmed, 0);

    // The next drainer goes on with another batch.
    assert_int_equal(f->pool.unused_count, BATCHES - 1);
    free(f->window);
    const nsp__sender_options options = {.exporter = &f->exporter,
                                         .exporter_state = f,
                                         .closed_max = BATCHES,
                                         .cancel = &f->cancel,
                                         .export_timeout_ns = PATIENCE_MS * MS};
    assert_int_equal(nsp__sender_start(&f->sender, &options), NSP_OK);
    start_collector(f, RING, 41);
    pass(f);
    nsp__batch_close(&f->collector);
    assert_int_equal(f->collector.closed, 42); // the session's own sequence goes on
    assert_int_equal(f->collector.sequence, 1);
    finish(f);
    expect_once(f, 1, f->put);
    discard(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_records_come_once),
        cmocka_unit_test(records_that_change_while_they_are_used_do_no_harm),
        cmocka_unit_test(a_damaged_record_costs_the_rest_of_what_was_published),
        cmocka_unit_test(positions_that_cannot_be_are_refused),
        cmocka_unit_test(the_position_is_its_own),
        cmocka_unit_test(a_batch_in_the_session_is_what_its_header_says),
        cmocka_unit_test(a_table_that_was_overwritten_is_not_sound),
        cmocka_unit_test(what_a_collector_leaves_is_all_there),
    };
    return cmocka_run_group_tests(tests, coded_batch_setup, coded_batch_teardown);
}

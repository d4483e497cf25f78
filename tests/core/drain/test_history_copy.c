// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Copies of history while its thread overwrites it: every record that is handed out is the one that was written, each
// trace is whole, and what was overtaken is counted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/testpoint.h"
#include "common/seed.h"
#include "drain/history_copy.h"
#include "shm/ring.h"

enum { BUFFER = 4096, RECORD_MAX = 512, SPANS_MAX = 5, TRACES_MAX = BUFFER / 64 + 1 };

// ---- a thread that writes as shm/speculation.h says ----

typedef struct writer {
    nsp__speculation *speculation;
    uint8_t *bytes;
    uint64_t begins[TRACES_MAX]; // where the traces begin that are not overwritten, oldest first
    uint32_t first, count;
    uint64_t sequence; // of the next record
    uint64_t random;
    bool stop;
} writer;

static writer *make_writer(uint64_t start)
{
    writer *me = calloc(1, sizeof *me);
    assert_non_null(me);
    me->speculation = aligned_alloc(128, (sizeof *me->speculation + 127) & ~(size_t)127);
    me->bytes = aligned_alloc(64, BUFFER + RECORD_MAX);
    assert_true(me->speculation != NULL && me->bytes != NULL);
    memset(me->speculation, 0, sizeof *me->speculation);
    memset(me->bytes, 0, BUFFER + RECORD_MAX);
    me->speculation->slot.published = me->speculation->slot.consumed = me->speculation->history_end =
        me->speculation->history_kept = start;
    me->random = 1;
    return me;
}

static void free_writer(writer *me)
{
    free(me->speculation);
    free(me->bytes);
    free(me);
}

// Gives up the oldest traces until there is room up to this position.
static void advance(writer *me, uint64_t reached)
{
    uint64_t consumed = me->speculation->slot.consumed;
    if (reached <= consumed + BUFFER)
        return;
    while (reached > consumed + BUFFER) {
        assert_true(me->count > 1); // the trace that is being written is never given up
        me->first = (me->first + 1) % TRACES_MAX;
        me->count--;
        consumed = me->begins[me->first];
    }
    __atomic_store_n(&me->speculation->slot.consumed, consumed, __ATOMIC_RELEASE); // H1
    __atomic_thread_fence(__ATOMIC_RELEASE);                                       // H1
}

static uint64_t word_of(uint64_t sequence, uint64_t i)
{
    return nsp__random_mix(sequence * 1000003 + i);
}

// The items are no items: words that follow from the record's number.
static uint64_t put_record(writer *me, uint64_t at, uint64_t root_id, bool is_root)
{
    const uint64_t words = 1 + nsp__random_splitmix(&me->random) % 16;
    const uint32_t bytes = (uint32_t)(sizeof(nsp__record) + words * sizeof(uint64_t));
    advance(me, at + bytes);
    nsp__record *record = (nsp__record *)(void *)(me->bytes + (at & (BUFFER - 1)));
    uint64_t *items = (uint64_t *)(void *)(record + 1);
    record->bytes = bytes;
    record->trace_id[0] = record->trace_id[1] = root_id;
    record->local_root_id = root_id;
    record->span_id = is_root ? root_id : root_id + 1 + me->sequence;
    record->kind = NSP_KIND_INTERNAL;
    record->start = me->sequence++;
    for (uint64_t i = 0; i < words; i++)
        items[i] = word_of(record->start, i);
    return at + bytes;
}

static void put_trace(writer *me)
{
    const uint64_t begin = me->speculation->history_end;
    const uint64_t spans = 1 + nsp__random_splitmix(&me->random) % SPANS_MAX, root_id = me->sequence + 1;
    me->begins[(me->first + me->count++) % TRACES_MAX] = begin;
    uint64_t at = begin;
    for (uint64_t i = 1; i <= spans; i++)
        at = put_record(me, at, root_id, i == spans);
    __atomic_store_n(&me->speculation->slot.published, at, __ATOMIC_RELEASE);
    __atomic_store_n(&me->speculation->history_end, at, __ATOMIC_RELEASE); // H2
}

// ---- what a reader finds ----

static bool record_right(const nsp__record *record)
{
    const uint64_t *items = (const uint64_t *)(const void *)(record + 1);
    for (uint64_t i = 0; i < (record->bytes - sizeof *record) / sizeof *items; i++)
        if (items[i] != word_of(record->start, i))
            return false;
    return true;
}

typedef struct seen {
    uint64_t copies, traces, spans, overtaken, next;
} seen;

// Records have numbers without a gap, those of each trace and of all that are whole.
static void look(seen *all, nsp__history *history, const nsp__history_source *source)
{
    nsp__history_trace trace;
    const uint64_t from = history->end;
    assert_true(nsp__history_read(history, source, from));
    all->copies++;
    uint64_t next = 0;
    while (nsp__history_next(history, &trace)) {
        uint64_t at = trace.from, spans = 0;
        for (const nsp__record *record; at != trace.to; at += record->bytes, spans++) {
            record = nsp__history_record(history, at);
            if (!record_right(record) || record->local_root_id != trace.root->span_id)
                fail_msg("the record %llu is torn", (unsigned long long)record->start);
            if (next != 0 && record->start != next)
                fail_msg("the record %llu follows the record %llu", (unsigned long long)record->start,
                         (unsigned long long)next - 1);
            assert_true(record->start >= all->next); // none comes twice
            next = record->start + 1;
        }
        assert_int_equal(spans, trace.spans);
        all->traces++;
        all->spans += spans;
        all->next = next;
    }
    assert_false(history->damaged);
    all->overtaken = history->overtaken;
}

// ---- one after the other ----

static void what_was_written_is_read_once(void **state)
{
    (void)state;
    writer *me = make_writer(BUFFER * 1000 - 64); // records lie across the end
    const nsp__history_memory memory = {me->speculation, me->bytes};
    const nsp__history_source source = nsp__history_of_memory(&memory, BUFFER, RECORD_MAX);
    nsp__history history = {0};
    seen all = {0};
    for (int i = 0; i < 10000; i++) {
        put_trace(me);
        look(&all, &history, &source);
        assert_int_equal(all.next, me->sequence);
    }
    assert_int_equal(all.traces, 10000);
    assert_int_equal(all.spans, me->sequence);
    assert_int_equal(all.overtaken, 0);
    me->speculation->history_kept = me->speculation->history_end; // all of it came into the ring
    nsp__history again = {0};
    nsp__history_trace trace;
    assert_true(nsp__history_read(&again, &source, 0));
    assert_false(nsp__history_next(&again, &trace));
    nsp__history_free(&again);
    nsp__history_free(&history);
    free_writer(me);
}

static void impossible_positions_are_refused(void **state)
{
    (void)state;
    static const uint64_t positions[][3] = {
        {0, 0, BUFFER + 8},          {16, 0, 8}, {0, 16, 8}, {0, 0, UINT64_MAX},
        {UINT64_MAX, UINT64_MAX, 0}, {0, 0, 9},  {1, 0, 16}, {0, 4, 16}};
    writer *me = make_writer(0);
    const nsp__history_memory memory = {me->speculation, me->bytes};
    const nsp__history_source source = nsp__history_of_memory(&memory, BUFFER, RECORD_MAX);
    nsp__history history = {0};
    nsp__history_trace trace;
    for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++) {
        me->speculation->slot.consumed = positions[i][0];
        me->speculation->history_kept = positions[i][1];
        me->speculation->history_end = positions[i][2];
        assert_false(nsp__history_read(&history, &source, 0));
        assert_false(nsp__history_next(&history, &trace));
    }
    // Records of no size, and of one that reaches beyond the end.
    me->speculation->slot.consumed = me->speculation->history_kept = 0;
    me->speculation->history_end = 1024;
    for (uint32_t bytes = 0; bytes <= 2048; bytes += 1024) {
        ((nsp__record *)(void *)me->bytes)->bytes = bytes + 4;
        assert_true(nsp__history_read(&history, &source, 0));
        assert_false(nsp__history_next(&history, &trace));
        assert_true(history.damaged);
    }
    nsp__history_free(&history);
    free_writer(me);
}

// ---- between copy and look ----

#ifdef NSP_TESTPOINTS
static writer *interrupting;
static int traces_between;

static void write_between(const char *point)
{
    if (strcmp(point, "snapshot: history copied") == 0)
        for (int i = 0; i < traces_between; i++)
            put_trace(interrupting);
}
#endif

// The thread overwrites some, most or all of what was just copied. What is left is whole, and with what was overtaken it
// is what there was.
static void what_is_overtaken_is_discarded(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    for (traces_between = 0; traces_between < 100; traces_between++) {
        writer *me = interrupting = make_writer(0);
        const nsp__history_memory memory = {me->speculation, me->bytes};
        const nsp__history_source source = nsp__history_of_memory(&memory, BUFFER, RECORD_MAX);
        nsp__history history = {0};
        seen all = {0};
        for (int i = 0; i < 100; i++)
            put_trace(me);
        const nsp__record *oldest =
            (const nsp__record *)(void *)(me->bytes + (me->speculation->slot.consumed & (BUFFER - 1)));
        const uint64_t there = me->sequence - oldest->start, last = me->sequence;
        __atomic_store_n(&nsp__testpoint_hook, write_between, __ATOMIC_RELEASE);
        look(&all, &history, &source);
        __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
        assert_int_equal(all.spans + all.overtaken, there);
        if (all.spans != 0)
            assert_int_equal(all.next, last);
        assert_true(traces_between < 50 || all.spans == 0);
        assert_true(traces_between != 0 || all.overtaken == 0);
        nsp__history_free(&history);
        free_writer(me);
    }
#else
    skip();
#endif
}

// ---- at full speed ----

static void *write_on(void *argument)
{
    writer *me = argument;
    while (!__atomic_load_n(&me->stop, __ATOMIC_RELAXED))
        for (int i = 0; i < 8; i++)
            put_trace(me);
    return NULL;
}

// Until enough was overtaken and enough was not.
static void at_full_speed(void **state)
{
    (void)state;
    writer *me = make_writer(BUFFER / 2);
    const nsp__history_memory memory = {me->speculation, me->bytes};
    const nsp__history_source source = nsp__history_of_memory(&memory, BUFFER, RECORD_MAX);
    nsp__history history = {0};
    seen all = {0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, write_on, me), 0);
    while (all.copies < 5000 || all.traces < 2000) {
        look(&all, &history, &source);
        if (all.copies % 64 == 0)
            sched_yield();
    }
    __atomic_store_n(&me->stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    look(&all, &history, &source);
    assert_int_equal(all.next, me->sequence);
    print_message("%llu copies: %llu traces, %llu records, %llu overtaken, of %llu written\n",
                  (unsigned long long)all.copies, (unsigned long long)all.traces,
                  (unsigned long long)all.spans, (unsigned long long)all.overtaken,
                  (unsigned long long)me->sequence);
    nsp__history_free(&history);
    free_writer(me);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_once),
        cmocka_unit_test(impossible_positions_are_refused),
        cmocka_unit_test(what_is_overtaken_is_discarded),
        cmocka_unit_test(at_full_speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
// ctest: COST 30 TIMEOUT 300
//
// The ring: one thread writes, one reads, and every byte is checked. The same for a thread's commits, with
// each side stalled inside its race windows.
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
#include "common/time.h"
#include "shm/ring.h"
#include "support/sanitizer.h"
#include "support/scripted.h"

#define SECOND 1000000000ull

enum { RECORD_MAX = 1024, RECORDS_MIN = 1000, SLOWER = TEST_UNDER_TSAN || TEST_UNDER_ASAN ? 8 : 1 };

typedef struct world {
    nsp__slot *slot;
    nsp__ring ring;   // the producer's
    unsigned records; // atomic
    uint64_t producer_random, consumer_random;
    uint64_t refused;
    bool slow_consumer;
} world;

static uint64_t draw(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

static void world_make(world *me, uint64_t capacity)
{
    memset(me, 0, sizeof *me);
    me->slot = aligned_alloc(128, (sizeof *me->slot + 127) / 128 * 128);
    memset(me->slot, 0, sizeof *me->slot);
    me->slot->ring_bytes = capacity;
    // A whole record's length behind the ring is checked: nothing beyond its tail may be written.
    me->ring = (nsp__ring){.bytes = malloc(capacity + RECORD_MAX), .slot = me->slot, .mask = capacity - 1};
    memset(me->ring.bytes, 0xee, capacity + RECORD_MAX);
    me->ring.limit = capacity;
    me->producer_random = 88172645463325252u;
    me->consumer_random = 362436069;
}

static void world_free(world *me)
{
    free(me->ring.bytes);
    free(me->slot);
}

// Words: size and sequence, then words that follow from both, the last a checksum.
static uint32_t size_of(uint64_t random)
{
    if (random % 16 == 0)
        return RECORD_MAX;
    return 16 + (uint32_t)(random >> 8) % (RECORD_MAX - 16 + 1) / 8 * 8;
}

static bool put(world *me, uint64_t sequence, uint32_t size)
{
    if (!nsp__ring_reserve(&me->ring, nsp__ring_tail(&me->ring), size))
        return false;
    uint64_t *at = nsp__ring_place(&me->ring, nsp__ring_tail(&me->ring)), sum = 0;
    at[0] = size | sequence << 32;
    for (uint32_t i = 1; i < size / 8 - 1; i++)
        sum += at[i] = at[0] * (i + 0x9e3779b97f4a7c15u);
    at[size / 8 - 1] = sum ^ at[0];
    nsp__slot_publish(me->slot, nsp__ring_tail(&me->ring) + size);
    return true;
}

static void *produce(void *argument)
{
    world *me = argument;
    const uint64_t enough_ns = nsp__monotonic_ns() + 10 * SECOND;
    for (uint64_t sequence = 0; sequence < me->records; sequence++) {
        // Where others want the processors, each full ring may cost a time slice of theirs.
        if (sequence >= RECORDS_MIN && sequence % 64 == 0 && nsp__monotonic_ns() >= enough_ns) {
            __atomic_store_n(&me->records, (unsigned)sequence, __ATOMIC_RELAXED);
            break;
        }
        uint32_t size = size_of(draw(&me->producer_random));
        while (!put(me, sequence, size)) {
            me->refused++;
            sched_yield();
        }
    }
    return NULL;
}

// Takes one record. Returns its size, or 0 if there is none.
static uint32_t take(const world *me, uint64_t at, uint64_t end, uint64_t sequence)
{
    if (at == end)
        return 0;
    const uint64_t *from =
        (const uint64_t *)(const void *)(me->ring.bytes + (at & (nsp__ring_capacity(&me->ring) - 1)));
    uint32_t size = (uint32_t)from[0];
    uint64_t sum = 0;
    if (size < 16 || size > RECORD_MAX || size % 8 != 0 || size > end - at ||
        from[0] >> 32 != (uint32_t)sequence)
        fail_msg("record %llu at %llu has size %u, number %llu", (unsigned long long)sequence,
                 (unsigned long long)at, size, (unsigned long long)(from[0] >> 32));
    for (uint32_t i = 1; i < size / 8 - 1; i++) {
        if (from[i] != from[0] * (i + 0x9e3779b97f4a7c15u))
            fail_msg("record %llu is damaged at word %u of %u", (unsigned long long)sequence, i, size / 8);
        sum += from[i];
    }
    assert_int_equal(from[size / 8 - 1], sum ^ from[0]);
    return size;
}

static void consume(world *me)
{
    uint64_t sequence = 0, at = 0;
    while (sequence < __atomic_load_n(&me->records, __ATOMIC_RELAXED)) {
        uint64_t end = __atomic_load_n(&me->slot->published, __ATOMIC_ACQUIRE); // R2
        assert_true(end - at <= nsp__ring_capacity(&me->ring));
        uint64_t released = at;
        if (end == at || (me->slow_consumer && draw(&me->consumer_random) % 4))
            sched_yield();
        for (uint32_t size; (size = take(me, at, end, sequence)) != 0; sequence++) {
            at += size;
            if (at - released >= nsp__ring_capacity(&me->ring) / 8) {
                __atomic_store_n(&me->slot->consumed, at, __ATOMIC_RELEASE); // R3
                released = at;
            }
        }
        __atomic_store_n(&me->slot->consumed, at, __ATOMIC_RELEASE); // R3
    }
    assert_int_equal(__atomic_load_n(&me->slot->published, __ATOMIC_ACQUIRE), at);
}

static void every_record_arrives(uint64_t capacity, unsigned records, bool slow_consumer)
{
    world me;
    pthread_t producer;
    world_make(&me, capacity);
    me.records = records / SLOWER;
    me.slow_consumer = slow_consumer;
    assert_int_equal(pthread_create(&producer, NULL, produce, &me), 0);
    consume(&me);
    pthread_join(producer, NULL);
    print_message("%u records, the ring was full %llu times\n", me.records, (unsigned long long)me.refused);
    world_free(&me);
}

static void records_arrive_in_order_and_whole(void **state)
{
    (void)state;
    every_record_arrives(64 * 1024, 400000, false);
}

static void with_a_slow_reader(void **state)
{
    (void)state;
    every_record_arrives(64 * 1024, 200000, true);
}

// Two or three of the largest records fill the ring.
static void in_the_smallest_ring(void **state)
{
    (void)state;
    every_record_arrives(2 * RECORD_MAX, 200000, false);
}

// A record that begins at the ring's last word lies entirely in the tail behind it; nothing beyond is
// touched.
static void the_tail_takes_the_largest_record(void **state)
{
    (void)state;
    enum { CAPACITY = 4096 };
    world me;
    world_make(&me, CAPACITY);
    for (uint64_t i = 0; i < (CAPACITY - 16) / 16; i++)
        assert_true(put(&me, i, 16));
    assert_true(put(&me, 255, 8 + 8));
    assert_false(put(&me, 0, 16)); // full to the last byte
    assert_int_equal(nsp__ring_fill(&me.ring), CAPACITY);
    __atomic_store_n(&me.slot->consumed, CAPACITY, __ATOMIC_RELEASE);
    assert_int_equal(nsp__ring_fill(&me.ring), 0);
    // Fills up to shortly before the end, then writes the largest record.
    for (uint64_t at = 0; at < CAPACITY - 16; at += 16)
        assert_true(put(&me, 0, 16));
    __atomic_store_n(&me.slot->consumed, 2 * CAPACITY - 16, __ATOMIC_RELEASE);
    for (size_t i = CAPACITY; i < CAPACITY + RECORD_MAX; i++)
        assert_int_equal(me.ring.bytes[i], 0xee);
    assert_true(put(&me, 7, RECORD_MAX));
    assert_int_equal(take(&me, 2 * CAPACITY - 16, 2 * CAPACITY - 16 + RECORD_MAX, 7), RECORD_MAX);
    for (size_t i = CAPACITY + RECORD_MAX - 16; i < CAPACITY + RECORD_MAX; i++)
        assert_int_equal(me.ring.bytes[i], 0xee);
    // A reservation is never wrong, whatever the size.
    assert_true(nsp__ring_reserve(&me.ring, nsp__ring_tail(&me.ring), CAPACITY - RECORD_MAX));
    assert_false(nsp__ring_reserve(&me.ring, nsp__ring_tail(&me.ring), CAPACITY - RECORD_MAX + 8));
    world_free(&me);
}

// ---- commits and drains, stalled in their windows ----

static const char *stalled_at;
static unsigned stalls; // atomic

static void stall(const char *name)
{
    static __thread unsigned passes;
    if (strcmp(name, stalled_at) != 0 || passes++ % 4 != 0)
        return;
    __atomic_fetch_add(&stalls, 1, __ATOMIC_RELAXED);
    test_sleep_ms(1);
}

static bool over; // atomic

// A span that is published but not yet closed is counted once, at every moment.
static void *look(void *argument)
{
    (void)argument;
    while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
        nsp_stats stats = NSP_STATS_INIT;
        if (nsp_stats_get(&stats) != NSP_OK || stats.attempted < stats_sum(&stats)) {
            accounting_print(&stats);
            abort();
        }
        sched_yield();
    }
    return NULL;
}

static void *trace(void *argument)
{
    (void)argument;
    static const char text[1500] = "text";
    for (unsigned i = 0; i < 400; i++) {
        NSP_SPAN(root, "root");
        nsp_span_set_strn(root, NSP_KEY("text"), text, i * 37 % sizeof text);
        nsp_span *child = nsp_span_begin(NSP_NAME("child"));
        child = nsp_span_next(child, NSP_NAME("sibling"));
        nsp_span_end(child);
        nsp_span_end(nsp_span_begin_detached(NSP_NAME("detached"), NULL));
    }
    return NULL;
}

static void stalled_in(const char *window)
{
    enum { TRACERS = 3 };
    pthread_t tracers[TRACERS], reader;
    nsp_config config;
    script_reset();
    script_config(&config);
    config.ring_bytes = 64 * 1024;
    config.watermark = 1;
    config.batch_spans = 50;
    stalled_at = window;
    __atomic_store_n(&stalls, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&over, false, __ATOMIC_RELEASE);
    __atomic_store_n(&nsp__testpoint_hook, stall, __ATOMIC_RELEASE);
    assert_int_equal(nsp_init(&config), NSP_OK);
    assert_int_equal(pthread_create(&reader, NULL, look, NULL), 0);
    for (int i = 0; i < TRACERS; i++)
        assert_int_equal(pthread_create(&tracers[i], NULL, trace, NULL), 0);
    for (int i = 0; i < TRACERS; i++)
        pthread_join(tracers[i], NULL);
    __atomic_store_n(&over, true, __ATOMIC_RELEASE);
    pthread_join(reader, NULL);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    nsp_stats stats = script_balance();
    assert_int_equal(stats.attempted, TRACERS * 400 * 4);
    assert_int_equal(stats.exported, stats.attempted - stats.dropped);
    assert_int_equal(stats.exported, tally_distinct(script.tally));
    assert_int_equal(tally_repeats(script.tally) + tally_clashes(script.tally), 0);
    assert_true(__atomic_load_n(&stalls, __ATOMIC_RELAXED) > 0);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
}

static void a_producer_stalled_before_it_publishes(void **state)
{
    (void)state;
    stalled_in("commit: position noted");
}

static void a_producer_stalled_after_it_published(void **state)
{
    (void)state;
    stalled_in("commit: published");
}

static void a_drainer_stalled_before_it_releases(void **state)
{
    (void)state;
    stalled_in("collector: before release");
}

static void an_end_stalled_with_its_claim(void **state)
{
    (void)state;
    stalled_in("detached: claimed for its end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_arrive_in_order_and_whole),
        cmocka_unit_test(with_a_slow_reader),
        cmocka_unit_test(in_the_smallest_ring),
        cmocka_unit_test(the_tail_takes_the_largest_record),
        cmocka_unit_test(a_producer_stalled_before_it_publishes),
        cmocka_unit_test(a_producer_stalled_after_it_published),
        cmocka_unit_test(a_drainer_stalled_before_it_releases),
        cmocka_unit_test(an_end_stalled_with_its_claim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

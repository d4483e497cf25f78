// SPDX-License-Identifier: Apache-2.0
//
// Our byte ring compared with ck_ring, which has fixed slots, and with a queue with a mutex: the same record,
// and the same consumer on the other CPU.
#include <ck_ring.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "harness/noise.h"
#include "harness/session.h"
#include "shm/ring.h"
#include "harness/ticks.h"

enum { RECORD_BYTES = 120, RING_BYTES = 1 << 20, SLOTS = 8192, BURST = 1000 };

typedef struct slot_record {
    uint64_t words[RECORD_BYTES / 8];
} slot_record;

CK_RING_PROTOTYPE(slot_record, slot_record)

static slot_record record; // the record that is put into the queues

// ---- ours ----

static nsp__slot *slot;
static nsp__ring ring;

static void run_ours(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        record.words[1] = i;
        keep(i);
        if (!nsp__ring_reserve(&ring, nsp__ring_tail(&ring), RECORD_BYTES))
            abort(); // cannot happen: a burst fits, and the ring was empty
        uint64_t *to = nsp__ring_place(&ring, nsp__ring_tail(&ring));
        for (size_t word = 0; word < RECORD_BYTES / 8; word++)
            to[word] = record.words[word];
        nsp__slot_publish(slot, nsp__ring_tail(&ring) + RECORD_BYTES);
    }
}

static uint64_t take_ours(void)
{
    uint64_t sum = 0, at = slot->consumed;
    uint64_t end = __atomic_load_n(&slot->published, __ATOMIC_ACQUIRE); // R2
    uint64_t released = at;
    while (at != end) {
        const uint64_t *from = (const uint64_t *)(const void *)(ring.bytes + (at & (RING_BYTES - 1)));
        for (size_t word = 0; word < RECORD_BYTES / 8; word++)
            sum += from[word];
        at += RECORD_BYTES;
        if (at - released >= RING_BYTES / 8) {
            __atomic_store_n(&slot->consumed, at, __ATOMIC_RELEASE); // R3
            released = at;
        }
    }
    __atomic_store_n(&slot->consumed, at, __ATOMIC_RELEASE); // R3
    return sum;
}

// ---- ck_ring ----

static ck_ring_t ck_ring;
static slot_record *ck_slots;

static void run_ck(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        record.words[1] = i;
        keep(i);
        if (!CK_RING_ENQUEUE_SPSC(slot_record, &ck_ring, ck_slots, &record))
            abort();
    }
}

static uint64_t take_ck(void)
{
    uint64_t sum = 0;
    slot_record taken;
    while (CK_RING_DEQUEUE_SPSC(slot_record, &ck_ring, ck_slots, &taken))
        for (size_t word = 0; word < RECORD_BYTES / 8; word++)
            sum += taken.words[word];
    return sum;
}

// ---- a mutex ----

static struct {
    pthread_mutex_t mutex;
    size_t head, tail; // only grow
    slot_record *slots;
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void run_mutex(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        record.words[1] = i;
        keep(i);
        pthread_mutex_lock(&queue.mutex);
        if (queue.tail - queue.head == SLOTS)
            abort();
        queue.slots[queue.tail++ % SLOTS] = record;
        pthread_mutex_unlock(&queue.mutex);
    }
}

static uint64_t take_mutex(void)
{
    enum { BATCH = 64 };
    static slot_record taken[BATCH];
    uint64_t sum = 0;
    for (;;) {
        size_t count = 0;
        pthread_mutex_lock(&queue.mutex);
        while (queue.head != queue.tail && count < BATCH)
            taken[count++] = queue.slots[queue.head++ % SLOTS];
        pthread_mutex_unlock(&queue.mutex);
        if (count == 0)
            return sum;
        for (size_t i = 0; i < count; i++)
            for (size_t word = 0; word < RECORD_BYTES / 8; word++)
                sum += taken[i].words[word];
    }
}

static bool mutex_empty(void)
{
    pthread_mutex_lock(&queue.mutex);
    bool empty = queue.head == queue.tail;
    pthread_mutex_unlock(&queue.mutex);
    return empty;
}

// ---- the consumer ----

typedef struct ring_consumer {
    uint64_t (*take_other)(void);
    int cpu;
    bool behind; // follows the producer closely by spinning, instead of polling with pauses
    bool stop;
} ring_consumer;

static void *consumer_run(void *argument)
{
    ring_consumer *me = argument;
    if (me->cpu >= 0)
        pin_to(me->cpu);
    struct timespec pause = {.tv_nsec = 200 * 1000};
    while (!__atomic_load_n(&me->stop, __ATOMIC_RELAXED)) {
        keep(take_ours());
        keep(me->take_other());
        if (!me->behind)
            nanosleep(&pause, NULL);
    }
    return NULL;
}

static void wait_empty(void)
{
    while (__atomic_load_n(&slot->consumed, __ATOMIC_ACQUIRE) != nsp__ring_tail(&ring) ||
           ck_ring_size(&ck_ring) != 0 || !mutex_empty()) {
        struct timespec pause = {.tv_nsec = 100 * 1000};
        nanosleep(&pause, NULL);
    }
}

static bool make_rings(void)
{
    if (slot != NULL)
        return true;
    uint8_t *bytes = aligned_alloc(4096, RING_BYTES + 4096);
    slot = aligned_alloc(128, sizeof *slot);
    ck_slots = aligned_alloc(4096, SLOTS * sizeof *ck_slots);
    queue.slots = aligned_alloc(4096, SLOTS * sizeof *queue.slots);
    if (bytes == NULL || slot == NULL || ck_slots == NULL || queue.slots == NULL)
        return false;
    memset(bytes, 0, RING_BYTES + 4096);
    memset(slot, 0, sizeof *slot);
    memset(ck_slots, 0, SLOTS * sizeof *ck_slots);
    memset(queue.slots, 0, SLOTS * sizeof *queue.slots);
    ring = (nsp__ring){.bytes = bytes, .slot = slot, .mask = RING_BYTES - 1};
    ck_ring_init(&ck_ring, SLOTS);
    return true;
}

// ---- the group ----

static const struct {
    const char *name, *what;
    void (*run_other)(size_t count);
    uint64_t (*take_other)(void);
    const char *other_ns; // the figure's name
    bool behind;
} subjects[] = {
    {"ring_polled", "against ck_ring, the consumer polls every 200 us", run_ck, take_ck, "ck_ns", false},
    {"ring_behind", "the same, the consumer follows by spinning", run_ck, take_ck, "ck_ns", true},
    {"ring_mutex_polled", "against a queue with a mutex, the consumer polls every 200 us", run_mutex,
     take_mutex, "mutex_ns", false},
    {"ring_mutex_behind", "the same, the consumer follows by spinning", run_mutex, take_mutex, "mutex_ns",
     true},
};

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static double ours[ROUNDS_LIMIT], other[ROUNDS_LIMIT], ratio[ROUNDS_LIMIT], additions[ROUNDS_LIMIT];
    ring_consumer consumer = {.take_other = subjects[index].take_other,
                              .cpu = setup->collector_cpu,
                              .behind = subjects[index].behind};
    pthread_t thread;
    if (!make_rings() || pthread_create(&thread, NULL, consumer_run, &consumer) != 0) {
        result_fail(out, "out of memory, or cannot start a thread");
        return;
    }
    unsigned count = 0;
    for (; count < setup->rounds; count++) {
        progress(out, count, setup->rounds);
        noise_pause();
        wait_empty();
        ticks_spin(20000);
        bench_noise noise = noise_look();
        double theirs = noise_time(subjects[index].run_other, BURST);
        double own = noise_time(run_ours, BURST);
        own += noise_time(run_ours, BURST);
        theirs += noise_time(subjects[index].run_other, BURST);
        ours[count] = own / 2;
        other[count] = theirs / 2;
        ratio[count] = own / theirs;
        additions[count] = noise_mean(noise, noise_look()).additions;
    }
    wait_empty(); // the next benchmark's consumer may not take from the same queues
    __atomic_store_n(&consumer.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    rounds_note(out, count, count);
    result_add_estimate(out, "ratio", estimate_median(ratio, count));
    result_add_estimate(out, "ours_ns", estimate_median(ours, count));
    result_add_estimate(out, subjects[index].other_ns, estimate_median(other, count));
    rounds_by_core(out, rounds_core, ratio, additions, count);
}

BENCH_DESCRIBE(subjects, sizeof subjects / sizeof subjects[0])

const bench_group group_ring = {
    .name = "ring",
    .method = "time to put in a record of 120 bytes; ratio: our ring's time to that of ck_ring (SPSC, fixed "
              "slots) or "
              "of a queue with a mutex, A B B A; core_alone: where nothing else used the core",
    .describe = describe,
    .measure = measure,
};

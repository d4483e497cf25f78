// SPDX-License-Identifier: Apache-2.0
//
// The receiver of tests of the drainer: decodes batches, and notes in the shared memory what has arrived.
#include <nanospan/exporters.h>
#include <stdio.h>
#include <string.h>

#include "common/time.h"
#include "outside/session/batch_decode.h"
#include "support/drained.h"

static char names[4096][64];
static uint32_t name_count;

static nsp_name intern(void *argument, const char *text, size_t length)
{
    (void)argument;
    for (uint32_t i = 1; i < name_count; i++)
        if (strlen(names[i]) == length && memcmp(names[i], text, length) == 0)
            return i;
    name_count = name_count == 0 ? 1 : name_count;
    if (name_count == 4096 || length >= 64) // of a hostile session
        return 0;
    memcpy(names[name_count], text, length);
    names[name_count][length] = 0;
    return name_count++;
}

typedef struct receiving {
    uint32_t engine, at, skip, wrong;
} receiving;

static bool receive(void *argument, const nsp__record *record)
{
    receiving *me = argument;
    if (me->skip != 0) {
        me->skip--;
        return true;
    }
    int64_t number = -1;
    char name[64];
    nsp_item_cursor cursor = {(const uint8_t *)(record + 1), (const uint8_t *)record + record->bytes};
    nsp_item item;
    while (nsp_item_next(&cursor, &item))
        if (item.type == NSP_TYPE_I64 && strcmp(names[item.key], "number") == 0)
            memcpy(&number, item.payload, sizeof number);
    snprintf(name, sizeof name, "span %u of engine %u", (unsigned)(number % 500), me->engine);
    me->wrong +=
        number < 0 || (strcmp(names[record->name], name) != 0 && strcmp(names[record->name], "open") != 0);
    if (me->at >= DRAINED_ARRIVALS)
        return false;
    world->arrivals[me->at].engine = me->engine;
    world->arrivals[me->at].number = (uint32_t)number;
    me->at++;
    return true;
}

// The engine whose resource the batch has.
static uint32_t engine_of(const nsp_batch *batch)
{
    for (uint32_t i = 0; i < DRAINED_ENGINES; i++) {
        char service[32];
        int length = snprintf(service, sizeof service, "drained-%u", i);
        if (memmem(batch->data + batch->head, batch->length - batch->head, service, (size_t)length) != NULL)
            return i;
    }
    return UINT32_MAX;
}

static nsp_send_result take(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                            nsp_send_report *report)
{
    (void)state;
    world_set(&world->in_send, 1);
    while (world_get(&world->away) == 2 && nsp__monotonic_ns() < deadline_ns) // it does not answer
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    uint32_t delay = world_get(&world->delay_us);
    if (delay != 0)
        nanosleep(&(struct timespec){.tv_nsec = delay * 1000L}, NULL);
    report->answered = true;
    if (world_get(&world->away) != 0) {
        report->retry_after_ns = 1000000;
        world_set(&world->in_send, 0);
        return NSP_SEND_RETRY;
    }
    receiving me = {.engine = engine_of(batch), .at = world->arrived};
    const uint32_t part = world_get(&world->part), all = part != 0 ? part : batch->spans;
    if (me.engine == UINT32_MAX) {
        __atomic_fetch_add(&world->foreign, batch->spans, __ATOMIC_RELAXED);
        return NSP_SEND_REJECTED;
    }
    const nsp__batch_decoding decoding = {.encoding = batch->encoding,
                                          .closed = true,
                                          .bytes = batch->data,
                                          .size = batch->capacity,
                                          .head = batch->head,
                                          .length = batch->length,
                                          .spans = all,
                                          .intern = intern,
                                          .visit = receive,
                                          .argument = &me};
    uint64_t decoded = nsp__batch_decode(&decoding);
    __atomic_fetch_add(&world->wrong_of[me.engine], me.wrong + (uint32_t)(all - decoded), __ATOMIC_RELAXED);
    __atomic_fetch_add(&world->arrived_of[me.engine], me.at - world->arrived, __ATOMIC_RELAXED);
    world_set(&world->arrived, me.at); // all of them at once
    __atomic_fetch_add(&world->accepted, 1, __ATOMIC_RELAXED);
    world_set(&world->in_send, 0);
    if (part != 0) {
        report->part_exported = part;
        report->retry_after_ns = 1000000;
        world_set(&world->away, 1);
        world_set(&world->part, 0);
        return NSP_SEND_RETRY;
    }
    return NSP_SEND_EXPORTED;
}

const nsp_exporter *drained_exporter(void)
{
    static nsp_exporter exporter;
    exporter = *nsp_exporter_builtin("otlp");
    exporter.send = take;
    return &exporter;
}

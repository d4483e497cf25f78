// SPDX-License-Identifier: Apache-2.0
#include "support/outside_drainer.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/time.h"
#include "drain/span_view.h"
#include "outside/session/session_files.h"

void outside_drainer_look(outside_drainer *drainer, const char *session)
{
    drainer->directory = open(session, O_RDONLY | O_DIRECTORY);
    int control = openat(drainer->directory, "control", O_RDWR);
    drainer->threads = openat(drainer->directory, "threads", O_RDWR);
    assert_true(control >= 0 && drainer->threads >= 0);
    drainer->control = mmap(NULL, sizeof *drainer->control, PROT_READ | PROT_WRITE, MAP_SHARED, control, 0);
    assert_ptr_not_equal(drainer->control, MAP_FAILED);
    close(control);
    drainer->lock = -1;
    drainer->unsettled = 0;
}

bool outside_drainer_open(outside_drainer *drainer, const char *session)
{
    outside_drainer_look(drainer, session);
    drainer->lock = nsp__session_consume(drainer->directory);
    if (drainer->lock < 0)
        return false;
    __atomic_store_n(&drainer->control->drainer.pid, (uint32_t)getpid(), __ATOMIC_RELAXED);
    return true;
}

void outside_drainer_close(outside_drainer *drainer)
{
    nsp__session_unlock(drainer->lock);
    munmap(drainer->control, sizeof *drainer->control);
    close(drainer->threads);
    close(drainer->directory);
}

static uint64_t take_from(nsp__slot *slot, uint64_t most)
{
    const uint8_t *ring = (const uint8_t *)slot + slot->ring_offset;
    uint64_t at = slot->consumed, taken = 0;
    uint64_t end = __atomic_load_n(&slot->published, __ATOMIC_ACQUIRE); // R2
    for (; at != end && taken < most; taken++) {
        const nsp__record *record = (const nsp__record *)(const void *)(ring + (at & (slot->ring_bytes - 1)));
        assert_true(nsp__record_valid(record, end - at, slot->record_bytes));
        at += record->bytes;
    }
    __atomic_store_n(&slot->drained, slot->drained + taken, __ATOMIC_RELEASE); // C1
    __atomic_store_n(&slot->consumed, at, __ATOMIC_RELEASE);                   // R3
    return taken;
}

uint64_t outside_drainer_take(outside_drainer *drainer, uint64_t most)
{
    const nsp__control *control = drainer->control;
    uint32_t count = __atomic_load_n(&control->slot_count, __ATOMIC_ACQUIRE); // S4
    uint64_t taken = 0;
    for (uint32_t i = 0; i < count; i++) {
        const nsp__slot_place *place = &control->places[i];
        if (__atomic_load_n(&place->used, __ATOMIC_ACQUIRE) == 0) // S2
            continue;
        assert_int_equal(place->is_private, 0);
        nsp__slot *slot = mmap(NULL, place->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, drainer->threads,
                               (off_t)place->offset);
        assert_ptr_not_equal(slot, MAP_FAILED);
        taken += take_from(slot, most - taken);
        munmap(slot, place->bytes);
    }
    drainer->unsettled += taken;
    __atomic_store_n(&drainer->control->drainer.pass_ns, nsp__monotonic_ns(), __ATOMIC_RELAXED);
    return taken;
}

void outside_drainer_settle(outside_drainer *drainer)
{
    nsp__counters_add(&drainer->control->counters.exported, drainer->unsettled);
    drainer->unsettled = 0;
}

void outside_drainer_pass(outside_drainer *drainer)
{
    nsp__drainer *shared = &drainer->control->drainer;
    uint64_t wanted = __atomic_load_n(&shared->flush_wanted, __ATOMIC_ACQUIRE); // DN4: acquires DN3
    outside_drainer_take(drainer, UINT64_MAX);
    outside_drainer_settle(drainer);
    __atomic_store_n(&shared->flush_done, wanted, __ATOMIC_RELEASE); // DN5
}

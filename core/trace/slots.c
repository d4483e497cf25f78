// SPDX-License-Identifier: Apache-2.0
#include "trace/slots.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mapping.h"
#include "base/paging.h"
#include "base/testpoint.h"
#include "trace/cpu.h"
#include "trace/outlier_decision.h"
#include "trace/speculation_history.h"
#include "trace/switch_names.h"
#include "trace/trace_state.h"
#include "trace/warm.h"

// ---- geometry ----

enum { FRAME_HEADER = offsetof(nsp__frame, record), FRAME_SKEW = 256, RECORD_RESERVE = 32 };

// The largest end of a record to which something may still be added. After it come the DROPS item and the
// most that an inline setter asks for, and the sum must not overflow the cursor's low half.
enum { RECORD_END_MAX = UINT16_MAX - NSP__ITEM_BYTES(sizeof(nsp__dropped)) - NSP__ITEM_BYTES(16) };

static uint32_t frame_stride(uint32_t record_bytes)
{
    uint32_t bytes = (FRAME_HEADER + record_bytes + NSP__FRAME_ALIGN - 1) & ~(NSP__FRAME_ALIGN - 1);
    if (bytes < NSP__PATH_INERT_AT + NSP_PATH_BYTES_MAX)
        bytes = NSP__PATH_INERT_AT + NSP_PATH_BYTES_MAX;
    // Strides of whole 4 KiB would put all frames into the same sets of the first cache level.
    return bytes % 4096 == 0 ? bytes + FRAME_SKEW : bytes;
}

static uint64_t round_power(uint64_t bytes)
{
    uint64_t power = 64 * 1024;
    while (power < bytes && power < ((uint64_t)1 << 30))
        power *= 2;
    return power;
}

static uint16_t at_most(uint32_t limit, uint16_t most)
{
    return limit < most ? (uint16_t)limit : most;
}

// bytes: the room that the frame has for its record. No record may be larger than what the rings are made
// for.
static void frame_prepare(nsp__frame *frame, uint32_t bytes)
{
    const nsp__trace *trace = &nsp__trace_state;
    uint32_t end = (bytes < trace->record_bytes ? bytes : trace->record_bytes) - RECORD_RESERVE;
    uint32_t items = (at_most(end, RECORD_END_MAX) - (uint32_t)sizeof(nsp__record)) & ~15u;
    frame->limit = (uint16_t)(sizeof(nsp__record) + items);
    frame->initial = NSP__CURSOR(trace->attributes, sizeof(nsp__record));
    frame->value_limit = at_most(trace->value_limit, UINT16_MAX);
    frame->cpu = NSP__CPU_UNKNOWN;
}

static void frames_prepare(nsp__slot *slot)
{
    for (uint32_t i = 0; i < slot->frame_count; i++) {
        nsp__frame *frame = nsp__frame_at(slot, i);
        // A ruled root has to find room for what is written on it when its trace is kept.
        const bool ruled = i == slot->frame_count - 1;
        frame_prepare(frame, slot->record_bytes - (ruled ? NSP__ITEM_BYTES(8) : 0));
        frame->ring = slot->index;
    }
}

// ---- slots ----

enum { LINES = 128 }; // bytes that the processor fetches at once

// The bytes of a thread's process-local state that a child keeps: everything before the stack.
static size_t producer_kept(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (offsetof(nsp__producer, stack) + page - 1) & ~(page - 1);
}

// Where the state begins in its memory. It is chosen so that the stack lies less than LINES bytes after the
// part that children keep.
static size_t producer_offset(void)
{
    return (producer_kept() - offsetof(nsp__producer, stack) + LINES - 1) & ~(size_t)(LINES - 1);
}

// In front of it lies what nsp_thread_warm needs, on pages of its own.
static nsp__producer *producer_map(uint32_t frame_count)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t before = (nsp__warm_bytes() + page - 1) & ~(page - 1), kept = before + producer_kept();
    size_t bytes = kept + LINES + (frame_count + 3) * sizeof(nsp__entry) + NSP_NAME_MAX;
    char *memory = nsp__map_private_keeping(kept, (bytes + page - 1) & ~(page - 1));
    if (memory == NULL)
        return NULL;
    nsp__producer *producer = (nsp__producer *)(void *)(memory + before + producer_offset());
    producer->discard = memory;
    return producer;
}

static void producer_retire(nsp__producer *producer)
{
    if (producer != NULL)
        nsp__mapping_retire(producer);
}

static void speculation_prepare(nsp__producer *producer, nsp__slot *slot)
{
    nsp__speculation *speculation = (nsp__speculation *)(void *)((char *)slot + NSP__SPECULATION_OFFSET);
    nsp__slot *buffer = &speculation->slot;
    producer->speculation = speculation;
    if (buffer->ring_bytes == 0)
        return;
    producer->speculative = (nsp__pen){
        .ring = {.bytes = (uint8_t *)buffer + buffer->ring_offset,
                 .mask = buffer->ring_bytes - 1,
                 .limit = __atomic_load_n(&buffer->consumed, __ATOMIC_RELAXED) + buffer->ring_bytes,
                 .slot = buffer},
    };
    producer->history_shift = nsp__history_shift_of(buffer->ring_bytes);
}

static void producer_prepare(nsp__producer *producer, nsp__slot *slot)
{
    producer->ring.slot = slot;
    producer->ring.bytes = (uint8_t *)slot + slot->ring_offset;
    producer->ring.mask = slot->ring_bytes - 1;
    producer->control = nsp__trace_state.control;
    producer->watermark = slot->ring_bytes * nsp__trace_state.watermark_permille / 1000;
    producer->headroom = slot->ring_bytes - producer->watermark;
    producer->ring.limit = slot->ring_bytes;
    producer->home = producer->pen;
    producer->busy.current = NSP__BUSY;
    for (uint32_t i = 0; i < slot->frame_count - 1; i++)
        producer->stack[i + 1].frame = nsp__frame_at(slot, i);
    producer->ruled_frame = nsp__frame_at(slot, slot->frame_count - 1);
    speculation_prepare(producer, slot);
    producer->hot.top = &producer->stack[0];
    producer->stack[0].current = NSP__NOTHING;
    producer->hot.classes = nsp__no_classes(producer);
    for (uint32_t i = 0; i < NSP__CLASSES; i++)
        producer->thresholds[i] = NSP__THRESHOLD_UNDRAWN;
    producer->hot.skips = &slot->skips;
    producer->recorded.pool = nsp__trace_state.pool;
    producer->unsampled.pool = nsp__trace_state.unsampled_pool;
    __cds_wfs_init(&producer->recorded.free_list);
    __cds_wfs_init(&producer->unsampled.free_list);
}

// Claims one of the session's slots, which this thread then makes. False if all are made or claimed. Relaxed:
// this only counts, and each slot is published on its own.
static bool slot_claim(nsp__trace *trace)
{
    uint32_t claimed = __atomic_load_n(&trace->slots_claimed, __ATOMIC_RELAXED);
    do {
        if (claimed >= trace->threads)
            return false;
    } while (!__atomic_compare_exchange_n(&trace->slots_claimed, &claimed, claimed + 1, true,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return true;
}

static void slot_lay_out(nsp__slot *slot, uint64_t ring_bytes)
{
    const nsp__trace *trace = &nsp__trace_state;
    slot->frame_count =
        trace->open_spans + 1; // the last one is for the ruled root, wherever that is on the stack
    slot->frame_stride = frame_stride(trace->record_bytes);
    slot->record_bytes = trace->record_bytes;
    slot->ring_bytes = ring_bytes;
    slot->frames_offset = (NSP__SPECULATION_OFFSET + sizeof(nsp__speculation) + NSP__FRAME_ALIGN - 1) &
                          ~(uint64_t)(NSP__FRAME_ALIGN - 1);
    slot->ring_offset =
        (slot->frames_offset + (uint64_t)slot->frame_stride * slot->frame_count + 4095) & ~(uint64_t)4095;
    slot->state = NSP__SLOT_ACTIVE;
}

// The buffer of speculative spans lies behind the ring, which ends there.
static void speculation_lay_out(nsp__speculation *speculation, uint64_t end)
{
    const nsp__trace *trace = &nsp__trace_state;
    nsp__slot *buffer = &speculation->slot;
    buffer->record_bytes = trace->record_bytes;
    buffer->ring_bytes = trace->outlier_bytes;
    buffer->ring_offset = end - NSP__SPECULATION_OFFSET;
    buffer->counters.attempted = speculation->settled = NSP__SPECULATED_FIRST;
}

// Bytes of a ring, or of what is written like one, with the place behind it that lets no record wrap.
static uint64_t ring_extent(uint64_t ring_bytes, uint32_t record_bytes)
{
    return ring_bytes != 0 ? (ring_bytes + record_bytes + sizeof(uint64_t) + 127) & ~UINT64_C(127) : 0;
}

// Makes a slot that nobody used before: first a claim, then the thread's half in the process, then the slot's
// memory in the session, and only then its index. So a thread that comes too late, or finds no memory, has
// taken nothing of the session's memory, which could not be given back.
static nsp__producer *slot_make(uint64_t ring_bytes, nsp_status *status)
{
    nsp__trace *trace = &nsp__trace_state;
    nsp__control *control = trace->control;
    *status = NSP_ERR_FULL;
    if (!slot_claim(trace))
        return NULL;
    NSP__TESTPOINT("attach: slot claimed");
    *status = NSP_ERR_NO_MEMORY;
    nsp__slot layout, *slot;
    memset(&layout, 0, sizeof layout);
    slot_lay_out(&layout, ring_bytes);
    const uint64_t ring_end = layout.ring_offset + ring_extent(ring_bytes, layout.record_bytes);
    uint64_t bytes = ring_end + ring_extent(trace->outlier_bytes, layout.record_bytes);
    nsp__slot_place place = {0, 0, 0, 0};
    void *address = NULL;
    nsp__producer *producer = producer_map(layout.frame_count);
    if (producer == NULL || !nsp__session_map_thread(trace->session, bytes, &address, &place)) {
        producer_retire(producer);
        __atomic_fetch_sub(&trace->slots_claimed, 1, __ATOMIC_RELAXED);
        return NULL;
    }
    slot = address;
    NSP__TESTPOINT("attach: slot mapped");
    *slot = layout;
    speculation_lay_out((nsp__speculation *)(void *)((char *)slot + NSP__SPECULATION_OFFSET), ring_end);
    producer_prepare(producer, slot);
    // S3: releases nothing but the count itself to S4; each place says by S1 that it is there.
    slot->index = __atomic_fetch_add(&control->slot_count, 1, __ATOMIC_ACQ_REL);
    NSP__TESTPOINT("attach: index taken");
    frames_prepare(slot);
    if (place.is_private && nsp__session_shared(trace->session))
        __atomic_fetch_add(&trace->trouble.private_rings, 1, __ATOMIC_RELAXED);
    nsp__slot_place *shared = &control->places[slot->index];
    *shared = place;
    __atomic_store_n(&shared->used, 1, __ATOMIC_RELEASE); // S1
    NSP__TESTPOINT("attach: place known");
    __atomic_store_n(&trace->slots[slot->index], slot, __ATOMIC_RELEASE);         // T1
    __atomic_store_n(&trace->producers[slot->index], producer, __ATOMIC_RELEASE); // T1
    *status = NSP_OK;
    return producer;
}

// A slot that another thread left, with a ring of the requested size.
static nsp__producer *slot_reuse(uint64_t ring_bytes)
{
    nsp__trace *trace = &nsp__trace_state;
    uint32_t count = __atomic_load_n(&trace->control->slot_count, __ATOMIC_ACQUIRE); // S4
    for (uint32_t i = 0; i < count; i++) {
        nsp__producer *producer = nsp__producer_at(i);
        if (producer == NULL || producer->home.slot->ring_bytes != ring_bytes)
            continue;
        uint32_t state = __atomic_load_n(&producer->home.slot->state, __ATOMIC_RELAXED);
        bool taken = false;
        // Acquires what the previous thread left behind (release in thread_exit). Tried again if the drainer
        // has just turned a CLOSED slot into a DRAINED one.
        while ((state == NSP__SLOT_CLOSED || state == NSP__SLOT_DRAINED) && !taken)
            taken = __atomic_compare_exchange_n(&producer->home.slot->state, &state, NSP__SLOT_ACTIVE, false,
                                                __ATOMIC_ACQ_REL, __ATOMIC_RELAXED); // SL2: acquires SL1
        if (taken)
            return producer;
    }
    return NULL;
}

// True if the slot's thread is gone and has not closed its slot, because it first attached in its last round
// of destructors, or ended by the bare system call. The tid is set while a thread uses the slot, and 0
// otherwise.
static bool vanished(const nsp__producer *producer, uint32_t *tid)
{
    *tid = __atomic_load_n(&producer->home.slot->tid, __ATOMIC_ACQUIRE); // TD2: acquires TD1
    return *tid != 0 && syscall(SYS_tgkill, getpid(), *tid, 0) != 0 && errno == ESRCH &&
           producer->hot.top != &producer->busy;
}

// For when no slot is left: takes one whose thread vanished. Attach then ends the spans that it left open.
static nsp__producer *slot_reclaim(uint64_t ring_bytes)
{
    uint32_t count = __atomic_load_n(&nsp__trace_state.control->slot_count, __ATOMIC_ACQUIRE), tid; // S4
    for (uint32_t i = 0; i < count; i++) {
        nsp__producer *producer = nsp__producer_at(i);
        if (producer != NULL && producer->home.slot->ring_bytes == ring_bytes && vanished(producer, &tid) &&
            __atomic_compare_exchange_n(&producer->home.slot->tid, &tid, 0, false, __ATOMIC_ACQUIRE, // TD2
                                        __ATOMIC_RELAXED))
            return producer;
    }
    return NULL;
}

nsp__producer *nsp__slot_take(uint64_t ring_bytes, nsp_status *status)
{
    ring_bytes = ring_bytes != 0 ? round_power(ring_bytes) : nsp__trace_state.ring_bytes;
    nsp__producer *producer = slot_reuse(ring_bytes);
    if (producer == NULL)
        producer = slot_make(ring_bytes, status);
    if (producer == NULL && *status == NSP_ERR_FULL)
        producer = slot_reclaim(ring_bytes);
    return producer;
}

// ---- sessions ----

static void frames_detach(const nsp__detached_pool *pool, uint32_t record_bytes)
{
    for (uint32_t i = 0; i < pool->count; i++) {
        nsp__frame *frame = nsp__detached_frame(pool, i);
        frame_prepare(frame, record_bytes);
        frame->detached = 1;
    }
}

// One mapping, so that all of it becomes zero at once: the count of the places left, the nodes, the frames. A
// frame holds an identity, the longest tracestate, and what a path writes into. If there is no memory, the pool is empty.
static void unsampled_pool_make(uint32_t count)
{
    enum {
        RECORD = sizeof(nsp__record) + NSP__ITEM_BYTES(NSP_TRACESTATE_MAX) + RECORD_RESERVE,
        STRIDE = NSP__PATH_INERT_AT + NSP_PATH_BYTES_MAX
    };
    _Static_assert(FRAME_HEADER + (int)RECORD <= (int)NSP__PATH_INERT_AT,
                   "a path comes behind the tracestate");
    nsp__detached_pool *pool = &nsp__trace_state.unsampled_pool;
    size_t nodes_end = NSP__FRAME_ALIGN + count * sizeof(nsp__detached_node);
    size_t frames_at = (nodes_end + NSP__FRAME_ALIGN - 1) / NSP__FRAME_ALIGN * NSP__FRAME_ALIGN;
    uint8_t *memory =
        count != 0 ? nsp__map_private(nsp__paging_up(frames_at + (size_t)count * STRIDE)) : NULL;
    *pool = (nsp__detached_pool){NULL, NULL, 0, STRIDE, NULL};
    if (memory == NULL)
        return;
    pool->left = (uint32_t *)(void *)memory;
    pool->nodes = (nsp__detached_node *)(void *)(memory + NSP__FRAME_ALIGN);
    pool->frames = memory + frames_at;
    *pool->left = pool->count = count;
    frames_detach(pool, RECORD);
}

void nsp__trace_begin(nsp__session *session, const nsp_config *config)
{
    nsp__trace *trace = &nsp__trace_state;
    nsp__detached_node *nodes = NULL;
    if (config->detached_spans != 0)
        nodes = nsp__map_private(config->detached_spans * sizeof *nodes);
    // The table is empty unless a session was left behind. Threads that are still looking for a detached
    // place in that one may be reading it now.
    for (uint32_t i = 0; i < NSP__THREADS_MAX; i++) {
        __atomic_store_n(&trace->producers[i], NULL, __ATOMIC_RELAXED);
        __atomic_store_n(&trace->slots[i], NULL, __ATOMIC_RELAXED);
    }
    trace->session = session;
    trace->external = session->external;
    __atomic_store_n(&trace->control, session->control, __ATOMIC_RELEASE); // T3: releases the session to T4
    trace->pool = (nsp__detached_pool){
        .frames = session->detached,
        .nodes = nodes,
        .count = nodes != NULL ? session->control->detached_count : 0,
        .stride = session->control->detached_stride,
        .left = &session->control->detached_left,
    };
    session->control->detached_count = session->control->detached_left = trace->pool.count;
    trace->watermark_permille = (uint64_t)(config->watermark * 1000);
    trace->ring_bytes = round_power(config->ring_bytes);
    trace->record_bytes = config->record_bytes;
    trace->outlier_bytes = config->outlier_bytes;
    trace->open_spans = config->open_spans;
    trace->threads = config->threads;
    __atomic_store_n(&trace->slots_claimed, 0, __ATOMIC_RELAXED);
    trace->value_limit = config->attribute_value_length_limit;
    trace->attributes = at_most(config->attribute_count_limit, INT16_MAX);
    __atomic_store_n(&trace->events, at_most(config->event_count_limit, UINT16_MAX), __ATOMIC_RELAXED);
    __atomic_store_n(&trace->links, at_most(config->link_count_limit, UINT16_MAX), __ATOMIC_RELAXED);
    __atomic_store_n(&trace->event_attributes, config->event_attribute_count_limit, __ATOMIC_RELAXED);
    __atomic_store_n(&trace->link_attributes, config->link_attribute_count_limit, __ATOMIC_RELAXED);
    __atomic_store_n(&trace->epoch, trace->epoch + 1, __ATOMIC_RELAXED);
    trace->cpu_numbers = config->cpu_numbers;
    nsp__outlier_keys_prepare();
    nsp__cpu_keys_prepare(config->cpu_numbers);
    nsp__switch_names_prepare(session->control, config->switches);
    frames_detach(&trace->pool, trace->pool.stride - NSP__FRAME_ALIGN - FRAME_HEADER);
    unsampled_pool_make(config->detached_spans);
}

bool nsp__trace_moving(void)
{
    for (uint32_t i = 0; i < NSP__THREADS_MAX; i++) {
        nsp__producer *producer = nsp__producer_at(i);
        if (producer != NULL &&
            __atomic_load_n(&producer->hot.top, __ATOMIC_ACQUIRE) == &producer->busy) // B2: acquires B1
            return true;
    }
    return false;
}

void nsp__trace_end(void)
{
    nsp__trace *trace = &nsp__trace_state;
    // The threads' own halves (producers) stay as they are: a thread may be using its stack at this moment.
    // It finds generation 0 at its next root.
    for (uint32_t i = 0; i < NSP__THREADS_MAX; i++) {
        nsp__producer *producer = nsp__producer_at(i);
        if (producer == NULL)
            continue;
        __atomic_store_n(&trace->producers[i], NULL, __ATOMIC_RELEASE); // T1
        __atomic_store_n(&trace->slots[i], NULL, __ATOMIC_RELEASE);     // T1
        nsp__mapping_retire(producer->home.slot);
        nsp__mapping_leave(producer);
    }
    nsp__mapping_retire(trace->pool.nodes);
    nsp__mapping_retire(trace->unsampled_pool.left);
    memset(&trace->pool, 0, sizeof trace->pool);
    memset(&trace->unsampled_pool, 0, sizeof trace->unsampled_pool);
}

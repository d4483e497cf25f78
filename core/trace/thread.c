// SPDX-License-Identifier: Apache-2.0
//
// Threads come and go: slots, attach, exit.
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mapping.h"
#include "base/testpoint.h"
#include "trace/producer.h"
#include "trace/sampler.h"

__thread nsp__thread *nsp__thread_v1 __attribute__((tls_model("initial-exec")));
bool nsp__active;
nsp__trace nsp__trace_state;
bool (*nsp__session_wanted)(void);

// What an attach that is under way, or failed, leaves behind on its thread.
static __thread struct {
    bool attaching;        // a signal handler's span must not attach a second time
    uint32_t failed_epoch; // the session in which attach failed
    uint32_t retry;        // spans until it is tried again
} local __attribute__((tls_model("initial-exec")));

static pthread_key_t exit_key;
static bool exit_key_made;

// ---- geometry ----

enum { FRAME_HEADER = offsetof(nsp__frame, record), FRAME_SKEW = 256, RECORD_RESERVE = 32 };

static uint32_t frame_stride(uint32_t record_bytes)
{
    uint32_t bytes = (FRAME_HEADER + record_bytes + NSP__FRAME_ALIGN - 1) & ~(NSP__FRAME_ALIGN - 1);
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

static uint16_t most(uint32_t limit)
{
    return (uint16_t)(limit < UINT16_MAX ? limit : UINT16_MAX);
}

static void frame_limit(nsp__frame *frame, uint32_t bytes)
{
    frame->limit = bytes;
    frame->fresh_pen = NSP__PEN(nsp__trace_state.attributes, bytes - sizeof(nsp__record));
}

static void frames_prepare(nsp__slot *slot)
{
    const nsp__trace *trace = &nsp__trace_state;
    for (uint32_t i = 0; i < slot->frame_count; i++) {
        nsp__frame *frame = nsp__frame_at(slot, i);
        frame_limit(frame, slot->record_bytes - RECORD_RESERVE);
        frame->value_limit = trace->value_limit;
        frame->ring = slot->index;
    }
}

// ---- slots ----

static nsp__producer *producer_make(nsp__slot *slot)
{
    size_t bytes = sizeof(nsp__producer) + (slot->frame_count + 2) * sizeof(nsp__entry);
    nsp__producer *producer = nsp__map_private((bytes + 4095) & ~(size_t)4095);
    if (producer == NULL)
        return NULL;
    producer->slot = slot;
    producer->ring.slot = slot;
    producer->ring.bytes = (uint8_t *)slot + slot->ring_offset;
    producer->ring.capacity = slot->ring_bytes;
    producer->control = nsp__trace_state.control;
    producer->watermark = slot->ring_bytes * nsp__trace_state.watermark_permille / 1000;
    producer->headroom = slot->ring_bytes - producer->watermark;
    producer->ring.limit = slot->ring_bytes;
    producer->event_attributes = nsp__trace_state.event_attributes;
    producer->link_attributes = nsp__trace_state.link_attributes;
    producer->busy.current = NSP__BUSY;
    for (uint32_t i = 0; i < slot->frame_count; i++)
        producer->stack[i + 1].frame = nsp__frame_at(slot, i);
    producer->hot.top = &producer->stack[0];
    producer->hot.generation_now = &producer->control->policy_generation;
    producer->hot.classes = producer->control->policies[0].classes;
    producer->hot.skips = &slot->skips;
    producer->pool = nsp__trace_state.pool;
    __cds_wfs_init(&producer->home);
    return producer;
}

// Takes the next index. False if all are in use.
static bool index_take(nsp__control *control, uint32_t *index)
{
    *index = __atomic_load_n(&control->slot_count, __ATOMIC_RELAXED);
    do {
        if (*index >= nsp__trace_state.threads)
            return false;
    } while (!__atomic_compare_exchange_n(&control->slot_count, index, *index + 1, true, // S3
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return true;
}

static void slot_lay_out(nsp__slot *slot, uint64_t ring_bytes)
{
    const nsp__trace *trace = &nsp__trace_state;
    slot->frame_count = trace->open_spans;
    slot->frame_stride = frame_stride(trace->record_bytes);
    slot->record_bytes = trace->record_bytes;
    slot->ring_bytes = ring_bytes;
    slot->frames_offset = (sizeof(nsp__slot) + NSP__FRAME_ALIGN - 1) & ~(uint64_t)(NSP__FRAME_ALIGN - 1);
    slot->ring_offset =
        (slot->frames_offset + (uint64_t)slot->frame_stride * slot->frame_count + 4095) & ~(uint64_t)4095;
    slot->state = NSP__SLOT_ACTIVE;
}

// A slot nobody used before: its memory, its half in the process, and only then its index, so that a failure takes
// none.
static nsp__producer *slot_make(uint64_t ring_bytes, nsp_status *status)
{
    nsp__trace *trace = &nsp__trace_state;
    nsp__control *control = trace->control;
    *status = NSP_ERR_FULL;
    if (__atomic_load_n(&control->slot_count, __ATOMIC_RELAXED) >= trace->threads)
        return NULL;
    *status = NSP_ERR_NO_MEMORY;
    nsp__slot layout, *slot;
    memset(&layout, 0, sizeof layout);
    slot_lay_out(&layout, ring_bytes);
    uint64_t bytes = layout.ring_offset + ring_bytes + layout.record_bytes + sizeof(uint64_t);
    nsp__slot_place place = {0, 0, 0, 0};
    void *address = NULL;
    if (!nsp__session_map_thread(trace->session, bytes, &address, &place))
        return NULL;
    slot = address;
    *slot = layout;
    nsp__producer *producer = producer_make(slot);
    if (producer == NULL || !index_take(control, &slot->index)) {
        *status = producer == NULL ? NSP_ERR_NO_MEMORY : NSP_ERR_FULL;
        nsp__mapping_retire(slot);
        return NULL;
    }
    frames_prepare(slot);
    if (place.is_private && trace->session->threads_fd >= 0)
        __atomic_fetch_add(&trace->trouble.private_rings, 1, __ATOMIC_RELAXED);
    nsp__slot_place *shared = &control->places[slot->index];
    *shared = place;
    __atomic_store_n(&shared->used, 1, __ATOMIC_RELEASE);                         // S1
    __atomic_store_n(&trace->producers[slot->index], producer, __ATOMIC_RELEASE); // T1
    *status = NSP_OK;
    return producer;
}

// A slot that another thread left, with a ring of the size asked for.
static nsp__producer *slot_reuse(uint64_t ring_bytes)
{
    nsp__trace *trace = &nsp__trace_state;
    uint32_t count = __atomic_load_n(&trace->control->slot_count, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < count; i++) {
        nsp__producer *producer = nsp__producer_at(i);
        if (producer == NULL || producer->slot->ring_bytes != ring_bytes)
            continue;
        uint32_t state = __atomic_load_n(&producer->slot->state, __ATOMIC_RELAXED);
        bool taken = false;
        // Acquires what the thread before left behind (release in thread_exit). Tried again where the drainer has
        // just made a CLOSED slot a DRAINED one.
        while ((state == NSP__SLOT_CLOSED || state == NSP__SLOT_DRAINED) && !taken)
            taken = __atomic_compare_exchange_n(&producer->slot->state, &state, NSP__SLOT_ACTIVE, false,
                                                __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
        if (taken)
            return producer;
    }
    return NULL;
}

// True if the slot's thread is gone without having closed it: it first attached in its last round of destructors, or
// ended by the system call alone. The tid is set while the slot's thread lives in it, else 0.
static bool vanished(const nsp__producer *producer, uint32_t *tid)
{
    *tid = __atomic_load_n(&producer->slot->tid, __ATOMIC_ACQUIRE);
    return *tid != 0 && syscall(SYS_tgkill, getpid(), *tid, 0) != 0 && errno == ESRCH &&
           producer->hot.top != &producer->busy;
}

// Where no slot is left: one whose thread vanished. What that left open is ended by attach.
static nsp__producer *slot_reclaim(uint64_t ring_bytes)
{
    uint32_t count = __atomic_load_n(&nsp__trace_state.control->slot_count, __ATOMIC_ACQUIRE), tid;
    for (uint32_t i = 0; i < count; i++) {
        nsp__producer *producer = nsp__producer_at(i);
        if (producer != NULL && producer->slot->ring_bytes == ring_bytes && vanished(producer, &tid) &&
            __atomic_compare_exchange_n(&producer->slot->tid, &tid, 0, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return producer;
    }
    return NULL;
}

static void name_slot(nsp__slot *slot, const char *name)
{
    char own[16] = "";
    if (name == NULL && pthread_getname_np(pthread_self(), own, sizeof own) == 0)
        name = own;
    memset(slot->name, 0, sizeof slot->name);
    if (name != NULL)
        strncpy(slot->name, name, sizeof slot->name - 1);
    __atomic_store_n(&slot->tid, (uint32_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
}

static nsp__producer *attach(const nsp_thread_options *options, nsp_status *status)
{
    const nsp__trace *trace = &nsp__trace_state;
    uint64_t ring_bytes = trace->ring_bytes;
    if (options != NULL && options->ring_bytes != 0)
        ring_bytes = round_power(options->ring_bytes);
    nsp__producer *producer = slot_reuse(ring_bytes);
    if (producer == NULL)
        producer = slot_make(ring_bytes, status);
    if (producer == NULL && *status == NSP_ERR_FULL)
        producer = slot_reclaim(ring_bytes);
    if (producer == NULL)
        return NULL;
    name_slot(producer->slot, options != NULL ? options->name : NULL);
    producer->random = nsp__random_seed();
    // Should the session end now, its generation is 0: the first root must not take that for the one that it has.
    producer->hot.generation = NSP__GENERATION_NONE;
    // A value other than NULL is what makes the destructor run.
    if (exit_key_made)
        pthread_setspecific(exit_key, producer);
    NSP__TESTPOINT("attach: before visible");
    nsp__sampler_refresh(producer);
    nsp__thread_v1 = &producer->hot;
    nsp_thread_reset(); // of a reclaimed slot
    *status = NSP_OK;
    return producer;
}

// Scanning for a slot at each span would cost more than the span: after a failure it is done now and then.
static bool backing_off(uint32_t epoch)
{
    if (local.failed_epoch != epoch || local.failed_epoch == 0 || local.retry == 0)
        return false;
    local.retry--;
    return true;
}

static void back_off(uint32_t epoch, nsp_status status)
{
    enum { RETRY_SPANS = 1000 };
    local.failed_epoch = epoch;
    local.retry = RETRY_SPANS;
    nsp__trace *trace = &nsp__trace_state;
    __atomic_fetch_add(status == NSP_ERR_FULL ? &trace->trouble.no_slot : &trace->trouble.no_memory, 1,
                       __ATOMIC_RELAXED);
}

nsp__producer *nsp__producer_attach(const nsp_thread_options *options, nsp_status *status)
{
    *status = NSP_OK;
    nsp__producer *self = nsp__producer_self();
    if (self != NULL) {
        if (self->hot.top == &self->busy ||
            self->control == __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE))
            return self;
        nsp__thread_v1 = NULL; // of a session that has ended; there may be a new one
    }
    if (local.attaching) {
        *status = NSP_ERR_ALREADY;
        return NULL;
    }
    uint32_t epoch = __atomic_load_n(&nsp__trace_state.epoch, __ATOMIC_RELAXED);
    if (options == NULL && backing_off(epoch)) {
        *status = NSP_ERR_FULL;
        return NULL;
    }
    int error = errno; // a span call must leave errno alone
    local.attaching = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    // Either the shutdown sees this thread attaching and waits for it (attach_wait), or this thread sees that tracing
    // ends: both sides write, then read, in one order for all.
    __atomic_fetch_add(&nsp__trace_state.attaching, 1, __ATOMIC_SEQ_CST);
    nsp__producer *producer = NULL;
    *status = __atomic_load_n(&nsp__trace_state.disabled, __ATOMIC_RELAXED) ? NSP_ERR_DISABLED
                                                                            : NSP_ERR_NOT_INITIALISED;
    if (__atomic_load_n(&nsp__active, __ATOMIC_SEQ_CST) && // A2: acquires A1, nsp__trace_begin's work
        (nsp__session_wanted == NULL || nsp__session_wanted()))
        producer = attach(options, status);
    if (*status == NSP_ERR_FULL || *status == NSP_ERR_NO_MEMORY)
        back_off(epoch, *status);
    __atomic_fetch_sub(&nsp__trace_state.attaching, 1, __ATOMIC_RELEASE);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    local.attaching = false;
    errno = error;
    return producer;
}

static void count_unattached(void)
{
    nsp__control *control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE);
    if (control != NULL)
        __atomic_fetch_add(&control->unattached_attempted, 1, __ATOMIC_RELAXED);
}

nsp_span *nsp__begin_unattached(nsp_name name, nsp_ticks start)
{
    nsp_status status;
    nsp__producer *producer = nsp__producer_attach(NULL, &status);
    if (producer != NULL)
        return nsp_span_begin_at(name, start);
    if (status != NSP_ERR_NOT_INITIALISED)
        count_unattached();
    return NULL;
}

nsp_status nsp_thread_attach(const nsp_thread_options *options)
{
    if (options != NULL && options->size < offsetof(nsp_thread_options, name) + sizeof options->name)
        return nsp__fail(NSP_ERR_INVALID, "nsp_thread_options.size is %zu: use NSP_THREAD_OPTIONS_INIT",
                         options->size);
    if (options != NULL && options->ring_bytes != 0 &&
        (options->ring_bytes < 64 * 1024 || options->ring_bytes > ((size_t)1 << 30)))
        return nsp__fail(NSP_ERR_INVALID, "ring_bytes %zu: accepted are 65536 to 1073741824",
                         options->ring_bytes);
    static const nsp_thread_options defaults = NSP_THREAD_OPTIONS_INIT;
    nsp_status status;
    nsp__producer *producer = nsp__producer_attach(options != NULL ? options : &defaults, &status);
    if (producer == NULL && status == NSP_ERR_FULL)
        return nsp__fail(status, "all %u thread slots are in use (nsp_config.threads)",
                         nsp__trace_state.threads);
    if (producer == NULL && status == NSP_ERR_NO_MEMORY)
        return nsp__fail(status, "no memory for the ring");
    if (status == NSP_ERR_NOT_INITIALISED)
        return nsp__fail(status, "tracing is not running: nsp_init first");
    if (status == NSP_ERR_DISABLED)
        return nsp__fail(status, "tracing is turned off by configuration");
    return status;
}

static void thread_exit(void *argument)
{
    nsp__producer *producer = argument;
    if (nsp__thread_v1 != &producer->hot)
        return; // shut down, or forked, since
    nsp_thread_reset();
    nsp__thread_v1 = NULL;
    __atomic_store_n(&producer->slot->tid, 0, __ATOMIC_RELAXED);
    // Releases the thread's half to the next one in the slot (slot_reuse).
    uint32_t expected = NSP__SLOT_ACTIVE;
    __atomic_compare_exchange_n(&producer->slot->state, &expected, NSP__SLOT_CLOSED, false, __ATOMIC_RELEASE,
                                __ATOMIC_RELAXED);
}

// The key is made when the library is loaded, so that it is one of the first, for which the C library needs no malloc.
__attribute__((constructor)) static void make_exit_key(void)
{
    exit_key_made = pthread_key_create(&exit_key, thread_exit) == 0;
}

// ---- sessions ----

void nsp__trace_begin(nsp__session *session, const nsp_config *config)
{
    nsp__trace *trace = &nsp__trace_state;
    nsp__detached_node *nodes = NULL;
    if (config->detached_spans != 0)
        nodes = nsp__map_private(config->detached_spans * sizeof *nodes);
    memset(trace->producers, 0, sizeof trace->producers); // empty but for a session that was left behind
    trace->session = session;
    __atomic_store_n(&trace->control, session->control, __ATOMIC_RELEASE);
    trace->pool = (nsp__detached_pool){
        .frames = session->detached,
        .nodes = nodes,
        .count = nodes != NULL ? session->control->detached_count : 0,
        .stride = session->control->detached_stride,
        .taken = &session->control->detached_taken,
    };
    session->control->detached_count = trace->pool.count;
    trace->watermark_permille = (uint64_t)(config->watermark * 1000);
    trace->ring_bytes = round_power(config->ring_bytes);
    trace->record_bytes = config->record_bytes;
    trace->open_spans = config->open_spans;
    trace->threads = config->threads;
    trace->value_limit = config->attribute_value_length_limit;
    trace->attributes = most(config->attribute_count_limit);
    __atomic_store_n(&trace->events, most(config->event_count_limit), __ATOMIC_RELAXED);
    __atomic_store_n(&trace->links, most(config->link_count_limit), __ATOMIC_RELAXED);
    __atomic_store_n(&trace->event_attributes, config->event_attribute_count_limit, __ATOMIC_RELAXED);
    __atomic_store_n(&trace->link_attributes, config->link_attribute_count_limit, __ATOMIC_RELAXED);
    __atomic_store_n(&trace->epoch, trace->epoch + 1, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < trace->pool.count; i++) {
        nsp__frame *frame = nsp__detached_frame(&trace->pool, i);
        frame_limit(frame, trace->pool.stride - NSP__FRAME_ALIGN - FRAME_HEADER - RECORD_RESERVE);
        frame->value_limit = trace->value_limit;
        frame->detached = 1;
        nodes[i].index = i;
    }
}

bool nsp__trace_quiesce(uint32_t milliseconds)
{
    const struct timespec pause = {0, 100 * 1000};
    for (uint32_t tries = milliseconds * 10;; tries--) {
        if (__atomic_load_n(&nsp__trace_state.attaching, __ATOMIC_SEQ_CST) == 0)
            return true;
        if (tries == 0)
            return false;
        nanosleep(&pause, NULL);
    }
}

bool nsp__trace_moving(void)
{
    for (uint32_t i = 0; i < NSP__THREADS_MAX; i++) {
        nsp__producer *producer = nsp__producer_at(i);
        if (producer != NULL && __atomic_load_n(&producer->hot.top, __ATOMIC_ACQUIRE) == &producer->busy)
            return true;
    }
    return false;
}

void nsp__trace_end(void)
{
    nsp__trace *trace = &nsp__trace_state;
    // The threads' own halves (producers) stay as they are: a thread may be using its stack at this moment. It finds
    // generation 0 in the retired control at its next root.
    for (uint32_t i = 0; i < NSP__THREADS_MAX; i++) {
        nsp__producer *producer = nsp__producer_at(i);
        if (producer == NULL)
            continue;
        __atomic_store_n(&trace->producers[i], NULL, __ATOMIC_RELEASE);
        nsp__mapping_retire(producer->slot);
        nsp__mapping_leave(producer);
    }
    nsp__mapping_retire(trace->pool.nodes);
    memset(&trace->pool, 0, sizeof trace->pool);
}

void nsp__trace_abandon(void)
{
    nsp__trace *trace = &nsp__trace_state;
    memset(trace->producers, 0, sizeof trace->producers);
    memset(&trace->pool, 0, sizeof trace->pool);
    trace->attaching = 0;
    __atomic_store_n(&trace->control, NULL, __ATOMIC_RELEASE);
    nsp__thread_v1 = NULL;
    memset(&local, 0, sizeof local);
}

// SPDX-License-Identifier: Apache-2.0
#include "trace/thread.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/call.h"
#include "base/log.h"
#include "base/name.h"
#include "base/testpoint.h"
#include "trace/cpu.h"
#include "trace/path_special.h"
#include "trace/sampler.h"
#include "trace/slots.h"
#include "trace/speculation_history.h"
#include "trace/stack.h"
#include "trace/trace_state.h"
#include "trace/warm.h"

// What a thread remembers of an attach that is under way, or that failed.
static __thread struct {
    bool attaching;        // a signal handler's span must not attach a second time
    bool counted;          // this thread is among nsp__trace.attaching
    uint32_t failed_epoch; // the session in which attach failed
    uint32_t retry;        // spans until it is tried again
} local __attribute__((tls_model("initial-exec")));

static pthread_key_t exit_key;
static bool exit_key_made;

static void name_slot(nsp__slot *slot, const char *name)
{
    char own[16] = "";
    if (name == NULL && pthread_getname_np(pthread_self(), own, sizeof own) == 0)
        name = own;
    memset(slot->name, 0, sizeof slot->name);
    if (name != NULL)
        strncpy(slot->name, name, sizeof slot->name - 1);
    __atomic_store_n(&slot->tid, (uint32_t)syscall(SYS_gettid),
                     __ATOMIC_RELEASE); // TD1: the slot has its name
}

static nsp__producer *attach(const nsp_thread_options *options, nsp_status *status)
{
    nsp__producer *producer = nsp__slot_take(options != NULL ? options->ring_bytes : 0, status);
    if (producer == NULL)
        return NULL;
    name_slot(producer->home.slot, options != NULL ? options->name : NULL);
    producer->random = nsp__random_seed();
    producer->id_base = nsp__random_next(&producer->random) | 1;
    producer->id_step = (nsp__random_next(&producer->random) | 1) << 1;
    producer->hot.reads_counter = nsp__clock_is_counter;
    producer->cpu = nsp__cpu_of_thread(nsp__trace_state.cpu_numbers);
    producer->cpu_tag = nsp__cpu_tag;
    const uint32_t limit = producer->stack[1].frame->limit, room = limit - (uint32_t)sizeof(nsp__record);
    const uint32_t most = room < NSP_PATH_BYTES_MAX ? room : NSP_PATH_BYTES_MAX;
    producer->path_room = producer->hot.reads_counter ? (uint16_t)most : 0;
    // If the session ends now, its generation becomes 0, and the first root must not find that it has that
    // one already.
    producer->hot.generation = NSP__GENERATION_NONE;
    nsp__warm_prepare(producer);
    nsp__path_scratch_prepare();
    // A value other than NULL is what makes the destructor run.
    if (exit_key_made)
        pthread_setspecific(exit_key, producer);
    NSP__TESTPOINT("attach: before visible");
    nsp__history_begin_thread(producer);
    nsp__sampler_begin_thread(producer);
    nsp__thread_v4 = &producer->hot;
    NSP__TESTPOINT("attach: visible");
    nsp_thread_reset(); // ends what the thread before left open in a reclaimed slot
    *status = NSP_OK;
    return producer;
}

// Looking for a slot at each span would cost more than the span, so after a failure it is done only now and
// then.
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
    uint32_t *trouble = status == NSP_ERR_FULL ? &trace->trouble.no_slot
                        : trace->external      ? &trace->trouble.no_shared
                                               : &trace->trouble.no_memory;
    __atomic_fetch_add(trouble, 1, __ATOMIC_RELAXED);
}

// The thread's state, if it belongs to the current session; or to any session, while nanospan works on it.
static nsp__producer *attached(void)
{
    nsp__producer *self = nsp__producer_self();
    bool stays = self != NULL && (nsp__is_busy(self) ||
                                  self->control == __atomic_load_n(&nsp__trace_state.control,
                                                                   __ATOMIC_ACQUIRE)); // T4: acquires T3
    return stays ? self : NULL;
}

// With local.attaching set.
static nsp__producer *attach_marked(const nsp_thread_options *options, nsp_status *status)
{
    // Until the mark was set, a signal handler's span may have attached the thread. From here on none does.
    nsp__producer *producer = attached();
    if (producer != NULL) {
        *status = NSP_OK;
        return producer;
    }
    nsp__thread_v4 = &nsp__nobody; // of a session that has ended; there may be a new one
    // Either the shutdown sees this thread attaching and waits for it (nsp__trace_quiesce), or this thread
    // sees that tracing ends: both sides write, then read, in one order for all.
    __atomic_fetch_add(&nsp__trace_state.attaching, 1, __ATOMIC_SEQ_CST);
    local.counted = true;
    *status = __atomic_load_n(&nsp__trace_state.disabled, __ATOMIC_RELAXED) ? NSP_ERR_DISABLED
                                                                            : NSP_ERR_NOT_INITIALISED;
    if (__atomic_load_n(&nsp__active, __ATOMIC_SEQ_CST) && // A2: acquires A1, nsp__trace_begin's work
        (nsp__session_wanted == NULL || nsp__session_wanted()))
        producer = attach(options, status);
    if (local.counted) // or else this is a child by now
        __atomic_fetch_sub(&nsp__trace_state.attaching, 1, __ATOMIC_RELEASE); // AT1: releases it to AT2
    local.counted = false;
    return producer;
}

// Not to be cancelled: the thread would then count as attaching forever.
static nsp__producer *attach_counted(const nsp_thread_options *options, nsp_status *status)
{
    NSP__COLD_CALL;
    NSP__TESTPOINT("attach: not yet marked");
    local.attaching = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    nsp__producer *producer = attach_marked(options, status);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    local.attaching = false;
    return producer;
}

// Separate from the function below, so that a thread that is already attached does not pay for it.
static __attribute__((noinline)) nsp__producer *attach_unless_attaching(const nsp_thread_options *options,
                                                                        nsp_status *status)
{
    if (nsp__parents_state()) {
        *status = NSP_ERR_NOT_INITIALISED;
        return NULL;
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
    nsp__producer *producer = attach_counted(options, status);
    if (*status == NSP_ERR_FULL || *status == NSP_ERR_NO_MEMORY)
        back_off(epoch, *status);
    errno = error;
    return producer;
}

nsp__producer *nsp__producer_attach(const nsp_thread_options *options, nsp_status *status)
{
    nsp__producer *self = attached();
    if (self == NULL)
        return attach_unless_attaching(options, status);
    *status = NSP_OK;
    return self;
}

// The first span meets new names. What is called for those lies apart from the code of spans, and may be on pages
// that nothing has touched yet.
static void fetch_code(void)
{
    const uintptr_t code[] = {(uintptr_t)__atomic_load_n(&nsp__name_added, __ATOMIC_RELAXED),
                              (uintptr_t)nsp__sampler_classify, (uintptr_t)nsp__name_ready};
    for (size_t i = 0; i < sizeof code / sizeof *code; i++)
        if (code[i] != 0)
            (void)*(const volatile char *)code[i];
}

nsp_status nsp_thread_attach(const nsp_thread_options *options)
{
    if (options != NULL && options->size < offsetof(nsp_thread_options, name) + sizeof options->name)
        return nsp__fail(NSP_ERR_INVALID, "nsp_thread_options.size is %zu; use NSP_THREAD_OPTIONS_INIT",
                         options->size);
    if (options != NULL && options->ring_bytes != 0 &&
        (options->ring_bytes < 64 * 1024 || options->ring_bytes > ((size_t)1 << 30)))
        return nsp__fail(NSP_ERR_INVALID, "ring_bytes must be 65536 to 1073741824, not %zu",
                         options->ring_bytes);
    if (nsp__parents_state())
        return nsp__fail(NSP_ERR_NOT_INITIALISED,
                         "this process was created without running the fork handlers");
    static const nsp_thread_options defaults = NSP_THREAD_OPTIONS_INIT;
    nsp_status status;
    nsp__producer *producer = nsp__producer_attach(options != NULL ? options : &defaults, &status);
    fetch_code();
    if (producer == NULL && status == NSP_ERR_FULL)
        return nsp__fail(status, "all %u thread slots (nsp_config.threads) are in use",
                         nsp__trace_state.threads);
    if (producer == NULL && status == NSP_ERR_NO_MEMORY)
        return nsp__fail(status, "no memory for the thread's ring");
    if (status == NSP_ERR_NOT_INITIALISED)
        return nsp__fail(status, "tracing is not running; call nsp_init first");
    if (status == NSP_ERR_DISABLED)
        return nsp__fail(status, "tracing is turned off by configuration");
    if (status == NSP_ERR_ALREADY)
        return nsp__fail(status, "a signal handler has interrupted this thread while it was being attached");
    return status;
}

static void thread_exit(void *argument)
{
    nsp__producer *producer = argument;
    if (nsp__thread_v4 != &producer->hot)
        return; // tracing was shut down since, or this is the child of a fork
    nsp_thread_reset();
    nsp__thread_v4 = &nsp__nobody;
    __atomic_store_n(&producer->home.slot->tid, 0, __ATOMIC_RELAXED);
    NSP__TESTPOINT("detach: slot still active");
    // Releases the thread's half to the next one in the slot (slot_reuse in slots.c).
    uint32_t expected = NSP__SLOT_ACTIVE;
    __atomic_compare_exchange_n(&producer->home.slot->state, &expected, NSP__SLOT_CLOSED, false,
                                __ATOMIC_RELEASE, // SL1
                                __ATOMIC_RELAXED);
}

// The key is made when the library is loaded, so that it is one of the first, for which the C library needs
// no malloc.
__attribute__((constructor)) static void make_exit_key(void)
{
    exit_key_made = pthread_key_create(&exit_key, thread_exit) == 0;
}

void nsp__trace_abandon(void)
{
    nsp__trace *trace = &nsp__trace_state;
    memset(trace->producers, 0, sizeof trace->producers);
    memset(trace->slots, 0, sizeof trace->slots);
    memset(&trace->pool, 0, sizeof trace->pool);
    memset(&trace->unsampled_pool, 0, sizeof trace->unsampled_pool);
    trace->attaching = 0;
    __atomic_store_n(&trace->control, NULL, __ATOMIC_RELEASE); // T3
    nsp__thread_v4 = &nsp__nobody;
    memset(&local, 0, sizeof local);
}

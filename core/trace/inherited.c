// SPDX-License-Identifier: Apache-2.0
#include "trace/inherited.h"

#include <sys/mman.h>

#include "trace/span_context.h"
#include "trace/span_slow.h"

typedef struct kept_span {
    uintptr_t handle;
    nsp_context context;
} kept_span;

typedef struct kept_spans {
    size_t count, room;
    kept_span spans[];
} kept_spans;

// `inherited` is of the fork that made this process, and of those before it; `kept` of one that is under way. Written with
// no other thread there, or by the thread that forks.
static kept_spans *inherited, *kept;

static size_t bytes_of(size_t room)
{
    return sizeof(kept_spans) + room * sizeof(kept_span);
}

static void keep(uintptr_t handle, const nsp_context *context)
{
    if (!nsp_context_valid(context) || kept->count == kept->room)
        return;
    kept_span *span = &kept->spans[kept->count++];
    span->handle = handle;
    span->context = *context;
    span->context.remote = true; // to the child it is one of another process
    span->context.local_root = 0;
}

static void keep_thread(const nsp__producer *producer)
{
    for (const nsp__entry *entry = producer->hot.top; entry >= &producer->stack[0]; entry--) {
        nsp_context context;
        if (!nsp__has_frame((nsp_span *)entry->current) && entry->current != NSP__UNSAMPLED_ROOT)
            continue;
        nsp_span_context((nsp_span *)entry->current, &context);
        keep(entry->current, &context);
    }
}

static void keep_detached(const nsp__detached_pool *pool, size_t taken)
{
    for (size_t i = 0; i < taken; i++) {
        const nsp__frame *frame = nsp__detached_frame(pool, (uint32_t)i);
        uint32_t tag = __atomic_load_n(&frame->tag, __ATOMIC_ACQUIRE); // F2: acquires F1
        nsp_context context;
        if (tag == 0)
            continue;
        nsp__identity_context(frame, &context);
        // Other threads go on meanwhile, so only a frame that held the same span all the time is taken.
        __atomic_thread_fence(__ATOMIC_ACQUIRE); // F2: the identity was read before the tag is read again
        if (__atomic_load_n(&frame->tag, __ATOMIC_RELAXED) == tag)
            keep((uintptr_t)frame | (uint8_t)tag, &context);
    }
}

// Places of the pool that were ever taken.
static size_t taken_of(const nsp__detached_pool *pool)
{
    if (pool->frames == NULL || pool->left == NULL)
        return 0;
    uint32_t left = __atomic_load_n(pool->left, __ATOMIC_RELAXED);
    return left <= pool->count ? pool->count - left : pool->count;
}

void nsp__inherited_keep(void)
{
    const nsp__producer *producer = nsp__producer_self();
    // A handler that interrupts nanospan itself finds a stack that is not whole.
    if (producer != NULL && producer->hot.top == &producer->busy)
        producer = NULL;
    const nsp__detached_pool *pool = &nsp__trace_state.pool;
    size_t taken = __atomic_load_n(&nsp__active, __ATOMIC_ACQUIRE) ? taken_of(pool) : 0; // A2: acquires A1
    size_t before = inherited != NULL ? inherited->count : 0;
    size_t open = producer != NULL ? (size_t)(producer->hot.top - &producer->stack[0]) : 0;
    if (taken + open + before == 0)
        return;
    size_t room = taken + open + 1 + before;
    void *memory = mmap(NULL, bytes_of(room), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return; // the child's handles have no context then
    kept = memory;
    kept->room = room;
    if (producer != NULL)
        keep_thread(producer);
    keep_detached(pool, taken);
    for (size_t i = 0; i < before; i++)
        keep(inherited->spans[i].handle, &inherited->spans[i].context);
}

void nsp__inherited_drop(void)
{
    if (kept != NULL)
        munmap(kept, bytes_of(kept->room));
    kept = NULL;
}

void nsp__inherited_take(void)
{
    if (inherited != NULL)
        munmap(inherited, bytes_of(inherited->room));
    inherited = kept;
    kept = NULL;
}

bool nsp__inherited_context(const nsp_span *span, nsp_context *out)
{
    for (size_t i = 0; inherited != NULL && i < inherited->count; i++)
        if (inherited->spans[i].handle == (uintptr_t)span) {
            *out = inherited->spans[i].context;
            return true;
        }
    return false;
}

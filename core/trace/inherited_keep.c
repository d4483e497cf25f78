// SPDX-License-Identifier: Apache-2.0
#include "trace/inherited_keep.h"

#include "trace/inherited.h"
#include "trace/span_context.h"
#include "trace/trace_state.h"

static void keep_thread(const nsp__producer *producer)
{
    for (const nsp__entry *entry = producer->hot.top; entry >= &producer->stack[0]; entry--) {
        nsp_context context;
        if (!nsp__has_frame((nsp_span *)entry->current) && entry->current != NSP__UNSAMPLED_ROOT)
            continue;
        nsp_span_context((nsp_span *)entry->current, &context);
        nsp__inherited_add(entry->current, &context);
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
        // Other threads keep running, so a frame is taken only if it held the same span all the time.
        __atomic_thread_fence(__ATOMIC_ACQUIRE); // F2: the identity was read before the tag is read again
        if (__atomic_load_n(&frame->tag, __ATOMIC_RELAXED) == tag)
            nsp__inherited_add((uintptr_t)frame | (uint8_t)tag, &context);
    }
}

void nsp__inherited_keep(void)
{
    const nsp__producer *producer = nsp__producer_self();
    // A signal handler that interrupted nanospan itself finds an inconsistent stack.
    if (producer != NULL && nsp__is_busy(producer))
        producer = NULL;
    const nsp__detached_pool *pool = &nsp__trace_state.pool;
    size_t taken =
        __atomic_load_n(&nsp__active, __ATOMIC_ACQUIRE) ? nsp__detached_taken(pool) : 0; // A2: acquires A1
    // An unsampled root without a frame is the bottom of the stack.
    size_t open = 0;
    if (producer != NULL)
        open = (size_t)(producer->hot.top - &producer->stack[0]) +
               (producer->stack[0].current == NSP__UNSAMPLED_ROOT);
    if (!nsp__inherited_begin(taken + open))
        return;
    if (producer != NULL)
        keep_thread(producer);
    keep_detached(pool, taken);
    nsp__inherited_add_own();
}

// SPDX-License-Identifier: Apache-2.0
#include "trace/cpu.h"

uint64_t nsp__cpu_tag;
static nsp_name key_end, key_moved;

void nsp__cpu_keys_prepare(bool wanted)
{
    if (!wanted)
        return;
    const nsp_name key = nsp_intern("cpu.logical_number", sizeof "cpu.logical_number" - 1);
    key_end = nsp_intern("nanospan.cpu.end", sizeof "nanospan.cpu.end" - 1);
    key_moved = nsp_intern("nanospan.cpu.moved", sizeof "nanospan.cpu.moved" - 1);
    nsp__cpu_tag = nsp__item_tag(key, NSP_TYPE_I64, 0, 8);
}

// What glibc says of the memory that it has registered. Other libraries do not have them.
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned __rseq_size __attribute__((weak));

enum { CPU_ID = 4 }; // of the kernel's struct rseq: cpu_id_start, cpu_id

const uint32_t *nsp__cpu_of_thread(bool wanted)
{
    static const uint32_t unknown = UINT32_MAX;
    if (!wanted || &__rseq_offset == NULL || &__rseq_size == NULL || __rseq_size == 0)
        return &unknown;
    const char *area = (const char *)__builtin_thread_pointer() + __rseq_offset;
    const uint32_t *cpu = (const uint32_t *)(const void *)(area + CPU_ID);
    return __atomic_load_n(cpu, __ATOMIC_RELAXED) < NSP__CPU_UNKNOWN ? cpu : &unknown;
}

static void add(nsp__frame *frame, nsp_name key, uint32_t type, uint64_t value)
{
    const uint32_t length = type == NSP_TYPE_I64 ? 8 : 0, small = type == NSP_TYPE_BOOL ? (uint32_t)value : 0;
    *(nsp__pair *)(void *)nsp__frame_place(frame, frame->cursor) = (nsp__pair){
        nsp__item_tag(key, type, small, length) | nsp__item_mark(frame->tag), length != 0 ? value : 0};
    frame->cursor += NSP__ITEM_BYTES(length);
}

void nsp__cpu_begin_if_root(const nsp__producer *producer, nsp__frame *frame, const nsp__entry *below)
{
    const bool root = frame->record.local_root_id == frame->record.span_id &&
                      (below == NULL || below == &producer->stack[0]);
    frame->cpu = root ? (uint16_t)nsp__cpu_now(producer) : (uint16_t)NSP__CPU_UNKNOWN;
}

void nsp__cpu_end(const nsp__producer *producer, nsp__frame *frame, bool apart)
{
    const uint32_t begin = frame->cpu, end = nsp__cpu_now(producer);
    const uint32_t room = frame->limit + 2 * NSP__ITEM_BYTES(8); // that much less than what the ring takes
    if (begin == NSP__CPU_UNKNOWN || end >= NSP__CPU_UNKNOWN ||
        frame->record.local_root_id != frame->record.span_id)
        return;
    add(frame, (nsp_name)producer->cpu_tag, NSP_TYPE_I64, begin);
    if (begin == end || nsp__frame_bytes(frame) + 2 * NSP__ITEM_BYTES(8) > room)
        return;
    add(frame, key_end, NSP_TYPE_I64, end);
    if (!apart)
        add(frame, key_moved, NSP_TYPE_BOOL, true);
}

// SPDX-License-Identifier: Apache-2.0
//
// On which CPUs a local root began and ended. The kernel keeps the number of a thread's CPU up to date in memory of the
// thread (restartable sequences, which glibc registers from 2.35 on), so it is read without a system call. What was
// found out is written into the root's record where it ends, as attributes. Where the number is not known, nothing is.
//
// Only the frame under which the stack has its bottom ever holds a number, and the places of detached spans and the frame
// of the ruled root, so a local root that began while another span was current says nothing.
#ifndef NSP_TRACE_CPU_H
#define NSP_TRACE_CPU_H

#include "trace/thread_state.h"

// In a frame: there is no number. The number itself has 32 bits, so that one that the kernel does not give (-1, -2) is no
// number of a frame.
#define NSP__CPU_UNKNOWN 0xffffu

// Where the number of the calling thread's CPU can be read as long as the thread lives. wanted: false leads to a number
// that says "not known".
const uint32_t *nsp__cpu_of_thread(bool wanted);

// The keys of the attributes, if there are to be any. Before the session's threads begin spans.
void nsp__cpu_keys_prepare(bool wanted);

// The item of the first attribute, but for the number: what threads have of their own, where a span touches no page for
// it (nsp__producer.cpu_tag).
extern uint64_t nsp__cpu_tag;

static inline uint32_t nsp__cpu_now(const nsp__producer *producer)
{
    return __atomic_load_n(producer->cpu, __ATOMIC_RELAXED);
}

// For a local root that begins in this frame.
static inline __attribute__((always_inline)) void nsp__cpu_begin(const nsp__producer *producer,
                                                                 nsp__frame *frame)
{
    frame->cpu = (uint16_t)nsp__cpu_now(producer);
}

// For a span that begins in this frame, perhaps a local root, above this entry of the stack, or detached (NULL).
void nsp__cpu_begin_if_root(const nsp__producer *producer, nsp__frame *frame, const nsp__entry *below);

// Writes what is known into the record of a span that is about to be committed, if it is a local root. A frame's limit
// leaves room for one item behind that of the drops. apart: it is a detached span, which perhaps has gone to another CPU
// with another thread, so it is not said that a thread moved.
void nsp__cpu_end(const nsp__producer *producer, nsp__frame *frame, bool apart);

#endif

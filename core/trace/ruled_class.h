// SPDX-License-Identifier: Apache-2.0
//
// What each thread copies of the outlier rule of a class of names.
#ifndef NSP_TRACE_RULED_CLASS_H
#define NSP_TRACE_RULED_CLASS_H

#include "trace/outlier_rules.h"
#include "trace/thread_state.h"

// Gives a class this outlier rule, which is one. Its threshold and inverse logarithm are those of its rate, and it has no
// skips. With the producer busy, or before the thread begins spans.
void nsp__ruled_class_set(nsp__producer *producer, uint32_t name_class, const nsp__outlier_class *from);

// The policy changes: the open ruled root, if there is one, keeps the rule with which it began.
static inline void nsp__ruled_class_save(nsp__producer *producer)
{
    if (producer->ruled_class == NULL || producer->ruled_class == &producer->ruled_class_before)
        return;
    producer->ruled_class_before = *producer->ruled_class;
    producer->ruled_class = &producer->ruled_class_before;
}

// Draws how many roots of a ruled class are left out by the head until the next hit.
void nsp__ruled_class_draw(nsp__producer *producer, uint32_t name_class);

#endif

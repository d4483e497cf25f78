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

// Draws how many roots of a ruled class are left out by the head until the next hit.
void nsp__ruled_class_draw(nsp__producer *producer, uint32_t name_class);

#endif

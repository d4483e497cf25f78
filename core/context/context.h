// SPDX-License-Identifier: Apache-2.0
//
// Contexts, seen from inside.
#ifndef NSP_CONTEXT_CONTEXT_H
#define NSP_CONTEXT_CONTEXT_H

#include <nanospan/context.h>

// Makes it the invalid context: all zero.
void nsp__context_invalid(nsp_context *context);

#endif

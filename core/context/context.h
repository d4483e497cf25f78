// SPDX-License-Identifier: Apache-2.0
//
// Contexts, from the inside.
#ifndef NSP_CONTEXT_CONTEXT_H
#define NSP_CONTEXT_CONTEXT_H

#include <nanospan/context.h>

// Sets the context to the invalid one: all zero.
void nsp__context_invalid(nsp_context *context);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Contexts, seen from inside.
#ifndef NSP_STORE_CONTEXT_H
#define NSP_STORE_CONTEXT_H

#include <nanospan/context.h>

// Makes it the invalid context: all zero.
void nsp__context_invalid(nsp_context *context);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Why the kernel does not permit perf events, where perf_event_open fails with EACCES or EPERM.
#ifndef NSP_COMMON_PERF_PERMISSION_H
#define NSP_COMMON_PERF_PERMISSION_H

#include <stddef.h>

enum { NSP__PERF_PARANOID = 16 };

// The setting kernel.perf_event_paranoid as a text, or "" if it cannot be read.
void nsp__perf_paranoid(char out[NSP__PERF_PARANOID]);

// Writes what can be the cause with this setting, and what is to be done, as a sentence without its end.
void nsp__perf_remedy(char *out, size_t size, const char *paranoid);

#endif

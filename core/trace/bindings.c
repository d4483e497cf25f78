// SPDX-License-Identifier: Apache-2.0
//
// The inline functions of the public headers as exported symbols, for bindings of other languages.
#define NSP_INLINE NSP_API
#define NSP_INLINE_ALWAYS NSP_API

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

#include <nanospan/exporter.h>
#include <nanospan/span.h>

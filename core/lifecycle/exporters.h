// SPDX-License-Identifier: Apache-2.0
//
// The exporters that the library brings along. Core knows their interface and this list, not what is in it; the list is
// defined by exporters/builtin.c.
#ifndef NSP_LIFECYCLE_EXPORTERS_H
#define NSP_LIFECYCLE_EXPORTERS_H

#include <nanospan/exporter.h>

// Ends with NULL.
extern const nsp_exporter *const nsp__builtin_exporters[];

#endif

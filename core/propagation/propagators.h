// SPDX-License-Identifier: Apache-2.0
//
// The formats in use: a list of names, in the form of OTEL_PROPAGATORS.
#ifndef NSP_PROPAGATION_PROPAGATORS_H
#define NSP_PROPAGATION_PROPAGATORS_H

#include <nanospan/base.h>

#define NSP__PROPAGATORS_VARIABLE "OTEL_PROPAGATORS"
#define NSP__PROPAGATORS_DEFAULT "tracecontext,baggage"

typedef enum nsp__format {
    NSP__FORMAT_END, // the end of a list of formats
    NSP__FORMAT_TRACECONTEXT,
    NSP__FORMAT_BAGGAGE,
    NSP__FORMAT_B3,
    NSP__FORMAT_B3MULTI
} nsp__format;

// The formats in their order, in four bits each, the first in the lowest bits. A bit above them says that a
// choice was made, which may be a choice of no format.
typedef uint32_t nsp__formats;

// The names, in the order of the enum, then "none", then NULL.
extern const char *const nsp__propagator_names[];

static inline nsp__format nsp__formats_at(nsp__formats formats, size_t index)
{
    return index < 4 ? (nsp__format)(formats >> 4 * index & 15) : NSP__FORMAT_END;
}

// The formats in use: those that nsp_init chose, or else those of the environment. Signal safe.
nsp__formats nsp__propagators(void);

// The formats of a list. Names are matched in any case of letters, each counts once, unknown names are left
// out, and "none" adds no format. 0 if no name in the list is known.
nsp__formats nsp__propagators_read(const char *list);

// Makes this the list in use. A list without any known name changes nothing.
void nsp__propagators_choose(const char *list);

// Writes which names are left out and why; "" if none is.
void nsp__propagators_left_out(const char *list, char *out, size_t size);

// True if the list contains a name that OpenTelemetry defines and this library does not support.
bool nsp__propagators_unsupported(const char *list);

#endif

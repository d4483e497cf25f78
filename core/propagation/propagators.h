// SPDX-License-Identifier: Apache-2.0
//
// Which formats are in use: a list of names, as OTEL_PROPAGATORS has it.
#ifndef NSP_PROPAGATION_PROPAGATORS_H
#define NSP_PROPAGATION_PROPAGATORS_H

#include <nanospan/base.h>

#define NSP__PROPAGATORS_VARIABLE "OTEL_PROPAGATORS"
#define NSP__PROPAGATORS_DEFAULT "tracecontext,baggage"

typedef enum nsp__format {
    NSP__FORMAT_END, // behind the last of them
    NSP__FORMAT_TRACECONTEXT,
    NSP__FORMAT_BAGGAGE,
    NSP__FORMAT_B3,
    NSP__FORMAT_B3MULTI
} nsp__format;

// The formats in their order: four bits each, the first in the lowest; a bit above them says that a choice
// was made, which may be that of no format at all.
typedef uint32_t nsp__formats;

// The names, in the order of the enum, then "none", then NULL.
extern const char *const nsp__propagator_names[];

static inline nsp__format nsp__formats_at(nsp__formats formats, size_t index)
{
    return index < 4 ? (nsp__format)(formats >> 4 * index & 15) : NSP__FORMAT_END;
}

// Those in use: what nsp_init chose, or else the environment. Signal safe.
nsp__formats nsp__propagators(void);

// The formats of a list, in any case of letters, each once; what is not known is left out, and "none" is
// none. 0 if nothing in the list is known.
nsp__formats nsp__propagators_read(const char *list);

// Makes it the list in use. One with nothing known in it changes nothing.
void nsp__propagators_choose(const char *list);

// Writes which names are left out, and why; "" for none.
void nsp__propagators_left_out(const char *list, char *out, size_t size);

// True for names that OpenTelemetry knows and this library does not have.
bool nsp__propagators_unsupported(const char *list);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Percent escapes of baggage values, and the UTF-8 that is behind them.
#ifndef NSP_PROPAGATION_BAGGAGE_VALUE_H
#define NSP_PROPAGATION_BAGGAGE_VALUE_H

#include <nanospan/base.h>

// May the character stand in a value as it is? ('%' may: it begins an escape, or is what a careless sender wrote.)
bool nsp__baggage_octet(char c);

// Writes the encoded value, which must be UTF-8, and returns its length, which may be more than `room`: then nothing is
// written behind that. False: not UTF-8.
bool nsp__baggage_encode(const char *value, size_t length, char *out, size_t room, size_t *encoded);

// Decodes; what is not UTF-8 becomes U+FFFD, and an escape that is none stays as it is. Returns the length; out NULL: only
// that.
size_t nsp__baggage_decode(const char *value, size_t length, char *out);

#endif

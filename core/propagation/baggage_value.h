// SPDX-License-Identifier: Apache-2.0
//
// Percent escapes of baggage values, and the UTF-8 text that they encode.
#ifndef NSP_PROPAGATION_BAGGAGE_VALUE_H
#define NSP_PROPAGATION_BAGGAGE_VALUE_H

#include <nanospan/base.h>

// True if the character may stand in a value unescaped. '%' may: it begins an escape, or a careless sender
// wrote it.
bool nsp__baggage_octet(char c);

// Writes the encoded form of the value, which must be UTF-8. *encoded is its length, which may be more than
// `room`: nothing is written beyond that. False: not UTF-8.
bool nsp__baggage_encode(const char *value, size_t length, char *out, size_t room, size_t *encoded);

// Decodes the value. Bytes that are not UTF-8 become U+FFFD, and a percent sign that begins no valid escape
// stays as it is. Returns the length; with out NULL that is all it does.
size_t nsp__baggage_decode(const char *value, size_t length, char *out);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// A receiver's reply in JSON.
#ifndef NSP_OTLP_JSON_RESPONSE_H
#define NSP_OTLP_JSON_RESPONSE_H

#include <nanospan/base.h>

// Like nsp__otlp_encoding.read_response. Unknown members are skipped, but the reply must be valid JSON, or
// empty.
bool nsp__otlp_json_response_decode(const uint8_t *bytes, size_t length, int64_t *rejected, char *message,
                                    size_t size);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// What both protocols need to judge an answer.
#ifndef NSP_OTLP_TRANSPORT_REPLY_H
#define NSP_OTLP_TRANSPORT_REPLY_H

#include "otlp/transport/channel.h"

// Writes the report's line. What does not fit is cut off.
__attribute__((format(printf, 2, 3))) void nsp__otlp_explain(nsp_send_report *report, const char *format,
                                                             ...);

// There is no complete answer: RETRY if the request was certainly not taken, else UNKNOWN. Logs what to do
// about trouble with the configuration, at once and then once a minute.
nsp_send_result nsp__otlp_no_answer(nsp__otlp_channel *channel, const nsp__http_answer *answer,
                                    nsp_send_report *report);

// If the answer is a redirect, explains where it leads and returns true. No redirect is followed, because the
// headers may hold keys.
bool nsp__otlp_redirected(const nsp__otlp_channel *channel, const nsp__http_answer *answer,
                          nsp_send_report *report);

// The answer says success: EXPORTED if the reply is an OTLP one, else UNCONFIRMED, because a portal or a
// proxy may have answered in the receiver's place. encoding: the form of the reply.
nsp_send_result nsp__otlp_taken(const nsp__otlp_channel *channel, const nsp__otlp_encoding *encoding,
                                const uint8_t *reply, size_t length, nsp_send_report *report);

#endif

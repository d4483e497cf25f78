// SPDX-License-Identifier: Apache-2.0
//
// An OTLP/HTTP receiver that decodes what it receives into a tally and fails by a script, for tests of the
// statistics.
#ifndef NSP_TESTS_RECEIVER_H
#define NSP_TESTS_RECEIVER_H

#include "support/tally.h"

typedef enum receiver_manner {
    RECEIVER_ACCEPT,      // 200
    RECEIVER_ACCEPT_PART, // 200; the first span of each request is rejected
    RECEIVER_BUSY,        // 503, nothing taken
    RECEIVER_REFUSE,      // 400, nothing taken
    RECEIVER_LOSE_REPLY,  // everything taken, the connection closed without an answer
    RECEIVER_HANG_UP,     // nothing taken, the connection closed without an answer
    RECEIVER_STALL        // reads the request, never answers
} receiver_manner;

typedef struct receiver receiver;

// Starts listening on a free port. Answers request n with manners[n % count]; NULL: accepts everything.
receiver *receiver_start(const receiver_manner *manners, unsigned count);
void receiver_stop(receiver *me);
const char *receiver_endpoint(const receiver *me); // http://127.0.0.1:port
tally *receiver_tally(receiver *me);               // valid until the receiver is stopped
unsigned receiver_requests(receiver *me);

#endif

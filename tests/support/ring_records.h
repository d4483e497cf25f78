// SPDX-License-Identifier: Apache-2.0
//
// Records as their threads have written them: read in the rings, where nobody drains them.
//
//     rings_begin(1);                              // or rings_config, other members, capture_start
//     ... spans and paths ...
//     const nsp__record *record = ring_record("order");
//     rings_balance();                             // the account counts what lies in the rings
//     rings_end();
#ifndef NSP_TESTS_RING_RECORDS_H
#define NSP_TESTS_RING_RECORDS_H

#include <nanospan/nanospan.h>

#include "shm/path.h"

// As capture_config, with a collector that only works when it is asked to.
void rings_config(nsp_config *config);
void rings_begin(double rate);

// Reads the rings of all threads anew, one thread after the other, and returns how many records there are. Every one of
// them is checked: sizes, items up to its end, and of a path's body that its readings are as many as it says.
size_t rings_read(void);
const nsp__record *ring_record_at(size_t index);

// Reads the rings; the first record of this name, or one behind it (from 0). Fails the test if there is none.
const nsp__record *ring_record(const char *name);
const nsp__record *ring_record_number(const char *name, size_t number);
size_t ring_count(const char *name);

// What the record has: the value of its last attribute with this key, as text (numbers in decimal), NULL if there is none;
// how many items of a type.
const char *ring_text(const nsp__record *record, const char *key);
size_t ring_items(const nsp__record *record, unsigned type);
const char *ring_tracestate(const nsp__record *record); // "": none

// The body of a path's record.
const void *ring_body(const nsp__record *record);

// Fails the test unless attempted = open + dropped + what lies in the rings, a path with its phases.
nsp_stats rings_balance(void);

void rings_end(void);

// What the body returns on a thread of its own, which has ended by then.
void *thread_result(void *(*body)(void *), void *argument);

#endif

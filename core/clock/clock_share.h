// SPDX-License-Identifier: Apache-2.0
//
// The map of another process's session, for whoever drains it from outside. That process may write anything
// into the memory that both share, so the drainer works on a private copy, and publishes what it has added.
#ifndef NSP_CLOCK_CLOCK_SHARE_H
#define NSP_CLOCK_CLOCK_SHARE_H

#include "clock/clock.h"

// True if a private copy of a clock is one that the library could have written: its breakpoints are there, in
// order, and their rates can be calculated with. Whether its times are right is another question.
bool nsp__clock_sane(const nsp__clock *copy);

// Writes into the shared clock what the private copy says now, so that others may read it meanwhile, and the
// next drainer may continue. *published: what the shared one was given last time; at the beginning, the
// copy's own `published` as it was copied. It is renewed.
void nsp__clock_publish(nsp__clock *shared, const nsp__clock *copy, uint64_t *published);

// A map whose ticks are nanoseconds since 1970.
extern const nsp__clock nsp__clock_of_nanoseconds;

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The one place where the clock gets its readings, so that a test can supply clocks of its own.
#ifndef NSP_CLOCK_CLOCK_SOURCE_H
#define NSP_CLOCK_CLOCK_SOURCE_H

#include <nanospan/clock.h>
#include <nanospan/config.h>

typedef struct nsp__clock_source {
    uint64_t (*counter)(void);   // what nsp_now reads in counter mode, but ordered
    uint64_t (*monotonic)(void); // CLOCK_MONOTONIC, ns
    uint64_t (*realtime)(void);  // CLOCK_REALTIME, ns
    void (*pause)(uint64_t ns);  // waits for that time on CLOCK_MONOTONIC
} nsp__clock_source;

// The machine's own clocks.
extern const nsp__clock_source nsp__clock_system;

// Makes the library read these clocks from now on; NULL: those of the machine. For tests. The source must
// live until it is replaced. nsp_now follows only in fallback mode: in counter mode the instruction is
// inline.
void nsp__clock_source_use(const nsp__clock_source *source);

const nsp__clock_source *nsp__clock_source_get(void);

// Chooses what nsp_now reads, by setting nsp__clock_is_counter. The library's constructor calls it with AUTO;
// nsp_init calls it again if configured otherwise. Not while spans are being recorded.
void nsp__clock_select(nsp_clock_mode mode);

#endif

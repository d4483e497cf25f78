// SPDX-License-Identifier: Apache-2.0
//
// A session opened for draining, while its engine may be running. Sizes, places and counts are read through
// session_copy, validated, and kept in private memory; only then are the files mapped, under a guard. What a
// drainer exchanges with the engine through the mappings are positions, counters, headers and the bytes of
// records, names and batches, and none of these is trusted.
#ifndef NSP_OUTSIDE_SESSION_LIVE_H
#define NSP_OUTSIDE_SESSION_LIVE_H

#include "drain/ring_source.h"
#include "outside/session/session_copy.h"
#include "outside/drainer/session_guard.h"

typedef struct nsp__session_live {
    // Without its control, slots and texts once nsp__session_live_slim was called. Of its files only the
    // directory stays open.
    nsp__session_copy copy;
    // The file `alive`; -1: there is none. It stays open, because its lock tells whether the engine lives also
    // when somebody has removed the directory.
    int alive_fd;
    uint32_t threads_max, batch_count;
    uint64_t batch_bytes; // of one
    nsp__guard *guard;
    uint8_t *control, *batches;                  // the mapped files
    uint64_t *threads_taken, *threads_taken_end; // by slot: what was mapped of the file `threads`; 0: nothing
    uint32_t slot_count;                         // how many slots there were at the last look
    bool missing;      // at the last look, the memory of a thread could not be mapped
    char problem[160]; // "", or why nothing can be done with it any more
} nsp__session_live;

// Opens the session `name` in the folder that is open as folder_fd. The caller holds its consumer's lock.
// False: copy.state and copy.problem say why. To be closed in either case.
bool nsp__session_live_open(nsp__session_live *live, int folder_fd, const char *name);
void nsp__session_live_close(nsp__session_live *live);

// Frees what only the beginning needs.
void nsp__session_live_slim(nsp__session_live *live);

// Maps the threads that have come since the last look; `sources` has threads_max entries. Returns how many of
// them, from the front, there are. If something is damaged, `problem` says so, and the result is 0. A thread that
// cannot be mapped now, because this process has too many open files, mappings or too little memory, is looked at
// again at the next call.
uint32_t nsp__session_live_look(nsp__session_live *live, nsp__ring_source *sources);

// How many threads there are now, according to the engine.
uint32_t nsp__session_live_slots(const nsp__session_live *live);

// True if a mapping has faulted, or the session was given up. Then `problem` says why.
bool nsp__session_live_lost(nsp__session_live *live);
// Gives it up: its files are not touched any more.
void nsp__session_live_fail(nsp__session_live *live, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// True while the engine's lock is held.
bool nsp__session_live_alive(const nsp__session_live *live);

// True if somebody has removed its directory.
bool nsp__session_live_removed(const nsp__session_live *live);

// ---- the mapped parts ----

nsp__counters *nsp__session_live_counters(const nsp__session_live *live);
nsp__clock *nsp__session_live_clock(const nsp__session_live *live);
nsp__drainer *nsp__session_live_drainer(const nsp__session_live *live);
// NULL: its layout has none.
nsp__figures *nsp__session_live_figures(const nsp__session_live *live);
const nsp__outliers *nsp__session_live_outliers(const nsp__session_live *live);
nsp__snapshots *nsp__session_live_snapshots(const nsp__session_live *live);
const nsp__paths *nsp__session_live_paths(const nsp__session_live *live);
nsp__outlier_bounds *nsp__session_live_bounds(const nsp__session_live *live);
nsp__batch_header *nsp__session_live_header(const nsp__session_live *live, uint32_t batch);
uint64_t *nsp__session_live_coverage(const nsp__session_live *live, uint32_t batch);
uint8_t *nsp__session_live_data(const nsp__session_live *live, uint32_t batch);

#endif

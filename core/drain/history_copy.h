// SPDX-License-Identifier: Apache-2.0
//
// Copies the history in a thread's buffer (shm/speculation.h) while the thread goes on and overwrites it. The thread is
// never stopped, and nothing is written where it reads: what it has overtaken is discarded, and counted. The collector
// of the process uses it on mapped memory, and readers of other processes' sessions on their files.
#ifndef NSP_DRAIN_HISTORY_H
#define NSP_DRAIN_HISTORY_H

#include "context/threshold.h"
#include "shm/speculation.h"

// No buffer is larger (NSP_OUTLIER_BYTES), whatever a session of another process says.
enum { NSP__HISTORY_BYTES_MAX = 16 * 1024 * 1024 };

typedef struct nsp__history_positions {
    uint64_t consumed, kept, end; // slot.consumed, history_kept, history_end
} nsp__history_positions;

// Where a buffer lies, and how it is read.
typedef struct nsp__history_source {
    uint64_t bytes;        // of the buffer: a power of two; another record_bytes can be read after it
    uint32_t record_bytes; // of its largest record
    // Loads history_end first, with acquire (H2), then the others (H1). False: they cannot be read.
    bool (*positions)(const void *argument, nsp__history_positions *out);
    // Copies a part of the buffer that begins there, in multiples of 8. The thread may be writing in it. False: it cannot
    // be read.
    bool (*copy)(const void *argument, uint8_t *to, uint64_t offset, uint64_t bytes);
    const void *argument;
} nsp__history_source;

// A buffer in this process's memory.
typedef struct nsp__history_memory {
    const nsp__speculation *speculation;
    const uint8_t *bytes;
} nsp__history_memory;
// memory: has to stay as long as the source.
nsp__history_source nsp__history_of_memory(const nsp__history_memory *memory, uint64_t bytes,
                                           uint32_t record_bytes);

// A private copy: zeroed in the beginning. One may be read into again and again.
typedef struct nsp__history {
    uint8_t *bytes; // as long as the buffer and the space behind it; a record lies where it lies there
    uint64_t size, mask;
    uint32_t record_bytes;
    uint64_t at, end; // positions: of the next trace, and behind the last one
    uint64_t
        overtaken; // spans that were overwritten while they were read, since this began to be used; about
    bool damaged;  // what lies at `at` is no record
} nsp__history;

// Reads what lies there from this position on: its own end, where it was read before. False: no memory, or it cannot be
// read, or its positions are impossible; then it has no trace.
bool nsp__history_read(nsp__history *history, const nsp__history_source *source, uint64_t from);
void nsp__history_free(nsp__history *history);

// A whole trace: its records follow each other, and the local root is the last one.
typedef struct nsp__history_trace {
    uint64_t from, to;
    const nsp__record *root;
    uint64_t spans;
} nsp__history_trace;

// The next trace; the oldest comes first. False: there is none.
bool nsp__history_next(nsp__history *history, nsp__history_trace *trace);

// The record at this position of the copy, which is that of a record.
static inline const nsp__record *nsp__history_record(const nsp__history *history, uint64_t position)
{
    return (const nsp__record *)(const void *)(history->bytes + (position & history->mask));
}

// The root with the attribute nanospan.kept behind it, in a copy. room: NSP__HISTORY_ROOM bytes more than the largest
// record. key: the attribute's name in the session; why: 8 bytes at most.
enum { NSP__HISTORY_ROOM = 32 };
void nsp__history_mark_root(nsp__record *room, const nsp__record *root, nsp_name key, const char *why);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The one reader of another process's session. It trusts nothing: a session may be half made, damaged, of
// another version, or hostile, and may change or shrink at any moment. Everything is copied (pread) into
// private memory and validated before use; nothing is mapped, so nothing can raise SIGBUS. Positions are read
// before the data that they cover. A copy is used by one thread at a time; none of this is signal safe.
#ifndef NSP_OUTSIDE_SESSION_COPY_H
#define NSP_OUTSIDE_SESSION_COPY_H

#include <limits.h>
#include <stdbool.h>

#include "drain/batch.h"
#include "shm/control.h"
#include "shm/slot.h"
#include "shm/speculation.h"

// What is read of a slot as a whole. The rest has sections of its own, and is not of the same size in all releases.
enum { NSP__SLOT_HEAD = offsetof(nsp__slot, counters) };

// The kinds of sections that this version knows are below this number.
enum { NSP__SECTION_KINDS = NSP__SECTION_PATHS + 1 };

typedef enum nsp__session_state {
    NSP__SESSION_READABLE,
    NSP__SESSION_GONE,          // there is none of that name (any more)
    NSP__SESSION_NOT_STARTED,   // its engine is starting, or died before it could record anything, or it is
                                // half removed, as its name says: there is nothing in it
    NSP__SESSION_OTHER_VERSION, // its layout, or that of a section, is not known to this version
    NSP__SESSION_NOT_OURS,      // it belongs to another user, or others may access it
    NSP__SESSION_NOT_NOW,       // this process has too many open files, or the like, to read it
    NSP__SESSION_DAMAGED,       // its files are missing, cut short, inconsistent, or cannot be read
    NSP__SESSION_NO_MEMORY      // there is not enough memory to read it
} nsp__session_state;

typedef struct nsp__session_copy {
    char name[NAME_MAX + 1];
    int directory, control_fd, threads_fd, detached_fd, batches_fd; // -1: none
    uint64_t control_size, threads_size, detached_size, batches_size;
    bool alive;            // its engine's lock is held
    nsp__control *control; // a private copy in today's form, validated; names[].offset is in `texts`
    char *texts;           // the names' texts, each zero terminated
    nsp__section sections[NSP__SECTION_KINDS]; // by kind: where everything lies
    nsp__slot *slots; // private copies, slot_count of them; ring_bytes 0: not available
    uint32_t slot_count;
    uint32_t slots_lost; // threads whose slots cannot be read, although they were in shared memory; at least
    nsp__session_state state;
    char problem[160]; // "" or why it cannot be read, as the end of a sentence
    char damage[160];  // "" or what of it is missing, as the end of a sentence
} nsp__session_copy;

// Copies the control file and the slots of the session `name` in the folder that is open as folder_fd.
// for_writing: opens the files so that they can be written too. Each slot's positions are sane: `consumed` is
// at most `published`, and no more than a ring is between them. False: `state` and `problem` say why; with
// NSP__SESSION_NO_MEMORY errno is ENOMEM. To be closed in either case. Of a half-made session (see folder.h)
// only `directory`, `alive` and the state NSP__SESSION_NOT_STARTED are set.
bool nsp__session_copy_open(nsp__session_copy *out, int folder_fd, const char *name, bool for_writing);
// The same for a recovery, which writes, and takes what there is: files that are missing or cut short, except
// for `control`, and slots that cannot be read, are `damage` and not a problem. What lies there cannot be read,
// and is not available.
bool nsp__session_copy_open_damaged(nsp__session_copy *out, int folder_fd, const char *name);
void nsp__session_copy_close(nsp__session_copy *copy);

// What a public call returns where this state is not NSP__SESSION_READABLE.
nsp_status nsp__session_copy_status(const nsp__session_copy *copy);

// The slot with this index, or NULL if it is not available. Its type is nsp__slot_finder, with the copy as
// the argument.
const nsp__slot *nsp__session_copy_slot(void *copy, uint32_t index);

// True if a thread had its slot there, and it cannot be read.
bool nsp__session_copy_slot_lost(const nsp__session_copy *copy, uint32_t index);

// Memory of this size, zeroed, for a structure that lies on lines of its own; to be freed. NULL: none.
void *nsp__session_copy_memory(size_t bytes);

// ---- where it lies, for a drainer that writes ----

// Where a section of the control file begins there.
uint64_t nsp__session_copy_section_at(const nsp__session_copy *copy, nsp__section_kind kind);

// Where a slot, its counters, and one of its frames, lie in the file `threads`.
// The slot has to be available, and depth below its frame_count.
uint64_t nsp__session_copy_slot_at(const nsp__session_copy *copy, uint32_t slot);
uint64_t nsp__session_copy_slot_counters_at(const nsp__session_copy *copy, uint32_t slot);
uint64_t nsp__session_copy_frame_at(const nsp__session_copy *copy, uint32_t slot, uint32_t depth);
// Where a frame lies in the file `detached`, and a batch's header in the file `batches`.
uint64_t nsp__session_copy_detached_at(const nsp__session_copy *copy, uint32_t index);
uint64_t nsp__session_copy_batch_at(const nsp__session_copy *copy, uint32_t index);

// ---- the parts of the accounting that have to be read last ----

// The sampler's policy in force, in copy->control; NULL if it is damaged. It is read again, since it may be
// changing. *tuning: what lies beside it; NULL if the session has none, or it cannot be read. *outliers: the outlier rules
// that are in force with it; NULL if the session knows none.
const nsp__policy *nsp__session_copy_policy(nsp__session_copy *copy, const nsp__tuning **tuning,
                                            const nsp__outliers **outliers);

// Adds up the spans that all threads attempted until now, also those that have come since the copy was made;
// reads those of each slot, and the control's counters of threads without a slot, again. False if they cannot be read; `problem` says
// why.
bool nsp__session_copy_attempted(nsp__session_copy *copy, uint64_t *attempted);

// Set `problem` and `state`, for whoever goes on reading. They return false.
bool nsp__session_copy_not_started(nsp__session_copy *copy);
bool nsp__session_copy_without_beginning(nsp__session_copy *copy); // damaged, or not started
bool nsp__session_copy_no_memory(nsp__session_copy *copy);
bool nsp__session_copy_damaged(nsp__session_copy *copy, const char *problem);
// Adds to `damage`.
void nsp__session_copy_note_damage(nsp__session_copy *copy, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool nsp__session_copy_fail(nsp__session_copy *copy, nsp__session_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// ---- frames ----

// Reads a frame with its record and items, at most `size` bytes; sizeof(nsp__frame) reads the fixed part
// only. NSP__FRAME_COPY_MAX bytes hold every frame. If the frame is open, record.bytes becomes the bytes of
// the record so far, all of which are there. False if it cannot be read, if there is no such frame, or if it
// is open and its cursor is impossible or its record longer than `size` (which only matters beyond the fixed
// part).
enum { NSP__FRAME_COPY_MAX = 72 * 1024 };
bool nsp__session_copy_frame(const nsp__session_copy *copy, uint32_t slot, uint32_t depth, nsp__frame *out,
                             size_t size);
// Of a dead engine, and the fixed part of an open frame: the phases of a path that was just ending, if it had counted
// them as attempted. Where a slot's frame, or one of the detached pool, lies: as below.
uint32_t nsp__session_copy_counted_phases(const nsp__session_copy *copy, const nsp__frame *frame, int fd,
                                          uint64_t at);
// The number of places of the detached pool that were ever taken: at the front of the pool.
uint32_t nsp__session_copy_detached_count(const nsp__session_copy *copy);
bool nsp__session_copy_detached(const nsp__session_copy *copy, uint32_t index, nsp__frame *out, size_t size);

// ---- records ----

// The records of one ring between two positions. Windows of the ring are copied, and each record is checked
// before it is handed out: its size, and that its items fill it exactly. What the record says (names, kinds,
// items' types) is not checked.
typedef struct nsp__ring_copy {
    const nsp__session_copy *copy;
    const nsp__slot *slot;
    uint64_t file_at; // of the ring, in the file `threads`
    uint64_t at, to;  // positions: of the next record, and of the end
    bool damaged;     // no record can begin at `at`; nothing tells where the next one begins
    uint8_t *window;  // window_from to window_to of the ring
    uint64_t window_from, window_to;
} nsp__ring_copy;

// The slot has to be available. False if the positions are not within the ring, or if there is no memory
// (errno ENOMEM). To be ended in either case.
bool nsp__ring_copy_begin(nsp__ring_copy *ring, const nsp__session_copy *copy, uint32_t slot, uint64_t from,
                          uint64_t to);
// The same for a ring, or what is like one, that is described by `slot` and lies there in the file `threads`.
bool nsp__ring_copy_begin_at(nsp__ring_copy *ring, const nsp__session_copy *copy, const nsp__slot *slot,
                             uint64_t file_at, uint64_t from, uint64_t to);
// The next record, valid until the next call. NULL at the end, or if the ring is damaged there or cannot be
// read (then .damaged is true, and .at says where).
const nsp__record *nsp__ring_copy_next(nsp__ring_copy *ring);
void nsp__ring_copy_end(nsp__ring_copy *ring);

// ---- batches ----

// The header of a batch, below control->batch_count: its state is one of NSP__BATCH_..., its bytes lie in the
// part of the file that belongs to this batch alone, and head <= length <= capacity. Of an empty batch only
// the state counts. False if it cannot be read or is not sane. What it says of spans, encodings and coverage
// is not checked.
bool nsp__session_copy_batch(const nsp__session_copy *copy, uint32_t index, nsp__batch_header *out);
// How many of its spans are neither settled nor about to be entered as settled.
uint64_t nsp__session_copy_batch_unsettled(const nsp__batch_header *header);
// How many of its bytes, from 0 to header->length, lie in the file: all, unless it was cut short.
uint64_t nsp__session_copy_batch_there(const nsp__session_copy *copy, const nsp__batch_header *header);
// Reads the batch's bytes from 0 to header->length; `to` has room for them. False if they cannot be read.
bool nsp__session_copy_batch_bytes(const nsp__session_copy *copy, const nsp__batch_header *header,
                                   uint8_t *to);
// For each thread, the ring position up to which the batch holds its records; control->threads_max words.
bool nsp__session_copy_coverage(const nsp__session_copy *copy, uint32_t index, uint64_t *positions);

// ---- speculation ----

// What a thread's slot says of its speculative spans. False if the session has no such section, or if it cannot be read.
bool nsp__session_copy_speculation(const nsp__session_copy *copy, uint32_t slot, nsp__speculation *out);

// Where that lies in the file `threads`.
uint64_t nsp__session_copy_speculation_at(const nsp__session_copy *copy, uint32_t slot);

// Of a dead engine: the spans of the trace that this thread was just keeping, if it had counted them as attempted and not
// published them. They were never recorded.
uint64_t nsp__session_copy_half_kept(const nsp__session_copy *copy, uint32_t slot);

// A thread's buffer. Its records are read like those of a ring.
typedef struct nsp__buffer_copy {
    nsp__speculation speculation;
    bool placed; // its place is sane
    bool sane;   // and so are its positions, which those of a thread that runs need not be
    // `from` and history_end are at most `to`, and no more than the buffer is between them. Up to history_end lie traces
    // that have ended and are not kept, behind it what there is of the one that is open.
    uint64_t from, history_end, to;
} nsp__buffer_copy;

// False if the thread has no buffer, or if it cannot be read.
bool nsp__session_copy_buffer(const nsp__session_copy *copy, uint32_t slot, nsp__buffer_copy *out);
// Of one that is sane; it has to stay until the ring copy is ended. False: no memory.
bool nsp__ring_copy_begin_buffer(nsp__ring_copy *ring, const nsp__session_copy *copy, uint32_t slot,
                                 const nsp__buffer_copy *buffer);

// ---- names, resource ----

// A name's text, zero terminated, or NULL if the session has no such name. Valid until the copy is closed.
const char *nsp__session_copy_name(const nsp__session_copy *copy, nsp_name name, size_t *length);

typedef struct nsp__resource_entry {
    nsp_type type;
    const char *key, *value; // zero terminated; valid until the copy is closed
} nsp__resource_entry;

// Iterates the resource: *at begins at 0. False at the end, or where the rest is damaged.
bool nsp__session_copy_resource(const nsp__session_copy *copy, size_t *at, nsp__resource_entry *out);

#endif

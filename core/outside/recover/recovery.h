// SPDX-License-Identifier: Apache-2.0
//
// The inside of a recovery (<nanospan/recover.h>): recover.c opens and ends it, recover_left.c finds what a
// drainer has left, recover_find.c counts what is there, recover_speculative.c what was not decided, recover_damage.c what is not, recover_export.c sends it, recover_settle.c enters the outcome in the
// session, and recover_file.c notes there which file has everything, until that is entered.
#ifndef NSP_OUTSIDE_RECOVERY_H
#define NSP_OUTSIDE_RECOVERY_H

#include <nanospan/exporter.h>
#include <nanospan/recover.h>

#include "drain/path_plan.h"
#include "outside/recover/recovery_names.h"
#include "outside/recover/recover_writes.h"
#include "outside/recover/settlement.h"
#include "outside/session/session_copy.h"

// What to take out of one thread's ring.
typedef struct nsp__found_ring {
    uint64_t from;  // up to here the drainer was done, or a batch holds the records
    bool moved;     // `from` lies beyond the position that the session says: a batch that was being filled
    uint64_t count; // records from there on
    uint64_t
        covered; // records up to there that the session had not released, and perhaps not counted as drained
    uint64_t lost; // records that damage hides, of those that were committed
    bool damaged;  // the records cannot be read to the end
    bool refused;  // the receiver has refused what comes next in it; guarded by the outbox
} nsp__found_ring;

// No thread of the session has its memory there.
#define NSP__NO_SLOT UINT32_MAX

// An open span.
typedef struct nsp__found_frame {
    bool detached;
    uint32_t index; // the depth, or the place in the pool
    // Where it lies on a stack, and whose counters say that it was taken out. A detached span belongs to no
    // thread before one ends it, so any slot will do; NSP__NO_SLOT if there is none.
    uint32_t slot;
    bool speculative; // of a trace that was not decided yet
    // Of a path, the phases that had begun are spans too, and all but the last of them finished ones. Unless its end had
    // counted them, they are not among those that the engine's counts say were begun.
    uint32_t phases, uncounted;
    bool refused; // as in nsp__found_ring
} nsp__found_frame;

// What a thread's buffer of speculative spans holds, where the recovery is to export that.
typedef struct nsp__found_buffer {
    nsp__buffer_copy copy;
    uint64_t history, open; // records of traces that have ended, and of the one that is open
    uint64_t open_root;     // that one's local root; 0: none is open
    uint64_t left_out;      // spans of the open one that are neither there nor open
    // Of them, so many were counted as attempted when the engine died, and are not any more.
    uint64_t half_kept;
    bool changed; // by a settlement that is being written
    bool refused; // as in nsp__found_ring
} nsp__found_buffer;

typedef struct nsp__found_batch {
    nsp__batch_header header;
    uint32_t index;
    bool foreign; // only its own exporter can read it
    bool refused; // as in nsp__found_ring
} nsp__found_batch;

struct nsp_recovery {
    nsp__session_copy copy;
    int folder; // open, as long as the recovery is
    int lock;   // nsp__session_consume
    nsp__recovery_names names;
    nsp__path_plans paths;        // the declarations in the copy
    nsp_recovery_account account; // without what becomes of the spans during the export, except in the end
    uint32_t attempts;            // that failed so far, without this one; 0 once something is settled
    bool advanced;                // something is settled
    nsp__found_ring *rings;       // by slot
    nsp__found_buffer *buffers;   // by slot; NULL: speculative traces are left out
    nsp__found_frame *frames;
    size_t frame_count;
    nsp__found_batch *batches; // in the order in which they were closed; one that was being filled comes last
    size_t batch_count;
    // Spans of all rings that were drained; that are settled or in batches; and that the drainer was giving up, of
    // which some may not be counted as discarded yet.
    uint64_t drained, settled, given_up;
    nsp_ticks last_reading;   // the latest that the session knows
    bool damaged;             // something was
    bool interrupted;         // a recovery died while it entered in the session what it had sent
    uint64_t damaged_batches; // whose headers cannot be read
    uint64_t lost_frames;     // that cannot be read
    // Spans that no place holds. They had been taken out of rings, so batches held them, and they are in
    // from_batches; or they were open, as far as there are lost frames for them, and are in `unfinished`.
    uint64_t hidden;
    uint64_t uncounted;  // phases of open paths that are in no count of the engine's
    uint64_t unreadable; // spans that the export has found damaged: `hidden`, and those of the other places
    bool empty;          // its engine died before it could record anything; the copy is not complete
    bool export_begun;
    bool exporter_failed;  // it could not be created, or cannot write
    bool request_in_doubt; // the export ended while spans of its last request may have been taken
    nsp__settlement later; // exported, to be settled by nsp_recovery_settle
    nsp__writes writes;    // of the settlement that is being entered
};

// recover.c: notes how many attempts have failed, this one among them if it found the session damaged.
void nsp__recovery_end_attempt(const nsp_recovery *recovery);

// recover_left.c. Finds batches and rings, of a session of which this process has the lock; its engine may be
// recording. Fills batches, rings (without `count`) and sums, and in the account what is in batches; completes in the
// copy what a batch's outcome says. False: no memory.
bool nsp__recovery_find_left(nsp_recovery *recovery);
// Completes in the copy `drained` and `discarded` where the sums say that their drainer died before it counted them.
void nsp__recovery_complete_counts(nsp_recovery *recovery);
// Counts as drained the records of a ring that are `covered`.
void nsp__recovery_count_covered(nsp_recovery *recovery, uint32_t index);
// Walks the records of a slot's ring between two positions, and counts them. *damaged: there are more, which nobody can
// read. False: no memory.
bool nsp__recovery_walk(nsp_recovery *recovery, uint32_t slot, uint64_t from, uint64_t to, uint64_t *count,
                        bool *damaged);
void nsp__recovery_note_reading(nsp_recovery *recovery, nsp_ticks ticks);

// recover.c: the names of the session, and the declarations of its paths. False: no memory.
bool nsp__recovery_tables_init(nsp_recovery *recovery);
// Logs what is wrong with declarations that records referred to.
void nsp__recovery_tell_paths(nsp_recovery *recovery);

// recover_find.c: finds everything that a dead engine has left, and fills the account. False: no memory.
bool nsp__recovery_find(nsp_recovery *recovery);

// Adds an open frame, and notes what readings of the clock it has. frame: room for NSP__FRAME_COPY_MAX bytes. attempted:
// what the thread has counted into which its spans are counted, which tells whether the phases of a path are. False: no
// memory.
bool nsp__recovery_add_frame(nsp_recovery *recovery, const nsp__found_frame *found, nsp__frame *frame,
                             uint64_t attempted);

// recover_speculative.c. Finds the traces that were not decided yet when the engine died, and those that its threads had
// not overwritten since: fills `buffers`, and adds to `frames` and to the account. Once. False: no memory.
bool nsp__recovery_find_speculative(nsp_recovery *recovery);
// Counts in the account what that would find, and changes nothing else. False: no memory.
bool nsp__recovery_count_left_out(nsp_recovery *recovery);
// Takes pieces of them out, in the copies of the session; of a frame, one span. Returns how much that adds to what the
// slot's thread attempted.
void nsp__recovery_take_speculative(nsp_recovery *recovery, const nsp__piece *piece);
// Puts what that has changed beside the slot among the writes. False: no memory.
bool nsp__recovery_put_speculative(nsp_recovery *recovery, uint32_t slot);

// How many spans an open frame stands for.
static inline uint64_t nsp__found_frame_spans(const nsp__found_frame *found)
{
    return 1 + (uint64_t)found->phases;
}

// recover_damage.c. The sum of all places in the account.
uint64_t nsp__recovery_known(const nsp_recovery_account *account);
// True if there were threads whose counts the session does not say.
static inline bool nsp__recovery_threads_unknown(const nsp_recovery_account *account)
{
    return account->threads_private != 0 || account->threads_lost != 0;
}
// If there are more spans than were begun, some that were drained are found once more, since a position is
// damaged: leaves them out. False: no memory.
bool nsp__recovery_leave_out_settled(nsp_recovery *recovery);
// If there are fewer, finds those that damage hides, and those whose recovery died before it had counted
// them.
void nsp__recovery_find_hidden(nsp_recovery *recovery);

// recover_unfinished.c: reads an open frame and turns it into the record of an unfinished span. `frame` has
// room for NSP__FRAME_COPY_MAX + NSP__UNFINISHED_ROOM bytes, and the result lies in it. NULL: it cannot be
// read any more.
// A local root of a trace that was not decided also gets nanospan.kept and, if spans are missing, nanospan.left_out.
enum { NSP__UNFINISHED_ROOM = 64 };
const nsp__record *nsp__recovery_unfinished(const nsp_recovery *recovery, const nsp__found_frame *found,
                                            nsp__frame *frame);
// Adds nanospan.kept to the local root of a trace that had ended. There is room behind it.
void nsp__recovery_mark_kept(const nsp_recovery *recovery, nsp__record *record);
bool nsp__recovery_read_frame(const nsp_recovery *recovery, const nsp__found_frame *found, nsp__frame *frame,
                              size_t size);
// The latest reading of the clock in an open frame.
nsp_ticks nsp__recovery_frame_reading(const nsp__frame *frame);

// recover_settle.c. Writes the settlement into the session, as a drainer and a sender would. If this process dies in
// between, the next recovery completes it (recover_writes.h). Where there was no room to note it, some spans are in
// none of the places, but missing between `drained` and the counters; and what had to be counted as attempted because it
// was exported, but was not taken out yet, is found once more: phases of open paths, and speculative spans. False with
// errno set: something could not be written.
bool nsp__recovery_write(nsp_recovery *recovery, const nsp__settlement *settlement);
// The session's counters as they are after this settlement.
nsp__counters nsp__recovery_counters(const nsp_recovery *recovery, const nsp__settlement *settlement);
// Fails with NSP_ERR_SYSTEM, and a detail that says why the session could not be written (errno) and what to
// do.
nsp_status nsp__recovery_unwritable(int error);

#endif

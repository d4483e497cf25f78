// SPDX-License-Identifier: Apache-2.0
//
// History: what was taken back under a rule with `history` and lies in the thread's buffer until it is overwritten
// (shm/speculation.h). With the producer busy.
#ifndef NSP_TRACE_SPECULATION_HISTORY_H
#define NSP_TRACE_SPECULATION_HISTORY_H

#include <nanospan/exporter.h>

#include "base/testpoint.h"
#include "trace/speculation.h"

static inline uint64_t nsp__history_end(const nsp__producer *producer)
{
    return __atomic_load_n(&producer->speculation->history_end, __ATOMIC_RELAXED);
}

// The size of a piece of such a buffer, as a power of two. Small enough that one of them is soon looked through, and large
// enough that a trace seldom comes to the end of one: 8 KiB, but at most an eighth of the buffer, and at least as much of
// it as there are places for.
static inline uint64_t nsp__history_shift_of(uint64_t buffer_bytes)
{
    enum { SMALL = 13, EIGHTH = 3 };
    const uint64_t bits = (uint64_t)__builtin_ctzll(buffer_bytes);
    const uint64_t least = (uint64_t)__builtin_ctzll(buffer_bytes / NSP__HISTORY_PIECES);
    const uint64_t most = bits - EIGHTH < SMALL ? bits - EIGHTH : SMALL;
    return most > least ? most : least;
}

// For a thread that takes over a slot: what other threads did there before is no history of its own.
void nsp__history_begin_thread(nsp__producer *producer);

// Gives up the oldest traces, until the buffer may be filled up to this position. False: the trace that is open would
// be overwritten.
bool nsp__history_make_room(nsp__producer *producer, uint64_t reached);

// Publishes the trace that ends there, which is whole.
static inline __attribute__((always_inline)) void nsp__history_publish(nsp__speculation *speculation,
                                                                       uint64_t reached)
{
    NSP__TESTPOINT("history: root copied");
    nsp__slot_publish(&speculation->slot, reached);
    NSP__TESTPOINT("history: not yet the end");
    __atomic_store_n(&speculation->history_end, reached,
                     __ATOMIC_RELEASE); // H2: with all that lies before it
    NSP__TESTPOINT("history: grown");
    nsp__speculation_settle(speculation);
}

// The trace of the root in this frame is history from now on: its records lie in the buffer already, the root's is put
// behind them. Closes the frame. False if there is no room; then nothing has happened.
bool nsp__history_add(nsp__producer *producer, nsp__frame *frame, nsp_ticks end);

// Notes where pieces of the buffer begin, after history has grown from here to there.
void nsp__history_note_pieces(nsp__producer *producer, uint64_t from, uint64_t to);

// True if that is necessary.
static inline bool nsp__history_in_new_piece(const nsp__producer *producer, uint64_t from, uint64_t to)
{
    return (from ^ to) >> producer->history_shift != 0;
}

// ---- keeping it with an outlier ----

// What of the history is kept: all traces from `from` on whose roots ended in time, but for the oldest that do not fit.
// Roots end one after another, so those that lie before one that ended too early are not looked at one by one.
typedef struct nsp__history_choice {
    uint64_t from, to; // positions in the buffer
    nsp_ticks reaches; // the earliest reading with which a root may have ended
    uint64_t bytes;    // bytes in the ring that they need
    uint64_t traces, spans;
} nsp__history_choice;

// Chooses what is to be kept with the outlier in this frame, in so many bytes of the ring. What that takes follows what is
// kept, and not the size of the buffer: at most two pieces of it more are looked through.
void nsp__history_choose(nsp__producer *producer, const nsp__frame *frame, uint64_t history_ns, uint64_t room,
                         nsp__history_choice *out);

// Writes it into the ring at this position, where there is room for it, and links it to the outlier. links: becomes the
// identities of its roots, newest first, as many as there is room for. Returns how many these are.
size_t nsp__history_put(nsp__producer *producer, const nsp__frame *frame, const nsp__history_choice *choice,
                        uint64_t at, nsp_item_link *links, size_t most);

#endif

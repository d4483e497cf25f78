// SPDX-License-Identifier: Apache-2.0
//
// The context switches of the threads that record, matched to their spans while those are taken out of the rings: the
// innermost span that a thread was in when it left its CPU gets an event, `preempted` or `waited`, and that span and
// the local root the sum (nanospan.off_cpu_ns). The threads know nothing of it. Whoever drains opens their perf events
// (switch_ring.h), and reads them after the published positions were taken and before the first record is taken out: a
// span that is published has ended, and so the kernel has written down every switch that happened in it.
//
// The records of a ring come innermost first, so the first span that a switch lies in is the innermost one.
#ifndef NSP_DRAIN_SWITCHES_H
#define NSP_DRAIN_SWITCHES_H

#include <nanospan/exporter.h>

#include "clock/clock.h"
#include "drain/notices.h"
#include "drain/path_plan.h"
#include "drain/ring_source.h"
#include "drain/switch_ring.h"
#include "shm/drainer.h"

enum {
    NSP__SWITCHES_KEPT = 512,  // of a thread, until the spans that they lie in have come
    NSP__SWITCHES_EVENTS = 64, // the most that one span gets, the longest ones
    NSP__SWITCHES_ITEMS =
        65536 + NSP__PATH_ITEMS_MAX + NSP__ITEM_BYTES(8) +
        NSP__SWITCHES_EVENTS * (NSP__ITEM_BYTES(sizeof(nsp_item_event)) + NSP__ITEM_BYTES(8))
};

// Whether a span has a switch as an event. HELD: a span of a path has, of which it is not known yet whether all of it
// fits into the batch.
typedef enum nsp__switch_owner { NSP__SWITCH_FREE, NSP__SWITCH_TAKEN, NSP__SWITCH_HELD } nsp__switch_owner;

// A time that a thread was off the CPU, in ticks.
typedef struct nsp__switch {
    nsp_ticks out, in;
    bool preempted;
    uint8_t taken; // an nsp__switch_owner
} nsp__switch;

typedef struct nsp__switches_thread {
    nsp__switch_ring ring;
    uint32_t tid;   // whose ring that is, or could not be opened; 0: nobody's
    bool off;       // the thread left the CPU, at `out`
    bool preempted; // and that is why
    nsp_ticks out;
    nsp_ticks missed; // before this, some of what happened is not known any more
    uint64_t added;   // to the list, ever: number i is at i % NSP__SWITCHES_KEPT
    nsp__switch *list;
} nsp__switches_thread;

typedef struct nsp__switches {
    nsp__switch_names names;
    uint32_t thread_count, event_limit;
    // Whose threads they are; 0: this process's. Those of another one are trusted to be its own only if the kernel says
    // so.
    uint32_t pid;
    bool forbidden;          // the kernel does not permit any
    uint64_t switches, lost; // read, and not read, since the last look at the figures
    nsp__switches_thread *threads;
    nsp_ticks *latest; // by thread slot: the end of the latest in its list; 0: none
    struct {           // what the last span that was described lies over
        nsp__switches_thread *thread;
        nsp_ticks start, end;
    } described;
    uint8_t *items; // of that span
} nsp__switches;

// NULL: no memory.
nsp__switches *nsp__switches_new(const nsp__switch_names *names, uint32_t pid, const nsp_config *config);
void nsp__switches_free(nsp__switches *switches);

// To be called in a pass, after the published positions were taken and the clock was anchored. figures: or NULL.
void nsp__switches_read(nsp__switches *switches, const nsp__ring_source *sources, uint32_t count,
                        const nsp__clock *clock, nsp__figures *figures, nsp__notices *notices);

// True if a thread has come or gone, or its ring should be read soon.
bool nsp__switches_wait(const nsp__switches *switches, const nsp__ring_source *sources, uint32_t count);

// True if the thread of this slot has left the CPU since the span began.
static inline bool nsp__switches_concern(const nsp__switches *switches, uint32_t slot,
                                         const nsp__record *record)
{
    return switches->latest[slot] > record->start && record->detached == 0;
}

// Writes what is known into the view of such a span, which then borrows the items from here until the next call. True
// if there is anything.
bool nsp__switches_describe(nsp__switches *switches, uint32_t slot, const nsp__record *record,
                            nsp_span_view *view);

// The span that was described last is on its way: its switches are no other span's.
void nsp__switches_taken(nsp__switches *switches);
// The same for a span of a path, until nsp__switches_decide says for all of them whether they are on their way.
void nsp__switches_hold(nsp__switches *switches);
void nsp__switches_decide(nsp__switches *switches, bool taken);

// Why there are none, and what is to be done, for a log: `error` and `mapping` as of nsp__switch_ring_open.
enum { NSP__SWITCHES_WHY = 400 }; // bytes that hold each of them
void nsp__switches_explain(char *out, size_t size, int error, bool mapping);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// What programs/crash_engine.c intends and has done, for the test that kills it. The journal is a file that
// both map; it has nothing to do with the engine's session. What a span looks like follows from its number
// alone, so the test knows every value that the engine may have set, and its text form can be compared.
#ifndef NSP_TESTS_CRASH_JOURNAL_H
#define NSP_TESTS_CRASH_JOURNAL_H

#include <nanospan/nanospan.h>
#include <stdio.h>

enum {
    JOURNAL_SPANS_MAX = 16384,
    JOURNAL_POINTS_MAX = 96,   // testpoints
    JOURNAL_POINT_NAME = 64,   // bytes of the longest name, with its zero
    JOURNAL_OPERATIONS_MAX = 8 // of one span, after its beginning
};

#define JOURNAL_REMOTE UINT32_MAX
#define JOURNAL_REMOTE_PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#define JOURNAL_REMOTE_STATE "vendor=state"

// What is known of a span if its engine has been killed.
typedef enum journal_state {
    JOURNAL_NONE = 0,      // not begun, or not recorded: it must not be found
    JOURNAL_BEGINNING = 1, // it may be found, unfinished
    JOURNAL_BEGUN = 2,     // it must be found, unfinished
    JOURNAL_ENDING = 3,    // it must be found, finished or not
    JOURNAL_ENDED = 4      // it must be found, finished, unless the engine counted it as dropped
} journal_state;

typedef enum journal_phase {
    JOURNAL_STARTING = 0,
    JOURNAL_RUNNING = 1, // nsp_init has returned
    JOURNAL_STOPPING = 2 // all spans have ended; the process is about to shut tracing down and to exit
} journal_phase;

// Written by the thread that works on the span. After the state (release), which is written last, the other
// members are those of that state or later. All zero: unused.
typedef struct journal_span {
    uint32_t state;
    uint32_t parent;  // number of the parent; 0: none; JOURNAL_REMOTE
    uint32_t kind;    // nsp_kind; set just after the span has begun, so while BEGINNING it may be INTERNAL
    uint32_t begun;   // operations that have begun, of those in journal_operation's order
    uint32_t done;    // operations that have returned
    uint64_t span_id; // as in memory; 0 until it is known, also while BEGINNING
    uint64_t trace_id[2];
} journal_span;

typedef struct journal {
    uint32_t phase; // journal_phase
    uint32_t used;  // numbers handed out; the first is 1
    uint32_t limit; // the engine ends by itself when so many were handed out
    uint32_t point_count;
    uint64_t dropped;      // since STOPPING: spans that found their ring full when they ended
    struct journal_point { // written by the test before the engine starts, except for the visits
        char name[JOURNAL_POINT_NAME];
        uint32_t visits;
    } points[JOURNAL_POINTS_MAX];
    journal_span spans[JOURNAL_SPANS_MAX];
} journal;

// Maps the journal file; NULL with errno set. create: makes it first, empty.
journal *journal_map(const char *path, bool create);
void journal_unmap(journal *map);

// ---- the plan of a span ----

typedef enum journal_operation {
    OPERATION_NUMBER, // the attribute "number"; always the first
    OPERATION_I64,
    OPERATION_F64,
    OPERATION_BOOL,
    OPERATION_LITERAL, // a text that is stored in place
    OPERATION_TEXT,
    OPERATION_BYTES,
    OPERATION_STRS,
    OPERATION_I64S,
    OPERATION_F64S,
    OPERATION_BOOLS,
    OPERATION_EVENT,
    OPERATION_EVENT_WITH, // with attributes
    OPERATION_LINK,       // with an attribute
    OPERATION_STATUS,
    OPERATION_RENAME
} journal_operation;

// A span's name; a few have one of their own.
const char *journal_name(uint32_t number, char text[32]);
nsp_kind journal_kind(uint32_t number); // for those that begin with options
uint32_t journal_operations(uint32_t number);
journal_operation journal_operation_at(uint32_t number, uint32_t index);

// Does one operation on the span.
void journal_operate(nsp_span *span, uint32_t number, uint32_t index);

// ---- the text of a span ----

enum { JOURNAL_TEXT_MAX = 8192 };

// The text of a span with this kind after that many operations. torn: if the last one sets a status, its
// message is not written yet. For decoders of exported spans, the parts of this text are:
//     name|kind|status:message|attributes|events|links
// attribute: key=value;  event: name{attributes}  link: trace-span{attributes}
// value: s:text b:0 i:1 d:0.5 x:hex [value,value,]
void journal_text(char text[JOURNAL_TEXT_MAX], uint32_t number, nsp_kind kind, uint32_t operations,
                  bool torn);

#endif

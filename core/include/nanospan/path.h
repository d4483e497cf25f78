// SPDX-License-Identifier: Apache-2.0
//
// Paths: traces whose shape is known when the program is compiled. A declaration says once which phases a path goes
// through and which fields they have. What is recorded of a path is then a struct: to mark a phase is one clock read
// and two stores, to set a field is a plain store, and one record holds all of it. It is exported as the spans that
// ordinary calls would have made: one for the path, and one below it for each phase that was marked.
//
//     #define MATCH(PHASE, I64, F64, STR, BOOL) STR(symbol, 16, "symbol") PHASE(fill, "fill") I64(fills, "fills")
//     NSP_PATH_DECLARE(match_path, "match", MATCH)
//
//     match_path *path = match_path_begin();
//     NSP_PATH_STR(path, symbol, text, length);
//     NSP_PATH_MARK(path, fill);
//     path->fills = 3;
//     match_path_end(path);
//
// The list. It is a macro with five parameters, which it calls once for each part, in the order in which the
// phases happen and in which attributes are exported.
//
//     PHASE(name, "text")            a phase: a span below the path's, which is called `text`
//     I64(name, "key")               an attribute: `int64_t name` of the struct
//     F64(name, "key")               `double name`
//     BOOL(name, "key")              `uint8_t name`: 0 is false, 1 is true
//     STR(name, capacity, "key")     a text of at most `capacity` bytes (1 to 1000), for NSP_PATH_STR
//
// A field in front of the first phase belongs to the path's own span, one behind a phase to that phase. A phase may
// have the name of a field. A list may have no phases (a declared span: fields without tags), no fields, or neither.
// What NSP_NAME asks of texts is true of these texts and keys: they are literals, and a process has a bounded number of
// them.
//
// A field that was not set is not exported, nor is any field of a phase that was not marked. So one value of each
// field stands for "not set": INT64_MIN, one NaN with a payload of its own, 2 of a BOOL. A last argument, a constant,
// replaces it: I64(fills, "match.fills", 0) exports no zeroes.
//
// PHASE(decode, "decode", NSP_PATH_AT_START) is a phase that begins with its path, by the same reading. It must be the
// first one, and the path's begin marks it; another mark of it is misuse.
//
// Fields are write-only. Do not read them: `path->fills++` and `path->available -= cost` are mistakes. A field
// holds what stands for "not set" until it is set. And a path that is not recorded has room that it shares with all
// others of its thread, so that what is read there may be anything. Count in a variable of your own, and store that.
// Members whose names begin with nsp__ are the library's.
//
// Phases follow one another: a mark ends the phase that is open, if there is one, and begins the next with the same
// reading. The path's end ends the last one. A phase that was not marked did not happen: there is no span of it, and
// the phase in front of it reaches up to the next that was marked. Only phases behind the one that is open can be
// marked. Any other mark, of a phase that was passed over or of one that was marked before, changes nothing and counts
// in nsp_stats.misused.
//
// A path is a span. It becomes the thread's current span. It is a child of the one that was current, or else a root,
// for which the sampler decides by the declared name. Paths and spans nest in each other, and end in the reverse order.
// nsp_path_span gives its span, for all that ordinary spans can do: events, further attributes and links, the status, a
// context to send. All of that belongs to the path's own span. But a span that is begun while a phase is open is that
// phase's child, and nsp_span_context then names the phase. nsp_span_end and nsp_span_next of it end the path, whose own
// end is then misuse. In nsp_stats, a path counts as one span while it is open, and with its phases once it has ended.
//
// Ownership and threads. A begin never returns NULL, whether tracing is on or off, before nsp_init and after
// nsp_shutdown. The pointer is valid until the path ends, for the thread that began it. A detached path belongs to one
// thread at a time, may outlive its parent, and may end on any thread. Do not free it, copy the struct, or keep the
// address of a member. Do not mark it or store into it once it has ended: that would go into whatever has begun there
// since. The end of a path that is not detached, on another thread, is misuse, as with spans. So is a second end; but a
// path's pointer is only an address, and if another path has begun there since, that one is ended. Unlike the handle of a
// span, it must not be NULL, in any call: it is used as it is.
//
// Not recorded. Where a path is left out, by the sampler or a limit, or because tracing is off, its begin and end
// cost what those of such a span cost, a mark costs one test and reads no clock, and fields are stores into a scratch
// of the thread, which its first path allocates (4 KiB). A detached path that is left out has a place of a pool
// (nsp_config.detached_spans). Where that is used up, all such paths of the process have one struct: their threads
// store into the same lines, unordered, which ThreadSanitizer reports. nsp_stats.paths_shared counts them. Where
// tracing is off, a detached path has the scratch of the thread that began it, which is never given back.
//
// Cost of a path that is recorded: its begin and end cost what those of a span cost, and a copy of the struct; each
// mark a clock read and two stores. Nothing here fails visibly, blocks or takes a lock, or uses more than 4 KiB of
// stack. The first begin with a declaration interns its texts and enters it into the process's table, which is
// wait-free. All of it may be called from a signal handler, with the exceptions of <nanospan/span.h>; a handler that
// interrupts nanospan itself gets a path that is not recorded, which is counted. Only what has begun a path marks it: not
// a handler that has interrupted that.
//
// Limits. A struct has at most NSP_PATH_BYTES_MAX bytes: 8 are the library's, each phase needs 8, and then there are
// the fields. A declaration has at most NSP_PATH_PHASES_MAX phases and NSP_PATH_FIELDS_MAX fields, and a process at
// most NSP_PATHS_MAX declarations; the same list and name in several translation units is one. Paths of a declaration
// beyond those are recorded as spans with the declared name, without phases and fields, and nsp_stats.paths_overflowed
// counts the declaration. A path whose spans do not fit into one batch (nsp_config.batch_bytes) is discarded, and
// counted with its phases; one whose struct does not fit into a record (nsp_config.record_bytes) is dropped, and
// counted as too deep. The configured number of attributes is no limit for fields; that of characters is one for texts.
//
// With NSP_DISABLE nothing is left of phases, keys and capacities. So the names of phases and what is asserted of a list
// are checked only where a program is compiled without it.
#ifndef NANOSPAN_PATH_H
#define NANOSPAN_PATH_H

#include <nanospan/span.h>

enum {
    NSP_PATH_BYTES_MAX = 1024, // of a path's struct
    NSP_PATH_PHASES_MAX = 64,
    NSP_PATH_FIELDS_MAX = 64,
    NSP_PATH_TEXT_MAX = 1000, // of a STR's capacity
    NSP_PATHS_MAX = 64        // declarations in a process
};

// Initialise with NSP_PATH_OPTIONS_INIT. Zero members mean the default. Everything is copied.
typedef struct nsp_path_options {
    size_t size;
    nsp_kind kind;             // of the path's own span; those of its phases are INTERNAL
    const nsp_context *parent; // used instead of the current span; an invalid context counts as none
    bool new_root;             // starts a new trace, whatever span is current
    nsp_ticks start;           // 0: now
    const nsp_link *links;
    size_t link_count;
    bool detached;              // not on the thread's stack, as a span of nsp_span_begin_detached
    nsp_span_status status;     // as nsp_span_set_status; a later one follows the rules that stand there
    const char *status_message; // NULL: none
} nsp_path_options;

#define NSP_PATH_OPTIONS_INIT                                                                                \
    {                                                                                                        \
        sizeof(nsp_path_options), NSP_KIND_INTERNAL, NULL, false, 0, NULL, 0, false, NSP_SPAN_STATUS_UNSET,  \
            NULL                                                                                             \
    }

// A PHASE's last argument: it begins with its path.
#define NSP_PATH_AT_START 1

// In C++, functions that begin and end every type of path have one name each, so that nsp::path of
// <nanospan/nanospan.hpp> finds them by the type. A declaration may stand in a header of C, in extern "C".
// The parentheses keep functions of other namespaces out, whose paths have the same name.
#ifdef __cplusplus
#define NSP__PATH_OVERLOADS(type)                                                                            \
    extern "C++" {                                                                                           \
    static inline __attribute__((unused, always_inline)) type *nsp__path_begun(const type *,                 \
                                                                               nsp_ticks nsp__start)         \
    {                                                                                                        \
        return (type##_begin_at)(nsp__start);                                                                \
    }                                                                                                        \
    static inline __attribute__((unused, always_inline)) type *nsp__path_begun(                              \
        const type *, const nsp_path_options &nsp__options)                                                  \
    {                                                                                                        \
        return (type##_begin_with)(&nsp__options);                                                           \
    }                                                                                                        \
    static inline __attribute__((unused, always_inline)) void nsp__path_ended(type *nsp__path,               \
                                                                              nsp_ticks nsp__end)            \
    {                                                                                                        \
        (type##_end_at)(nsp__path, nsp__end);                                                                \
    }                                                                                                        \
    }
#else
#define NSP__PATH_OVERLOADS(type)
#endif

#ifdef NSP_DISABLE
#include <nanospan/abi/path_disabled.h>
#else
#include <nanospan/abi/path.h>
#include <nanospan/abi/path_declare.h>

// Declares the path `type`: its struct, and these functions. At file or namespace scope, in a source or a header, and
// without a semicolon.
//
//     type *TYPE_begin(void);                                   // one clock read
//     type *TYPE_begin_at(nsp_ticks start);                     // with a reading that was taken before
//     type *TYPE_begin_with(const nsp_path_options *options);   // `options` may be NULL
//     void TYPE_end(type *path);                                // one clock read
//     void TYPE_end_at(type *path, nsp_ticks end);
//
// Readings, here and of phases, are in ticks (nsp_now), and 0 stands for now. One that is earlier than the one in front
// of it makes a span that ends before it begins, which is exported as one of 1 ns from where it began.
#define NSP_PATH_DECLARE(type, root, LIST) NSP__PATH_DECLARE(type, root, LIST)

// Ends the open phase, if there is one, and begins this one. One clock read. `path` is evaluated once.
#define NSP_PATH_MARK(path, phase) NSP_PATH_MARK_AT(path, phase, 0)

// Does the same with a reading that was taken before. Where that is nsp_path_start(path), the phase begins with the
// path.
#define NSP_PATH_MARK_AT(path, phase, ticks)                                                                 \
    nsp__path_mark_number((path), NSP__PATH_NUMBER(path, phase), (ticks))

// Sets a STR to `size` bytes of UTF-8, which are copied; NULL counts as "". A text that is longer than the field's
// capacity, or than the configured number of characters, is cut at a whole character and counted in
// nsp_stats.values_cut. `path`, `text` and `size` are evaluated once.
#define NSP_PATH_STR(path, field, text, size)                                                                \
    nsp__path_set_field((path), NSP__PATH_OFFSET(path, field.length), NSP__PATH_CAPACITY(path, field),       \
                        (text), (size))

// Returns the reading with which the path began; 0 if it is not recorded, so that no clock is read for it.
#define nsp_path_start(path) nsp__path_start(NSP__PATH_CHECKED(path))

// Returns the path's span. Its handle is like any other, and is valid until the path ends. NULL is possible.
#define nsp_path_span(path) nsp__path_span(NSP__PATH_CHECKED(path))
#endif

#endif

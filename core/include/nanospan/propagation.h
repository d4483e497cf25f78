// SPDX-License-Identifier: Apache-2.0
//
// Passing contexts and baggage between processes: reads and writes W3C traceparent, tracestate and baggage,
// and B3, in the header fields of any protocol.
//
//     nsp_incoming incoming;                                       // in a server, for each request
//     nsp_extract(&incoming, &carrier);                            // the request goes on in any case
//     const nsp_incoming *before = nsp_incoming_enter(&incoming);
//     options.parent = &incoming.context;
//     nsp_span *span = nsp_span_begin_with(NSP_NAME("handle"), &options);
//     ...
//     nsp_inject_span(span, &request_to_another_server);
//     ...
//     nsp_span_end(span);
//     nsp_incoming_enter(before);
//
// OTEL_PROPAGATORS or nsp_config.propagators selects the formats: a list of tracecontext, baggage, b3 (one
// field), b3multi (several fields) and none. The default is "tracecontext,baggage". Before nsp_init, and
// while tracing is turned off, the environment's choice applies, which is read at the first use; so contexts
// are passed on then, too. docs/context.md describes exactly what is read and written.
//
// Nothing here locks or blocks, or calls anything except the carrier's functions; only nsp_environment_copy
// allocates. No call uses more than 4 KiB of stack in addition to what those functions use. An nsp_incoming
// takes 9 KiB, so do not put one on a small stack.
#ifndef NANOSPAN_PROPAGATION_H
#define NANOSPAN_PROPAGATION_H

#include <nanospan/context.h>
#include <nanospan/span.h>

enum {
    NSP_BAGGAGE_MAX = 8192 // the largest size in bytes of a baggage list, in the form in which it is sent
};

// The library's view of a request: header fields of any protocol. Names are given in lower case and match
// fields in any case. `set` may be NULL in a carrier that is only read, and `get` in one that is only
// written.
typedef struct nsp_carrier {
    void *fields; // the caller's; passed to both functions
    // Gets the index-th field of this name, counted from 0. Returns false if there is none. The value need
    // not be zero terminated, and must stay in place until nsp_extract returns.
    bool (*get)(void *fields, const char *name, size_t index, const char **value, size_t *length);
    // Sets the field of this name. The value is zero terminated as well, and is valid only until `set`
    // returns. Returns false if there is no room.
    bool (*set)(void *fields, const char *name, const char *value, size_t length);
} nsp_carrier;

// The environment for a child process that is about to be started, with room for the fields of all formats.
// Use only `entries`; the other members are internal to the nsp_environment_ functions.
typedef struct nsp_environment {
    char **entries; // NULL terminated, for execve and posix_spawn
    size_t count, room;
    size_t text_used;
    char *text;
} nsp_environment;

// Pairs of a key and a value that travel with a request: a list in the form in which it is sent
// (key=value;property,...), checked and without blanks. A plain value, which may be copied and kept. All zero
// is the empty list. Only the nsp_baggage_ functions may write to it.
typedef struct nsp_baggage {
    uint32_t length;                // 0 to NSP_BAGGAGE_MAX
    char text[NSP_BAGGAGE_MAX + 1]; // zero terminated
} nsp_baggage;

// One member of the list, as slices of its text.
typedef struct nsp_baggage_member {
    const char *key;
    size_t key_length;
    const char *value; // with percent escapes, which nsp_baggage_decode decodes
    size_t value_length;
    const char *properties; // the unchanged text after the value's semicolon; "" for none
    size_t properties_length;
} nsp_baggage_member;

// What came with a request; all zero if nothing came. A valid context is remote. Its flags may include
// NSP_TRACE_FLAG_DEFERRED, _DEBUG and _DECIDED. It may always be passed unchanged as nsp_span_options.parent.
typedef struct nsp_incoming {
    nsp_context context;
    nsp_baggage baggage;
} nsp_incoming;

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// ---- requests ----

// Reads a request's fields in the configured formats. *out is always written. The first format of the list
// with usable fields wins; the others add what only they contain about the same trace (a tracestate, B3's
// debug flag). NSP_OK: there was a context, or a sampling decision without one. NSP_ERR_NOT_FOUND: there was
// neither. NSP_ERR_INVALID: what there was cannot be used, and counts as absent; or the carrier has no `get`.
// Baggage does not affect the status. Thread safe, and signal safe if `get` is.
NSP_API nsp_status nsp_extract(nsp_incoming *out, const nsp_carrier *carrier);

// Writes a context and baggage in all configured formats. Both may be NULL; an invalid context or empty
// baggage is not written. Fields without content are left as they are, so start with a new request, or first
// clear the fields that nsp_inject_field names. NSP_ERR_FULL: the carrier had no room for some field; the
// others were written. NSP_ERR_INVALID: it has no `set`. Thread safe, and signal safe if `set` is.
NSP_API nsp_status nsp_inject(const nsp_context *context, const nsp_baggage *baggage,
                              const nsp_carrier *carrier);

// Does the same for a request that is made under a span, with that span's context. `span` may be NULL, which
// means the thread's current span. If there is no span, for example because tracing is turned off, the
// incoming context (nsp_incoming_current) is passed on unchanged. The baggage is always the incoming one. In
// the child of a fork, a span that was open at the fork (on the thread that forked, or detached) still has
// its context. Thread safe; not signal safe.
NSP_API nsp_status nsp_inject_span(const nsp_span *span, const nsp_carrier *carrier);

// Returns the name, in lower case, of the index-th field that injection may set in the configured formats,
// counted from 0; NULL after the last one. Static storage. Thread safe and signal safe.
NSP_API const char *nsp_inject_field(size_t index);

// Makes what came with a request current on this thread; NULL: nothing is current. Returns what was current
// before, which the caller restores when the request is finished. The caller keeps ownership, and must keep
// it in place until then. If a request moves to another thread, enter it there again. Thread safe and signal
// safe.
NSP_API const nsp_incoming *nsp_incoming_enter(const nsp_incoming *incoming);

// Returns what is current on this thread, or NULL. Thread safe and signal safe.
NSP_API const nsp_incoming *nsp_incoming_current(void);

// ---- processes ----
//
// Carries a context and baggage in a process's environment: TRACEPARENT, TRACESTATE, BAGGAGE and B3's fields.
// A variable has the field's name in upper case, with "_" in place of every character that is not a letter or
// digit, and with "_" before a leading digit.
//
//     nsp_carrier own = {NULL, nsp_environment_get, NULL};         // at the start of a program
//     nsp_extract(&incoming, &own);
//
//     nsp_environment child;                                       // for each child
//     if (nsp_environment_copy(&child, NULL) == NSP_OK) {
//         nsp_carrier carrier = {&child, nsp_environment_get, nsp_environment_set};
//         nsp_inject_span(span, &carrier);
//         posix_spawn(&pid, path, NULL, NULL, arguments, child.entries);
//         nsp_environment_free(&child);
//     }
//
// Nothing here changes the environment of this process.

// Copies an environment; NULL: this process's own. Allocates the memory for this and for all fields that are
// set later; nsp_environment_free frees it. NSP_ERR_NO_MEMORY: *out is empty (`entries` is NULL). Thread safe
// unless another thread changes what is copied; not signal safe.
NSP_API nsp_status nsp_environment_copy(nsp_environment *out, char *const *entries);

// Frees an environment's memory. An empty one (all zero) is allowed. Not signal safe.
NSP_API void nsp_environment_free(nsp_environment *environment);

// The functions of a carrier whose `fields` is an nsp_environment, which only one thread at a time may use.
// For `get`, `fields` may be NULL, which means this process's own environment; in a set-user-id program it
// finds nothing there. Setting the first field removes what the copied environment held in any format,
// because it belongs to another span. Until then it is passed on. Make a new copy for each child: a field
// that the second injection does not write would keep the first one's value. Neither function allocates, so
// both are signal safe and may be called between fork and exec.
NSP_API bool nsp_environment_get(void *fields, const char *name, size_t index, const char **value,
                                 size_t *length);
NSP_API bool nsp_environment_set(void *fields, const char *name, const char *value, size_t length);

// ---- baggage ----
//
// Keys are HTTP tokens (letters, digits and !#$%&'*+-.^_`|~) and are case sensitive. Values are UTF-8. These
// functions are signal safe, and thread safe as long as each thread uses a list of its own.

// Reads a field's text of `length` bytes. Malformed members are left out (NSP_ERR_INVALID), and so are
// members for which there is no room (NSP_ERR_FULL). *out is always written. NULL with length 0 gives the
// empty list.
NSP_API nsp_status nsp_baggage_parsen(nsp_baggage *out, const char *text, size_t length);

// Writes the decoded value of a key to `value`, zero terminated. If the list has the key more than once, the
// last one counts. *length receives the value's length without the terminating zero; `length` may be NULL.
// NSP_ERR_NOT_FOUND: the list does not have the key. NSP_ERR_FULL: `size` is too small; then `value` is ""
// (size 0 is allowed) and *length says how long the value is. NSP_BAGGAGE_MAX + 1 bytes are always enough.
NSP_API nsp_status nsp_baggage_get(const nsp_baggage *baggage, const char *key, char *value, size_t size,
                                   size_t *length);

// Sets a key: removes all members with that key and adds one at the end of the list. The value is
// percent-encoded where necessary. nsp_baggage_set_with takes a length, for values that contain zeros, and
// properties in the form in which they are sent ("a;b=c"), or NULL. NSP_ERR_INVALID: the key, the value or
// the properties are not allowed. NSP_ERR_FULL: there is no room. On an error the list does not change. The
// texts may be parts of the list itself if there is room for the new member beside all old ones (otherwise
// NSP_ERR_FULL).
NSP_API nsp_status nsp_baggage_set(nsp_baggage *baggage, const char *key, const char *value);
NSP_API nsp_status nsp_baggage_set_with(nsp_baggage *baggage, const char *key, const char *value,
                                        size_t length, const char *properties);

// Removes all members with this key. NSP_ERR_NOT_FOUND if there are none.
NSP_API nsp_status nsp_baggage_remove(nsp_baggage *baggage, const char *key);

// Walks the list. Start with *at = 0; returns false after the last member. The slices point into the list.
NSP_API bool nsp_baggage_next(const nsp_baggage *baggage, size_t *at, nsp_baggage_member *member);

// Decodes a member's value: percent escapes become bytes, and bytes that are then not UTF-8 become U+FFFD.
// Returns the length without the terminating zero, which is never more than the encoded length. Writes only
// if that is less than `size`.
NSP_API size_t nsp_baggage_decode(const char *value, size_t length, char *out, size_t size);

#endif
NSP_END_DECLS
#endif

// SPDX-License-Identifier: Apache-2.0
//
// Contexts and baggage on their way between processes: W3C traceparent, tracestate and baggage, and B3, read from and
// written to the header fields of any protocol.
//
//     nsp_incoming incoming;                                       // in a server, for each request
//     nsp_extract(&incoming, &carrier);                            // whatever came, the request goes on
//     const nsp_incoming *before = nsp_incoming_enter(&incoming);
//     options.parent = &incoming.context;
//     nsp_span *span = nsp_span_begin_with(NSP_NAME("handle"), &options);
//     ...
//     nsp_inject_span(span, &request_to_another_server);
//     ...
//     nsp_span_end(span);
//     nsp_incoming_enter(before);
//
// Which formats there are is said by OTEL_PROPAGATORS, or nsp_config.propagators: a list of tracecontext, baggage, b3
// (one field), b3multi (several) and none; without it "tracecontext,baggage". Before nsp_init, and where tracing is turned
// off, the environment's choice holds, read at the first use; nothing that came is lost on the way then. docs/context.md
// says what is read and written to the letter.
//
// Nothing here locks or blocks, allocates (but for nsp_environment_copy), or calls anything but the carrier's functions. No call takes more than 4 KiB of
// stack beside what those take; an nsp_incoming is 9 KiB itself, so a small stack is no place for it.
#ifndef NANOSPAN_PROPAGATION_H
#define NANOSPAN_PROPAGATION_H

#include <nanospan/context.h>
#include <nanospan/span.h>

enum {
    NSP_BAGGAGE_MAX = 8192 // bytes of a baggage list as it is sent
};

// Header fields of whatever protocol: the library's view of a request. Names are given in lower case and mean fields in any
// case. A carrier that is only read may leave `set` NULL, one that is only written `get`.
typedef struct nsp_carrier {
    void *fields; // the caller's, handed to both functions
    // The index-th field of this name, from 0; false: there is none. The value need not be zero terminated, and has to
    // stay where it is until nsp_extract returns.
    bool (*get)(void *fields, const char *name, size_t index, const char **value, size_t *length);
    // The field of this name becomes this value, which is also zero terminated, and gone when set returns. False: no room.
    bool (*set)(void *fields, const char *name, const char *value, size_t length);
} nsp_carrier;

// The environment of a child that is to be started, with room for the fields of all formats. Its members belong to
// nsp_environment_...; only `entries` is for use.
typedef struct nsp_environment {
    char **entries; // NULL terminated: what execve and posix_spawn take
    size_t count, room;
    size_t text_used;
    char *text;
} nsp_environment;

// Name and value pairs that travel with a request, as a list in the form in which it is sent (key=value;property,...),
// checked, without blanks. A value: copy it, keep it. All zero is the empty list. Only nsp_baggage_... may write it.
typedef struct nsp_baggage {
    uint32_t length;                // 0 to NSP_BAGGAGE_MAX
    char text[NSP_BAGGAGE_MAX + 1]; // zero terminated
} nsp_baggage;

// One member of the list, as slices of its text.
typedef struct nsp_baggage_member {
    const char *key;
    size_t key_length;
    const char *value; // with percent escapes: nsp_baggage_decode
    size_t value_length;
    const char *properties; // what follows the value's semicolon, as it came; "" for none
    size_t properties_length;
} nsp_baggage_member;

// What came with a request. All zero: nothing. The context is remote where it is valid; its flags may have
// NSP_TRACE_FLAG_DEFERRED, _DEBUG and _DECIDED. As nsp_span_options.parent it may always be given, as it is.
typedef struct nsp_incoming {
    nsp_context context;
    nsp_baggage baggage;
} nsp_incoming;

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// ---- requests ----

// Reads a request's fields in the formats that are configured; *out is always written, whatever they hold. The first
// format of the list that has something good wins; the others add what they alone say of the same trace (a tracestate,
// B3's debug flag). NSP_OK: a context came, or a sampling decision without one;
// NSP_ERR_NOT_FOUND: neither; NSP_ERR_INVALID: what came cannot be used (or the carrier has no `get`), so it counts as
// absent. Baggage has no part in the status. Thread safe, and signal safe if `get` is.
NSP_API nsp_status nsp_extract(nsp_incoming *out, const nsp_carrier *carrier);

// Writes a context and baggage in all formats that are configured; both may be NULL, and what is invalid or empty is not
// written. Fields that have nothing to say are not touched: start with a fresh request, or clear what
// nsp_inject_field names. NSP_ERR_FULL: the carrier had no room for some field, and got the others;
// NSP_ERR_INVALID: it has no `set`. Thread safe, and signal safe if `set` is.
NSP_API nsp_status nsp_inject(const nsp_context *context, const nsp_baggage *baggage,
                              const nsp_carrier *carrier);

// The same for a request made under a span, with the context that it has (NULL: the thread's current span). Where there is
// none, as when tracing is turned off, the context of what came in (nsp_incoming_current) is passed on unchanged. The
// baggage is that of what came in. In the child of a fork a span that was open at the fork (on the thread that
// forked, or detached) still has its context. Not signal safe.
NSP_API nsp_status nsp_inject_span(const nsp_span *span, const nsp_carrier *carrier);

// Name of the index-th field that injection may set in the formats that are configured, in lower case; NULL: no more.
// Static storage. Thread and signal safe.
NSP_API const char *nsp_inject_field(size_t index);

// Makes what came with a request current on this thread, NULL: nothing; returns what was current before, to be put back when
// the request is done. It stays the caller's and must live until then. A request that moves to another thread is
// entered there again. Thread and signal safe.
NSP_API const nsp_incoming *nsp_incoming_enter(const nsp_incoming *incoming);

// NULL: nothing. Thread and signal safe.
NSP_API const nsp_incoming *nsp_incoming_current(void);

// ---- processes ----
// A context and baggage in the environment of a process: TRACEPARENT, TRACESTATE, BAGGAGE, and B3's fields; a field's name in
// upper case, with "_" for everything that is no letter or digit, and before a first digit.
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

// Copies an environment; NULL: this process's own. NSP_ERR_NO_MEMORY: *out is empty then (entries NULL). Allocates, for this
// and for all that is set later, and so is not signal safe. Thread safe, unless another thread changes what is copied.
NSP_API nsp_status nsp_environment_copy(nsp_environment *out, char *const *entries);

// Gives its memory back; an empty one (all zero) is fine.
NSP_API void nsp_environment_free(nsp_environment *environment);

// The functions of a carrier whose fields are an nsp_environment, which one thread at a time may use. `get` takes NULL for
// this process's own environment, in which a set-user-id program finds nothing. The first field that is set takes out
// what the copied environment had of any format, as it is another span's; until then that is passed on. For each
// child a new copy: a field that has nothing to say in a second injection would stay from the first. Neither allocates:
// signal safe, and fine between fork and exec.
NSP_API bool nsp_environment_get(void *fields, const char *name, size_t index, const char **value,
                                 size_t *length);
NSP_API bool nsp_environment_set(void *fields, const char *name, const char *value, size_t length);

// ---- baggage ----
// Keys are tokens as HTTP has them (letters, digits and !#$%&'*+-.^_`|~), and mean their exact case. Values are UTF-8.
// Everything here is thread safe on different lists, and signal safe.

// Reads a field's text; members that are not well formed, and those that there is no room for, are left out, which is
// NSP_ERR_INVALID and NSP_ERR_FULL. *out is always written. NULL with length 0 gives the empty list.
NSP_API nsp_status nsp_baggage_parsen(nsp_baggage *out, const char *text, size_t length);

// Puts the decoded value of a key into `value`, zero terminated; the last one's, if a list has the key more than once.
// *length, unless NULL, becomes its length without the zero. NSP_ERR_NOT_FOUND; NSP_ERR_FULL if size is too small:
// then value is "" (size 0 is allowed) and *length says how much it takes. NSP_BAGGAGE_MAX + 1 always does.
NSP_API nsp_status nsp_baggage_get(const nsp_baggage *baggage, const char *key, char *value, size_t size,
                                   size_t *length);

// Sets a key, at the end of the list, in place of all members that had it; the value is encoded as it has to be. With
// length for values that have zeros in them, and properties in the form in which they are sent ("a;b=c"), or NULL.
// NSP_ERR_INVALID: no such key, value or properties can be; NSP_ERR_FULL: no room. The list is as before then. The texts
// may be parts of the list, if there is room for the new member beside all old ones (otherwise NSP_ERR_FULL).
NSP_API nsp_status nsp_baggage_set(nsp_baggage *baggage, const char *key, const char *value);
NSP_API nsp_status nsp_baggage_set_with(nsp_baggage *baggage, const char *key, const char *value,
                                        size_t length, const char *properties);

// Removes all members of this key; NSP_ERR_NOT_FOUND if there is none.
NSP_API nsp_status nsp_baggage_remove(nsp_baggage *baggage, const char *key);

// Walks the list: start with *at = 0; false after the last one. The slices point into the list.
NSP_API bool nsp_baggage_next(const nsp_baggage *baggage, size_t *at, nsp_baggage_member *member);

// Decodes a member's value: percent escapes become bytes, what is not UTF-8 then becomes U+FFFD. Returns the length without
// the terminating zero, which is never more than the encoded length; writes only if that is less than size.
NSP_API size_t nsp_baggage_decode(const char *value, size_t length, char *out, size_t size);

#endif
NSP_END_DECLS
#endif

// SPDX-License-Identifier: Apache-2.0
//
// What every public header uses: visibility, inlining and status codes. Nothing here allocates, locks or
// blocks.
//
// Stack: in all public headers, calls that are meant for application threads and signal handlers use at most
// 4 KiB of the caller's stack, so a thread with a 16 KiB stack may make any of them. Cold calls that use up
// to 16 KiB say so. The stack that the caller's own callbacks use (a carrier, a log function, an exporter)
// comes on top. So does what the dynamic linker uses the first time a name is resolved, in a program that is
// linked statically to nanospan and without -z now.
#ifndef NANOSPAN_BASE_H
#define NANOSPAN_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define NSP_BEGIN_DECLS extern "C" {
#define NSP_END_DECLS }
#else
#define NSP_BEGIN_DECLS
#define NSP_END_DECLS
#endif

#define NSP_API __attribute__((visibility("default")))
// Of functions that call nothing of the program's. C++ is told that no exception comes out of them, so that a span's end
// needs no code for that.
#define NSP__API NSP_API __attribute__((nothrow))

// The hot path is inlined into the caller. One source file of the library (core/trace/bindings.c) defines
// NSP_INLINE as NSP_API before it includes the headers, which exports each of these functions for bindings.
#ifndef NSP_INLINE
#define NSP_INLINE static inline __attribute__((unused))
// For functions that shrink to almost nothing when an argument is a literal. The compiler cannot see that
// before it has inlined them, so inlining is forced.
#define NSP_INLINE_ALWAYS static inline __attribute__((unused, always_inline))
#endif

#define NSP__LIKELY(x) __builtin_expect(!!(x), 1)
#define NSP__UNLIKELY(x) __builtin_expect(!!(x), 0)

// This one list defines the codes and their texts. All errors are negative.
#define NSP_STATUS_LIST(X)                                                                                   \
    X(OK, 0, "success")                                                                                      \
    X(ERR_INVALID, -1, "invalid argument")                                                                   \
    X(ERR_ALREADY, -2, "already initialised")                                                                \
    X(ERR_NOT_INITIALISED, -3, "not initialised")                                                            \
    X(ERR_TIMEOUT, -4, "deadline passed before the work was done")                                           \
    X(ERR_NO_MEMORY, -5, "out of memory, or of space in shared memory")                                      \
    X(ERR_SYSTEM, -6, "a system call failed")                                                                \
    X(ERR_FULL, -7, "a bounded table is full")                                                               \
    X(ERR_NOT_FOUND, -8, "not found")                                                                        \
    X(ERR_UNSUPPORTED, -9, "not supported by this build or platform")                                        \
    X(ERR_CONFIG, -10, "bad configuration value")                                                            \
    X(ERR_DISABLED, -11, "tracing is disabled")                                                              \
    X(ERR_BUSY, -12, "in use by somebody else")                                                              \
    X(ERR_DAMAGED, -13, "damaged or incomplete")                                                             \
    X(ERR_REFUSED, -14, "refused by the receiver")

typedef enum nsp_status {
#define NSP__STATUS_ENUM(name, code, text) NSP_##name = code,
    NSP_STATUS_LIST(NSP__STATUS_ENUM)
#undef NSP__STATUS_ENUM
} nsp_status;

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Returns the text of a status code, in static storage; "unknown status" for any other number. Thread safe
// and signal safe.
NSP_API const char *nsp_status_str(nsp_status status);

// Returns what the last cold call that failed on this thread said beyond its code: one line without a
// newline, or "" if there was nothing. The text is valid until this thread's next failing call. Thread safe;
// not signal safe.
NSP_API const char *nsp_error_detail(void);

#endif
NSP_END_DECLS
#endif

// SPDX-License-Identifier: Apache-2.0
//
// Declared paths as nothing, for NSP_DISABLE. Arguments are evaluated. A begin still does not return NULL: fields are
// stored into a struct of the thread that nobody reads, and optimising compilers leave out such stores, and the struct.
// Not for direct inclusion.
#ifndef NANOSPAN_PATH_H
#error "include <nanospan/nanospan.h>"
#endif
#ifndef NANOSPAN_ABI_PATH_DISABLED_H
#define NANOSPAN_ABI_PATH_DISABLED_H

#define NSP__PATH_NONE(...)
#define NSP__PATH_I64(field, ...) int64_t field;
#define NSP__PATH_F64(field, ...) double field;
#define NSP__PATH_BOOL(field, ...) uint8_t field;
#define NSP__PATH_STR(field, ...) char field;

#define NSP_PATH_DECLARE(type, root, LIST)                                                                   \
    typedef struct type {                                                                                    \
        char nsp__head;                                                                                      \
        LIST(NSP__PATH_NONE, NSP__PATH_I64, NSP__PATH_F64, NSP__PATH_STR, NSP__PATH_BOOL)                    \
    } type;                                                                                                  \
                                                                                                             \
    static inline __attribute__((unused, always_inline)) type *type##_begin_at(nsp_ticks nsp__start)         \
    {                                                                                                        \
        static __thread type nsp__nothing;                                                                   \
        (void)nsp__start;                                                                                    \
        return &nsp__nothing;                                                                                \
    }                                                                                                        \
    static inline __attribute__((unused, always_inline)) type *type##_begin(void)                            \
    {                                                                                                        \
        return type##_begin_at(sizeof("" root "") * 0);                                                      \
    }                                                                                                        \
    static inline __attribute__((unused, always_inline))                                                     \
    type *type##_begin_with(const nsp_path_options *nsp__options)                                            \
    {                                                                                                        \
        (void)nsp__options;                                                                                  \
        return type##_begin_at(0);                                                                           \
    }                                                                                                        \
    static inline                                                                                            \
        __attribute__((unused, always_inline)) void type##_end_at(type *nsp__path, nsp_ticks nsp__end)       \
    {                                                                                                        \
        (void)nsp__path;                                                                                     \
        (void)nsp__end;                                                                                      \
    }                                                                                                        \
    static inline __attribute__((unused, always_inline)) void type##_end(type *nsp__path)                    \
    {                                                                                                        \
        type##_end_at(nsp__path, 0);                                                                         \
    }                                                                                                        \
    NSP__PATH_OVERLOADS(type)

#define NSP_PATH_MARK(path, phase) NSP_PATH_MARK_AT(path, phase, 0)
#define NSP_PATH_MARK_AT(path, phase, ticks) ((void)&(path)->nsp__head, (void)(nsp_ticks)(ticks))
#define NSP_PATH_STR(path, field, text, size)                                                                \
    ((void)&(path)->field, (void)(const char *)(text), (void)(size_t)(size))
#define nsp_path_start(path) ((void)&(path)->nsp__head, (nsp_ticks)0)
#define nsp_path_span(path) ((void)&(path)->nsp__head, (nsp_span *)NULL)

#endif

// SPDX-License-Identifier: Apache-2.0
//
// What NSP_PATH_DECLARE consists of. The list is gone through several times, each time with other macros in the
// place of its parameters: for the struct's readings, for its fields, for the numbers of both, for what is
// asserted, for the table of the parts, and for a struct in which nothing is set. Not for direct inclusion.
#ifndef NANOSPAN_PATH_H
#error "include <nanospan/nanospan.h>"
#endif
#ifndef NANOSPAN_ABI_PATH_DECLARE_H
#define NANOSPAN_ABI_PATH_DECLARE_H

#include <nanospan/abi/path.h>

#ifdef __cplusplus
#define NSP__PATH_ASSERT(condition, message) static_assert(condition, message)
#else
#define NSP__PATH_ASSERT(condition, message) _Static_assert(condition, message)
#endif

// The key and what may follow it. There is always something behind the last argument, since ISO C wants one argument
// for the dots.
#define NSP__PATH_FIRST(...) NSP__PATH_FIRST_(__VA_ARGS__, ~)
#define NSP__PATH_FIRST_(first, ...) first
#define NSP__PATH_SECOND(...) NSP__PATH_SECOND_(__VA_ARGS__, ~)
#define NSP__PATH_SECOND_(first, second, ...) second

#define NSP__PATH_NONE(...)

// ---- the struct ----

#define NSP__PATH_READING(phase, ...) nsp_ticks nsp__at_##phase;
#define NSP__PATH_I64(field, ...) int64_t field;
#define NSP__PATH_F64(field, ...) double field;
#define NSP__PATH_BOOL(field, ...) uint8_t field;
#define NSP__PATH_STR(field, capacity, ...)                                                                  \
    struct {                                                                                                 \
        uint16_t length;                                                                                     \
        char bytes[capacity];                                                                                \
    } field;

// ---- numbers, from 0 ----

#define NSP__PATH_PHASE_NUMBER(phase, ...) nsp__phase_##phase,
#define NSP__PATH_FIELD_NUMBER(field, ...) nsp__field_##field,

// ---- the parts ----

#define NSP__PATH_PHASE_PART(phase, ...)                                                                     \
    {"" NSP__PATH_FIRST(__VA_ARGS__) "", (uint16_t)offsetof(nsp__self, nsp__at_##phase),                     \
     (uint16_t)sizeof(nsp_ticks), 0,                                                                         \
     (uint8_t)(NSP__PATH_SECOND(__VA_ARGS__, 0) != 0 ? NSP__PATH_STARTS : 0u)},
#define NSP__PATH_FIELD_PART(field, key, size, type)                                                         \
    {"" key "", (uint16_t)offsetof(nsp__self, field), (uint16_t)(size), (uint8_t)(type), 0},
#define NSP__PATH_I64_PART(field, ...)                                                                       \
    NSP__PATH_FIELD_PART(field, NSP__PATH_FIRST(__VA_ARGS__), sizeof(int64_t), NSP_TYPE_I64)
#define NSP__PATH_F64_PART(field, ...)                                                                       \
    NSP__PATH_FIELD_PART(field, NSP__PATH_FIRST(__VA_ARGS__), sizeof(double), NSP_TYPE_F64)
#define NSP__PATH_BOOL_PART(field, ...)                                                                      \
    NSP__PATH_FIELD_PART(field, NSP__PATH_FIRST(__VA_ARGS__), sizeof(uint8_t), NSP_TYPE_BOOL)
#define NSP__PATH_STR_PART(field, capacity, ...)                                                             \
    NSP__PATH_FIELD_PART(field, NSP__PATH_FIRST(__VA_ARGS__), capacity, NSP_TYPE_STR)

// ---- nothing is set ----

// Its bits are 0x7ff800006e616e6f. No arithmetic makes this one.
#define NSP__PATH_NO_F64 __builtin_nan("0x6e616e6f")
#define NSP__PATH_NO_TEXT 0xffffu

#define NSP__PATH_NO_READING(...) 0,
#define NSP__PATH_I64_UNSET(field, ...) (int64_t)(NSP__PATH_SECOND(__VA_ARGS__, INT64_MIN)),
#define NSP__PATH_F64_UNSET(field, ...) (double)(NSP__PATH_SECOND(__VA_ARGS__, NSP__PATH_NO_F64)),
#define NSP__PATH_BOOL_UNSET(field, ...) (uint8_t)(NSP__PATH_SECOND(__VA_ARGS__, 2)),
#define NSP__PATH_STR_UNSET(...) {NSP__PATH_NO_TEXT, {0}},

// ---- assertions ----

#define NSP__PATH_PHASE_ASSERT(phase, ...)                                                                   \
    NSP__PATH_ASSERT(offsetof(nsp__self, nsp__at_##phase) ==                                                 \
                         sizeof(nsp__path_head) + sizeof(nsp_ticks) * (size_t)nsp__phase_##phase,            \
                     "the readings of a path's phases follow its head");                                     \
    NSP__PATH_ASSERT((NSP__PATH_SECOND(__VA_ARGS__, 0)) == 0 || nsp__phase_##phase == 0,                     \
                     "only the first PHASE of a path can be NSP_PATH_AT_START");                             \
    NSP__PATH_ASSERT((NSP__PATH_SECOND(__VA_ARGS__, 0)) == 0 ||                                              \
                         (NSP__PATH_SECOND(__VA_ARGS__, 0)) == NSP_PATH_AT_START,                            \
                     "the last argument of a PHASE can only be NSP_PATH_AT_START");
#define NSP__PATH_BOOL_ASSERT(field, ...)                                                                    \
    NSP__PATH_ASSERT((NSP__PATH_SECOND(__VA_ARGS__, 2)) >= 0 && (NSP__PATH_SECOND(__VA_ARGS__, 2)) <= 255,   \
                     "what stands for \"not set\" of a BOOL is 0 to 255");
#define NSP__PATH_STR_ASSERT(field, capacity, ...)                                                           \
    NSP__PATH_ASSERT((long)(capacity) >= 1 && (long)(capacity) <= (long)NSP_PATH_TEXT_MAX,                   \
                     "the capacity of a path's STR is 1 to 1000 bytes");                                     \
    NSP__PATH_ASSERT(offsetof(nsp__self, field.bytes) == offsetof(nsp__self, field.length) + 2,              \
                     "the bytes of a path's STR follow its length");

#define NSP__PATH_DECLARE(type, root, LIST)                                                                  \
    typedef struct __attribute__((aligned(16))) type {                                                       \
        nsp__path_head nsp__head;                                                                            \
        LIST(NSP__PATH_READING, NSP__PATH_NONE, NSP__PATH_NONE, NSP__PATH_NONE, NSP__PATH_NONE)              \
        LIST(NSP__PATH_NONE, NSP__PATH_I64, NSP__PATH_F64, NSP__PATH_STR, NSP__PATH_BOOL)                    \
    } type;                                                                                                  \
                                                                                                             \
    static inline __attribute__((unused, always_inline)) nsp__path_declaration *nsp__path_of_##type(void)    \
    {                                                                                                        \
        typedef type nsp__self;                                                                              \
        enum {                                                                                               \
            LIST(NSP__PATH_PHASE_NUMBER, NSP__PATH_NONE, NSP__PATH_NONE, NSP__PATH_NONE, NSP__PATH_NONE)     \
                nsp__phases                                                                                  \
        };                                                                                                   \
        enum {                                                                                               \
            LIST(NSP__PATH_NONE, NSP__PATH_FIELD_NUMBER, NSP__PATH_FIELD_NUMBER, NSP__PATH_FIELD_NUMBER,     \
                 NSP__PATH_FIELD_NUMBER) nsp__fields                                                         \
        };                                                                                                   \
        NSP__PATH_ASSERT((int)nsp__phases <= (int)NSP_PATH_PHASES_MAX, "a path has at most 64 phases");      \
        NSP__PATH_ASSERT((int)nsp__fields <= (int)NSP_PATH_FIELDS_MAX, "a path has at most 64 fields");      \
        NSP__PATH_ASSERT(sizeof(nsp__self) <= NSP_PATH_BYTES_MAX,                                            \
                         "a path's struct has at most 1024 bytes: 8, 8 for each phase, and its fields");     \
        NSP__PATH_ASSERT(sizeof(nsp__self) % 16 == 0, "a path's struct is copied in pairs of words");        \
        LIST(NSP__PATH_PHASE_ASSERT, NSP__PATH_NONE, NSP__PATH_NONE, NSP__PATH_STR_ASSERT,                   \
             NSP__PATH_BOOL_ASSERT)                                                                          \
        static const nsp__path_part nsp__parts[] = {LIST(NSP__PATH_PHASE_PART, NSP__PATH_I64_PART,           \
                                                         NSP__PATH_F64_PART, NSP__PATH_STR_PART,             \
                                                         NSP__PATH_BOOL_PART){NULL, 0, 0, 0, 0}};            \
        static const struct {                                                                                \
            nsp__self self;                                                                                  \
            uint64_t read_over[2];                                                                           \
        } nsp__unset = {{{0, 0, 0, 0, 0, 0},                                                                 \
                         LIST(NSP__PATH_NO_READING, NSP__PATH_NONE, NSP__PATH_NONE, NSP__PATH_NONE,          \
                              NSP__PATH_NONE) LIST(NSP__PATH_NONE, NSP__PATH_I64_UNSET, NSP__PATH_F64_UNSET, \
                                                   NSP__PATH_STR_UNSET, NSP__PATH_BOOL_UNSET)},              \
                        {0, 0}};                                                                             \
        NSP__SITE nsp__path_declaration nsp__declaration = {                                                 \
            0,                                                                                               \
            0,                                                                                               \
            (uint32_t)sizeof(nsp__self),                                                                     \
            &nsp__unset,                                                                                     \
            "" root "",                                                                                      \
            (uint32_t)(sizeof("" root "") - 1),                                                              \
            (uint32_t)(sizeof nsp__parts / sizeof nsp__parts[0] - 1),                                        \
            nsp__parts};                                                                                     \
        return &nsp__declaration;                                                                            \
    }                                                                                                        \
                                                                                                             \
    static inline __attribute__((unused)) type *type##_begin_at(nsp_ticks nsp__start)                        \
    {                                                                                                        \
        return (type *)nsp__path_begin_at(nsp__path_of_##type(), nsp__start);                                \
    }                                                                                                        \
    static inline __attribute__((unused)) type *type##_begin(void)                                           \
    {                                                                                                        \
        return type##_begin_at(0);                                                                           \
    }                                                                                                        \
    static inline __attribute__((unused, always_inline))                                                     \
    type *type##_begin_with(const nsp_path_options *nsp__options)                                            \
    {                                                                                                        \
        return (type *)nsp__path_begin_as(nsp__path_of_##type(), nsp__options);                              \
    }                                                                                                        \
    static inline __attribute__((unused)) void type##_end_at(type *nsp__path, nsp_ticks nsp__end)            \
    {                                                                                                        \
        nsp__path_end_at(nsp__path, nsp__end);                                                               \
    }                                                                                                        \
    static inline __attribute__((unused)) void type##_end(type *nsp__path)                                   \
    {                                                                                                        \
        type##_end_at(nsp__path, 0);                                                                         \
    }                                                                                                        \
    NSP__PATH_OVERLOADS(type)

// ---- what the other macros call ----

// Only pointers to paths compile. They are named once more for their type, but evaluated once.
#define NSP__PATH_OFFSET(path, member) offsetof(__typeof__(*(path)), member)
#define NSP__PATH_CHECKED(path) ((path) + NSP__PATH_OFFSET(path, nsp__head))
#define NSP__PATH_CAPACITY(path, field) ((uint32_t)sizeof(((__typeof__(*(path)) *)NULL)->field.bytes))
// From 1. What is in front of the readings has the size of one.
#define NSP__PATH_NUMBER(path, phase)                                                                        \
    ((uint32_t)(NSP__PATH_OFFSET(path, nsp__at_##phase) / sizeof(nsp_ticks)))
NSP__PATH_ASSERT(sizeof(nsp__path_head) == sizeof(nsp_ticks), "a phase's offset says its number");

static inline __attribute__((unused, always_inline)) void nsp__path_mark_number(void *path, uint32_t phase,
                                                                                nsp_ticks at)
{
    nsp__path_mark(path, (nsp_ticks *)path + phase, phase, at);
}

static inline __attribute__((unused, always_inline)) void nsp__path_set_field(void *path, size_t offset,
                                                                              uint32_t capacity,
                                                                              const char *value,
                                                                              size_t length)
{
    char *at = (char *)path + offset;
    nsp__path_set_text(path, (uint16_t *)(void *)at, at + sizeof(uint16_t), capacity, value, length);
}

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Properties of parsers of foreign input. Each fuzz_NAME.c is one: it takes any bytes and aborts if its
// property does not hold. The same file is a libFuzzer target (./run fuzz) and a test over the inputs in
// corpus/NAME and over mutations of them, which are the same in every run (driver.c).
#ifndef NSP_TESTS_FUZZ_H
#define NSP_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

// How many mutations the test runs, of a target that needs fewer than the others because its inputs take long.
extern const long fuzz_runs __attribute__((weak));

#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            dprintf(STDERR_FILENO, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition);             \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

// A copy of exactly these bytes, so that a sanitizer notices an access beyond them; zero-terminated or not.
// To be freed.
static inline __attribute__((unused)) char *fuzz_copy(const void *bytes, size_t size)
{
    char *copy = malloc(size != 0 ? size : 1);
    MUST(copy != NULL);
    if (size != 0)
        memcpy(copy, bytes, size);
    return copy;
}

static inline __attribute__((unused)) char *fuzz_text(const void *bytes, size_t size)
{
    char *copy = malloc(size + 1);
    MUST(copy != NULL);
    if (size != 0)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}

// A zero-terminated copy of the input's next line; NULL at the end.
static inline __attribute__((unused)) char *fuzz_line(const uint8_t **bytes, size_t *size)
{
    if (*size == 0)
        return NULL;
    const uint8_t *end = memchr(*bytes, '\n', *size);
    size_t length = end != NULL ? (size_t)(end - *bytes) : *size;
    char *line = fuzz_text(*bytes, length);
    size_t taken = length + (end != NULL);
    *bytes += taken;
    *size -= taken;
    return line;
}

// Is this valid UTF-8 without control characters, and so safe for a log line or a terminal?
static inline __attribute__((unused)) bool fuzz_is_line(const char *text, size_t length)
{
    const uint8_t *at = (const uint8_t *)text, *end = length != 0 ? at + length : at; // may be NULL if empty
    while (at < end) {
        unsigned more = *at < 0x80   ? 0
                        : *at < 0xc2 ? 9
                        : *at < 0xe0 ? 1
                        : *at < 0xf0 ? 2
                        : *at < 0xf5 ? 3
                                     : 9;
        if (more == 9 || *at < 0x20 || *at == 0x7f || (size_t)(end - at) <= more)
            return false;
        uint32_t point = more == 0 ? *at : *at & (0x3fu >> more);
        for (unsigned i = 1; i <= more; i++) {
            if ((at[i] & 0xc0) != 0x80)
                return false;
            point = point << 6 | (at[i] & 0x3fu);
        }
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ||
            (point >= 0x80 && point < 0xa0))
            return false;
        at += more + 1;
    }
    return true;
}

#endif

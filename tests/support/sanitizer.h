// SPDX-License-Identifier: Apache-2.0
//
// Tells which sanitizer a test is built with. Some things cannot be observed under a sanitizer and are
// skipped.
#ifndef NSP_TESTS_SANITIZER_H
#define NSP_TESTS_SANITIZER_H

#include <stdbool.h>

#if defined(__SANITIZE_ADDRESS__)
#define TEST_UNDER_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define TEST_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_UNDER_ASAN 1
#elif __has_feature(thread_sanitizer)
#define TEST_UNDER_TSAN 1
#endif
#endif

#ifndef TEST_UNDER_ASAN
#define TEST_UNDER_ASAN 0
#endif
#ifndef TEST_UNDER_TSAN
#define TEST_UNDER_TSAN 0
#endif

// With the address sanitizer a fork waits for the other threads to sleep, but not for ever: see sanitizer.c.
// A test that wants to fork while they work clears this; its children must not allocate then.
extern bool sanitizer_forks_wait;

// Prints the reason and skips the test. Needs <cmocka.h> and <stdio.h>.
#define SKIP_BECAUSE(reason)                                                                                 \
    do {                                                                                                     \
        printf("[  REASON  ] %s\n", reason);                                                                 \
        skip();                                                                                              \
    } while (0)

#endif

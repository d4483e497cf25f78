// SPDX-License-Identifier: Apache-2.0
//
// The tests of a build for another processor run on qemu-user's emulator. ctest then sets NSP_EMULATOR to its
// command line, with tabs between the words.
#ifndef NSP_TESTS_EMULATOR_H
#define NSP_TESTS_EMULATOR_H

#include <stdbool.h>

#include "support/sanitizer.h"

bool test_emulated(void);

// Skips the test if it is emulated and the emulator lacks what the test needs.
#define SKIP_ON_EMULATOR(lack)                                                                               \
    do {                                                                                                     \
        if (test_emulated())                                                                                 \
            SKIP_BECAUSE("qemu-user 7.2: " lack);                                                            \
    } while (0)

// The thread sanitizer ends a child that starts threads if its parent had some, whatever its options say: it
// finds the new thread's identity already in use. So does qemu-user 7.2, for the same reason.
static inline __attribute__((unused)) bool test_threads_in_children(void)
{
    return !TEST_UNDER_TSAN && !test_emulated();
}

#define SKIP_WITHOUT_THREADS_IN_CHILDREN()                                                                   \
    do {                                                                                                     \
        if (!test_threads_in_children())                                                                     \
            SKIP_BECAUSE("the thread sanitizer and qemu-user 7.2 support no threads in a threaded parent's " \
                         "child");                                                                           \
    } while (0)

// So in a forked child, until the library's own handler has run, the parent's memory is still there.
#define SKIP_WITHOUT_FORK_ADVICE() SKIP_ON_EMULATOR("MADV_WIPEONFORK and MADV_DONTFORK do nothing")

// Like execle, but with the environment in front of the arguments. Use it to start a program of this build:
// if the build is emulated, the kernel could not run it, and this starts the emulator with it. For the
// calling program itself, the path is /proc/self/exe. Safe in the forked child of a process with threads.
void program_exec(const char *path, char *const environment[], ...) __attribute__((sentinel));

#endif

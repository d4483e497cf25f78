// SPDX-License-Identifier: Apache-2.0
#include "support/emulator.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS_MAX = 64, LEAST_LEFT = 32 };

static char emulator[8192]; // empty: none
static char line[sizeof emulator], program[4096], with_name[] = "-0";

// Early, since tests may change the environment.
__attribute__((constructor)) static void read_environment(void)
{
    const char *given = getenv("NSP_EMULATOR");
    snprintf(emulator, sizeof emulator, "%s", given != NULL ? given : "");
}

bool test_emulated(void)
{
    return emulator[0] != '\0';
}

// The words in front of those arguments of the program that come after its name. Returns how many.
static size_t emulator_words(const char *path, char *name, char **words)
{
    size_t count = 0;
    char *rest = NULL;
    memcpy(line, emulator, sizeof line);
    for (char *word = strtok_r(line, "\t", &rest); word != NULL && count < WORDS_MAX - LEAST_LEFT;
         word = strtok_r(NULL, "\t", &rest))
        words[count++] = word;
    // In the emulator's process this would be the emulator. In this one it answers with the program that it
    // runs.
    ssize_t length = strcmp(path, "/proc/self/exe") == 0 ? readlink(path, program, sizeof program - 1) : 0;
    if (length > 0)
        program[length] = '\0';
    else
        snprintf(program, sizeof program, "%s", path);
    words[count++] = with_name;
    words[count++] = name;
    words[count++] = program;
    return count;
}

void program_exec(const char *path, char *const environment[], ...)
{
    char *words[WORDS_MAX + 1];
    size_t count = 0;
    va_list arguments;
    va_start(arguments, environment);
    if (test_emulated())
        count = emulator_words(path, va_arg(arguments, char *), words);
    while (count < WORDS_MAX && (words[count] = va_arg(arguments, char *)) != NULL)
        count++;
    words[count] = NULL;
    va_end(arguments);
    execve(test_emulated() ? words[0] : path, words, environment);
}

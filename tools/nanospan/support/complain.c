// SPDX-License-Identifier: Apache-2.0
#include "complain.h"

#include "command.h"
#include "trace_notes.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void complain(const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (length >= (int)sizeof message) // it was cut: a command that is shown must not seem to be whole
        memcpy(message + sizeof message - sizeof "...", "...", sizeof "...");
    // File names and contents may come from anybody, so control characters are escaped. The buffer never
    // grows, because this also reports a lack of memory.
    char room[4 * sizeof message];
    text plain = {room, 0, sizeof room};
    trace_notes_plain(&plain, nsp__slice_of(message));
    fprintf(stderr, "%s: %.*s\n", program_invocation_name, (int)plain.length, plain.data);
}

static void *insist(void *memory, size_t size)
{
    if (memory == NULL && size) {
        complain("out of memory: %zu more bytes were needed", size);
        exit(EXIT_PROBLEM);
    }
    return memory;
}

void *need_memory(size_t size)
{
    return insist(malloc(size), size);
}

char *need_copy(const char *string)
{
    const size_t size = strlen(string) + 1;
    return memcpy(need_memory(size), string, size);
}

void *need_more(void *memory, size_t size)
{
    return insist(realloc(memory, size), size);
}

void *need_zeroes(size_t count, size_t size)
{
    return insist(calloc(count, size), count * size);
}

void *need_room(void *array, size_t count, size_t *capacity, size_t element)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity ? *capacity * 2 : 16;
    return insist(reallocarray(array, *capacity, element), *capacity * element);
}

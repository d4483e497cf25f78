// SPDX-License-Identifier: Apache-2.0
//
// Error messages on stderr, preceded by the name of the command. Any thread may call these functions.
#ifndef NANOSPAN_SUPPORT_COMPLAIN_H
#define NANOSPAN_SUPPORT_COMPLAIN_H

#include <stddef.h>

// Prints one line; the text has no newline. The caller says what is wrong and what to do about it.
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

// malloc, realloc, calloc and strdup that end the program with a message when memory is exhausted.
void *need_memory(size_t size);
void *need_more(void *memory, size_t size);
void *need_zeroes(size_t count, size_t size);
char *need_copy(const char *string);

// Makes room for one more element in an array that grows by doubling. Returns the array, which may have
// moved.
void *need_room(void *array, size_t count, size_t *capacity, size_t element);

#endif

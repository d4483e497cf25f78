// SPDX-License-Identifier: Apache-2.0
//
// Messages for people, on stderr, with the name of the command that speaks in front. Any thread may call these.
#ifndef NANOSPAN_SUPPORT_COMPLAIN_H
#define NANOSPAN_SUPPORT_COMPLAIN_H

#include <stddef.h>

// One line, without a newline at its end; the caller writes what is wrong and what to do about it.
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

// malloc, realloc and calloc that end the program with a message where memory is used up.
void *need_memory(size_t size);
void *need_more(void *memory, size_t size);
void *need_zeroes(size_t count, size_t size);

// Room for one more element in an array that grows by doubling; returns the array, which may have moved.
void *need_room(void *array, size_t count, size_t *capacity, size_t element);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Numbers on the command line, checked.
#ifndef EXAMPLES_ARGUMENTS_H
#define EXAMPLES_ARGUMENTS_H

#include <stdint.h>

// Reads the whole text as a number within the bounds. If it is not one, prints a line that names the option,
// and ends the program with exit code 2.
uint64_t argument_count(const char *program, const char *option, const char *text, uint64_t least,
                        uint64_t most);
double argument_real(const char *program, const char *option, const char *text, double least, double most);

// Reads a time with its unit, such as 500us or 1.5ms, of a nanosecond to an hour; in nanoseconds. As above.
uint64_t argument_time(const char *program, const char *option, const char *text);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Words of commands that a person is told to type.
#ifndef NANOSPAN_SUPPORT_SHELL_WORD_H
#define NANOSPAN_SUPPORT_SHELL_WORD_H

#include "text.h"

// Adds the word so that a POSIX shell reads exactly it, in single quotes if it needs some.
void shell_word(text *out, const char *word);

#endif

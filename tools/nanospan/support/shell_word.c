// SPDX-License-Identifier: Apache-2.0
#include "shell_word.h"

static const char SAFE[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_";

void shell_word(text *out, const char *word)
{
    if (*word && word[strspn(word, SAFE)] == '\0') {
        text_put(out, word);
        return;
    }
    text_char(out, '\'');
    for (; *word; word++)
        if (*word == '\'')
            text_put(out, "'\\''");
        else
            text_char(out, *word);
    text_char(out, '\'');
}

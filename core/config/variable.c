// SPDX-License-Identifier: Apache-2.0
#include "config/variable.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool nsp__variable_apply(const nsp__variable *variable, const char *text, const char *argument,
                         nsp_config *config)
{
    return variable->kind->parse(variable, text, argument, config);
}

bool nsp__variable_holds(const nsp__variable *variable, const nsp_config *config)
{
    return variable->kind->holds == NULL || variable->kind->holds(variable, config);
}

void nsp__variable_accepts(const nsp__variable *variable, bool in_code, char *out, size_t size)
{
    variable->kind->accepts(variable, in_code, out, size);
}

void nsp__variable_value(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                         size_t size)
{
    variable->kind->print(variable, in_code, config, out, size);
}

void nsp__variable_fault(const nsp__variable *variable, const char *text, char *out, size_t size)
{
    if (variable->kind->fault != NULL)
        variable->kind->fault(variable, text, out, size);
    else
        snprintf(out, size, "is not accepted");
}

void nsp__variable_left_out(const nsp__variable *variable, const char *text, char *out, size_t size)
{
    *out = 0;
    if (variable->kind->left_out != NULL)
        variable->kind->left_out(variable, text, out, size);
}

const char *nsp__variable_shown(const nsp__variable *variable, const char *text)
{
    bool showable = variable->kind->showable == NULL || variable->kind->showable(text);
    return showable && !variable->secret ? text : "(not shown)";
}

int nsp__word_find(const char *const *words, const char *text, size_t length)
{
    for (int i = 0; words[i] != NULL; i++)
        if (strlen(words[i]) == length && strncasecmp(words[i], text, length) == 0)
            return i;
    return -1;
}

void nsp__words_list(const char *const *words, char *out, size_t size)
{
    size_t length = 0;
    *out = 0;
    for (int i = 0; words[i] != NULL && length < size; i++) {
        const char *between = i == 0 ? "" : words[i + 1] != NULL ? ", " : " or ";
        length += (size_t)snprintf(out + length, size - length, "%s%s", between, words[i]);
    }
}

// SPDX-License-Identifier: Apache-2.0
#include "microhttpd/forwarded.h"

#include <string.h>
#include <strings.h>

static const char BLANKS[] = " \t";

nsp__slice nsp__forwarded(const char *field, const char *parameter)
{
    const nsp__slice none = {NULL, 0};
    size_t name_length = strlen(parameter);
    while (field != NULL && *field != '\0' && *field != ',') {
        field += strspn(field, "; \t");
        size_t length = strcspn(field, "=;,");
        bool wanted = length == name_length && strncasecmp(field, parameter, length) == 0;
        field += length;
        if (*field != '=')
            continue;
        field++;
        bool quoted = *field == '"';
        field += quoted;
        nsp__slice value = {field, strcspn(field, quoted ? "\"" : ";, \t")};
        if (wanted)
            return value.length != 0 ? value : none;
        field += value.length;
        field += quoted && *field == '"';
    }
    return none;
}

nsp__slice nsp__first_of(const char *list)
{
    if (list == NULL)
        return (nsp__slice){NULL, 0};
    list += strspn(list, BLANKS);
    nsp__slice first = {list, strcspn(list, ",")};
    while (first.length != 0 && strchr(BLANKS, first.text[first.length - 1]) != NULL)
        first.length--;
    return first.length != 0 ? first : (nsp__slice){NULL, 0};
}

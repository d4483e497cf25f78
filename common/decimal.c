// SPDX-License-Identifier: Apache-2.0
#include "common/decimal.h"

#include <locale.h>
#include <stdlib.h>

static bool of_number(char c)
{
    return c != 0 && strchr("0123456789.eE+-", c) != NULL;
}

bool nsp__decimal_read(nsp__slice text, double *number, nsp__slice *rest)
{
    char digits[64]; // no number that somebody writes is longer
    size_t length = 0;
    while (length < text.length && of_number(text.text[length]))
        length++;
    if (length == 0 || length >= sizeof digits)
        return false;
    memcpy(digits, text.text, length);
    digits[length] = 0;
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (plain == NULL)
        return false;
    char *end;
    *number = strtod_l(digits, &end, plain);
    freelocale(plain);
    *rest = (nsp__slice){text.text + length, text.length - length};
    return end == digits + length;
}

// SPDX-License-Identifier: Apache-2.0
#include "shared/arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t argument_count(const char *program, const char *option, const char *text, uint64_t least,
                        uint64_t most)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < least || value > most) {
        fprintf(stderr, "%s: %s takes a number from %" PRIu64 " to %" PRIu64 ", not '%s'\n", program, option,
                least, most, text);
        exit(2);
    }
    return value;
}

double argument_real(const char *program, const char *option, const char *text, double least, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (!*text || *end || !(value >= least && value <= most)) {
        fprintf(stderr, "%s: %s takes a number from %g to %g, not '%s'\n", program, option, least, most,
                text);
        exit(2);
    }
    return value;
}

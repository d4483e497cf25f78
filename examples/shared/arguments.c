// SPDX-License-Identifier: Apache-2.0
#include "shared/arguments.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

uint64_t argument_time(const char *program, const char *option, const char *text)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    char *end;
    const double value = strtod(text, &end);
    for (size_t i = 0; *text >= '0' && *text <= '9' && i < sizeof units / sizeof units[0]; i++)
        if (strcmp(end, units[i].name) == 0 && value * units[i].ns >= 1 && value * units[i].ns <= 3600e9)
            return (uint64_t)(value * units[i].ns + 0.5);
    fprintf(stderr, "%s: %s takes a time such as 500us or 1.5ms, not '%s'\n", program, option, text);
    exit(2);
}

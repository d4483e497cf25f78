// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include "complain.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// The largest double that converts to a uint64_t.
#define LARGEST 1.8e19

typedef struct unit {
    const char *name;
    double factor;
} unit;

static const unit BYTES[] = {{"", 1},
                             {"B", 1},
                             {"k", 1e3},
                             {"kB", 1e3},
                             {"M", 1e6},
                             {"MB", 1e6},
                             {"G", 1e9},
                             {"GB", 1e9},
                             {"KiB", 1024},
                             {"MiB", 1024.0 * 1024},
                             {"GiB", 1024.0 * 1024 * 1024},
                             {NULL, 0}};
static const unit TIMES[] = {{"ns", 1},   {"us", 1e3}, {"\u00b5s", 1e3}, {"\u03bcs", 1e3},
                             {"ms", 1e6}, {"s", 1e9},  {"m", 60e9},      {NULL, 0}};

// A finite number, zero or more, at the start of the text; the rest is its unit.
static bool number(const char *given, double *value, const char **rest)
{
    char *end = NULL;
    // strtod also accepts signs, hexadecimal and "nan".
    if (!isdigit((unsigned char)given[0]) || given[1] == 'x' || given[1] == 'X')
        return false;
    *value = strtod(given, &end);
    while (*end == ' ')
        end++;
    *rest = end;
    return isfinite(*value);
}

static bool with_unit(const char *given, const unit *units, double *value)
{
    const char *rest = NULL;
    if (!number(given, value, &rest))
        return false;
    if (*value == 0 && !*rest)
        return true;
    for (; units->name != NULL; units++)
        if (strcmp(units->name, rest) == 0) {
            *value *= units->factor;
            return *value < LARGEST;
        }
    return false;
}

bool option_listed(const struct argp_option *options, int key)
{
    for (; options->name != NULL; options++)
        if (options->key == key)
            return true;
    return false;
}

bool option_text(const char *option, const char *given, const char **out)
{
    if (!*given)
        complain("--%s is empty", option);
    else
        *out = given;
    return *given;
}

bool option_in_doubt(const char *given, nsp_in_doubt *out)
{
    const bool send = strcmp(given, "send") == 0, skip = strcmp(given, "skip") == 0;
    if (!send && !skip)
        complain("--in-doubt takes send or skip, not '%s'", given);
    else
        *out = send ? NSP_IN_DOUBT_SEND : NSP_IN_DOUBT_SKIP;
    return send || skip;
}

bool option_count(const char *option, const char *given, uint64_t lowest, uint64_t highest, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(given, &end, 10);
    if (!isdigit((unsigned char)given[0]) || *end || errno || value < lowest || value > highest) {
        if (highest == UINT64_MAX)
            complain("--%s takes a whole number of at least %" PRIu64 ", not '%s'", option, lowest, given);
        else
            complain("--%s takes a whole number from %" PRIu64 " to %" PRIu64 ", not '%s'", option, lowest,
                     highest, given);
        return false;
    }
    *out = value;
    return true;
}

bool option_bytes(const char *option, const char *given, uint64_t *out)
{
    double value = 0;
    if (!with_unit(given, BYTES, &value) || value < 1) {
        complain("--%s takes a size such as 65536, 500k or 64MiB, not '%s'", option, given);
        return false;
    }
    *out = (uint64_t)value;
    return true;
}

bool option_duration(const char *option, const char *given, uint64_t *out)
{
    double value = 0;
    if (!with_unit(given, TIMES, &value)) {
        complain("--%s takes a time with a unit, such as 750ns, 5us, 1.5ms or 2s, not '%s'", option, given);
        return false;
    }
    *out = (uint64_t)(value + 0.5);
    return true;
}

// So many digits; moves on after them.
static bool digits(const char **at, int count, int *out)
{
    *out = 0;
    for (int i = 0; i < count; i++) {
        if (!isdigit((unsigned char)**at))
            return false;
        *out = 10 * *out + (*(*at)++ - '0');
    }
    return true;
}

static bool character(const char **at, char wanted)
{
    const bool found = **at == wanted;
    *at += found;
    return found;
}

// What follows a full stop: one to nine digits.
static bool fraction(const char **at, uint64_t *nanoseconds)
{
    uint64_t worth = 100000000;
    const char *first = *at;
    for (; isdigit((unsigned char)**at) && worth; worth /= 10)
        *nanoseconds += worth * (uint64_t)(*(*at)++ - '0');
    return *at > first;
}

static bool utc_time(const char *at, uint64_t *out)
{
    struct tm parts = {0};
    uint64_t nanoseconds = 0;
    if (!digits(&at, 4, &parts.tm_year) || !character(&at, '-') || !digits(&at, 2, &parts.tm_mon) ||
        !character(&at, '-') || !digits(&at, 2, &parts.tm_mday) ||
        !(character(&at, ' ') || character(&at, 'T')) || !digits(&at, 2, &parts.tm_hour) ||
        !character(&at, ':') || !digits(&at, 2, &parts.tm_min))
        return false;
    if (character(&at, ':') &&
        (!digits(&at, 2, &parts.tm_sec) || (character(&at, '.') && !fraction(&at, &nanoseconds))))
        return false;
    parts.tm_year -= 1900;
    parts.tm_mon -= 1;
    const struct tm given = parts;
    const time_t seconds = timegm(&parts); // which moves what does not exist, such as the 30th of February
    *out = (uint64_t)seconds * 1000000000 + nanoseconds;
    return (!*at || strcmp(at, "Z") == 0 || strcmp(at, " UTC") == 0) && given.tm_mon == parts.tm_mon &&
           given.tm_mday == parts.tm_mday && given.tm_hour == parts.tm_hour && given.tm_min == parts.tm_min &&
           given.tm_sec == parts.tm_sec && seconds >= 0 && seconds < INT64_MAX / 1000000000;
}

bool option_moment(const char *option, const char *given, moment *out)
{
    double value = 0;
    *out = (moment){0};
    if (utc_time(given, &out->time))
        return true;
    if (!with_unit(given, TIMES, &value)) {
        complain("--%s takes a UTC time such as '2026-03-04 05:06:07.5', or a time after the first trace "
                 "such as 90s, not '%s'",
                 option, given);
        return false;
    }
    *out = (moment){(uint64_t)(value + 0.5), true};
    return true;
}

bool option_share(const char *option, const char *given, double *out)
{
    const char *rest = NULL;
    double value = 0;
    bool sound = number(given, &value, &rest);
    if (sound && strcmp(rest, "%") == 0)
        value /= 100;
    else if (sound && *rest)
        sound = false;
    if (!sound || value > 1) {
        complain("--%s takes a share from 0 to 1, such as 0.05 or 5%%, not '%s'", option, given);
        return false;
    }
    *out = value;
    return true;
}

bool option_rate(const char *given, double *out)
{
    const char *rest = NULL;
    bool sound = number(given, out, &rest);
    const bool percent = sound && strcmp(rest, "%") == 0;
    if (sound && !*rest && *out <= 1)
        return true;
    if (sound && (percent || !*rest) && *out <= 100)
        complain("'%s' is not a rate: rates are shares of traces, from 0 to 1; for %g%% write %g", given,
                 *out, *out / 100);
    else
        complain("'%s' is not a rate: rates are shares of traces, from 0 to 1, such as 0.1", given);
    return false;
}

bool option_per_second(const char *option, const char *given, double lowest, double highest, double *out)
{
    const char *rest = NULL;
    if (number(given, out, &rest) && (!*rest || strcmp(rest, "/s") == 0) && *out >= lowest && *out <= highest)
        return true;
    complain("--%s takes a number a second, such as 500/s, from %g to %g, or none; not '%s'", option, lowest,
             highest, given);
    return false;
}

// SPDX-License-Identifier: Apache-2.0
#include "units.h"

#include <math.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

void units_count(char out[UNITS_SIZE], uint64_t value)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, value);
    char *at = out;
    for (int i = 0; i < length; i++) {
        *at++ = digits[i];
        if (i + 1 < length && (length - i - 1) % 3 == 0)
            *at++ = ',';
    }
    *at = '\0';
}

void units_bytes(char out[UNITS_SIZE], double value)
{
    static const char *const NAMES[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    while (value >= 1024 && unit < 4) {
        value /= 1024;
        unit++;
    }
    snprintf(out, UNITS_SIZE, unit ? "%.1f %s" : "%.0f %s", value, NAMES[unit]);
}

void units_duration(char out[UNITS_SIZE], uint64_t nanoseconds)
{
    static const struct {
        uint64_t from;
        const char *name;
    } UNITS[] = {{1000000000, "s"}, {1000000, "ms"}, {1000, "\u00b5s"}};
    for (int i = 0; i < 3; i++) {
        double value = (double)nanoseconds / (double)UNITS[i].from;
        if (nanoseconds < UNITS[i].from)
            continue;
        int decimals = value < 9.9995 ? 3 : value < 99.995 ? 2 : value < 999.95 ? 1 : 0;
        snprintf(out, UNITS_SIZE, "%.*f %s", decimals, value, UNITS[i].name);
        return;
    }
    snprintf(out, UNITS_SIZE, "%" PRIu64 " ns", nanoseconds);
}

void units_age(char out[UNITS_SIZE], uint64_t nanoseconds)
{
    uint64_t seconds = nanoseconds / 1000000000;
    if (seconds < 120)
        snprintf(out, UNITS_SIZE, "%" PRIu64 " s", seconds);
    else if (seconds < 7200)
        snprintf(out, UNITS_SIZE, "%" PRIu64 " min", seconds / 60);
    else if (seconds < 172800)
        snprintf(out, UNITS_SIZE, "%" PRIu64 " h", seconds / 3600);
    else
        snprintf(out, UNITS_SIZE, "%" PRIu64 " days", seconds / 86400);
}

void units_time(char out[UNITS_SIZE], uint64_t unix_ns)
{
    time_t seconds = (time_t)(unix_ns / 1000000000);
    struct tm parts;
    char date[24] = "?";
    if (gmtime_r(&seconds, &parts) != NULL)
        strftime(date, sizeof date, "%F %T", &parts);
    snprintf(out, UNITS_SIZE, "%.19s.%09" PRIu64, date, unix_ns % 1000000000);
}

void units_share(char out[UNITS_SIZE], double share)
{
    const double percent = 100 * share;
    if (percent == 0)
        snprintf(out, UNITS_SIZE, "\u00b7");
    else if (fabs(percent) < 0.05)
        snprintf(out, UNITS_SIZE, "<0.1 %%");
    else if (fabs(percent) > 999.9)
        snprintf(out, UNITS_SIZE, "%s999 %%", percent > 0 ? ">" : "<-");
    else
        snprintf(out, UNITS_SIZE, "%.1f %%", percent);
}

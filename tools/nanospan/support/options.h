// SPDX-License-Identifier: Apache-2.0
//
// Values on the command line. Each function returns false after printing an error that names the option, what
// was given, and what it takes.
#ifndef NANOSPAN_SUPPORT_OPTIONS_H
#define NANOSPAN_SUPPORT_OPTIONS_H

#include <argp.h>
#include <nanospan/recover.h>
#include <stdbool.h>
#include <stdint.h>

// True if this is the key of one of these options, and not one that argp has for itself.
bool option_listed(const struct argp_option *options, int key);

// A text that is not empty; *out is the one that is given, not a copy.
bool option_text(const char *option, const char *given, const char **out);

// What --in-doubt takes.
bool option_in_doubt(const char *given, nsp_in_doubt *out);

// A whole number from lowest to highest.
bool option_count(const char *option, const char *given, uint64_t lowest, uint64_t highest, uint64_t *out);

// Bytes: a number with an optional k, M, G, KiB, MiB or GiB (k is 1000, KiB is 1024), at least 1.
bool option_bytes(const char *option, const char *given, uint64_t *out);

// Nanoseconds: a number with ns, us, µs, ms, s or m; the unit is required, except after 0.
bool option_duration(const char *option, const char *given, uint64_t *out);

// A point in time: UTC, as `nanospan view` prints it (2026-03-04 05:06:07.123456789; seconds and their fraction may be
// left out), or a duration since some beginning.
typedef struct moment {
    uint64_t time; // Unix time or, if relative, the duration; ns
    bool relative;
} moment;

bool option_moment(const char *option, const char *given, moment *out);

// A share from 0 to 1, or a percentage as `5%`.
bool option_share(const char *option, const char *given, double *out);

// A sample rate: a share from 0 to 1. A percentage is refused, with the share that it stands for.
bool option_rate(const char *given, double *out);

// A number of things a second, with or without "/s" after it. Its message also names "none", which the caller takes.
bool option_per_second(const char *option, const char *given, double lowest, double highest, double *out);

#endif

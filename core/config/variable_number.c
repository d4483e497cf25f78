// SPDX-License-Identifier: Apache-2.0
//
// Kinds of variables whose members are numbers: integers, bytes, times and ratios, and the sampler, which
// sets a ratio.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/decimal.h"
#include "config/variable.h"

// ---- integers ----

static const char *const byte_units[] = {"", "KiB", "MiB", "GiB", "TiB"};
enum { BYTE_UNITS = sizeof byte_units / sizeof *byte_units };

static uint64_t load_integer(const nsp__variable *variable, const nsp_config *config)
{
    const char *member = (const char *)config + variable->offset;
    uint64_t wide;
    uint32_t narrow;
    if (variable->width == sizeof narrow) {
        memcpy(&narrow, member, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, member, sizeof wide);
    return wide;
}

static void store_integer(const nsp__variable *variable, uint64_t value, nsp_config *config)
{
    char *member = (char *)config + variable->offset;
    uint32_t narrow = (uint32_t)value;
    if (variable->width == sizeof narrow)
        memcpy(member, &narrow, sizeof narrow);
    else
        memcpy(member, &value, sizeof value);
}

static bool in_range(const nsp__variable *variable, uint64_t value)
{
    return (value >= variable->min && value <= variable->max) || (variable->zero != NULL && value == 0);
}

// Reads a number at the start of the text; numbers that are too large become UINT64_MAX. False if the text
// does not begin with a number.
static bool read_number(const char *text, const char **end, uint64_t *number, bool *too_large)
{
    char *behind;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *number = strtoull(text, &behind, 10);
    *too_large = errno != 0;
    *end = behind;
    return true;
}

static bool store_number(const nsp__variable *variable, uint64_t number, bool too_large, uint64_t scale,
                         nsp_config *config)
{
    uint64_t value = variable->max;
    too_large = too_large || number > variable->max / scale;
    if (too_large && !variable->clamped)
        return false;
    if (!too_large)
        value = number * scale;
    if (!in_range(variable, value))
        return false;
    store_integer(variable, value, config);
    return true;
}

static bool parse_integer(const nsp__variable *variable, const char *text, const char *argument,
                          nsp_config *config)
{
    (void)argument;
    const char *end;
    uint64_t number;
    bool too_large;
    return read_number(text, &end, &number, &too_large) && *end == 0 &&
           store_number(variable, number, too_large, variable->kind->scale, config);
}

static bool parse_limit(const nsp__variable *variable, const char *text, const char *argument,
                        nsp_config *config)
{
    if (*text)
        return parse_integer(variable, text, argument, config);
    store_integer(variable, UINT32_MAX, config);
    return true;
}

static bool parse_bytes(const nsp__variable *variable, const char *text, const char *argument,
                        nsp_config *config)
{
    (void)argument;
    const char *end;
    uint64_t number;
    bool too_large;
    if (!read_number(text, &end, &number, &too_large))
        return false;
    end += strspn(end, " ");
    for (int unit = 0; unit < BYTE_UNITS; unit++)
        if (strcasecmp(byte_units[unit], end) == 0)
            return store_number(variable, number, too_large, UINT64_C(1) << 10 * unit, config);
    return false;
}

static bool holds_integer(const nsp__variable *variable, const nsp_config *config)
{
    return in_range(variable, load_integer(variable, config));
}

static void write_range(const nsp__variable *variable, const char *min, const char *max, const char *unit,
                        bool in_code, char *out, size_t size)
{
    const char *zero = variable->zero != NULL ? variable->zero : "";
    snprintf(out, size, "%s%s%s%s to %s%s%s", *zero ? "0 (" : "", zero, *zero ? ") or " : "", min, max, unit,
             variable->clamped && !in_code ? " (larger values count as the largest)" : "");
}

static void accepts_integer(const nsp__variable *variable, bool in_code, char *out, size_t size)
{
    char min[32], max[32];
    uint64_t scale = in_code ? 1 : variable->kind->scale;
    snprintf(min, sizeof min, "%" PRIu64, variable->min / scale);
    snprintf(max, sizeof max, "%" PRIu64, variable->max / scale);
    const char *unit = *variable->kind->unit == 0 ? "" : in_code ? " ns" : variable->kind->unit;
    write_range(variable, min, max, unit, in_code, out, size);
}

static void print_integer(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                          size_t size)
{
    uint64_t value = load_integer(variable, config);
    const char *unit = *variable->kind->unit == 0 ? "" : in_code ? " ns" : variable->kind->unit;
    if (variable->zero != NULL && value == 0 && !in_code)
        snprintf(out, size, "%s", variable->zero);
    else
        snprintf(out, size, "%" PRIu64 "%s", value / (in_code ? 1 : variable->kind->scale), unit);
}

static void print_limit(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                        size_t size)
{
    if (load_integer(variable, config) == UINT32_MAX && !in_code)
        snprintf(out, size, "no limit");
    else
        print_integer(variable, in_code, config, out, size);
}

// Writes the number with the largest unit that divides it.
static void write_bytes(bool in_code, uint64_t value, char *out, size_t size)
{
    int unit = 0;
    while (!in_code && value != 0 && value % 1024 == 0 && unit + 1 < BYTE_UNITS) {
        value /= 1024;
        unit++;
    }
    snprintf(out, size, "%" PRIu64 "%s%s", value, unit ? " " : "", byte_units[unit]);
}

static void accepts_bytes(const nsp__variable *variable, bool in_code, char *out, size_t size)
{
    char min[32], max[32];
    write_bytes(in_code, variable->min, min, sizeof min);
    write_bytes(in_code, variable->max, max, sizeof max);
    write_range(variable, min, max, "", in_code, out, size);
}

static void print_bytes(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                        size_t size)
{
    write_bytes(in_code, load_integer(variable, config), out, size);
}

#define INTEGER(parse_, print_, scale_, unit_)                                                               \
    {                                                                                                        \
        .parse = parse_, .holds = holds_integer, .accepts = accepts_integer, .print = print_,                \
        .scale = scale_, .unit = unit_                                                                       \
    }

const nsp__kind nsp__kind_count = INTEGER(parse_integer, print_integer, 1, "");
const nsp__kind nsp__kind_limit = INTEGER(parse_limit, print_limit, 1, "");
const nsp__kind nsp__kind_milliseconds = INTEGER(parse_integer, print_integer, 1000000, " ms");
const nsp__kind nsp__kind_microseconds = INTEGER(parse_integer, print_integer, 1000, " us");
const nsp__kind nsp__kind_bytes = {
    .parse = parse_bytes, .holds = holds_integer, .accepts = accepts_bytes, .print = print_bytes};

// ---- ratios ----

// Reads a plain decimal number, and this text behind it.
static bool read_decimal(const char *text, const char *behind, double *number)
{
    nsp__slice rest;
    return nsp__decimal_read(nsp__slice_of(text), number, &rest) && nsp__slice_is(rest, behind);
}

static bool read_ratio(const nsp__variable *variable, const char *text, double *ratio)
{
    return read_decimal(text, "", ratio) && *ratio >= variable->ratio_min && *ratio <= 1;
}

static double load_double(const nsp__variable *variable, const nsp_config *config)
{
    double number;
    memcpy(&number, (const char *)config + variable->offset, sizeof number);
    return number;
}

static void store_double(const nsp__variable *variable, double number, nsp_config *config)
{
    memcpy((char *)config + variable->offset, &number, sizeof number);
}

static bool parse_ratio(const nsp__variable *variable, const char *text, const char *argument,
                        nsp_config *config)
{
    (void)argument;
    double ratio;
    if (!read_ratio(variable, text, &ratio))
        return false;
    store_double(variable, ratio, config);
    return true;
}

static bool holds_ratio(const nsp__variable *variable, const nsp_config *config)
{
    double ratio = load_double(variable, config);
    return ratio >= variable->ratio_min && ratio <= 1; // false for NaN
}

static void accepts_ratio(const nsp__variable *variable, bool in_code, char *out, size_t size)
{
    (void)in_code;
    snprintf(out, size, "%g to 1", variable->ratio_min);
}

static void print_ratio(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                        size_t size)
{
    snprintf(out, size, in_code ? "%.17g" : "%g", load_double(variable, config));
}

const nsp__kind nsp__kind_ratio = {
    .parse = parse_ratio, .holds = holds_ratio, .accepts = accepts_ratio, .print = print_ratio};

// ---- numbers per second ----

static bool in_limits(const nsp__variable *variable, double number)
{
    return number == 0 || (number >= variable->ratio_min && number <= variable->ratio_max); // false for NaN
}

static bool parse_per_second(const nsp__variable *variable, const char *text, const char *argument,
                             nsp_config *config)
{
    (void)argument;
    double number;
    if ((!read_decimal(text, "", &number) && !read_decimal(text, "/s", &number)) ||
        !in_limits(variable, number))
        return false;
    store_double(variable, number, config);
    return true;
}

static bool holds_per_second(const nsp__variable *variable, const nsp_config *config)
{
    return in_limits(variable, load_double(variable, config));
}

static void accepts_per_second(const nsp__variable *variable, bool in_code, char *out, size_t size)
{
    snprintf(out, size, "0 (no limit) or %g to %.0f%s", variable->ratio_min, variable->ratio_max,
             in_code ? "" : " a second, with or without /s after it");
}

static void print_per_second(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                             size_t size)
{
    double number = load_double(variable, config);
    if (number == 0 && !in_code)
        snprintf(out, size, "no limit");
    else
        snprintf(out, size, in_code ? "%.17g" : "%g/s", number);
}

const nsp__kind nsp__kind_per_second = {.parse = parse_per_second,
                                        .holds = holds_per_second,
                                        .accepts = accepts_per_second,
                                        .print = print_per_second};

// ---- the sampler ----

// Names without "parentbased_". They set the rate, and that a remote parent does not decide.
static const char *const samplers[] = {"always_off", "always_on", "traceidratio", NULL};
static const char parent_based[] = "parentbased_";

static bool parse_sampler(const nsp__variable *variable, const char *text, const char *argument,
                          nsp_config *config)
{
    bool follow = !strncasecmp(text, parent_based, sizeof parent_based - 1);
    const char *name = follow ? text + sizeof parent_based - 1 : text;
    int sampler = nsp__word_find(samplers, name, strlen(name));
    if (sampler < 0)
        return false;
    double rate = sampler;
    if (sampler == 2 && !(argument != NULL && read_ratio(variable, argument, &rate)))
        rate = 1;
    config->sample_rate = rate;
    config->parent_policy = follow ? NSP_PARENT_FOLLOW : NSP_PARENT_DECIDE;
    return true;
}

static void accepts_sampler(const nsp__variable *variable, bool in_code, char *out, size_t size)
{
    (void)variable;
    (void)in_code;
    snprintf(out, size, "always_on, always_off or traceidratio, with or without the prefix parentbased_");
}

static void sampler_fault(const nsp__variable *variable, const char *text, char *out, size_t size)
{
    (void)variable;
    snprintf(out, size, "%s",
             strcasestr(text, "jaeger_remote") != NULL ? "is not supported in this version"
                                                       : "is not accepted");
}

static bool judge_argument(const nsp__variable *variable, const char *text, const char *argument,
                           nsp_config *config)
{
    (void)argument;
    (void)config;
    double ratio;
    return read_ratio(variable, text, &ratio);
}

static void print_sampler(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                          size_t size)
{
    (void)variable;
    (void)in_code;
    snprintf(out, size, "a rate of %g%s", config->sample_rate,
             config->parent_policy == NSP_PARENT_FOLLOW ? ", following remote parents" : "");
}

const nsp__kind nsp__kind_sampler = {
    .parse = parse_sampler, .accepts = accepts_sampler, .print = print_sampler, .fault = sampler_fault};
const nsp__kind nsp__kind_sampler_argument = {
    .parse = judge_argument, .accepts = accepts_ratio, .print = print_sampler, .sets_nothing = true};

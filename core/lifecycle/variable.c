// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/variable.h"

#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/thread_start.h"
#include "lifecycle/endpoint.h"
#include "lifecycle/pairs.h"
#include "propagation/propagators.h"

static const char *const bool_words[] = {"false", "true", NULL};
static const char *const relaxed_words[] = {"false", "true", "0", "1", "no", "yes", "off", "on", NULL};

// Without "parentbased_": what the rate is, and that a remote parent does not decide.
static const char *const samplers[] = {"always_off", "always_on", "traceidratio", NULL};
static const char parent_based[] = "parentbased_";

static const char *const byte_units[] = {"", "KiB", "MiB", "GiB", "TiB"};
enum { BYTE_UNITS = sizeof byte_units / sizeof *byte_units };

static void *member_of(const nsp__variable *variable, nsp_config *config)
{
    return (char *)config + variable->offset;
}

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
    uint32_t narrow = (uint32_t)value;
    if (variable->width == sizeof narrow)
        memcpy(member_of(variable, config), &narrow, sizeof narrow);
    else
        memcpy(member_of(variable, config), &value, sizeof value);
}

static const char *load_text(const nsp__variable *variable, const nsp_config *config)
{
    const char *text;
    memcpy(&text, (const char *)config + variable->offset, sizeof text);
    return text;
}

static double load_ratio(const nsp__variable *variable, const nsp_config *config)
{
    double ratio;
    memcpy(&ratio, (const char *)config + variable->offset, sizeof ratio);
    return ratio;
}

// The word's place in the list, in any case of letters; -1 if it is not there.
static int find_word(const char *const *words, const char *text)
{
    for (int i = 0; words[i]; i++) {
        if (!strcasecmp(words[i], text))
            return i;
    }
    return -1;
}

// How much of the member's unit one of the variable's unit is.
static uint64_t scale_of(const nsp__variable *variable)
{
    switch (variable->kind) {
    case NSP__MILLISECONDS: return 1000000;
    case NSP__MICROSECONDS: return 1000;
    default: return 1;
    }
}

static const char *unit_of(const nsp__variable *variable, bool in_code)
{
    switch (variable->kind) {
    case NSP__MILLISECONDS: return in_code ? " ns" : " ms";
    case NSP__MICROSECONDS: return in_code ? " ns" : " us";
    default: return "";
    }
}

// Digits, for BYTES with a unit behind them, and in range.
static bool parse_integer(const nsp__variable *variable, const char *text, uint64_t *value)
{
    uint64_t scale = scale_of(variable);
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno)
        return false;
    while (variable->kind == NSP__BYTES && *end == ' ')
        end++;
    if (variable->kind == NSP__BYTES && *end) {
        int unit = 1;
        while (unit < BYTE_UNITS && strcasecmp(byte_units[unit], end) != 0)
            unit++;
        if (unit == BYTE_UNITS)
            return false;
        scale = UINT64_C(1) << 10 * unit;
    } else if (*end) {
        return false;
    }
    if (number > variable->max / scale)
        return false;
    *value = number * scale;
    return *value >= variable->min;
}

// A plain decimal number with a point, whatever the locale says; no NaN, infinity or hexadecimal.
static bool parse_ratio(const nsp__variable *variable, const char *text, double *ratio)
{
    if (!*text || text[strspn(text, "0123456789.eE+-")])
        return false;
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!plain)
        return false;
    char *end;
    *ratio = strtod_l(text, &end, plain);
    freelocale(plain);
    return end != text && !*end && *ratio >= variable->ratio_min && *ratio <= 1;
}

static bool text_valid(const nsp__variable *variable, const char *text)
{
    switch (variable->kind) {
    case NSP__CHOICE_TEXT: return find_word(variable->choices, text) >= 0;
    case NSP__PAIRS: return nsp__pairs_valid(text);
    case NSP__ENDPOINT:
    case NSP__ENDPOINT_EXACT: return nsp__endpoint_valid(text);
    case NSP__CPUS: return nsp__cpu_list_valid(text);
    case NSP__FOLDER: return *text == '/' || !strcmp(text, "none");
    case NSP__PROPAGATORS: return nsp__propagators_read(text) != 0;
    default: return true;
    }
}

static bool apply_sampler(const nsp__variable *variable, const char *text, const char *argument,
                          nsp_config *config)
{
    bool follow = !strncasecmp(text, parent_based, sizeof parent_based - 1);
    int sampler = find_word(samplers, follow ? text + sizeof parent_based - 1 : text);
    if (sampler < 0)
        return false;
    double rate = sampler;
    if (sampler == 2 && !(argument && parse_ratio(variable, argument, &rate)))
        rate = 1;
    config->sample_rate = rate;
    config->parent_policy = follow ? NSP_PARENT_FOLLOW : NSP_PARENT_DECIDE;
    return true;
}

const char *nsp__variable_shown(const nsp__variable *variable, const char *text)
{
    bool endpoint = variable->kind == NSP__ENDPOINT || variable->kind == NSP__ENDPOINT_EXACT;
    return variable->secret || (endpoint && strpbrk(text, "@?")) ? "(not shown)" : text;
}

bool nsp__variable_is_text(const nsp__variable *variable)
{
    switch (variable->kind) {
    case NSP__CHOICE_TEXT:
    case NSP__TEXT:
    case NSP__PAIRS:
    case NSP__ENDPOINT:
    case NSP__ENDPOINT_EXACT:
    case NSP__CPUS:
    case NSP__FOLDER:
    case NSP__PROPAGATORS: return true;
    default: return false;
    }
}

bool nsp__variable_apply(const nsp__variable *variable, const char *text, const char *argument,
                         nsp_config *config)
{
    void *member = member_of(variable, config);
    uint64_t integer;
    double ratio;
    int word;
    bool set;
    switch (variable->kind) {
    case NSP__BOOL:
    case NSP__BOOL_INVERTED:
    case NSP__BOOL_RELAXED:
        word = find_word(variable->kind == NSP__BOOL_RELAXED ? relaxed_words : bool_words, text);
        if (word < 0)
            return false;
        set = (word & 1) != (variable->kind == NSP__BOOL_INVERTED);
        memcpy(member, &set, sizeof set);
        return true;
    case NSP__LIMIT:
        if (!*text) {
            store_integer(variable, UINT32_MAX, config);
            return true;
        }
        // fall through
    case NSP__COUNT:
    case NSP__BYTES:
    case NSP__MILLISECONDS:
    case NSP__MICROSECONDS:
        if (!parse_integer(variable, text, &integer))
            return false;
        store_integer(variable, integer, config);
        return true;
    case NSP__RATIO:
        if (!parse_ratio(variable, text, &ratio))
            return false;
        memcpy(member, &ratio, sizeof ratio);
        return true;
    case NSP__CHOICE:
        word = find_word(variable->choices, text);
        if (word < 0)
            return false;
        store_integer(variable, (uint64_t)word, config);
        return true;
    case NSP__SAMPLER: return apply_sampler(variable, text, argument, config);
    case NSP__SAMPLER_ARGUMENT: return parse_ratio(variable, text, &ratio);
    case NSP__IGNORED: return true;
    default: break;
    }
    if (*text && !text_valid(variable, text))
        return false;
    if (!*text)
        text = NULL;
    else if (variable->kind == NSP__CHOICE_TEXT)
        text = variable->choices[find_word(variable->choices, text)];
    memcpy(member, &text, sizeof text);
    if (text && (variable->kind == NSP__ENDPOINT || variable->kind == NSP__ENDPOINT_EXACT))
        config->endpoint_exact = variable->kind == NSP__ENDPOINT_EXACT;
    return true;
}

bool nsp__variable_holds(const nsp__variable *variable, const nsp_config *config)
{
    if (nsp__variable_is_text(variable)) {
        const char *text = load_text(variable, config);
        return !text || !*text || text_valid(variable, text);
    }
    uint64_t integer;
    double ratio;
    int choices = 0;
    switch (variable->kind) {
    case NSP__COUNT:
    case NSP__LIMIT:
    case NSP__BYTES:
    case NSP__MILLISECONDS:
    case NSP__MICROSECONDS:
        integer = load_integer(variable, config);
        return integer >= variable->min && integer <= variable->max;
    case NSP__RATIO:
        ratio = load_ratio(variable, config);
        return ratio >= variable->ratio_min && ratio <= 1; // not so for NaN
    case NSP__CHOICE:
        while (variable->choices[choices])
            choices++;
        return load_integer(variable, config) < (uint64_t)choices;
    default: return true;
    }
}

static void list_words(const char *const *words, char *out, size_t size)
{
    size_t length = 0;
    *out = 0;
    for (int i = 0; words[i] && length < size; i++) {
        const char *between = i == 0 ? "" : words[i + 1] ? ", " : " or ";
        length += (size_t)snprintf(out + length, size - length, "%s%s", between, words[i]);
    }
}

// An integer in the variable's unit, bytes with the largest unit that divides them.
static void write_integer(const nsp__variable *variable, bool in_code, uint64_t value, char *out, size_t size)
{
    int unit = 0;
    if (!in_code && variable->kind == NSP__BYTES) {
        for (; value && value % 1024 == 0 && unit + 1 < BYTE_UNITS; unit++)
            value /= 1024;
    }
    snprintf(out, size, "%" PRIu64 "%s%s", value / (in_code ? 1 : scale_of(variable)), unit ? " " : "",
             byte_units[unit]);
}

void nsp__variable_accepts(const nsp__variable *variable, bool in_code, char *out, size_t size)
{
    char min[32], max[32];
    switch (variable->kind) {
    case NSP__BOOL:
    case NSP__BOOL_INVERTED: list_words(bool_words, out, size); break;
    case NSP__BOOL_RELAXED: list_words(relaxed_words, out, size); break;
    case NSP__CHOICE:
        if (in_code) {
            snprintf(out, size, "one of its enum's values");
            break;
        }
        // fall through
    case NSP__CHOICE_TEXT: list_words(variable->choices, out, size); break;
    case NSP__RATIO:
    case NSP__SAMPLER_ARGUMENT: snprintf(out, size, "%g to 1", variable->ratio_min); break;
    case NSP__TEXT: snprintf(out, size, "any text"); break;
    case NSP__PAIRS: snprintf(out, size, "key=value,key=value with percent escapes"); break;
    case NSP__ENDPOINT:
    case NSP__ENDPOINT_EXACT: snprintf(out, size, "host:port, an http or https URL, or unix:PATH"); break;
    case NSP__CPUS: snprintf(out, size, "CPU numbers and ranges, as 0,2-3"); break;
    case NSP__FOLDER: snprintf(out, size, "an absolute path or none"); break;
    case NSP__PROPAGATORS:
        snprintf(out, size, "a list of ");
        list_words(nsp__propagator_names, out + strlen(out), size - strlen(out));
        break;
    case NSP__SAMPLER:
        snprintf(out, size, "always_on, always_off or traceidratio, each also with parentbased_ before it");
        break;
    case NSP__IGNORED: snprintf(out, size, "ignored"); break;
    default:
        write_integer(variable, in_code, variable->min, min, sizeof min);
        write_integer(variable, in_code, variable->max, max, sizeof max);
        snprintf(out, size, "%s to %s%s", min, max, unit_of(variable, in_code));
    }
}

void nsp__variable_value(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                         size_t size)
{
    if (nsp__variable_is_text(variable)) {
        const char *text = load_text(variable, config);
        snprintf(out, size, "%.200s", text && *text ? nsp__variable_shown(variable, text) : "nothing");
        return;
    }
    bool set;
    uint64_t integer;
    switch (variable->kind) {
    case NSP__BOOL:
    case NSP__BOOL_INVERTED:
    case NSP__BOOL_RELAXED:
        memcpy(&set, (const char *)config + variable->offset, sizeof set);
        snprintf(out, size, "%s", bool_words[set != (variable->kind == NSP__BOOL_INVERTED)]);
        break;
    case NSP__RATIO: snprintf(out, size, in_code ? "%.17g" : "%g", load_ratio(variable, config)); break;
    case NSP__SAMPLER:
    case NSP__SAMPLER_ARGUMENT:
        snprintf(out, size, "a rate of %g%s", config->sample_rate,
                 config->parent_policy == NSP_PARENT_FOLLOW ? ", following remote parents" : "");
        break;
    case NSP__CHOICE:
        integer = load_integer(variable, config);
        if (in_code)
            snprintf(out, size, "%d", (int)integer);
        else
            snprintf(out, size, "%s", variable->choices[integer]);
        break;
    case NSP__IGNORED: snprintf(out, size, "nothing"); break;
    default:
        integer = load_integer(variable, config);
        if (variable->kind == NSP__LIMIT && integer == UINT32_MAX && !in_code) {
            snprintf(out, size, "no limit");
            break;
        }
        write_integer(variable, in_code, integer, out, size);
        strncat(out, unit_of(variable, in_code), size - strlen(out) - 1);
    }
}

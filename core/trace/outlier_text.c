// SPDX-License-Identifier: Apache-2.0
#include "trace/outlier_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "common/decimal.h"
#include "common/text.h"
#include "common/visible.h"

// ---- what a rule may be ----

bool nsp__outlier_rule_valid(const nsp_outlier_rule *rule, char *problem, size_t size)
{
    const bool keeps = rule->slower_ns != 0 || rule->slowest != 0 || rule->errors || rule->asked;
    *problem = 0;
    if (rule->slower_ns > NSP_OUTLIER_SLOWER_MAX)
        snprintf(problem, size, "slower has to be at most a day");
    else if (rule->history_ns > NSP_OUTLIER_HISTORY_MAX)
        snprintf(problem, size, "history has to be at most a minute");
    else if (rule->slowest != 0 && !(rule->slowest >= NSP_OUTLIER_SLOWEST_MIN && rule->slowest <= 1))
        snprintf(problem, size, "slowest has to be a share of %g to 1, which is 100%%",
                 NSP_OUTLIER_SLOWEST_MIN);
    else if (rule->limit != 0 &&
             !(rule->limit >= NSP_OUTLIER_LIMIT_MIN && rule->limit <= NSP_OUTLIER_LIMIT_MAX))
        snprintf(problem, size, "limit has to be %g to %.0f traces a second", NSP_OUTLIER_LIMIT_MIN,
                 NSP_OUTLIER_LIMIT_MAX);
    else if (!keeps && !rule->measure)
        snprintf(problem, size, "a rule needs slower, slowest, errors, asked or measure");
    else if (!keeps && rule->limit != 0)
        snprintf(problem, size, "limit needs something that is kept: slower, slowest, errors or asked");
    else if (!keeps && rule->history_ns != 0)
        snprintf(problem, size, "history needs something that is kept: slower, slowest, errors or asked");
    return *problem == 0;
}

// ---- reading ----

typedef struct reader {
    const char *text;
    char *problem;
    size_t size;
} reader;

// The number of the character at this place: bytes that continue one in UTF-8 are not counted.
static size_t character_at(const char *text, const char *place)
{
    size_t number = 1;
    for (; text < place; text++)
        number += ((unsigned char)*text & 0xc0) != 0x80;
    return number;
}

// Says what is wrong with this part of the text.
__attribute__((format(printf, 3, 4))) static bool complain(const reader *me, nsp__slice part,
                                                           const char *format, ...)
{
    enum { SHOWN = 32 };
    char what[160], copy[SHOWN + 1], shown[4 * SHOWN];
    const size_t length = part.length < SHOWN ? part.length : SHOWN;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    memcpy(copy, part.text, length);
    copy[length] = 0;
    snprintf(me->problem, me->size, "character %zu, \"%s%s\": %s", character_at(me->text, part.text),
             nsp__visible(shown, sizeof shown, copy), part.length > SHOWN ? "..." : "", what);
    return false;
}

// White space of any kind may stand around everything, also in a text of several lines.
static nsp__slice trim(nsp__slice slice)
{
    static const char blanks[] = " \t\r\n";
    while (slice.length != 0 && memchr(blanks, slice.text[0], sizeof blanks - 1) != NULL) {
        slice.text++;
        slice.length--;
    }
    while (slice.length != 0 && memchr(blanks, slice.text[slice.length - 1], sizeof blanks - 1) != NULL)
        slice.length--;
    return slice;
}

// The length of its beginning without any of these characters.
static size_t length_without(nsp__slice slice, const char *characters)
{
    size_t length = 0;
    while (length < slice.length && strchr(characters, slice.text[length]) == NULL)
        length++;
    return length;
}

static bool is_word(nsp__slice slice, const char *word)
{
    return slice.text != NULL && slice.length == strlen(word) &&
           strncasecmp(slice.text, word, slice.length) == 0;
}

// A time from 1 ns to `most`, which `in_words` says too. word: what it is the value of.
static bool read_time(const reader *me, nsp__slice value, const char *word, uint64_t most,
                      const char *in_words, uint64_t *ns)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
    double number;
    nsp__slice unit;
    if (!nsp__decimal_read(value, &number, &unit))
        return complain(me, value, "%s needs a time, such as 50us", word);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (!is_word(unit, units[i].unit))
            continue;
        number *= units[i].ns;
        if (!(number > 1 - 1e-9 && number <= (double)most))
            return complain(me, value, "%s has to be a time from 1ns to %s", word, in_words);
        *ns = (uint64_t)round(number);
        return true;
    }
    return unit.length == 0
               ? complain(me, value, "a time needs a unit: ns, us, ms or s")
               : complain(me, value, "the unit of a time is ns, us, ms or s, and a comma ends a condition");
}

static bool read_share(const reader *me, nsp__slice value, double *share)
{
    nsp__slice rest;
    const bool number = nsp__decimal_read(value, share, &rest);
    const bool percent = number && nsp__slice_is(rest, "%");
    if (!number || (!percent && rest.length != 0))
        return complain(me, value, "slowest needs a share, such as 0.1%% or 0.001");
    *share /= percent ? 100 : 1;
    return (*share >= NSP_OUTLIER_SLOWEST_MIN && *share <= 1) ||
           complain(me, value, "slowest has to be a share of %g to 1, which is 100%%",
                    NSP_OUTLIER_SLOWEST_MIN);
}

static bool read_limit(const reader *me, nsp__slice value, double *limit)
{
    nsp__slice rest;
    if (!nsp__decimal_read(value, limit, &rest) || (rest.length != 0 && !nsp__slice_is(rest, "/s")))
        return complain(me, value, "limit needs a number of traces a second, such as 20/s");
    return (*limit >= NSP_OUTLIER_LIMIT_MIN && *limit <= NSP_OUTLIER_LIMIT_MAX) ||
           complain(me, value, "limit has to be %g to %.0f traces a second", NSP_OUTLIER_LIMIT_MIN,
                    NSP_OUTLIER_LIMIT_MAX);
}

// Each may be there once.
enum { SLOWER = 1, SLOWEST = 2, ERRORS = 4, ASKED = 8, MEASURE = 16, LIMIT = 32, HISTORY = 64 };

static const struct {
    const char *word;
    unsigned what;
    bool valued;
} known[] = {{"slower", SLOWER, true},  {"slowest", SLOWEST, true},  {"errors", ERRORS, false},
             {"asked", ASKED, false},   {"measure", MEASURE, false}, {"limit", LIMIT, true},
             {"history", HISTORY, true}};

// True if a condition begins with a known word behind a blank, so that a comma is missing before that word.
static bool lacks_comma(nsp__slice part, const char **word)
{
    for (size_t at = 1; at < part.length; at++) {
        const nsp__slice rest = trim((nsp__slice){part.text + at, part.length - at});
        if (rest.text == part.text + at) // no blank is here
            continue;
        const size_t end = length_without(rest, " \t\r\n=");
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            if (is_word((nsp__slice){rest.text, end}, known[i].word)) {
                *word = known[i].word;
                return true;
            }
        at = (size_t)(rest.text - part.text);
    }
    return false;
}

static bool read_condition(const reader *me, nsp__slice part, nsp_outlier_rule *out, unsigned *seen)
{
    const char *second = NULL;
    if (lacks_comma(part, &second))
        return complain(me, part, "a comma is missing before %s", second);
    nsp__slice rest = part, word = part;
    const bool valued = memchr(part.text, '=', part.length) != NULL && nsp__slice_split(&rest, '=', &word);
    const nsp__slice value = valued ? trim(rest) : (nsp__slice){part.text, 0};
    word = trim(word);
    unsigned what = 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!is_word(word, known[i].word))
            continue;
        what = known[i].what;
        if (known[i].valued != valued)
            return complain(me, part, "%s %s", known[i].word,
                            valued ? "takes no value" : "needs a value, after a =");
    }
    if (what == 0)
        return complain(
            me, part,
            "is none of slower=TIME, slowest=SHARE, errors, asked, measure, limit=N/s, history=TIME");
    if ((*seen & what) != 0)
        return complain(me, part, "is there twice in this rule");
    *seen |= what;
    out->errors |= what == ERRORS;
    out->asked |= what == ASKED;
    out->measure |= what == MEASURE;
    return what == SLOWER ? read_time(me, value, "slower", NSP_OUTLIER_SLOWER_MAX, "a day", &out->slower_ns)
           : what == HISTORY
               ? read_time(me, value, "history", NSP_OUTLIER_HISTORY_MAX, "a minute", &out->history_ns)
           : what == SLOWEST ? read_share(me, value, &out->slowest)
           : what == LIMIT   ? read_limit(me, value, &out->limit)
                             : true;
}

static bool read_rule(const reader *me, nsp__slice text, char *pattern, nsp_outlier_rule *out)
{
    const char *colon = memmem(text.text, text.length, ": ", 2);
    char problem[160];
    unsigned seen = 0;
    if (colon == NULL)
        return complain(me, text, "a rule is a pattern, a colon and a blank, and conditions");
    const nsp__slice its_pattern = trim((nsp__slice){text.text, (size_t)(colon - text.text)});
    if (its_pattern.length == 0 || its_pattern.length > NSP_SAMPLER_PATTERN_MAX)
        return complain(me, text, "a pattern must have 1 to %d bytes; this one has %zu",
                        NSP_SAMPLER_PATTERN_MAX, its_pattern.length);
    memset(pattern, 0, NSP_SAMPLER_PATTERN_MAX + 1);
    memcpy(pattern, its_pattern.text, its_pattern.length);
    *out = (nsp_outlier_rule){.size = sizeof *out};
    nsp__slice rest = {colon + 2, text.length - (size_t)(colon + 2 - text.text)}, part;
    while (nsp__slice_split(&rest, ',', &part)) {
        part = trim(part);
        if (part.length == 0)
            return complain(me, (nsp__slice){part.text, 0}, "a condition is missing here");
        if (!read_condition(me, part, out, &seen))
            return false;
    }
    return nsp__outlier_rule_valid(out, problem, sizeof problem) || complain(me, text, "%s", problem);
}

nsp__outlier_found nsp__outlier_text_next(const char *text, size_t *at,
                                          char pattern[NSP_SAMPLER_PATTERN_MAX + 1], nsp_outlier_rule *out,
                                          char *problem, size_t size)
{
    const reader me = {text, problem, size};
    while (text[*at] != 0) {
        const size_t length = strcspn(text + *at, ";");
        const nsp__slice rule = trim((nsp__slice){text + *at, length});
        *at += length + (text[*at + length] != 0);
        if (rule.length != 0)
            return read_rule(&me, rule, pattern, out) ? NSP__OUTLIER_RULE : NSP__OUTLIER_BAD;
    }
    return NSP__OUTLIER_END;
}

// The character at which a rule with this pattern begins, before this place; 0: none does. All up to there can be read.
static size_t begins_before(const char *text, size_t end, const char *pattern)
{
    char other[NSP_SAMPLER_PATTERN_MAX + 1], unused[16];
    nsp_outlier_rule rule;
    size_t at = 0;
    for (size_t begin = 0; at < end; begin = at) {
        const nsp__outlier_found found =
            nsp__outlier_text_next(text, &at, other, &rule, unused, sizeof unused);
        if (at < end && found == NSP__OUTLIER_RULE && strcmp(pattern, other) == 0)
            return character_at(text, text + begin + strspn(text + begin, "; \t\r\n"));
    }
    return 0;
}

bool nsp__outlier_text_valid(const char *text, char *problem, size_t size)
{
    char pattern[NSP_SAMPLER_PATTERN_MAX + 1];
    nsp_outlier_rule rule;
    nsp__outlier_found found;
    size_t count = 0;
    if (text == NULL)
        return true;
    const reader me = {text, problem, size};
    for (size_t at = 0, begin = 0;; begin = at) {
        found = nsp__outlier_text_next(text, &at, pattern, &rule, problem, size);
        if (found != NSP__OUTLIER_RULE)
            return found == NSP__OUTLIER_END;
        begin += strspn(text + begin, "; \t\r\n");
        const nsp__slice its = {text + begin, at - begin};
        const size_t before = begins_before(text, at, pattern);
        if (before != 0)
            return complain(&me, its, "this pattern has a rule already, at character %zu", before);
        if (++count > NSP_OUTLIER_RULES_MAX)
            return complain(&me, its, "there are more than %d rules, which is the limit",
                            NSP_OUTLIER_RULES_MAX);
    }
}

nsp_status nsp_outlier_rule_read(const char *text, size_t *at, char pattern[NSP_SAMPLER_PATTERN_MAX + 1],
                                 nsp_outlier_rule *out)
{
    char problem[320];
    nsp_outlier_rule rule;
    if (text == NULL || at == NULL || pattern == NULL || out == NULL)
        return nsp__fail(NSP_ERR_INVALID, "no text is given, or nothing to write the rule to");
    const size_t size = out->size != 0 ? out->size : sizeof *out;
    const nsp__outlier_found found =
        nsp__outlier_text_next(text, at, pattern, &rule, problem, sizeof problem);
    if (found == NSP__OUTLIER_BAD)
        return nsp__fail(NSP_ERR_INVALID, "%s", problem);
    if (found == NSP__OUTLIER_END)
        return nsp__fail(NSP_ERR_NOT_FOUND, "there is no further rule");
    memset(out, 0, size);
    memcpy(out, &rule, size < sizeof rule ? size : sizeof rule);
    out->size = size;
    return NSP_OK;
}

// ---- writing ----

static nsp__slice number_text(char out[40], double number, const char *unit)
{
    nsp__text to = {(uint8_t *)out, (uint8_t *)out + 40, false};
    nsp__text_f64(&to, number);
    nsp__text_put(&to, unit);
    return (nsp__slice){out, (size_t)(to.at - (uint8_t *)out)};
}

static void put(nsp__text *out, size_t *count, const char *word, nsp__slice value)
{
    if ((*count)++ != 0)
        nsp__text_put(out, ", ");
    nsp__text_put(out, word);
    nsp__text_bytes(out, value.text, value.length);
}

// In the largest unit of which it is a multiple.
static void put_time(nsp__text *out, size_t *count, const char *word, uint64_t ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    size_t unit = 0;
    char text[40];
    for (; unit < 3 && ns % 1000 == 0; unit++)
        ns /= 1000;
    put(out, count, word, number_text(text, (double)ns, units[unit]));
}

// In percent, unless that cannot be read back as the same share, or is longer.
static void put_share(nsp__text *out, size_t *count, double share)
{
    char plain[40], percent[40];
    const nsp__slice as_it_is = number_text(plain, share, ""),
                     hundreds = number_text(percent, share * 100, "%");
    const bool in_percent = share * 100 / 100 == share && hundreds.length <= as_it_is.length;
    put(out, count, "slowest=", in_percent ? hundreds : as_it_is);
}

size_t nsp_outlier_rule_text(const nsp_outlier_rule *given, char *text, size_t size)
{
    const nsp__slice nothing = {"", 0};
    char all[NSP_OUTLIER_RULE_TEXT_MAX], limit[40];
    nsp__text out = {(uint8_t *)all, (uint8_t *)all + sizeof all - 1, false};
    nsp_outlier_rule rule = {.size = 0};
    size_t count = 0;
    if (given != NULL)
        memcpy(&rule, given, given->size != 0 && given->size < sizeof rule ? given->size : sizeof rule);
    if (rule.slower_ns != 0)
        put_time(&out, &count, "slower=", rule.slower_ns);
    if (rule.slowest != 0)
        put_share(&out, &count, rule.slowest);
    if (rule.errors)
        put(&out, &count, "errors", nothing);
    if (rule.asked)
        put(&out, &count, "asked", nothing);
    if (rule.measure)
        put(&out, &count, "measure", nothing);
    if (rule.limit != 0)
        put(&out, &count, "limit=", number_text(limit, rule.limit, "/s"));
    if (rule.history_ns != 0)
        put_time(&out, &count, "history=", rule.history_ns);
    *out.at = 0;
    if (size != 0)
        snprintf(text, size, "%s", all);
    return (size_t)(out.at - (uint8_t *)all);
}

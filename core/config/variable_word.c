// SPDX-License-Identifier: Apache-2.0
//
// Kinds of variables that are one of a few words: switches and choices; and variables without a counterpart
// here.
#include <stdio.h>
#include <string.h>

#include "config/variable.h"

// ---- switches ----

static const char *const bool_words[] = {"false", "true", NULL};
static const char *const relaxed_words[] = {"false", "true", "0", "1", "no", "yes", "off", "on", NULL};

static bool store_bool(const nsp__variable *variable, int word, bool inverted, nsp_config *config)
{
    if (word < 0)
        return false;
    bool set = (word & 1) != inverted;
    memcpy((char *)config + variable->offset, &set, sizeof set);
    return true;
}

// Any other text counts as false, and does not let a variable of lower precedence take effect
// (nsp__kind.keeps_its_place).
static bool parse_else_false(const nsp__variable *variable, const char *text, const char *argument,
                             nsp_config *config)
{
    (void)argument;
    if (*text == 0)
        text = bool_words[0];
    return store_bool(variable, nsp__word_find(bool_words, text, strlen(text)), false, config);
}

static bool parse_inverted(const nsp__variable *variable, const char *text, const char *argument,
                           nsp_config *config)
{
    (void)argument;
    return store_bool(variable, nsp__word_find(bool_words, text, strlen(text)), true, config);
}

static bool parse_relaxed(const nsp__variable *variable, const char *text, const char *argument,
                          nsp_config *config)
{
    (void)argument;
    return store_bool(variable, nsp__word_find(relaxed_words, text, strlen(text)), false, config);
}

static void accepts_bool(const nsp__variable *variable, bool in_code, char *out, size_t size)
{
    (void)variable;
    (void)in_code;
    nsp__words_list(bool_words, out, size);
}

static void accepts_relaxed(const nsp__variable *variable, bool in_code, char *out, size_t size)
{
    (void)variable;
    (void)in_code;
    nsp__words_list(relaxed_words, out, size);
}

static bool load_bool(const nsp__variable *variable, const nsp_config *config)
{
    bool set;
    memcpy(&set, (const char *)config + variable->offset, sizeof set);
    return set;
}

static void print_bool(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                       size_t size)
{
    (void)in_code;
    snprintf(out, size, "%s", bool_words[load_bool(variable, config)]);
}

static void print_inverted(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                           size_t size)
{
    (void)in_code;
    snprintf(out, size, "%s", bool_words[!load_bool(variable, config)]);
}

const nsp__kind nsp__kind_flag_else_false = {
    .parse = parse_else_false, .accepts = accepts_bool, .print = print_bool, .keeps_its_place = true};
const nsp__kind nsp__kind_flag_inverted = {
    .parse = parse_inverted, .accepts = accepts_bool, .print = print_inverted};
const nsp__kind nsp__kind_flag_relaxed = {
    .parse = parse_relaxed, .accepts = accepts_relaxed, .print = print_bool};

// ---- choices ----

// Reads an enum, which is an int.
static uint32_t load_choice(const nsp__variable *variable, const nsp_config *config)
{
    uint32_t choice;
    memcpy(&choice, (const char *)config + variable->offset, sizeof choice);
    return choice;
}

static bool parse_choice(const nsp__variable *variable, const char *text, const char *argument,
                         nsp_config *config)
{
    (void)argument;
    int word = nsp__word_find(variable->choices, text, strlen(text));
    if (word >= 0)
        memcpy((char *)config + variable->offset, &word, sizeof word);
    return word >= 0;
}

static bool holds_choice(const nsp__variable *variable, const nsp_config *config)
{
    uint32_t choices = 0;
    while (variable->choices[choices] != NULL)
        choices++;
    return load_choice(variable, config) < choices;
}

static void accepts_choice(const nsp__variable *variable, bool in_code, char *out, size_t size)
{
    if (in_code)
        snprintf(out, size, "a value of its enum");
    else
        nsp__words_list(variable->choices, out, size);
}

static void print_choice(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                         size_t size)
{
    uint32_t choice = load_choice(variable, config);
    if (in_code)
        snprintf(out, size, "%d", (int)choice);
    else
        snprintf(out, size, "%s", variable->choices[choice]);
}

const nsp__kind nsp__kind_choice = {
    .parse = parse_choice, .holds = holds_choice, .accepts = accepts_choice, .print = print_choice};

// ---- what has no counterpart ----

static bool parse_ignored(const nsp__variable *variable, const char *text, const char *argument,
                          nsp_config *config)
{
    (void)variable;
    (void)text;
    (void)argument;
    (void)config;
    return true;
}

static void accepts_ignored(const nsp__variable *variable, bool in_code, char *out, size_t size)
{
    (void)variable;
    (void)in_code;
    snprintf(out, size, "ignored");
}

static void print_ignored(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                          size_t size)
{
    (void)variable;
    (void)in_code;
    (void)config;
    snprintf(out, size, "nothing");
}

const nsp__kind nsp__kind_ignored = {
    .parse = parse_ignored, .accepts = accepts_ignored, .print = print_ignored, .sets_nothing = true};

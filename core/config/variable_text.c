// SPDX-License-Identifier: Apache-2.0
//
// Kinds of variables whose members are texts.
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/thread_start.h"
#include "common/endpoint.h"
#include "common/header_list.h"
#include "common/visible.h"
#include "config/kept_text.h"
#include "config/resource.h"
#include "config/variable.h"
#include "propagation/propagators.h"
#include "trace/outlier_text.h"

static const char *load_text(const nsp__variable *variable, const nsp_config *config)
{
    const char *text;
    memcpy(&text, (const char *)config + variable->offset, sizeof text);
    return text;
}

// The member points to the text; "" means no text.
static bool store_text(const nsp__variable *variable, const char *text, nsp_config *config)
{
    if (!*text)
        text = NULL;
    memcpy((char *)config + variable->offset, &text, sizeof text);
    return true;
}

static void print_text(const nsp__variable *variable, bool in_code, const nsp_config *config, char *out,
                       size_t size)
{
    (void)in_code;
    const char *text = load_text(variable, config);
    nsp__visible(out, size < 200 ? size : 200,
                 text != NULL && *text ? nsp__variable_shown(variable, text) : "nothing");
}

// A member that is set must be a text that the variable could have. The endpoint_exact of the copy is
// discarded.
static bool holds_text(const nsp__variable *variable, const nsp_config *config)
{
    const char *text = load_text(variable, config);
    nsp_config trial = *config;
    return text == NULL || !*text || variable->kind->parse(variable, text, NULL, &trial);
}

#define PHRASE(name_, phrase_)                                                                               \
    static void name_(const nsp__variable *variable, bool in_code, char *out, size_t size)                   \
    {                                                                                                        \
        (void)variable;                                                                                      \
        (void)in_code;                                                                                       \
        snprintf(out, size, "%s", phrase_);                                                                  \
    }

// What all of these kinds have in common.
#define TEXT(parse_, accepts_)                                                                               \
    .parse = parse_, .holds = holds_text, .accepts = accepts_, .print = print_text, .text = true

// ---- any text; paths; CPUs ----

static bool parse_text(const nsp__variable *variable, const char *text, const char *argument,
                       nsp_config *config)
{
    (void)argument;
    return store_text(variable, text, config);
}

static bool parse_folder(const nsp__variable *variable, const char *text, const char *argument,
                         nsp_config *config)
{
    (void)argument;
    return (!*text || *text == '/' || !strcmp(text, "none")) && store_text(variable, text, config);
}

static bool parse_cpus(const nsp__variable *variable, const char *text, const char *argument,
                       nsp_config *config)
{
    (void)argument;
    return (!*text || nsp__cpu_list_valid(text)) && store_text(variable, text, config);
}

PHRASE(accepts_text, "any text")
PHRASE(accepts_folder, "an absolute path or none")
PHRASE(accepts_cpus, "CPU numbers and ranges, such as 0,2-3")

const nsp__kind nsp__kind_text = {TEXT(parse_text, accepts_text)};
const nsp__kind nsp__kind_folder = {TEXT(parse_folder, accepts_folder)};
const nsp__kind nsp__kind_cpus = {TEXT(parse_cpus, accepts_cpus)};

// ---- choices ----

static bool parse_choice(const nsp__variable *variable, const char *text, const char *argument,
                         nsp_config *config)
{
    (void)argument;
    int word = nsp__word_find(variable->choices, text, strlen(text));
    if (*text && word < 0)
        return false;
    return store_text(variable, *text ? variable->choices[word] : text, config);
}

static void accepts_choice(const nsp__variable *variable, bool in_code, char *out, size_t size)
{
    (void)in_code;
    nsp__words_list(variable->choices, out, size);
}

const nsp__kind nsp__kind_choice_text = {TEXT(parse_choice, accepts_choice)};

// ---- lists of choices ----

enum { CHOICES_MAX = 16 };

// Reads the list's choices in their order, each once; "none" counts only if it is the only one. Returns their
// number. If `size` is not 0, writes a phrase that says what is left out.
static size_t read_list(const nsp__variable *variable, const char *text, int found[CHOICES_MAX], char *out,
                        size_t size)
{
    nsp__slice rest = nsp__slice_unquote(nsp__slice_of(text)), entry;
    size_t count = 0, used = 0;
    unsigned position = 0;
    int none = -1;
    if (size)
        *out = 0;
    while (nsp__slice_split(&rest, ',', &entry)) {
        position++;
        entry = nsp__slice_unquote(entry);
        if (!entry.length)
            continue;
        int word = nsp__word_find(variable->choices, entry.text, entry.length);
        bool is_none = word >= 0 && !strcmp(variable->choices[word], "none");
        size_t at = 0;
        while (at < count && found[at] != word)
            at++;
        if (is_none)
            none = word;
        else if (word >= 0 && at == count && count < CHOICES_MAX)
            found[count++] = word;
        else if (word < 0 && used < size)
            used += (size_t)snprintf(out + used, size - used, "%sentry %u is left out: %.*s is not known",
                                     used ? "; " : "", position, entry.length > 40 ? 40 : (int)entry.length,
                                     entry.text);
    }
    if (none >= 0 && count && used < size)
        snprintf(out + used, size - used, "%snone is left out: it has no effect next to other entries",
                 used ? "; " : "");
    if (none >= 0 && !count)
        found[count++] = none;
    return count;
}

static bool parse_list(const nsp__variable *variable, const char *text, const char *argument,
                       nsp_config *config)
{
    (void)argument;
    int found[CHOICES_MAX];
    char joined[256] = "";
    size_t count = *text ? read_list(variable, text, found, NULL, 0) : 0, used = 0;
    if (!*text)
        return store_text(variable, text, config);
    if (count == 0)
        return false;
    if (count == 1)
        return store_text(variable, variable->choices[found[0]], config);
    for (size_t i = 0; i < count && used < sizeof joined; i++)
        used += (size_t)snprintf(joined + used, sizeof joined - used, "%s%s", i ? "," : "",
                                 variable->choices[found[i]]);
    const char *kept = nsp__text_keep(nsp__slice_of(joined));
    return kept != NULL && store_text(variable, kept, config);
}

static void accepts_list(const nsp__variable *variable, bool in_code, char *out, size_t size)
{
    (void)in_code;
    snprintf(out, size, "a list of ");
    nsp__words_list(variable->choices, out + strlen(out), size - strlen(out));
}

static void list_left_out(const nsp__variable *variable, const char *text, char *out, size_t size)
{
    int found[CHOICES_MAX];
    read_list(variable, text, found, out, size);
}

const nsp__kind nsp__kind_choice_list = {TEXT(parse_list, accepts_list), .left_out = list_left_out};

// ---- lists of pairs ----

// If all entries are wrong, the text is not such a list.
static bool usable(const char *text, nsp__pair_fault fault, const void *context)
{
    nsp__pairs_verdict verdict = nsp__pairs_judge(text, fault, context, NULL, 0);
    return verdict.bad == 0 || verdict.good != 0;
}

static const nsp__header_use either = NSP__HEADER_EITHER;

static bool parse_attributes(const nsp__variable *variable, const char *text, const char *argument,
                             nsp_config *config)
{
    (void)argument;
    return usable(text, nsp__resource_fault, NULL) && store_text(variable, text, config);
}

static bool parse_headers(const nsp__variable *variable, const char *text, const char *argument,
                          nsp_config *config)
{
    (void)argument;
    return usable(text, nsp__header_shapeless, NULL) && store_text(variable, text, config);
}

static void attributes_left_out(const nsp__variable *variable, const char *text, char *out, size_t size)
{
    (void)variable;
    nsp__pairs_judge(text, nsp__resource_fault, NULL, out, size);
}

static void headers_left_out(const nsp__variable *variable, const char *text, char *out, size_t size)
{
    (void)variable;
    nsp__pairs_judge(text, nsp__header_fault, &either, out, size);
}

static void pairs_fault(const nsp__variable *variable, const char *text, char *out, size_t size)
{
    char faults[320];
    nsp__variable_left_out(variable, text, faults, sizeof faults);
    snprintf(out, size, "has no entry that can be used (%s)", faults);
}

PHRASE(accepts_pairs, "key=value,key=value with percent escapes")

const nsp__kind nsp__kind_attributes = {TEXT(parse_attributes, accepts_pairs), .fault = pairs_fault,
                                        .left_out = attributes_left_out};
// A variable that carries credentials keeps its place when it is wrong: other credentials never go out
// instead.
const nsp__kind nsp__kind_headers = {TEXT(parse_headers, accepts_pairs), .fault = pairs_fault,
                                     .left_out = headers_left_out, .keeps_its_place = true};

// ---- endpoints ----

static bool parse_endpoint(const nsp__variable *variable, const char *text, bool own, bool exact,
                           nsp_config *config)
{
    nsp__endpoint parts;
    if (*text && nsp__endpoint_read(&parts, text) != NULL)
        return false;
    if (*text)
        config->endpoint_exact = exact || (own && nsp__endpoint_is_whole(&parts));
    return store_text(variable, text, config);
}

static bool parse_base(const nsp__variable *variable, const char *text, const char *argument,
                       nsp_config *config)
{
    (void)argument;
    return parse_endpoint(variable, text, false, false, config);
}

static bool parse_own(const nsp__variable *variable, const char *text, const char *argument,
                      nsp_config *config)
{
    (void)argument;
    return parse_endpoint(variable, text, true, false, config);
}

static bool parse_exact(const nsp__variable *variable, const char *text, const char *argument,
                        nsp_config *config)
{
    (void)argument;
    return parse_endpoint(variable, text, false, true, config);
}

static void endpoint_fault(const nsp__variable *variable, const char *text, char *out, size_t size)
{
    (void)variable;
    nsp__endpoint parts;
    const char *why = nsp__endpoint_read(&parts, text);
    snprintf(out, size, "is not accepted (%s)", why != NULL ? why : "the reason is unknown");
}

// A text with a user name may contain a password, and so may one with a query.
static bool endpoint_showable(const char *text)
{
    return strpbrk(text, "@?") == NULL;
}

PHRASE(accepts_endpoint, "host:port, an http or https URL, or unix:PATH")

#define ENDPOINT(parse_)                                                                                     \
    {                                                                                                        \
        TEXT(parse_, accepts_endpoint), .fault = endpoint_fault, .showable = endpoint_showable               \
    }

const nsp__kind nsp__kind_endpoint = ENDPOINT(parse_base);
const nsp__kind nsp__kind_endpoint_own = ENDPOINT(parse_own);
const nsp__kind nsp__kind_endpoint_exact = ENDPOINT(parse_exact);

// ---- outlier rules ----

static bool parse_outliers(const nsp__variable *variable, const char *text, const char *argument,
                           nsp_config *config)
{
    (void)argument;
    char unused[320];
    return nsp__outlier_text_valid(text, unused, sizeof unused) && store_text(variable, text, config);
}

static void outliers_fault(const nsp__variable *variable, const char *text, char *out, size_t size)
{
    (void)variable;
    char problem[320];
    snprintf(out, size, "is not accepted (%s)",
             nsp__outlier_text_valid(text, problem, sizeof problem) ? "the reason is unknown" : problem);
}

PHRASE(accepts_outliers, "rules such as order: slower=50us, errors; risk: slowest=0.1%, limit=20/s")

const nsp__kind nsp__kind_outliers = {TEXT(parse_outliers, accepts_outliers), .fault = outliers_fault};

// ---- propagators ----

static bool parse_propagators(const nsp__variable *variable, const char *text, const char *argument,
                              nsp_config *config)
{
    (void)argument;
    return (!*text || nsp__propagators_read(text) != 0) && store_text(variable, text, config);
}

static void accepts_propagators(const nsp__variable *variable, bool in_code, char *out, size_t size)
{
    (void)variable;
    (void)in_code;
    snprintf(out, size, "a list of ");
    nsp__words_list(nsp__propagator_names, out + strlen(out), size - strlen(out));
}

static void propagators_fault(const nsp__variable *variable, const char *text, char *out, size_t size)
{
    (void)variable;
    snprintf(out, size, "%s",
             nsp__propagators_unsupported(text) ? "is not supported in this version" : "is not accepted");
}

static void propagators_left_out(const nsp__variable *variable, const char *text, char *out, size_t size)
{
    (void)variable;
    nsp__propagators_left_out(text, out, size);
}

const nsp__kind nsp__kind_propagators = {TEXT(parse_propagators, accepts_propagators),
                                         .fault = propagators_fault, .left_out = propagators_left_out};

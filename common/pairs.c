// SPDX-License-Identifier: Apache-2.0
#include "common/pairs.h"

#include <stdio.h>

#include "common/percent.h"

nsp__slice nsp__slice_unquote(nsp__slice slice)
{
    slice = nsp__slice_strip(slice);
    if (slice.length < 2)
        return slice;
    char quote = slice.text[0];
    nsp__slice inside = {slice.text + 1, slice.length - 2};
    // If there are more quotes inside, the outer ones are not a pair: they may belong to the first and the
    // last entry of a list.
    if ((quote != '"' && quote != '\'') || inside.text[inside.length] != quote ||
        memchr(inside.text, quote, inside.length) != NULL)
        return slice;
    return nsp__slice_strip(inside);
}

nsp__pairs nsp__pairs_of(const char *text)
{
    return (nsp__pairs){nsp__slice_unquote(nsp__slice_of(text != NULL ? text : "")), 0};
}

bool nsp__pairs_next(nsp__pairs *list, nsp__key_value *pair)
{
    nsp__slice entry;
    while (nsp__slice_split(&list->rest, ',', &entry)) {
        list->position++;
        entry = nsp__slice_unquote(entry);
        if (entry.length == 0)
            continue;
        const char *equals = (const char *)memchr(entry.text, '=', entry.length);
        size_t key_length = equals != NULL ? (size_t)(equals - entry.text) : 0;
        *pair = (nsp__key_value){{NULL, 0}, entry, list->position};
        if (equals != NULL) {
            pair->key = nsp__slice_strip((nsp__slice){entry.text, key_length});
            pair->value = nsp__slice_strip((nsp__slice){equals + 1, entry.length - key_length - 1});
        }
        return true;
    }
    return false;
}

const char *nsp__pair_malformed(const nsp__key_value *pair)
{
    if (pair->key.text == NULL)
        return "it has no \"=\"";
    if (pair->key.length == 0)
        return "its name is empty";
    if (!nsp__percent_whole(pair->value.text, pair->value.length))
        return "its value contains a percent sign that does not begin an escape such as %20 (write %25 for "
               "the sign itself)";
    return NULL;
}

nsp__pairs_verdict nsp__pairs_judge(const char *text, nsp__pair_fault fault, const void *context, char *out,
                                    size_t size)
{
    // A phrase is written completely or not at all. This much room is kept for the number of those left out.
    enum { REST_SIZE = 40 };
    nsp__pairs list = nsp__pairs_of(text);
    nsp__pairs_verdict verdict = {0, 0};
    nsp__key_value pair;
    size_t used = 0;
    unsigned unsaid = 0;
    if (size != 0)
        out[0] = 0;
    while (nsp__pairs_next(&list, &pair)) {
        const char *why = fault(&pair, context);
        if (why == NULL) {
            verdict.good++;
            continue;
        }
        verdict.bad++;
        char phrase[200];
        int length = snprintf(phrase, sizeof phrase, "%sentry %u is left out: %s", used ? "; " : "",
                              pair.position, why);
        if (unsaid != 0 || length < 0 || (size_t)length >= sizeof phrase ||
            used + (size_t)length + REST_SIZE > size) {
            unsaid++;
            continue;
        }
        memcpy(out + used, phrase, (size_t)length + 1);
        used += (size_t)length;
    }
    if (unsaid != 0 && used < size)
        snprintf(out + used, size - used, "%s%u more left out", used ? "; " : "", unsaid);
    return verdict;
}

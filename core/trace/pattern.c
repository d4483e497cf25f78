// SPDX-License-Identifier: Apache-2.0
//
// Shell patterns. fnmatch is not used, because it may allocate and depends on the locale, and this runs where
// a name is interned.
#include "trace/sampler.h"

// Matches one set at *pattern (after its '['), and moves *pattern past its ']'. Without a closing bracket it
// is a plain '['.
static bool match_set(const char **pattern, unsigned char c)
{
    const char *p = *pattern;
    bool inverted = *p == '!' || *p == '^';
    bool found = false;
    if (inverted)
        p++;
    for (bool first = true; *p != 0 && (first || *p != ']'); first = false) {
        unsigned char low = (unsigned char)*p++, high = low;
        if (p[0] == '-' && p[1] != 0 && p[1] != ']') {
            high = (unsigned char)p[1];
            p += 2;
        }
        found = found || (low <= c && c <= high);
    }
    if (*p != ']')
        return c == '[';
    *pattern = p + 1;
    return found != inverted;
}

bool nsp__pattern_match(const char *pattern, const char *text, size_t length)
{
    const char *end = text + length;
    const char *star = NULL, *resume = NULL; // the pattern after the last '*', and the text after its match
    while (text < end) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
            continue;
        }
        const char *next = pattern + 1;
        bool matches = *pattern == '?' || (*pattern == '[' && match_set(&next, (unsigned char)*text)) ||
                       (*pattern != 0 && *pattern != '[' && *pattern == *text);
        if (matches) {
            pattern = next;
            text++;
        } else if (star != NULL) {
            pattern = star;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// Outlier rules as a text: "order*: slower=50us, errors; *: slowest=0.1%, limit=20/s".
#ifndef NSP_TRACE_OUTLIER_TEXT_H
#define NSP_TRACE_OUTLIER_TEXT_H

#include <nanospan/outlier.h>
#include <stdbool.h>

typedef enum nsp__outlier_found { NSP__OUTLIER_RULE, NSP__OUTLIER_END, NSP__OUTLIER_BAD } nsp__outlier_found;

// Reads the next rule at *at, which begins at 0, and moves *at past it. BAD: `problem` says at which character, counted
// from 1, and what is wrong there, as the end of a sentence.
nsp__outlier_found nsp__outlier_text_next(const char *text, size_t *at,
                                          char pattern[NSP_SAMPLER_PATTERN_MAX + 1], nsp_outlier_rule *out,
                                          char *problem, size_t size);

// True if all rules of the text can be in force together: each can be read, no pattern is there twice, and there are
// not too many. NULL and "": no rules. Otherwise as above.
bool nsp__outlier_text_valid(const char *text, char *problem, size_t size);

// True if the rule has a condition, and all numbers are in range. Otherwise `problem` says what is wrong.
bool nsp__outlier_rule_valid(const nsp_outlier_rule *rule, char *problem, size_t size);

#endif

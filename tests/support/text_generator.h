// SPDX-License-Identifier: Apache-2.0
//
// Draws from one seeded sequence, and hostile texts made of them, for the span generator. Single-threaded.
#ifndef NSP_TESTS_TEXT_GENERATOR_H
#define NSP_TESTS_TEXT_GENERATOR_H

#include <jansson.h>
#include <nanospan/name.h>

void generator_seed(uint64_t seed);
uint64_t generator_word(void);
uint64_t generator_draw(uint64_t below); // 0 to below - 1
bool generator_one_in(uint64_t n);

// While true: texts are short and ASCII, and names seldom met twice, as in the spans of most programs.
extern bool generator_simple;

// A text as it is recorded and as it must arrive.
typedef struct generated_text {
    char raw[66000];
    char valid[3 * 66000];
    size_t raw_length, valid_length;
} generated_text;

void text_clear(generated_text *out);

// Exactly length bytes of any kind, at most 65535.
void text_make(generated_text *out, size_t length);

// The valid form.
json_t *text_model(const generated_text *made);

// Lengths at which encodings change: words, short forms, varints.
size_t draw_length(size_t most);

// One of a bounded number of names, mostly one of the few that are met again and again.
typedef struct generated_name {
    nsp_name name;
    json_t *model;
} generated_name;

const generated_name *draw_name(void);

#endif

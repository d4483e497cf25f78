// SPDX-License-Identifier: Apache-2.0
//
// Random draws from one seeded sequence, and hostile texts made from them, for the span generator.
// Single-threaded.
#ifndef NSP_TESTS_TEXT_GENERATOR_H
#define NSP_TESTS_TEXT_GENERATOR_H

#include <jansson.h>
#include <nanospan/name.h>

void generator_seed(uint64_t seed);
uint64_t generator_word(void);
uint64_t generator_draw(uint64_t below); // 0 to below - 1
bool generator_one_in(uint64_t n);

// While true, texts are short ASCII and few names repeat, as in the spans of most programs.
extern bool generator_simple;

// A text as it is recorded, and as it must arrive.
typedef struct generated_text {
    char raw[66000];
    char valid[3 * 66000];
    size_t raw_length, valid_length;
} generated_text;

void text_clear(generated_text *out);

// Exactly `length` arbitrary bytes, at most 65535.
void text_make(generated_text *out, size_t length);

// The form with valid UTF-8.
json_t *text_model(const generated_text *made);

// Draws a length near those where encodings change: words, short forms, varints.
size_t draw_length(size_t most);

// Draws one of a bounded number of names, mostly one of a few common ones.
typedef struct generated_name {
    nsp_name name;
    json_t *model;
} generated_name;

const generated_name *draw_name(void);

#endif

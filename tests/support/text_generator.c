// SPDX-License-Identifier: Apache-2.0
#include "support/text_generator.h"

#include <string.h>

#include "common/seed.h"

static uint64_t state = 1;

void generator_seed(uint64_t seed)
{
    state = seed;
}

bool generator_simple;

uint64_t generator_word(void)
{
    return nsp__random_splitmix(&state);
}

uint64_t generator_draw(uint64_t below)
{
    return generator_word() % below;
}

bool generator_one_in(uint64_t n)
{
    return generator_draw(n) == 0;
}

#define PIECE(raw, valid)                                                                                    \
    {                                                                                                        \
        raw, valid, sizeof(raw) - 1, sizeof(valid) - 1                                                       \
    }
#define BAD "\xEF\xBF\xBD"

// Each piece ends with a byte that no following piece can continue.
static const struct {
    const char *raw, *valid;
    size_t raw_length, valid_length;
} pieces[] = {
    PIECE("a", "a"),
    PIECE("order ", "order "),
    PIECE("\xC3\xA9", "\xC3\xA9"),
    PIECE("\xE2\x82\xAC", "\xE2\x82\xAC"),
    PIECE("\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"),
    PIECE("\xEF\xBF\xBF", "\xEF\xBF\xBF"),
    PIECE("\xF4\x8F\xBF\xBF", "\xF4\x8F\xBF\xBF"),
    PIECE("\"\\/\b\f\n\r\t\x01\x1F\x7F", "\"\\/\b\f\n\r\t\x01\x1F\x7F"),
    PIECE("\xC2\x9B", "\xC2\x9B"),
    PIECE("\xFF", BAD),
    PIECE("\x80", BAD),
    PIECE("\xC3.", BAD "."),
    PIECE("\xE2\x82.", BAD "."),
    PIECE("\xF0\x9F\x98.", BAD "."),
    PIECE("\xC0\x80", BAD BAD),
    PIECE("\xED\xA0\x80", BAD BAD BAD),
    PIECE("\xF4\x90\x80\x80", BAD BAD BAD BAD),
    PIECE("\xF8\x88\x80\x80\x80", BAD BAD BAD BAD BAD),
};

void text_clear(generated_text *out)
{
    out->raw_length = out->valid_length = 0;
}

static void text_add(generated_text *out, const char *raw, size_t raw_length, const char *valid,
                     size_t valid_length)
{
    memcpy(out->raw + out->raw_length, raw, raw_length);
    memcpy(out->valid + out->valid_length, valid, valid_length);
    out->raw_length += raw_length;
    out->valid_length += valid_length;
}

void text_make(generated_text *out, size_t length)
{
    text_clear(out);
    bool ascii = generator_simple || !generator_one_in(3);
    while (out->raw_length < length) {
        size_t left = length - out->raw_length;
        size_t piece = generator_draw(sizeof pieces / sizeof *pieces);
        if (!ascii && pieces[piece].raw_length <= left) {
            text_add(out, pieces[piece].raw, pieces[piece].raw_length, pieces[piece].valid,
                     pieces[piece].valid_length);
        } else {
            char letter = (char)('a' + generator_draw(26));
            text_add(out, &letter, 1, &letter, 1);
        }
    }
}

json_t *text_model(const generated_text *made)
{
    return json_stringn(made->valid, made->valid_length);
}

size_t draw_length(size_t most)
{
    static const size_t edges[] = {0,    1,    2,     3,     7,     8,     9,     15,    16,   17,
                                   31,   32,   33,    76,    77,    78,    79,    80,    81,   82,
                                   100,  120,  126,   127,   128,   129,   254,   255,   256,  300,
                                   1000, 4000, 16380, 16383, 16384, 16385, 20000, 40000, 65000};
    size_t count = sizeof edges / sizeof *edges;
    // Mostly short lengths.
    size_t length = edges[generator_draw(generator_one_in(20) ? count : 30)];
    if (generator_simple && length > 34)
        length %= 34;
    return length < most ? length : most;
}

// Names are never freed, so their number is limited.
enum { NAMES = 400, NAME_BYTES_MAX = 1023 };
static generated_name names[NAMES];

const generated_name *draw_name(void)
{
    size_t i = generator_draw(generator_one_in(generator_simple ? 20 : 2) ? 8 : NAMES);
    if (!names[i].model) {
        static generated_text made;
        text_make(&made, i == 0 ? 0 : i < 8 ? i * 3 : draw_length(NAME_BYTES_MAX));
        names[i].name = nsp_intern(made.raw, made.raw_length);
        names[i].model = text_model(&made);
    }
    return &names[i];
}

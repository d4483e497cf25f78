// SPDX-License-Identifier: Apache-2.0
//
// The JSON reader: it can walk every value that it can skip, and it accepts exactly what jansson accepts.
// (Exceptions: jansson also requires UTF-8, which this reader leaves to its callers, and allows deeper
// nesting.) Any bytes can be made valid UTF-8, and valid text stays as it is.
//
// Parsers: common/json_read.c common/utf8.c common/hex.c
#include "fuzz.h"

#include <jansson.h>

#include "common/json_read.h"
#include "common/utf8.h"

static void walk(nsp__json_reader *r)
{
    nsp__slice value;
    char *at = r->at;
    while (at < r->end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n'))
        at++;
    if (at < r->end && *at == '{') {
        nsp__json_enter(r, '{');
        while (nsp__json_key(r, &value)) {
            MUST(value.text != NULL && value.text + value.length <= r->end);
            walk(r);
        }
    } else if (at < r->end && *at == '[') {
        nsp__json_enter(r, '[');
        while (nsp__json_element(r))
            walk(r);
    } else if (nsp__json_scalar(r, &value)) {
        MUST(value.text == NULL || (value.text >= at && value.text + value.length <= r->end));
    }
}

static void repair(const uint8_t *bytes, size_t size)
{
    size_t repaired = nsp__utf8_repaired_size(bytes, size);
    uint8_t *copy = malloc(repaired);
    MUST(copy != NULL);
    MUST(nsp__utf8_repair(copy, bytes, size) == copy + repaired && nsp__utf8_valid(copy, repaired));
    MUST(!nsp__utf8_valid(bytes, size) || (repaired == size && memcmp(copy, bytes, size) == 0));
    for (size_t most = 0; most < 6; most++) {
        size_t few = nsp__utf8_cut_characters(copy, repaired, most),
               cut = nsp__utf8_cut(copy, repaired, most);
        MUST(few <= repaired && nsp__utf8_valid(copy, few));
        MUST(cut <= most && nsp__utf8_valid(copy, cut));
        MUST(nsp__utf8_cut(bytes, size, most) <= most);
    }
    char line[8], *text = fuzz_text(bytes, size);
    for (size_t room = 0; room <= sizeof line; room++) {
        nsp__utf8_line(line, room, text);
        MUST(room == 0 || (strlen(line) < room && nsp__utf8_valid((uint8_t *)line, strlen(line))));
    }
    free(text);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    nsp__json_reader skipping, walking;
    char *one = fuzz_copy(bytes, size), *two = fuzz_copy(bytes, size);
    nsp__json_begin(&skipping, one, size);
    nsp__json_skip(&skipping);
    bool skipped = nsp__json_finish(&skipping);
    nsp__json_begin(&walking, two, size);
    walk(&walking);
    MUST(nsp__json_finish(&walking) == skipped);
    MUST(skipped == (skipping.wrong == NULL));
    json_error_t why;
    json_t *tree = json_loadb((const char *)bytes, size,
                              JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &why);
    bool deep = skipping.wrong != NULL && strstr(skipping.wrong, "deep") != NULL;
    // Numbers beyond a double's range and halves of surrogate pairs are checked only when a value is
    // converted.
    bool meaning = strstr(tree != NULL ? "" : why.text, "too big") != NULL ||
                   strstr(tree != NULL ? "" : why.text, "overflow") != NULL ||
                   strstr(tree != NULL ? "" : why.text, "nicode") != NULL;
    // jansson also stops at a zero byte, even if text follows.
    bool zero = size != 0 && memchr(bytes, '\0', size) != NULL;
    if (nsp__utf8_valid(bytes, size) && !zero && !deep && !meaning)
        MUST(skipped == (tree != NULL));
    json_decref(tree);
    if (size != 0)
        repair(bytes, size);
    free(one);
    free(two);
    return 0;
}

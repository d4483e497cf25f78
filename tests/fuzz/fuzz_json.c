// SPDX-License-Identifier: Apache-2.0
//
// The JSON reader: what it skips it can also walk, and it takes what jansson takes and nothing else. (jansson also wants UTF-8,
// which this reader leaves to whoever asks for a text, and nests deeper.)
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
    // Numbers that no double holds, and halves of surrogate pairs, are questions of what is made of a text.
    bool meaning = strstr(tree != NULL ? "" : why.text, "too big") != NULL ||
                   strstr(tree != NULL ? "" : why.text, "overflow") != NULL ||
                   strstr(tree != NULL ? "" : why.text, "nicode") != NULL;
    // Nor does jansson see that a text goes on behind a zero byte.
    bool zero = size != 0 && memchr(bytes, '\0', size) != NULL;
    if (nsp__utf8_valid(bytes, size) && !zero && !deep && !meaning)
        MUST(skipped == (tree != NULL));
    json_decref(tree);
    free(one);
    free(two);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// The JSON reader: it can walk every value that it can skip, and it accepts exactly what jansson accepts.
// (Exceptions: jansson also requires UTF-8, which this reader leaves to its callers, and allows deeper
// nesting.)
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
    free(one);
    free(two);
    return 0;
}

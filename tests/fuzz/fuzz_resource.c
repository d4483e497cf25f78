// SPDX-License-Identifier: Apache-2.0
//
// Input: OTEL_RESOURCE_ATTRIBUTES. Each key occurs once and has a text, and an entry appended at the end adds
// its attribute and changes no other.
//
// Parsers: core/config/resource.c common/pairs.c common/percent.c common/percent.h common/pairs.h
#include "fuzz.h"

#include "common/pairs.h"
#include "config/resource.h"
#include <nanospan/nanospan.h>

static void build(nsp__resource *out, const char *text)
{
    nsp_config config;
    nsp_config_init(&config);
    config.resource_attributes = *text != '\0' ? text : NULL;
    MUST(nsp__resource_build(out, &config) == NSP_OK);
    for (size_t i = 0; i < out->count; i++) {
        MUST(out->keys[i] != NULL && out->values[i] != NULL);
        for (size_t k = 0; k < i; k++)
            MUST(strcmp(out->keys[i], out->keys[k]) != 0);
    }
}

static const char *value_of(const nsp__resource *resource, const char *key)
{
    for (size_t i = 0; i < resource->count; i++)
        if (strcmp(resource->keys[i], key) == 0)
            return resource->values[i];
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char more[] = ",one.more=%41%20b";
    nsp__resource first, second;
    char *text = fuzz_text(bytes, size), *longer = malloc(size + sizeof more);
    MUST(longer != NULL);
    strcpy(stpcpy(longer, text), more);
    if (strstr(text, "one.more") == NULL && strchr(text, '%') == NULL && strpbrk(text, "\"'") == NULL) {
        build(&first, text);
        build(&second, longer);
        MUST(strcmp(value_of(&second, "one.more"), "A b") == 0);
        MUST(second.count == first.count + 1);
        for (size_t i = 0; i < first.count; i++)
            MUST(strcmp(value_of(&second, first.keys[i]), first.values[i]) == 0);
        nsp__resource_free(&second);
    } else {
        build(&first, text);
    }
    nsp__resource_free(&first);
    char phrase[256];
    nsp__pairs_verdict verdict = nsp__pairs_judge(text, nsp__resource_fault, NULL, NULL, 0);
    for (size_t room = 1; room <= sizeof phrase; room += 51) {
        nsp__pairs_verdict same = nsp__pairs_judge(text, nsp__resource_fault, NULL, phrase, room);
        MUST(same.good == verdict.good && same.bad == verdict.bad && strlen(phrase) < room);
        MUST(verdict.bad != 0 || phrase[0] == '\0');
    }
    free(longer);
    free(text);
    return 0;
}

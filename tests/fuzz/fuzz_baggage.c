// SPDX-License-Identifier: Apache-2.0
//
// Input: on the first line a key, a blank and a value to set, then after a tab each its properties and the
// size of a first member that fills the list; then a baggage list. A list that was kept is kept unchanged
// when read again; the value that was set is in the list, and all other members are unchanged. The value "^"
// stands for the list's own first value, which is then set from where it is.
//
// Parsers: core/propagation/baggage.c core/propagation/baggage_value.c
#include "fuzz.h"

#include <nanospan/propagation.h>

static struct {
    nsp_baggage list, again, changed;
} all; // one after the other
#define list all.list
#define again all.again
#define changed all.changed

static size_t members_but(const nsp_baggage *of, const char *key)
{
    nsp_baggage_member member;
    size_t count = 0;
    for (size_t at = 0; nsp_baggage_next(of, &at, &member);) {
        MUST(member.key_length != 0 && member.key >= of->text &&
             member.value + member.value_length <= of->text + of->length);
        count += member.key_length != strlen(key) || memcmp(member.key, key, member.key_length) != 0;
    }
    return count;
}

// The list, with "fill=xxx..." before it if `fill` is not 0.
static void parse(nsp_baggage *out, const uint8_t *bytes, size_t size, size_t fill)
{
    static char text[2 * NSP_BAGGAGE_MAX];
    if (fill == 0 || fill > NSP_BAGGAGE_MAX || size > NSP_BAGGAGE_MAX - 8) {
        nsp_baggage_parsen(out, size != 0 ? (const char *)bytes : NULL, size);
        return;
    }
    char *to = mempcpy(text, "fill=", 5);
    to = (char *)memset(to, 'x', fill) + fill;
    if (size != 0 && *bytes != ';') // its properties follow
        *to++ = ',';
    if (size != 0)
        memcpy(to, bytes, size);
    nsp_baggage_parsen(out, text, (size_t)(to - text) + size);
}

// Sets the list's own first value: the list changes as it does if the value is a copy, or not at all.
static void set_own(const char *key, const char *properties)
{
    nsp_baggage_member first;
    size_t at = 0;
    memcpy(&changed, &list, sizeof list);
    memcpy(&again, &list, sizeof list);
    if (!nsp_baggage_next(&changed, &at, &first))
        return;
    char *copy = fuzz_copy(first.value, first.value_length);
    if (properties != NULL && strcmp(properties, "^") == 0 && at > changed.length)
        properties = first.properties; // of the only member, so they end with the list
    char *copied = properties != NULL ? fuzz_text(properties, strlen(properties)) : NULL;
    nsp_status status = nsp_baggage_set_with(&changed, key, first.value, first.value_length, properties);
    if (status == NSP_OK) {
        MUST(nsp_baggage_set_with(&again, key, copy, first.value_length, copied) == NSP_OK);
        MUST(strcmp(changed.text, again.text) == 0);
    } else {
        MUST(memcmp(&changed, &list, sizeof list) == 0);
    }
    if (properties == first.properties) { // the same, from a copy of the value
        memcpy(&again, &list, sizeof list);
        memcpy(&changed, &list, sizeof list);
        nsp_baggage_next(&again, &(size_t){0}, &first);
        if (nsp_baggage_set_with(&again, key, copy, first.value_length, first.properties) == NSP_OK)
            MUST(nsp_baggage_set_with(&changed, key, copy, first.value_length, copied) == NSP_OK &&
                 strcmp(changed.text, again.text) == 0);
        else
            MUST(memcmp(&again, &list, sizeof list) == 0);
    }
    free(copied);
    free(copy);
    // The same value from a list that lies before this one in memory.
    memcpy(&changed, &list, sizeof list);
    at = 0;
    MUST(nsp_baggage_next(&list, &at, &first));
    nsp_baggage_set_with(&changed, key, first.value, first.value_length, NULL);
}

// The bytes as members that the application has filled in: walking over them stays within the list.
static void walk_filled(const uint8_t *bytes, size_t size)
{
    nsp_baggage_member member;
    memset(&changed, 0, sizeof changed);
    changed.length = NSP_BAGGAGE_MAX + 1;
    MUST(!nsp_baggage_next(&changed, &(size_t){0}, &member));
    changed.length = (uint32_t)(size < NSP_BAGGAGE_MAX ? size : NSP_BAGGAGE_MAX);
    if (changed.length != 0)
        memcpy(changed.text, bytes, changed.length);
    for (size_t at = 0; nsp_baggage_next(&changed, &at, &member);)
        MUST(member.key >= changed.text && member.key + member.key_length <= changed.text + changed.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static char value[NSP_BAGGAGE_MAX + 1], part[NSP_BAGGAGE_MAX + 1];
    char *line = fuzz_line(&bytes, &size);
    char *key = line != NULL ? line : fuzz_text("", 0), *wanted = strchr(key, ' ');
    if (wanted != NULL)
        *wanted++ = '\0';
    char *properties = strchr(wanted != NULL ? wanted : key, '\t'), *fill = NULL;
    if (properties != NULL)
        *properties++ = '\0';
    if (properties != NULL && (fill = strchr(properties, '\t')) != NULL)
        *fill++ = '\0';
    parse(&list, bytes, size, fill != NULL ? strtoul(fill, NULL, 10) : 0);
    walk_filled(bytes, size);
    if (wanted != NULL && strcmp(wanted, "^") == 0)
        set_own(key, properties);
    MUST(list.length <= NSP_BAGGAGE_MAX && strlen(list.text) == list.length);
    MUST(nsp_baggage_parsen(&again, list.text, list.length) == NSP_OK);
    MUST(strcmp(again.text, list.text) == 0);
    nsp_baggage_member member;
    for (size_t at = 0; nsp_baggage_next(&list, &at, &member);) {
        size_t length = nsp_baggage_decode(member.value, member.value_length, part, sizeof part);
        MUST(length <= 3 * member.value_length && length < sizeof part);
        MUST(nsp_baggage_decode(member.value, member.value_length, NULL, 0) == length);
    }
    memcpy(&changed, &list, sizeof list);
    if (wanted == NULL)
        wanted = key + strlen(key);
    nsp_status status = properties != NULL
                            ? nsp_baggage_set_with(&changed, key, wanted, strlen(wanted), properties)
                            : nsp_baggage_set(&changed, key, wanted);
    if (status == NSP_OK) {
        size_t length;
        MUST(nsp_baggage_get(&changed, key, value, sizeof value, &length) == NSP_OK);
        MUST(strcmp(value, wanted) == 0 && length == strlen(value));
        MUST(nsp_baggage_get(&changed, key, NULL, 0, NULL) == NSP_ERR_FULL);
        MUST(members_but(&changed, key) == members_but(&list, key));
        MUST(members_but(&changed, "") == members_but(&list, key) + 1);
        MUST(nsp_baggage_parsen(&again, changed.text, changed.length) == NSP_OK);
        MUST(strcmp(again.text, changed.text) == 0);
        MUST(nsp_baggage_remove(&changed, key) == NSP_OK);
    } else {
        MUST(memcmp(&changed, &list, sizeof list) == 0);
        nsp_baggage_remove(&changed, key);
    }
    MUST(nsp_baggage_get(&changed, key, value, sizeof value, NULL) == NSP_ERR_NOT_FOUND);
    MUST(members_but(&changed, "") == members_but(&list, key));
    free(key);
    return 0;
}

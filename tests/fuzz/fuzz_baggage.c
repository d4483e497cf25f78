// SPDX-License-Identifier: Apache-2.0
//
// Input: a key and a value to set on the first line, then a baggage list. A list that was kept is kept
// unchanged when read again; the value that was set is in the list, and all other members are unchanged.
#include "fuzz.h"

#include <nanospan/propagation.h>

static nsp_baggage list, again, changed;

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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static char value[NSP_BAGGAGE_MAX + 1], part[NSP_BAGGAGE_MAX + 1];
    char *line = fuzz_line(&bytes, &size);
    char *key = line != NULL ? line : fuzz_text("", 0), *wanted = strchr(key, ' ');
    if (wanted != NULL)
        *wanted++ = '\0';
    nsp_baggage_parsen(&list, (const char *)bytes, size);
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
    nsp_status status = nsp_baggage_set(&changed, key, wanted != NULL ? wanted : "");
    if (status == NSP_OK) {
        size_t length;
        MUST(nsp_baggage_get(&changed, key, value, sizeof value, &length) == NSP_OK);
        MUST(strcmp(value, wanted != NULL ? wanted : "") == 0 && length == strlen(value));
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

// SPDX-License-Identifier: Apache-2.0
#include "view_links.h"

#include "support/units.h"

#define HISTORY "nanospan.history="

// The number behind the key, or 0. The text is not terminated.
static uint64_t history_of(const note *one)
{
    const size_t key = sizeof HISTORY - 1;
    uint64_t count = 0;
    if (one->type != NOTE_ATTRIBUTE || one->text.length <= key || one->text.length > key + 18 ||
        memcmp(one->text.data, HISTORY, key) != 0)
        return 0;
    for (size_t i = key; i < one->text.length; i++) {
        const char digit = one->text.data[i];
        if (digit < '0' || digit > '9')
            return 0;
        count = 10 * count + (uint64_t)(digit - '0');
    }
    return count;
}

view_links view_links_of(const span_notes *notes)
{
    uint64_t links = 0, history = 0;
    for (size_t i = 0; i < notes->count; i++) {
        links += notes->notes[i].type == NOTE_LINK;
        history += history_of(&notes->notes[i]);
    }
    const uint64_t to_history = history < links ? history : links;
    return (view_links){.own = links - to_history, .history = to_history, .missing = history - to_history};
}

void view_links_say(text *out, const view_links *links, bool history)
{
    char count[UNITS_SIZE], missing[UNITS_SIZE];
    units_count(count, history ? links->history : links->own);
    units_count(missing, links->missing);
    text_format(out, "%s links%s", count, history ? " to traces kept as history" : "");
    if (history && links->missing != 0)
        text_format(out, ", newest first, and none to %s older one%s", missing,
                    links->missing == 1 ? "" : "s");
    text_put(out, "; --links shows them");
}

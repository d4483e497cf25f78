// SPDX-License-Identifier: Apache-2.0
#include "config/kept_text.h"

#include <stdlib.h>

typedef struct kept {
    struct kept *next;
    char text[];
} kept;

// New entries are only ever added at the front, so readers need no lock.
static kept *first;

const char *nsp__text_keep(nsp__slice text)
{
    // KT1: acquires the entries that other threads' KT2 released.
    kept *head = __atomic_load_n(&first, __ATOMIC_ACQUIRE);
    for (const kept *at = head; at != NULL; at = at->next)
        if (nsp__slice_is(text, at->text))
            return at->text;
    kept *entry = malloc(sizeof *entry + text.length + 1);
    if (entry == NULL)
        return NULL;
    memcpy(entry->text, text.text, text.length);
    entry->text[text.length] = 0;
    entry->next = head;
    // KT2: releases the entry to the KT1 of others. One that came in between may hold the same text, which
    // does no harm.
    while (!__atomic_compare_exchange_n(&first, &entry->next, entry, false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) {
    }
    return entry->text;
}

// SPDX-License-Identifier: Apache-2.0
#include "span_set.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 1 << 16, AHEAD = 8 };

void span_set_init(span_set *set, size_t limit)
{
    *set = (span_set){
        .slots = need_zeroes(FIRST_CAPACITY, sizeof *set->slots), .mask = FIRST_CAPACITY - 1, .limit = limit};
}

void span_set_free(span_set *set)
{
    free(set->slots);
    *set = (span_set){0};
}

static uint64_t load(const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

// Senders may choose ids badly, so all 24 bytes are mixed.
static size_t hash(const span_key *key)
{
    uint64_t mixed = load(key->span) * 0x9e3779b97f4a7c15u;
    mixed ^= mixed >> 32;
    mixed = (mixed + load(key->trace)) * 0xd6e8feb86659fd93u;
    mixed ^= mixed >> 32;
    mixed = (mixed + load(key->trace + 8)) * 0xd6e8feb86659fd93u;
    return (size_t)(mixed ^ mixed >> 32);
}

// The slot that holds the key, or the free one where it belongs.
static span_key *find(const span_set *set, const span_key *key)
{
    for (size_t at = hash(key);; at++) {
        span_key *slot = &set->slots[at & set->mask];
        if (load(slot->span) == 0 || memcmp(slot, key, sizeof *key) == 0)
            return slot;
    }
}

static void grow(span_set *set)
{
    span_set larger = *set;
    larger.mask = set->mask * 2 + 1;
    larger.slots = need_zeroes(larger.mask + 1, sizeof *larger.slots);
    for (size_t i = 0; i <= set->mask; i++)
        if (load(set->slots[i].span))
            *find(&larger, &set->slots[i]) = set->slots[i];
    free(set->slots);
    *set = larger;
}

size_t span_set_add(span_set *set, const span_key *keys, size_t count, bool *repeated)
{
    size_t before = set->count;
    for (size_t i = 0; i < count; i++) {
        // The table is far larger than any cache, so the slots are prefetched.
        if (i + AHEAD < count)
            __builtin_prefetch(&set->slots[hash(&keys[i + AHEAD]) & set->mask], 1);
        span_key *slot = find(set, &keys[i]);
        const bool known = load(slot->span) != 0;
        if (repeated != NULL)
            repeated[i] = known;
        if (known)
            continue;
        if (set->count == set->limit) {
            set->full = true;
            continue;
        }
        *slot = keys[i];
        if (++set->count > set->mask / 4 * 3)
            grow(set);
    }
    return set->count - before;
}

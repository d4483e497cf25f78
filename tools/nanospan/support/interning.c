// SPDX-License-Identifier: Apache-2.0
#include "interning.h"

#include "common/fnv.h"
#include <stdlib.h>

enum { FIRST_SLOTS = 1 << 8 };

static uint64_t hash(slice value)
{
    const uint64_t mixed = nsp__fnv(NSP__FNV_START, value.text, value.length) * 0x9e3779b97f4a7c15u;
    return mixed ^ mixed >> 32;
}

slice interning_at(const interning *in, uint32_t number)
{
    const size_t from = number != 0 ? in->ends[number - 1] : 0;
    const size_t length = in->ends[number] - from;
    return (slice){length != 0 ? in->bytes.data + from : "", length};
}

// Where the text is, or the free place where it belongs.
static size_t find(const interning *in, slice value)
{
    size_t at = hash(value) & in->mask;
    while (in->slots[at] != 0) {
        const slice known = interning_at(in, in->slots[at] - 1);
        if (known.length == value.length &&
            (value.length == 0 || memcmp(known.text, value.text, value.length) == 0))
            break;
        at = (at + 1) & in->mask;
    }
    return at;
}

// Keeps the table at most half full.
static void enlarge(interning *in)
{
    const size_t slots = in->slots != NULL ? (in->mask + 1) * 2 : FIRST_SLOTS;
    free(in->slots);
    in->slots = need_zeroes(slots, sizeof *in->slots);
    in->mask = slots - 1;
    for (size_t i = 0; i < in->count; i++)
        in->slots[find(in, interning_at(in, (uint32_t)i))] = (uint32_t)i + 1;
}

uint32_t interning_add(interning *in, slice value, bool *is_new)
{
    if (in->slots == NULL || in->count * 2 > in->mask)
        enlarge(in);
    const size_t at = find(in, value);
    if (is_new != NULL)
        *is_new = in->slots[at] == 0;
    if (in->slots[at] == 0) {
        text_slice(&in->bytes, value);
        in->ends = need_room(in->ends, in->count, &in->capacity, sizeof *in->ends);
        in->ends[in->count++] = in->bytes.length;
        in->slots[at] = (uint32_t)in->count;
    }
    return in->slots[at] - 1;
}

void interning_free(interning *in)
{
    text_free(&in->bytes);
    free(in->ends);
    free(in->slots);
    *in = (interning){0};
}

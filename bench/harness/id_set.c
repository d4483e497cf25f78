// SPDX-License-Identifier: Apache-2.0
#include "harness/id_set.h"

#include <sys/mman.h>

enum { SIZE_LEAST = 1 << 16, AHEAD = 24 };

static bool map_slots(id_set *set, size_t size)
{
    void *slots =
        mmap(NULL, size * sizeof *set->slots, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED)
        return false;
    madvise(slots, size * sizeof *set->slots, MADV_HUGEPAGE); // successive ids are in different pages
    set->slots = slots;
    set->size = size;
    return true;
}

bool id_set_make(id_set *out, uint64_t expected)
{
    *out = (id_set){0};
    size_t size = SIZE_LEAST;
    while (size < 2 * expected)
        size *= 2;
    if (!map_slots(out, size))
        return false;
    for (size_t i = 0; i < size; i += 512) // 4 KiB
        ((volatile uint64_t *)out->slots)[i] = 0;
    return true;
}

// The slot of an id. The multiplication spreads ids of any kind; the slot comes from its upper bits.
static size_t place(const id_set *set, uint64_t id)
{
    return (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 20) & (set->size - 1);
}

static void insert(id_set *set, uint64_t id)
{
    size_t at = place(set, id);
    while (set->slots[at] != 0 && set->slots[at] != id)
        at = (at + 1) & (set->size - 1);
    set->count += set->slots[at] == 0;
    set->slots[at] = id;
}

static void insert_all(id_set *set, const uint64_t *ids, size_t count)
{
    for (size_t i = 0; i < count && i < AHEAD; i++)
        __builtin_prefetch(&set->slots[place(set, ids[i])], 1);
    for (size_t i = 0; i < count; i++) {
        if (i + AHEAD < count)
            __builtin_prefetch(&set->slots[place(set, ids[i + AHEAD])], 1);
        if (ids[i] != 0)
            insert(set, ids[i]);
    }
}

bool id_set_add(id_set *set, const uint64_t *ids, size_t count)
{
    size_t size = set->size;
    while (2 * (set->count + count) > size)
        size *= 2;
    if (size != set->size) {
        id_set old = *set;
        set->count = 0;
        if (!map_slots(set, size)) {
            *set = old;
            return false;
        }
        insert_all(set, old.slots, old.size);
        munmap(old.slots, old.size * sizeof *old.slots);
    }
    insert_all(set, ids, count);
    return true;
}

// SPDX-License-Identifier: Apache-2.0
#include "root_groups.h"

#include "support/trace_notes.h"
#include <math.h>
#include <stdlib.h>

static const trace_set *sorting; // qsort passes no argument to its comparison

static uint32_t name_of(const trace_set *set, const trace *t)
{
    if (!t->rooted)
        return ROOT_NOT_SEEN;
    const uint32_t name = set->store->rows[t->root].name;
    return set->names != NULL ? set->names[name] : name;
}

static int by_name_slowest_first(const void *a, const void *b)
{
    const trace *left = *(const trace *const *)a, *right = *(const trace *const *)b;
    const uint32_t left_name = name_of(sorting, left), right_name = name_of(sorting, right);
    if (left_name != right_name)
        return left_name < right_name ? -1 : 1;
    if (left->duration != right->duration)
        return left->duration > right->duration ? -1 : 1;
    for (int i = 0; i < 2; i++)
        if (left->id[i] != right->id[i])
            return left->id[i] < right->id[i] ? -1 : 1;
    return 0;
}

static int most_traces_first(const void *a, const void *b)
{
    const root_group *left = a, *right = b;
    const size_t left_count = left->counts[0] + left->counts[1],
                 right_count = right->counts[0] + right->counts[1];
    if (left_count != right_count)
        return left_count > right_count ? -1 : 1;
    return left->name < right->name ? -1 : 1;
}

root_groups root_groups_make(const trace_set sets[2])
{
    root_groups groups = {.list = need_memory((sets[0].count + sets[1].count + 1) * sizeof *groups.list)};
    size_t at[2] = {0};
    for (int set = 0; set < 2; set++) {
        sorting = &sets[set];
        if (sets[set].count) // there may be no array
            qsort(sets[set].traces, sets[set].count, sizeof *sets[set].traces, by_name_slowest_first);
    }
    while (at[0] < sets[0].count || at[1] < sets[1].count) {
        uint32_t names[2] = {ROOT_NOT_SEEN, ROOT_NOT_SEEN};
        for (int set = 0; set < 2; set++)
            if (at[set] < sets[set].count)
                names[set] = name_of(&sets[set], sets[set].traces[at[set]]);
        root_group *group = &groups.list[groups.count++];
        *group = (root_group){.name = names[0] < names[1] ? names[0] : names[1]};
        for (int set = 0; set < 2; set++) {
            group->traces[set] = sets[set].count ? &sets[set].traces[at[set]] : NULL;
            while (at[set] < sets[set].count &&
                   name_of(&sets[set], sets[set].traces[at[set]]) == group->name) {
                group->counts[set]++;
                at[set]++;
            }
        }
    }
    qsort(groups.list, groups.count, sizeof *groups.list, most_traces_first);
    return groups;
}

size_t root_groups_tail(size_t count)
{
    return (count + 99) / 100;
}

void root_group_split(root_group *group)
{
    const size_t count = group->counts[0], tail = root_groups_tail(count);
    // Nearest ranks, where the fastest has rank 1; the slowest are first.
    const size_t last = (3 * count + 3) / 4, first = (count + 3) / 4;
    size_t from = count - last;
    from = from > tail ? from : tail;
    group->traces[1] = group->traces[0];
    group->counts[1] = tail;
    group->traces[0] += from;
    group->counts[0] = count - first + 1 > from ? count - first + 1 - from : 0;
}

void root_group_name(text *out, const trace_store *store, uint32_t name)
{
    if (name == ROOT_NOT_SEEN)
        text_put(out, "(root not seen)");
    else
        trace_notes_plain(out, store->strings[name]);
}

double trace_mean(const trace *const *traces, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)traces[i]->duration;
    return count ? sum / (double)count : 0;
}

uint64_t trace_quantile(const trace *const *traces, size_t count, double share)
{
    if (!count)
        return 0;
    const size_t rank = (size_t)ceil(share * (double)count);
    return traces[count - (rank ? rank : 1)]->duration;
}

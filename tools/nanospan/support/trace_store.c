// SPDX-License-Identifier: Apache-2.0
#include "trace_store.h"

#include <stdlib.h>

#include "common/fnv.h"

enum { FIRST_SLOTS = 1 << 10 };

void trace_store_init(trace_store *store)
{
    *store = (trace_store){0};
    index_table *tables[] = {&store->trace_index, &store->string_index};
    for (int i = 0; i < 2; i++)
        *tables[i] =
            (index_table){.slots = need_zeroes(FIRST_SLOTS, sizeof(uint32_t)), .mask = FIRST_SLOTS - 1};
    trace_store_string(store, nsp__slice_of(""));
}

void trace_store_free(trace_store *store)
{
    for (size_t i = 0; i < store->string_count; i++)
        free((void *)(uintptr_t)store->strings[i].text);
    free(store->strings);
    free(store->rows);
    free(store->traces);
    free(store->lines);
    free(store->sources);
    free(store->pauses);
    free(store->trace_index.slots);
    free(store->string_index.slots);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t mixed = (a ^ b * 0x9e3779b97f4a7c15u) * 0xd6e8feb86659fd93u;
    return mixed ^ mixed >> 32;
}

static uint64_t hash_string(slice value)
{
    return mix(nsp__fnv(NSP__FNV_START, value.text, value.length), 1);
}

static uint64_t hash_at(const trace_store *store, const index_table *table, uint32_t index)
{
    if (table == &store->trace_index)
        return mix(store->traces[index].id[0], store->traces[index].id[1]);
    return hash_string(store->strings[index]);
}

// Adds the newest element, which is not in the table yet, and keeps the table at most half full.
static void enter(const trace_store *store, index_table *table, uint32_t index)
{
    if (table->count * 2 >= table->mask) {
        index_table larger = {need_zeroes(table->mask * 2 + 2, sizeof(uint32_t)), table->mask * 2 + 1,
                              table->count};
        for (size_t i = 0; i <= table->mask; i++) {
            if (!table->slots[i])
                continue;
            size_t at = hash_at(store, table, table->slots[i] - 1) & larger.mask;
            while (larger.slots[at])
                at = (at + 1) & larger.mask;
            larger.slots[at] = table->slots[i];
        }
        free(table->slots);
        *table = larger;
    }
    size_t at = hash_at(store, table, index) & table->mask;
    while (table->slots[at])
        at = (at + 1) & table->mask;
    table->slots[at] = index + 1;
    table->count++;
}

uint32_t trace_store_string(trace_store *store, slice value)
{
    const index_table *table = &store->string_index;
    for (size_t at = hash_string(value) & table->mask; table->slots[at]; at = (at + 1) & table->mask) {
        slice known = store->strings[table->slots[at] - 1];
        if (known.length == value.length &&
            (!value.length || memcmp(known.text, value.text, value.length) == 0))
            return table->slots[at] - 1;
    }
    store->strings =
        need_room(store->strings, store->string_count, &store->string_capacity, sizeof *store->strings);
    char *copy = need_memory(value.length + 1);
    if (value.length)
        memcpy(copy, value.text, value.length);
    copy[value.length] = '\0';
    uint32_t index = (uint32_t)store->string_count++;
    store->strings[index] = (slice){copy, value.length};
    enter(store, &store->string_index, index);
    return index;
}

uint32_t trace_store_find(const trace_store *store, uint64_t high, uint64_t low)
{
    const index_table *table = &store->trace_index;
    for (size_t at = mix(high, low) & table->mask; table->slots[at]; at = (at + 1) & table->mask) {
        const trace *known = &store->traces[table->slots[at] - 1];
        if (known->id[0] == high && known->id[1] == low)
            return table->slots[at] - 1;
    }
    return UINT32_MAX;
}

uint32_t trace_store_trace(trace_store *store, uint64_t high, uint64_t low)
{
    const uint32_t found = trace_store_find(store, high, low);
    if (found != UINT32_MAX)
        return found;
    store->traces =
        need_room(store->traces, store->trace_count, &store->trace_capacity, sizeof *store->traces);
    uint32_t index = (uint32_t)store->trace_count++;
    store->traces[index] = (trace){.id = {high, low}};
    enter(store, &store->trace_index, index);
    return index;
}

span_row *trace_store_row(trace_store *store)
{
    store->rows = need_room(store->rows, store->row_count, &store->row_capacity, sizeof *store->rows);
    return &store->rows[store->row_count++];
}

void trace_store_begin_file(trace_store *store)
{
    store->sources =
        need_room(store->sources, store->source_count, &store->source_capacity, sizeof *store->sources);
    store->sources[store->source_count++] = (uint32_t)store->line_count;
}

uint32_t trace_store_source(const trace_store *store, uint32_t line)
{
    // The last file whose first line is not after this one: empty files have no line.
    size_t low = 0, high = store->source_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (store->sources[middle] <= line)
            low = middle;
        else
            high = middle;
    }
    return (uint32_t)low;
}

const char *kept_word(kept_why why)
{
    static const char *const WORDS[KEPT_WORDS] = {"",        "slow",     "slowest",   "error",    "asked",
                                                  "history", "snapshot", "recovered", "otherwise"};
    return WORDS[why];
}

kept_why kept_from(slice word)
{
    for (kept_why why = KEPT_SLOW; why < KEPT_OTHERWISE; why++)
        if (nsp__slice_is(word, kept_word(why)))
            return why;
    return KEPT_OTHERWISE;
}

static int by_id(const void *a, const void *b)
{
    const span_row *left = a, *right = b;
    if (left->id != right->id)
        return left->id < right->id ? -1 : 1;
    return left->line != right->line ? (left->line < right->line ? -1 : 1)
                                     : (left->ordinal < right->ordinal ? -1 : 1);
}

// Earlier spans first. Of spans that start together, one that took no time (senders may give it a nanosecond, because a
// span should end after it starts) comes before what followed it; otherwise the longer one, which is likely to be the
// outer one.
static int by_start(const void *a, const void *b)
{
    const span_row *left = a, *right = b;
    if (left->start != right->start)
        return left->start < right->start ? -1 : 1;
    if ((left->duration <= 1) != (right->duration <= 1))
        return left->duration <= 1 ? -1 : 1;
    if (left->duration != right->duration)
        return left->duration > right->duration ? -1 : 1;
    return by_id(a, b);
}

// Counting sort by trace.
static void group(trace_store *store)
{
    for (size_t i = 0; i < store->row_count; i++)
        store->traces[store->rows[i].trace].count++;
    uint32_t first = 0;
    for (size_t i = 0; i < store->trace_count; i++) {
        store->traces[i].first = first;
        first += store->traces[i].count;
        store->traces[i].count = 0;
    }
    span_row *grouped = need_memory((store->row_count + 1) * sizeof *grouped);
    for (size_t i = 0; i < store->row_count; i++) {
        trace *t = &store->traces[store->rows[i].trace];
        grouped[t->first + t->count++] = store->rows[i];
    }
    free(store->rows);
    store->rows = grouped;
    store->row_capacity = store->row_count + 1;
}

static void arrange_one(trace_store *store, trace *t)
{
    span_row *rows = &store->rows[t->first];
    uint32_t kept = 0;
    qsort(rows, t->count, sizeof *rows, by_id);
    for (uint32_t i = 0; i < t->count; i++)
        if (!kept || rows[i].id != rows[kept - 1].id)
            rows[kept++] = rows[i];
    store->duplicates += t->count - kept;
    t->count = kept;
    if (!kept)
        return;
    store->seen_traces++;
    qsort(rows, t->count, sizeof *rows, by_start);
    const span_row *root = NULL;
    t->start = rows[0].start;
    for (uint32_t i = 0; i < kept; i++) {
        uint64_t end = rows[i].start + rows[i].duration;
        t->end = end > t->end ? end : t->end;
        t->errors += rows[i].status == STATUS_ERROR;
        t->kept = t->kept != KEPT_NOT ? t->kept : rows[i].kept;
        for (uint32_t pause = 0; pause < rows[i].pause_count; pause++) {
            const off_cpu *one = &store->pauses[rows[i].first_pause + pause];
            *(one->preempted ? &t->preempted : &t->waited) += one->duration;
        }
        if (!rows[i].parent && (root == NULL || rows[i].duration > root->duration))
            root = &rows[i];
    }
    if (root != NULL && root->kept != KEPT_NOT)
        t->kept = root->kept;
    t->rooted = root != NULL;
    t->root = (uint32_t)((root != NULL ? root : rows) - store->rows);
    t->source = trace_store_source(store, store->rows[t->root].line);
    t->duration = root != NULL ? root->duration : t->end - t->start;
}

void trace_store_arrange(trace_store *store)
{
    group(store);
    for (size_t i = 0; i < store->trace_count; i++)
        arrange_one(store, &store->traces[i]);
}

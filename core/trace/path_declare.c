// SPDX-License-Identifier: Apache-2.0
//
// The table is static and only grows. An entry is claimed by its number, filled by the thread that has claimed it, and
// published by its checksum; after that it never changes. Nobody waits for an entry that is not published: it is
// passed over, so that two threads that enter the same content at the same time may get two numbers for it, each of
// which has all of it.
//
//   who                                  does what                                          label
//   the thread that has claimed          fills the entry, then the checksum                 PT1: release
//   whoever looks for a content          checksum, then the entry                           PT2: acquire, at PT1
//   whoever declares                     copies the entry into the session, its checksum    PL1: release
//   whoever reads the session            checksum, then the entry                           PL2: acquire, at PL1
//   whoever declares                     sets the declaration's head                        PD3
//                                        and then its name                                  PD1: release
//   begins                               name, then head                                    PD2: acquire, at PD1
#include "trace/path_declare.h"

#include <string.h>

#include "base/name.h"
#include "base/testpoint.h"
#include "base/words.h"
#include "trace/trace_state.h"

static nsp__paths table;

// Counts the sessions.
static uint32_t session_number;

// The names of a declaration's texts. They are interned before its layout is on the stack.
typedef struct texts {
    nsp_name root, parts[NSP_PATH_PHASES_MAX + NSP_PATH_FIELDS_MAX];
} texts;

// False in a signal handler that has interrupted the interning of a name.
static bool intern(nsp_name *name, const char *text, size_t length)
{
    *name = 0;
    nsp__name_intern_site(name, text, length);
    return *name != 0;
}

__attribute__((noinline)) static bool intern_all(texts *names, const nsp__path_declaration *declaration)
{
    bool all = intern(&names->root, declaration->root, declaration->root_length);
    for (uint32_t i = 0; all && i < declaration->part_count; i++)
        all = intern(&names->parts[i], declaration->parts[i].name, strlen(declaration->parts[i].name));
    return all;
}

// What stands for "not set": it is what the declaration's own struct has there.
static uint64_t unset_of(const nsp__path_declaration *declaration, const nsp__path_part *part)
{
    uint64_t bits = 0; // little endian
    const size_t size = part->type == NSP_TYPE_STR ? sizeof(uint16_t) : part->size;
    memcpy(&bits, (const char *)declaration->unset + part->offset, size);
    return bits;
}

static void layout_make(nsp__path_layout *layout, const nsp__path_declaration *declaration,
                        const texts *names)
{
    memset(layout, 0, sizeof *layout);
    layout->name = names->root;
    layout->bytes = (uint16_t)declaration->bytes;
    for (uint32_t i = 0; i < declaration->part_count; i++) {
        const nsp__path_part *part = &declaration->parts[i];
        if (part->type == 0)
            layout->phase_names[layout->phases++] = names->parts[i];
        else
            layout->field[layout->fields++] = (nsp__path_field){
                .key = names->parts[i],
                .offset = part->offset,
                .size = part->size,
                .type = part->type,
                .phase = layout->phases,
                .unset = unset_of(declaration, part),
            };
    }
    layout->checksum = nsp__path_layout_checksum(layout);
}

// The number of an entry with this content; 0: there is none. *whole: no entry is being filled.
static uint32_t find(const nsp__path_layout *layout, bool *whole)
{
    const uint32_t taken = __atomic_load_n(&table.count, __ATOMIC_RELAXED);
    *whole = true;
    for (uint32_t i = 0; i < taken && i < NSP__PATHS_MAX; i++) {
        const uint64_t checksum = __atomic_load_n(&table.path[i].checksum, __ATOMIC_ACQUIRE); // PT2
        *whole = *whole && checksum != 0;
        if (checksum == layout->checksum && memcmp(&table.path[i], layout, sizeof *layout) == 0)
            return i + 1;
    }
    return 0;
}

// A number for a content that was not found; 0: there is none left.
static uint32_t claim(const nsp__path_layout *layout)
{
    // The count cannot run away, because it is looked at first.
    if (__atomic_load_n(&table.count, __ATOMIC_RELAXED) >= NSP__PATHS_MAX)
        return 0;
    // This and PT1 are sequentially consistent with nsp__paths_replay, which counts the session and then looks which
    // entries there are: either it finds this one, or the session is found in share.
    const uint32_t index = __atomic_fetch_add(&table.count, 1, __ATOMIC_SEQ_CST);
    if (index >= NSP__PATHS_MAX)
        return 0;
    NSP__TESTPOINT("path: number taken");
    nsp__path_layout *entry = &table.path[index];
    memcpy(&entry->name, &layout->name, sizeof *layout - offsetof(nsp__path_layout, name));
    __atomic_store_n(&entry->checksum, layout->checksum, __ATOMIC_SEQ_CST); // PT1
    return index + 1;
}

// As no value is lower than the one before, this is over after as many steps as there are values.
static void raise_count(uint32_t *count, uint32_t to)
{
    uint32_t now = __atomic_load_n(count, __ATOMIC_RELAXED);
    while (now < to &&
           !__atomic_compare_exchange_n(count, &now, to, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

static void raise_overflowed(nsp__paths *paths)
{
    const uint64_t to = __atomic_load_n(&table.overflowed, __ATOMIC_RELAXED);
    uint64_t now = __atomic_load_n(&paths->overflowed, __ATOMIC_RELAXED);
    while (now < to && !__atomic_compare_exchange_n(&paths->overflowed, &now, to, true, __ATOMIC_RELAXED,
                                                    __ATOMIC_RELAXED)) {
    }
}

static nsp__paths *session_paths(void)
{
    nsp__control *control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4: acquires T3
    return control != NULL && !nsp__process_copied() ? &control->paths : NULL;
}

// Any number of threads may do this for one entry; each of them writes the same.
static void copy(uint32_t number)
{
    nsp__paths *paths = session_paths();
    if (paths == NULL)
        return;
    const nsp__path_layout *from = &table.path[number - 1];
    nsp__path_layout *to = &paths->path[number - 1];
    const size_t rest = offsetof(nsp__path_layout, name);
    nsp__words_copy((char *)to + rest, (const char *)from + rest, sizeof *from - rest);
    NSP__TESTPOINT("path: written in the session");
    __atomic_store_n(&to->checksum, from->checksum, __ATOMIC_RELEASE); // PL1: releases the entry to PL2
    raise_count(&paths->count, number);
}

// Once this returns, the entry is in the session, whichever that is: one that nsp__paths_replay has counted by now is the
// one that is written to here, and one that it counts later finds the entry there.
static void share(uint32_t number)
{
    (void)__atomic_load_n(&session_number, __ATOMIC_SEQ_CST);
    copy(number);
}

static uint64_t head_of(const nsp__path_declaration *declaration, const nsp__path_layout *layout,
                        uint32_t number)
{
    nsp__path_head head = {
        .declaration = (uint16_t)number,
        .bytes = layout->bytes,
        .phases = layout->phases,
    };
    for (uint32_t i = 0; i < declaration->part_count; i++)
        if ((declaration->parts[i].flags & NSP__PATH_STARTS) != 0) {
            head.flags = NSP__PATH_STARTS;
            head.open = 1; // it is the first
        }
    uint64_t word;
    _Static_assert(sizeof word == sizeof head, "a head is one word");
    memcpy(&word, &head, sizeof word);
    return word;
}

// For good: every entry is whole, and none has this content. The number 0 stands for a declaration that nobody knows: its
// paths are spans, and their fields and marks lead to nothing.
static void refuse(nsp__path_declaration *declaration, nsp_name name)
{
    // No phase is the next one, and none has happened.
    enum { NO_PHASE = 0x7f };
    _Static_assert((int)NO_PHASE > (int)NSP_PATH_PHASES_MAX, "it is no phase's number");
    const nsp__path_head unknown = {
        .bytes = (uint16_t)declaration->bytes, .open = NO_PHASE, .skipped = NO_PHASE};
    uint64_t word, without = 0;
    memcpy(&word, &unknown, sizeof word);
    __atomic_compare_exchange_n(&declaration->head, &without, word, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_ACQUIRE); // PD3
    nsp_name none = 0;
    if (!__atomic_compare_exchange_n(&declaration->name, &none, name, false, __ATOMIC_RELEASE,
                                     __ATOMIC_RELAXED)) // PD1
        return;
    __atomic_fetch_add(&table.overflowed, 1, __ATOMIC_RELAXED);
    nsp__paths *paths = session_paths();
    if (paths != NULL)
        raise_overflowed(paths);
}

__attribute__((noinline)) static bool enter(nsp__path_declaration *declaration, const texts *names)
{
    nsp__path_layout layout;
    bool whole;
    layout_make(&layout, declaration, names);
    uint32_t number = find(&layout, &whole);
    if (number == 0)
        number = claim(&layout);
    if (number == 0) {
        // Whoever has claimed a number by now may be filling it with this very content.
        number = find(&layout, &whole);
        if (number == 0 && whole)
            refuse(declaration, names->root);
        if (number == 0)
            return whole;
    }
    share(number);
    // Another thread may have entered the same declaration at the same time, under another number. One head stays.
    uint64_t none = 0;
    __atomic_compare_exchange_n(&declaration->head, &none, head_of(declaration, &layout, number), false,
                                __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); // PD3: with itself, on another thread
    __atomic_store_n(&declaration->name, names->root, __ATOMIC_RELEASE); // PD1: releases the head to PD2
    return true;
}

bool nsp__path_declare(nsp__path_declaration *declaration)
{
    if (__atomic_load_n(&declaration->name, __ATOMIC_ACQUIRE) != 0) // PD2: acquires PD1
        return true;
    texts names;
    return intern_all(&names, declaration) && enter(declaration, &names);
}

void nsp__paths_replay(void)
{
    // Sequentially consistent with claim and share; see there.
    __atomic_add_fetch(&session_number, 1, __ATOMIC_SEQ_CST);
    const uint32_t taken = __atomic_load_n(&table.count, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < taken && i < NSP__PATHS_MAX; i++)
        if (__atomic_load_n(&table.path[i].checksum, __ATOMIC_SEQ_CST) != 0)
            copy(i + 1);
    nsp__paths *paths = session_paths();
    if (paths != NULL)
        raise_overflowed(paths);
}

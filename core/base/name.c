// SPDX-License-Identifier: Apache-2.0
//
// All memory is static: a table of entries indexed by id, and an arena for their texts. Pages that are never
// touched cost nothing.
//
// Texts are found by liburcu's lock-free hash table. RCU exists to tell when a removed node may be freed, and
// here nothing is ever removed. No grace period is ever waited for, so readers have nothing to announce: no
// thread registers, and no read lock is taken. (The flavour, qsbr, has an empty read lock anyway.) The table
// is created once with a fixed number of buckets and neither resizing nor accounting. So liburcu starts no
// worker thread, a lookup is a walk along one chain of pointers, an add is such a walk and a
// compare-and-swap, and only cds_lfht_new allocates.
//
//   who                            does what                                      label
//   adder, owner of a candidate    writes text and length, then adds the node     I0: full barrier in the add
//   finder, adder who lost         meets the node, reads text and length          address dependency, on I0
//   whoever completes a name       hook, then completed                           I1: release
//   any reader of a text by id     completed, then text                           I2: acquire, at I1
#include "base/name.h"

#include "base/testpoint.h"
#include "base/tsan.h"
#include "common/fnv.h"
#include "common/seed.h"
#include "common/utf8.h"
#include <string.h>
#include <urcu-qsbr.h>
#include <urcu/rculfhash.h>

enum {
    BUCKETS = 2048, // four names per bucket in a full table
    SPARES = 16,
    TEXT_STEP = 16 // granularity of arena space, so that a spare piece fits the next text more often
};

typedef struct entry {
    struct cds_lfht_node node; // first, so that a node is its entry
    uint32_t text;             // offset in the arena
    uint32_t space;            // bytes reserved there
    uint32_t length;           // without the terminating zero
    uint32_t completed;        // 0: not ready; otherwise the round (see below) of the last call of the hook
} entry;

_Static_assert(offsetof(entry, node) == 0, "a node is cast to its entry");

typedef struct text_key {
    const char *text;
    size_t length;
} text_key;

static entry entries[NSP_NAME_MAX];
static char arena[NSP_NAME_TEXT_MAX];
static uint32_t arena_used;
static uint32_t next_name = NSP_NAME_OVERFLOW + 1;
static struct cds_lfht *table;
static uint64_t overflowed;

// Ids whose adder found that another thread had just added the same text. Nobody has seen them, and the next
// new names take them, so that threads that start in step and all intern the same names do not use up the
// table.
static uint32_t spares[SPARES];

// Counts the replays. A name is complete when the hook has been called for it in the current round.
static uint32_t hook_round = 1;
void (*nsp__name_added)(nsp_name name, const char *text, size_t length);

// Set while this thread adds a name, for signal handlers that come in between.
static __thread volatile bool adding __attribute__((tls_model("initial-exec")));

// Mixed, because buckets are chosen by the low bits.
static unsigned long hash_text(text_key key)
{
    return (unsigned long)nsp__random_mix(nsp__fnv(NSP__FNV_START, key.text, key.length));
}

// Called by liburcu for a node of equal hash, which is why the sanitizer's edge is here.
static int same_text(struct cds_lfht_node *node, const void *key)
{
    NSP__TSAN_ACQUIRE(node);
    const entry *candidate = (const entry *)node;
    const text_key *wanted = key;
    return candidate->length == wanted->length &&
           memcmp(arena + candidate->text, wanted->text, wanted->length) == 0;
}

static entry *find(unsigned long hash, text_key key)
{
    struct cds_lfht_iter iterator;
    cds_lfht_lookup(table, hash, same_text, &key, &iterator);
    return (entry *)cds_lfht_iter_get_node(&iterator);
}

static nsp_name name_of(const entry *e)
{
    return (nsp_name)(e - entries);
}

// True if the hook has been called for the name in this round, so that its id may be returned.
static bool is_complete(const entry *e)
{
    return __atomic_load_n(&e->completed, __ATOMIC_ACQUIRE) ==
           __atomic_load_n(&hook_round, __ATOMIC_ACQUIRE); // I2, and I4 at I3
}

// Calls the hook and makes the name ready. Any number of threads may do this for one name; none waits for
// another.
static void complete(entry *e)
{
    uint32_t round = __atomic_load_n(&hook_round, __ATOMIC_ACQUIRE), begun; // I4: acquires I3
    do {
        begun = round;
        void (*hook)(nsp_name, const char *, size_t) =
            __atomic_load_n(&nsp__name_added, __ATOMIC_ACQUIRE); // H2: acquires H1
        if (hook != NULL)
            hook(name_of(e), arena + e->text, e->length);
        NSP__TESTPOINT("name: before it is ready");
        // I1. Sequentially consistent with nsp__name_replay, which raises the round and then checks which
        // names are ready: either it finds this one ready, or the raised round is found here.
        __atomic_store_n(&e->completed, begun, __ATOMIC_SEQ_CST);
        round = __atomic_load_n(&hook_round, __ATOMIC_SEQ_CST);
    } while (round != begun);
}

static uint32_t take_spare(void)
{
    for (unsigned i = 0; i < SPARES; i++) {
        if (__atomic_load_n(&spares[i], __ATOMIC_RELAXED) == 0)
            continue;
        // Acquire: the id was another thread's before, which is done with it at the release in give_spare.
        uint32_t name = __atomic_exchange_n(&spares[i], 0, __ATOMIC_ACQUIRE); // I6: acquires I5
        if (name != 0)
            return name;
    }
    return 0;
}

// If all entries are taken the id is lost. That takes as many threads losing the same race at the same time.
static void give_spare(uint32_t name)
{
    for (unsigned i = 0; i < SPARES; i++) {
        uint32_t empty = 0;
        if (__atomic_compare_exchange_n(&spares[i], &empty, name, false, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) // I5: to I6
            return;
    }
}

// Adds to a bounded counter and returns its old value, or UINT32_MAX if the bound would be passed. What a
// failing call adds in a race is not taken back: the rest of a full table is lost. The counter cannot run
// away, because it is checked first.
static uint32_t reserve(uint32_t *counter, uint32_t amount, uint32_t bound)
{
    if (__atomic_load_n(counter, __ATOMIC_RELAXED) + amount > bound)
        return UINT32_MAX;
    // Sequentially consistent with nsp__name_replay: the adder of an id that it does not count sees its
    // round.
    uint32_t start = __atomic_fetch_add(counter, amount, __ATOMIC_SEQ_CST);
    return start + amount > bound ? UINT32_MAX : start;
}

// Puts the text into an entry that the caller owns. False if the arena is full.
static bool fill(entry *e, text_key key)
{
    uint32_t space = (uint32_t)(key.length + TEXT_STEP) / TEXT_STEP * TEXT_STEP;
    if (e->space < space) {
        uint32_t start = reserve(&arena_used, space, NSP_NAME_TEXT_MAX);
        if (start == UINT32_MAX)
            return false;
        e->text = start;
        e->space = space;
    }
    memcpy(arena + e->text, key.text, key.length);
    arena[e->text + key.length] = '\0';
    e->length = (uint32_t)key.length;
    NSP__TSAN_RELEASE(&e->node);
    return true;
}

// The entry of a text that was not found a moment ago: the one added here, or that of a thread that was
// faster. NULL if the table or the arena is full.
static entry *add(unsigned long hash, text_key key)
{
    uint32_t name = take_spare();
    if (name == 0)
        name = reserve(&next_name, 1, NSP_NAME_MAX);
    if (name == UINT32_MAX)
        return NULL;
    entry *mine = &entries[name], *added = NULL;
    NSP__TESTPOINT("name: id taken");
    if (fill(mine, key)) // I0, if the node is added
        added = (entry *)cds_lfht_add_unique(table, hash, same_text, &key, &mine->node);
    if (added != mine)
        give_spare(name);
    NSP__TESTPOINT("name: added");
    return added;
}

// Runs before main, and again only if another constructor interns names before this one has run.
__attribute__((constructor(101))) static void create_table(void)
{
    if (__atomic_load_n(&table, __ATOMIC_ACQUIRE) != NULL) // I8: acquires I7
        return;
    struct cds_lfht *created = cds_lfht_new_flavor(BUCKETS, BUCKETS, BUCKETS, 0, &urcu_qsbr_flavor, NULL);
    struct cds_lfht *none = NULL;
    if (!__atomic_compare_exchange_n(&table, &none, created, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) { // I7: the table is made, to I8
        cds_lfht_destroy(created, NULL);
        return;
    }
    // The overflow name is in the table too, so that interning its text returns it.
    static const char text[] = "nanospan.names_full";
    text_key key = {text, sizeof text - 1};
    entry *overflow = &entries[NSP_NAME_OVERFLOW];
    fill(overflow, key);
    cds_lfht_add_unique(table, hash_text(key), same_text, &key, &overflow->node);
    complete(overflow);
}

static nsp_name count_overflow(void)
{
    __atomic_fetch_add(&overflowed, 1, __ATOMIC_RELAXED);
    return NSP_NAME_OVERFLOW;
}

// The name of a text. *lasting is false if a later call may return another one.
static nsp_name intern(const char *text, size_t length, bool *lasting)
{
    if (NSP__UNLIKELY(__atomic_load_n(&table, __ATOMIC_ACQUIRE) == NULL)) // I8: acquires I7
        create_table();
    text_key key = {text != NULL ? text : "",
                    text != NULL ? nsp__utf8_cut(text, length, NSP_NAME_LENGTH_MAX) : 0};
    unsigned long hash = hash_text(key);

    *lasting = true;
    entry *e = find(hash, key);
    if (e != NULL && is_complete(e))
        return name_of(e);

    // A signal handler that interrupted this thread in here must not call the hook, which is only half done.
    if (adding) {
        *lasting = false;
        return count_overflow();
    }
    adding = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (e == NULL)
        e = add(hash, key);
    if (e != NULL)
        complete(e);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    adding = false;
    return e != NULL ? name_of(e) : count_overflow();
}

nsp_name nsp_intern(const char *text, size_t length)
{
    bool lasting;
    return intern(text, length, &lasting);
}

nsp_name nsp__name_intern_site(nsp_name *site, const char *text, size_t length)
{
    bool lasting;
    nsp_name name = intern(text, length, &lasting);
    // Release: whoever gets this id from the site, directly or indirectly, finds the name ready (I1 comes
    // first).
    if (lasting)
        __atomic_store_n(site, name, __ATOMIC_RELEASE);
    return name;
}

uint32_t nsp__name_count(void)
{
    uint32_t count = __atomic_load_n(&next_name, __ATOMIC_SEQ_CST);
    return count < NSP_NAME_MAX ? count : NSP_NAME_MAX;
}

uint32_t nsp__name_place(nsp_name name)
{
    return entries[name].text;
}

bool nsp__name_ready(nsp_name name)
{
    // I2
    return name < NSP_NAME_MAX && __atomic_load_n(&entries[name].completed, __ATOMIC_ACQUIRE) != 0;
}

const char *nsp_name_text(nsp_name name, size_t *length)
{
    bool ready = nsp__name_ready(name);
    if (length != NULL)
        *length = ready ? entries[name].length : 0;
    return ready ? arena + entries[name].text : "";
}

void nsp__name_replay(void)
{
    // Sequentially consistent with complete(); see there.
    __atomic_add_fetch(&hook_round, 1, __ATOMIC_SEQ_CST); // I3: what the hook writes to is another, to I4
    uint32_t count = nsp__name_count();
    for (nsp_name name = NSP_NAME_OVERFLOW; name < count; name++)
        if (__atomic_load_n(&entries[name].completed, __ATOMIC_SEQ_CST) != 0)
            complete(&entries[name]);
}

uint64_t nsp__name_overflowed(void)
{
    return __atomic_load_n(&overflowed, __ATOMIC_RELAXED);
}

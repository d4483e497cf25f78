// SPDX-License-Identifier: Apache-2.0
//
// Who writes which line. What one thread writes in every span must not share a line with what another thread
// reads or writes, or the line travels between their processors in every span. Processors fetch lines in
// pairs, hence 128 bytes. Each structure is listed completely, so a new member has to be put in its place
// here.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "trace/thread_state.h"

enum { PAIR_OF_LINES = 128 };

// Who writes a member while spans are recorded, and so needs its lines for itself. CONSTANT: nobody, or so
// seldom that it does not matter (attach, a change of the sampler).
typedef enum writer { CONSTANT, THREAD, DRAINER, SENDER, ANYBODY } writer;
static const char *const writers[] = {"nobody", "the thread", "the drainer", "the sender", "any thread"};

typedef struct member {
    const char *structure, *name;
    size_t offset, size, of; // of: the structure's size
    writer by;
    bool read_by_others; // while spans are recorded
} member;

#define MEMBER(structure, name, by, others)                                                                  \
    {                                                                                                        \
#structure, #name, offsetof(structure, name), sizeof((structure *)0)->name, sizeof(structure), by,   \
            others                                                                                           \
    }

// In shared memory.
static const member slot[] = {
    MEMBER(nsp__slot, state, CONSTANT, true),        MEMBER(nsp__slot, tid, CONSTANT, true),
    MEMBER(nsp__slot, index, CONSTANT, true),        MEMBER(nsp__slot, frame_count, CONSTANT, true),
    MEMBER(nsp__slot, frame_stride, CONSTANT, true), MEMBER(nsp__slot, record_bytes, CONSTANT, true),
    MEMBER(nsp__slot, ring_bytes, CONSTANT, true),   MEMBER(nsp__slot, frames_offset, CONSTANT, true),
    MEMBER(nsp__slot, ring_offset, CONSTANT, true),  MEMBER(nsp__slot, name, CONSTANT, true),
    MEMBER(nsp__slot, published, THREAD, true), // the one line that has to travel
    MEMBER(nsp__slot, consumed, DRAINER, true),      MEMBER(nsp__slot, drained, DRAINER, true),
    MEMBER(nsp__slot, counters, THREAD, false), // read only by nsp_stats_get and from outside
    MEMBER(nsp__slot, skips, THREAD, false),    // the generation in it is written at a change of the policy
};

// In each slot too, and written by its thread alone; the members for detached spans by any, but seldom.
static const member speculation[] = {
    MEMBER(nsp__speculation, slot, THREAD, false),
    MEMBER(nsp__speculation, settled, THREAD, false),
    MEMBER(nsp__speculation, history_end, THREAD, false),
    MEMBER(nsp__speculation, history_kept, THREAD, false),
    MEMBER(nsp__speculation, kept, THREAD, false),
    MEMBER(nsp__speculation, kept_incomplete, THREAD, false),
    MEMBER(nsp__speculation, kept_limited, THREAD, false),
    MEMBER(nsp__speculation, apart_begun, THREAD, false),
    MEMBER(nsp__speculation, apart_kept, THREAD, false),
    MEMBER(nsp__speculation, apart_taken_back, THREAD, false),
    MEMBER(nsp__speculation, keeping, THREAD, false),
};

static const member control[] = {
    MEMBER(nsp__control, magic, CONSTANT, true),
    MEMBER(nsp__control, version, CONSTANT, true),
    MEMBER(nsp__control, pid, CONSTANT, true),
    MEMBER(nsp__control, start_unix_ns, CONSTANT, true),
    MEMBER(nsp__control, control_bytes, CONSTANT, true),
    MEMBER(nsp__control, section_count, CONSTANT, true),
    MEMBER(nsp__control, reserved, CONSTANT, true),
    MEMBER(nsp__control, sections, CONSTANT, true),
    MEMBER(nsp__control, threads_max, CONSTANT, true),
    MEMBER(nsp__control, slot_count, CONSTANT, true),
    MEMBER(nsp__control, threads_bytes, CONSTANT, true),
    MEMBER(nsp__control, record_bytes, CONSTANT, true),
    MEMBER(nsp__control, detached_count, CONSTANT, true),
    MEMBER(nsp__control, detached_stride, CONSTANT, true),
    MEMBER(nsp__control, batch_count, CONSTANT, true),
    MEMBER(nsp__control, batch_bytes, CONSTANT, true),
    MEMBER(nsp__control, detached_left, CONSTANT, true),
    MEMBER(nsp__control, resource_bytes, CONSTANT, true),
    MEMBER(nsp__control, unattached_attempted, CONSTANT, true), // by threads that found no slot
    MEMBER(nsp__control, unattached_dropped, CONSTANT, true),
    MEMBER(nsp__control, unattached_misused, CONSTANT, true),
    MEMBER(nsp__control, unattached_values_cut, CONSTANT, true),
    MEMBER(nsp__control, policy_generation, CONSTANT, true),
    MEMBER(nsp__control, policies, CONSTANT, true), // every unsampled root reads `classes`
    MEMBER(nsp__control, counters, SENDER, true),
    MEMBER(nsp__control, clock, DRAINER, true),
    MEMBER(nsp__control, places, CONSTANT, true),
    MEMBER(nsp__control, names, CONSTANT, true),
    MEMBER(nsp__control, name_text, CONSTANT, true),
    MEMBER(nsp__control, resource, CONSTANT, true),
    MEMBER(nsp__control, drainer, DRAINER, true), // which is another process, if the engine leaves it to one
    MEMBER(nsp__control, tunings, CONSTANT, true),
    MEMBER(nsp__control, figures.answers, SENDER, true),
    MEMBER(nsp__control, figures.answer_ns, SENDER, true),
    MEMBER(nsp__control, figures.answer_last_ns, SENDER, true),
    MEMBER(nsp__control, figures.answer_longest_ns, SENDER, true),
    MEMBER(nsp__control, figures.retries, SENDER, true),
    MEMBER(nsp__control, figures.pass_ns, DRAINER, true),
    MEMBER(nsp__control, figures.lag_ns, DRAINER, true),
    MEMBER(nsp__control, figures.lag_longest_ns, DRAINER, true),
    MEMBER(nsp__control, figures.ring_peak, DRAINER, true),
    MEMBER(nsp__control, outliers, CONSTANT, true),
    MEMBER(nsp__control, outlier_bounds, DRAINER, true),
    MEMBER(nsp__control, snapshots.wanted, CONSTANT, true),
    MEMBER(nsp__control, snapshots.since_ns, CONSTANT, true),
    MEMBER(nsp__control, snapshots.done, DRAINER, true),
    MEMBER(nsp__control, snapshots.spans, DRAINER, true),
    MEMBER(nsp__control, snapshots.overtaken, DRAINER, true),
    MEMBER(nsp__control, snapshots.noting, DRAINER, true),
    MEMBER(nsp__control, paths, ANYBODY, true), // whoever declares one
};

// In private memory. Nobody but the thread looks at it, except for the free places of detached spans.
static const member producer[] = {
    MEMBER(nsp__producer, hot, THREAD, false),
    MEMBER(nsp__producer, control, THREAD, false),
    MEMBER(nsp__producer, random, THREAD, false),
    MEMBER(nsp__producer, headroom, THREAD, false),
    MEMBER(nsp__producer, ring, THREAD, false),
    MEMBER(nsp__producer, id_base, THREAD, false),
    MEMBER(nsp__producer, id_step, THREAD, false),
    MEMBER(nsp__producer, watermark, THREAD, false),
    MEMBER(nsp__producer, parent_policy, THREAD, false),
    MEMBER(nsp__producer, outliers, THREAD, false),
    MEMBER(nsp__producer, path_room, THREAD, false),
    MEMBER(nsp__producer, cpu, THREAD, false),
    MEMBER(nsp__producer, cpu_tag, THREAD, false),
    MEMBER(nsp__producer, busy, THREAD, false),
    MEMBER(nsp__producer, drawn, THREAD, false),
    MEMBER(nsp__producer, thresholds, THREAD, false),
    MEMBER(nsp__producer, root_traits, THREAD, false),
    MEMBER(nsp__producer, inverse_logs, THREAD, false),
    MEMBER(nsp__producer, ruled_frame, THREAD, false),
    MEMBER(nsp__producer, ruled_class, THREAD, false),
    MEMBER(nsp__producer, ruled_threshold, THREAD, false),
    MEMBER(nsp__producer, ruled_marks, THREAD, false),
    MEMBER(nsp__producer, ruled_seen, THREAD,
           false), // by others where they ask for the identity of its spans
    MEMBER(nsp__producer, speculation, THREAD, false),
    MEMBER(nsp__producer, discard, THREAD, false),
    MEMBER(nsp__producer, home, THREAD, false),
    MEMBER(nsp__producer, speculative, THREAD, false),
    MEMBER(nsp__producer, ruled_classes, THREAD, false),
    MEMBER(nsp__producer, ruled_class_before, THREAD, false),
    MEMBER(nsp__producer, history_shift, THREAD, false),
    MEMBER(nsp__producer, history_own, THREAD, false),
    MEMBER(nsp__producer, unsampled_root, THREAD, false),
    MEMBER(nsp__producer, latencies, THREAD, false),
    MEMBER(nsp__producer, latency_of, THREAD, false),
    MEMBER(nsp__producer, history_pieces, THREAD, false),
    MEMBER(nsp__producer, unrecorded, THREAD, false),
    MEMBER(nsp__producer, enters_too_deep, THREAD, false),
    MEMBER(nsp__producer, recorded.pool, THREAD, false),
    MEMBER(nsp__producer, recorded.free_list, ANYBODY, true),
    MEMBER(nsp__producer, recorded.spares, ANYBODY, true),
    MEMBER(nsp__producer, recorded.next_other, ANYBODY, false), // by the thread, where the list was empty
    MEMBER(nsp__producer, unsampled.pool, THREAD, false),
    MEMBER(nsp__producer, unsampled.free_list, ANYBODY, true),
    MEMBER(nsp__producer, unsampled.spares, ANYBODY, true),
    MEMBER(nsp__producer, unsampled.next_other, ANYBODY, false),
    // The stack follows.
};

static bool share_a_pair(const member *a, const member *b)
{
    size_t a_last = (a->offset + a->size - 1) / PAIR_OF_LINES, b_first = b->offset / PAIR_OF_LINES;
    return b_first <= a_last; // b comes behind a
}

// True if what lies between is there for alignment, and no member has room in it: it is shorter than a word,
// or fills up the lines before the next group.
static bool padding(size_t from, size_t to)
{
    return to - from < (to % PAIR_OF_LINES == 0 ? (size_t)PAIR_OF_LINES : sizeof(uint64_t));
}

static void check(const member *members, size_t count)
{
    size_t end = 0;
    for (size_t i = 0; i < count; i++) {
        const member *later = &members[i];
        if (later->offset < end || !padding(end, later->offset))
            fail_msg("%s: between %s and the member before it lies one that is not listed", later->structure,
                     later->name);
        end = later->offset + later->size;
        for (size_t k = 0; k < i; k++) {
            const member *earlier = &members[k];
            bool matters = earlier->by != later->by && (earlier->by != CONSTANT || later->read_by_others) &&
                           (later->by != CONSTANT || earlier->read_by_others);
            if (matters && share_a_pair(earlier, later))
                fail_msg("%s: %s, written by %s, shares a line with %s, written by %s", later->structure,
                         earlier->name, writers[earlier->by], later->name, writers[later->by]);
        }
    }
    if (!padding(end, members[0].of))
        fail_msg("%s: a member behind %s is not listed", members[0].structure, members[count - 1].name);
}

static void slots(void **state)
{
    (void)state;
    check(slot, sizeof slot / sizeof slot[0]);
}

static void speculations(void **state)
{
    (void)state;
    check(speculation, sizeof speculation / sizeof speculation[0]);
}

static void controls(void **state)
{
    (void)state;
    check(control, sizeof control / sizeof control[0]);
}

static void producers(void **state)
{
    (void)state;
    check(producer, sizeof producer / sizeof producer[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots),
        cmocka_unit_test(speculations),
        cmocka_unit_test(controls),
        cmocka_unit_test(producers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

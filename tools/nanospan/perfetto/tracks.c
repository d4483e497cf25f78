// SPDX-License-Identifier: Apache-2.0
#include "tracks.h"

#include "common/fnv.h"
#include "proto.h"
#include "schema.h"
#include <stdlib.h>

// No system has process numbers beyond it. Processes that do not say theirs, or say one that another one has (in
// containers, many are number 1), get numbers from there on.
enum { MADE_UP_PIDS = 1 << 30 };

static int by_thread(const void *a, const void *b)
{
    const thread_mark *left = a, *right = b;
    if (left->process != right->process)
        return left->process < right->process ? -1 : 1;
    if (left->id != right->id)
        return left->id < right->id ? -1 : 1;
    return left->row < right->row ? -1 : left->row > right->row;
}

static bool is_of(const found_thread *thread, const thread_mark *mark)
{
    return thread->process == mark->process && thread->id == mark->id;
}

// Moves the spans of threads into groups of their own. The earliest span that names its thread decides on the name.
static void find_threads(tracks *t)
{
    collected *c = t->from;
    if (c->thread_count)
        qsort(c->threads, c->thread_count, sizeof *c->threads, by_thread);
    t->threads = need_memory((c->thread_count + 1) * sizeof *t->threads);
    for (size_t i = 0; i < c->thread_count; i++) {
        const thread_mark *mark = &c->threads[i];
        if (!t->thread_count || !is_of(&t->threads[t->thread_count - 1], mark))
            t->threads[t->thread_count++] = (found_thread){.process = mark->process, .id = mark->id};
        found_thread *last = &t->threads[t->thread_count - 1];
        if (!last->name)
            last->name = mark->name;
        c->spans[mark->row].group = (uint32_t)c->process_count + t->thread_count - 1;
    }
}

typedef struct given_pid {
    int64_t pid;
    uint32_t process;
} given_pid;

static int by_pid(const void *a, const void *b)
{
    const given_pid *left = a, *right = b;
    if (left->pid != right->pid)
        return left->pid < right->pid ? -1 : 1;
    return left->process < right->process ? -1 : left->process > right->process;
}

static void choose_pids(collected *c)
{
    given_pid *given = need_memory((c->process_count + 1) * sizeof *given);
    int64_t made_up = MADE_UP_PIDS;
    for (uint32_t i = 0; i < c->process_count; i++)
        given[i] = (given_pid){c->processes[i].pid, i};
    qsort(given, c->process_count, sizeof *given, by_pid);
    for (size_t i = c->process_count; i-- > 0;)
        if (given[i].pid <= 0 || given[i].pid >= MADE_UP_PIDS || (i && given[i - 1].pid == given[i].pid))
            c->processes[given[i].process].pid = 0;
    free(given);
    for (size_t i = 0; i < c->process_count; i++)
        if (!c->processes[i].pid)
            c->processes[i].pid = made_up++;
}

// Files may be joined to one, so the numbers of tracks and flows should not be those of another file: they depend on the spans.
static uint64_t base_of_numbers(const collected *c)
{
    uint64_t hash = NSP__FNV_START;
    for (size_t i = 0; i < c->store->row_count; i++)
        if (c->spans[i].group != LANES_NONE) {
            const span_row *row = &c->store->rows[i];
            const uint64_t *trace_id = c->store->traces[row->trace].id;
            const uint64_t what[] = {trace_id[0], trace_id[1], row->id, row->start};
            hash = nsp__fnv(hash, what, sizeof what);
        }
    return hash >> 16 | UINT64_C(1) << 47; // 48 bits take a byte or two less
}

void tracks_lay(tracks *t, collected *c)
{
    *t = (tracks){.from = c};
    choose_pids(c);
    find_threads(t);
    lanes_place(&t->lanes, c->spans, (uint32_t)c->store->row_count,
                (uint32_t)c->process_count + t->thread_count);
    t->base = base_of_numbers(c);
    t->first_uuid = t->base + c->process_count;
}

void tracks_free(tracks *t)
{
    free(t->threads);
    lanes_free(&t->lanes);
}

uint64_t tracks_uuid_of_lane(const tracks *t, uint32_t number)
{
    return t->first_uuid + number;
}

uint64_t tracks_flow_id(const tracks *t, uint32_t flow)
{
    return (t->base << 16) + flow;
}

static uint64_t uuid_of_process(const tracks *t, uint32_t process)
{
    return t->base + process;
}

void tracks_describe_process(const tracks *t, uint32_t process, text *out)
{
    const found_process *of = &t->from->processes[process];
    const size_t packet = proto_open(out, TRACE_PACKET), track = proto_open(out, PACKET_TRACK_DESCRIPTOR);
    proto_number(out, DESCRIPTOR_UUID, uuid_of_process(t, process));
    const size_t about = proto_open(out, DESCRIPTOR_PROCESS);
    proto_number(out, PROCESS_PID, (uint64_t)of->pid);
    proto_string(out, PROCESS_NAME, (slice){of->name.data, of->name.length});
    text_add(out, of->labels.data, of->labels.length);
    proto_close(out, about);
    proto_close(out, track);
    proto_close(out, packet);
}

static void describe_thread(const tracks *t, const found_thread *thread, text *out)
{
    const size_t about = proto_open(out, DESCRIPTOR_THREAD);
    proto_number(out, THREAD_PID, (uint64_t)t->from->processes[thread->process].pid);
    proto_number(out, THREAD_TID, (uint64_t)thread->id);
    if (thread->name)
        proto_string(out, THREAD_NAME, interning_at(&t->from->thread_names, thread->name - 1));
    proto_close(out, about);
    proto_number(out, DESCRIPTOR_KEEP_SEPARATE, 1);
}

// The first lane of a thread is the thread's own track, that of a process is named after it: "execution". The others,
// "execution lane 2", lie below it, where they can be folded. Tracks are never merged, not even those of one name.
void tracks_describe_lane(const tracks *t, uint32_t number, text *out)
{
    const lane *of = &t->lanes.lanes[number];
    const found_thread *thread = NULL;
    uint32_t process = of->group;
    text name = {0};
    if (process >= t->from->process_count) {
        thread = &t->threads[process - t->from->process_count];
        process = thread->process;
    }
    if (thread == NULL)
        text_add(&name, t->from->processes[process].name.data, t->from->processes[process].name.length);
    else if (thread->name)
        text_slice(&name, interning_at(&t->from->thread_names, thread->name - 1));
    else
        text_format(&name, "thread %lld", (long long)thread->id);
    if (of->number)
        text_format(&name, " lane %u", of->number + 1);
    const size_t packet = proto_open(out, TRACE_PACKET), track = proto_open(out, PACKET_TRACK_DESCRIPTOR);
    proto_number(out, DESCRIPTOR_UUID, tracks_uuid_of_lane(t, number));
    proto_number(out, DESCRIPTOR_PARENT_UUID,
                 of->number ? tracks_uuid_of_lane(t, of->first) : uuid_of_process(t, process));
    proto_string(out, DESCRIPTOR_NAME, (slice){name.data, name.length});
    if (of->number)
        proto_number(out, DESCRIPTOR_RANK, of->number);
    else
        proto_number(out, DESCRIPTOR_CHILDREN, CHILDREN_EXPLICIT);
    if (thread != NULL && !of->number)
        describe_thread(t, thread, out);
    proto_number(out, DESCRIPTOR_MERGE, MERGE_NONE);
    proto_close(out, track);
    proto_close(out, packet);
    text_free(&name);
}

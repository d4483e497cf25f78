// SPDX-License-Identifier: Apache-2.0
//
// nsp_history_export: the history of a living engine, read from its files and sent with the sending half of a recovery,
// which here settles nothing.
#include <nanospan/recover.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/call.h"
#include "base/log.h"
#include "clock/clock_share.h"
#include "common/descriptor.h"
#include "common/time.h"
#include "drain/history_copy.h"
#include "drain/span_view.h"
#include "outside/recover/recover_send.h"
#include "outside/session/opening.h"
#include "outside/session/session_files.h"
#include "shm/path.h"

typedef struct snapshot {
    nsp__opening at;
    int folder;
    nsp__session_copy before; // read before the buffers, as it says where they lie
    // Its copy was read after them, so it has all names. Nothing of it is written.
    nsp_recovery *recovery;
    nsp__history *histories; // by slot of `before`
    nsp_history_thread *threads;
    nsp_history_account account;
    uint64_t since_ns;
} snapshot;

static nsp_status no_memory(snapshot *me)
{
    return nsp__opening_refuse(&me->at, NSP_ERR_NO_MEMORY, "there is not enough memory to read it");
}

// ---- reading ----

typedef struct file_buffer {
    const nsp__session_copy *copy;
    uint64_t speculation_at, at; // in the file `threads`
} file_buffer;

static bool read_word(const file_buffer *buffer, size_t offset, uint64_t *out)
{
    const bool read =
        nsp__read_at(buffer->copy->threads_fd, out, sizeof *out, buffer->speculation_at + offset);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); // H1, H2
    return read;
}

static bool positions_in_file(const void *argument, nsp__history_positions *out)
{
    return read_word(argument, offsetof(nsp__speculation, history_end), &out->end) && // H2: first
           read_word(argument, offsetof(nsp__speculation, slot.consumed), &out->consumed) &&
           read_word(argument, offsetof(nsp__speculation, history_kept), &out->kept);
}

static bool copy_from_file(const void *argument, uint8_t *to, uint64_t offset, uint64_t bytes)
{
    const file_buffer *buffer = argument;
    return nsp__read_at(buffer->copy->threads_fd, to, bytes, buffer->at + offset);
}

static void read_thread(snapshot *me, uint32_t index)
{
    const nsp__session_copy *copy = &me->before;
    nsp__slot *slot = &me->before.slots[index];
    nsp__buffer_copy buffer;
    if (!nsp__session_copy_buffer(copy, index, &buffer) || !buffer.placed)
        return;
    const uint64_t at = nsp__session_copy_speculation_at(copy, index);
    const file_buffer file = {copy, at, at + buffer.speculation.slot.ring_offset};
    const nsp__history_source source = {.bytes = buffer.speculation.slot.ring_bytes,
                                        .record_bytes = buffer.speculation.slot.record_bytes,
                                        .positions = positions_in_file,
                                        .copy = copy_from_file,
                                        .argument = &file};
    if (!nsp__history_read(&me->histories[index], &source, 0))
        return;
    slot->name[sizeof slot->name - 1] = 0;
    me->account.threads++;
    me->threads[index] = (nsp_history_thread){.size = sizeof me->threads[index],
                                              .name = slot->name,
                                              .slot = index,
                                              .tid = slot->tid,
                                              .overtaken = me->histories[index].overtaken,
                                              .buffer_bytes = source.bytes};
    me->account.overtaken += me->histories[index].overtaken;
}

static nsp_status read_all(snapshot *me)
{
    if (!nsp__session_copy_open(&me->before, me->folder, me->at.name, false))
        return nsp__opening_refuse_copy(&me->at, &me->before);
    me->histories = calloc(me->before.slot_count + 1, sizeof *me->histories);
    me->threads = calloc(me->before.slot_count + 1, sizeof *me->threads);
    if (me->histories == NULL || me->threads == NULL)
        return no_memory(me);
    for (uint32_t i = 0; i < me->before.slot_count; i++)
        if (nsp__session_copy_slot(&me->before, i) != NULL)
            read_thread(me, i);
    return NSP_OK;
}

// ---- what it is sent with ----

static void count_rules(snapshot *me)
{
    const nsp__tuning *tuning;
    const nsp__outliers *outliers;
    if (nsp__session_copy_policy(&me->recovery->copy, &tuning, &outliers) == NULL || outliers == NULL)
        return;
    for (uint32_t i = 1; i <= outliers->rules && i < NSP__CLASSES; i++)
        me->account.rules += outliers->rule[i].history_ns != 0;
}

static nsp_status read_session(snapshot *me)
{
    nsp_recovery *recovery = me->recovery;
    if (!nsp__session_copy_open(&recovery->copy, me->folder, me->at.name, false))
        return nsp__opening_refuse_copy(&me->at, &recovery->copy);
    if (!nsp__clock_sane(&recovery->copy.control->clock))
        return nsp__opening_refuse(&me->at, NSP_ERR_DAMAGED, "its map of the clock is damaged");
    recovery->buffers = nsp__session_copy_memory((me->before.slot_count + 1) * sizeof *recovery->buffers);
    if (recovery->buffers == NULL || !nsp__recovery_tables_init(recovery))
        return no_memory(me);
    count_rules(me);
    return NSP_OK;
}

// ---- sending ----

typedef struct sending {
    snapshot *me;
    nsp__outbox *outbox;
    struct nsp__clock_segment segment;
    nsp__record *room; // for a root with its mark
    uint64_t now_ns;
} sending;

static bool put_record(sending *to, const nsp__record *record, const nsp__piece *piece)
{
    nsp_recovery *recovery = to->me->recovery;
    const nsp__clock *clock = &recovery->copy.control->clock;
    if (nsp__record_is_path(record)) {
        const nsp__outbox_path path = {
            .plans = &recovery->paths, .record = record, .clock = clock, .segment = &to->segment};
        return nsp__outbox_put_path(to->outbox, &path, *piece);
    }
    nsp_span_view view;
    nsp__span_view_make(&view, record, clock, &to->segment);
    return nsp__outbox_put(to->outbox, &view, piece);
}

static bool put_trace(sending *to, const nsp__history *history, uint32_t index,
                      const nsp__history_trace *trace)
{
    nsp__piece piece = {.kind = NSP__PIECE_HISTORY, .index = index, .spans = 1};
    for (uint64_t at = trace->from; at != trace->to; at = piece.position) {
        const nsp__record *record = nsp__history_record(history, at);
        piece.position = at + record->bytes;
        if (record == trace->root) {
            nsp__history_mark_root(to->room, record, to->me->recovery->names.kept, "snapshot");
            record = to->room;
        }
        if (!put_record(to, record, &piece))
            return false;
    }
    return true;
}

static bool put_thread(sending *to, uint32_t index)
{
    nsp__history *history = &to->me->histories[index];
    nsp_history_thread *thread = &to->me->threads[index];
    nsp__history_trace trace;
    while (thread->size != 0 && nsp__history_next(history, &trace)) {
        nsp_span_view view;
        nsp__span_view_times(&view, trace.root->start, trace.root->end,
                             &to->me->recovery->copy.control->clock, &to->segment);
        const uint64_t age = to->now_ns > view.end_ns ? to->now_ns - view.end_ns : 1;
        thread->reach_ns = age > thread->reach_ns ? age : thread->reach_ns;
        if (view.end_ns < to->me->since_ns)
            continue;
        if (!put_trace(to, history, index, &trace))
            return false;
        thread->traces++;
        thread->spans += trace.spans;
        to->me->account.traces++;
        to->me->account.spans += trace.spans;
        to->me->recovery->account.finished = to->me->account.spans;
    }
    return true;
}

static nsp_status send_all(snapshot *me, const nsp_recovery_options *options, uint64_t now_ns)
{
    sending to = {.me = me, .now_ns = now_ns};
    const nsp__clock *clock = &me->recovery->copy.control->clock;
    nsp__clock_segment_at(clock, clock->latest_tick, &to.segment);
    to.room = aligned_alloc(64, NSP__FRAME_COPY_MAX);
    if (to.room == NULL)
        return no_memory(me);
    nsp_status status = nsp__outbox_open(&to.outbox, me->recovery, options);
    bool put_all = status == NSP_OK;
    for (uint32_t i = 0; i < me->before.slot_count && put_all; i++)
        put_all = put_thread(&to, i);
    nsp__recovery_tell_paths(me->recovery);
    if (status == NSP_OK)
        status = nsp__outbox_close(to.outbox);
    if (status == NSP_OK && !put_all)
        status = nsp__fail(NSP_ERR_NO_MEMORY, "no memory for a snapshot");
    free(to.room);
    return status;
}

static void fill_account(snapshot *me, nsp_history_account *out)
{
    const nsp_recovery_account *sent = &me->recovery->account;
    const size_t size = out->size < sizeof me->account ? out->size : sizeof me->account;
    me->account.exported = sent->exported;
    me->account.rejected = sent->rejected;
    me->account.unconfirmed = sent->unconfirmed;
    me->account.invalid = sent->invalid;
    me->account.size = out->size;
    memcpy(out, &me->account, size);
}

static void forget(snapshot *me)
{
    for (uint32_t i = 0; me->histories != NULL && i < me->before.slot_count; i++)
        nsp__history_free(&me->histories[i]);
    free(me->histories);
    free(me->threads);
    nsp__session_copy_close(&me->before);
    nsp_recovery_close(me->recovery);
    nsp__close(me->folder);
}

static void unopened(nsp__session_copy *copy)
{
    copy->directory = copy->control_fd = copy->threads_fd = copy->detached_fd = copy->batches_fd = -1;
}

nsp_status nsp_history_export(const char *directory, uint64_t before_ns, const nsp_recovery_options *given,
                              nsp_history_account *account, nsp_history_visit visit, void *argument,
                              char *problem, size_t size)
{
    NSP__NO_CANCEL;
    char unwanted[NSP_RECOVERY_PROBLEM_MAX];
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    if (directory == NULL || account == NULL || account->size < sizeof account->size ||
        (given != NULL && given->size < sizeof given->size))
        return nsp__fail(NSP_ERR_INVALID, "nsp_history_export: no directory, or a structure without a size");
    if (given != NULL)
        memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
    options.settle_later = true; // and never settled
    snapshot me = {.at = {.name = directory, .problem = problem, .size = size}, .folder = -1};
    if (problem == NULL || size == 0) {
        me.at.problem = unwanted;
        me.at.size = sizeof unwanted;
    }
    me.at.problem[0] = 0;
    unopened(&me.before);
    me.recovery = calloc(1, sizeof *me.recovery);
    if (me.recovery == NULL)
        return no_memory(&me);
    unopened(&me.recovery->copy);
    me.recovery->folder = me.recovery->lock = -1;
    nsp_status status = nsp__opening_folder(&me.at, directory, &me.folder);
    const uint64_t now_ns = nsp__clock_ns(CLOCK_REALTIME);
    me.since_ns = before_ns != 0 && before_ns < now_ns ? now_ns - before_ns : 0;
    if (status == NSP_OK)
        status = read_all(&me);
    if (status == NSP_OK)
        status = read_session(&me);
    if (status == NSP_OK)
        status = send_all(&me, &options, now_ns);
    for (uint32_t i = 0; visit != NULL && me.threads != NULL && i < me.before.slot_count; i++)
        if (me.threads[i].size != 0)
            visit(argument, &me.threads[i]);
    fill_account(&me, account);
    forget(&me);
    return status;
}

// SPDX-License-Identifier: Apache-2.0
//
// What is exported, and in which order: batches as they were closed, the rings, traces that were not decided if that is
// asked for, unfinished spans.
#include <stdlib.h>
#include <string.h>

#include "base/call.h"
#include "base/log.h"
#include "clock/clock_share.h"
#include "common/time.h"
#include "drain/span_view.h"
#include "outside/session/batch_decode.h"
#include "outside/session/session_files.h"
#include "outside/recover/recover_attempts.h"
#include "outside/recover/recover_send.h"
#include "shm/path.h"

// Turns records into views, by a map of the clock, and sends them.
typedef struct converter {
    nsp__outbox *outbox;
    const nsp__clock *clock;
    struct nsp__clock_segment segment;
    uint64_t end_min_ns; // spans end at this time at the earliest
    uint64_t end_max_ns; // the latest end so far
} converter;

static converter converter_of(nsp__outbox *outbox, const nsp__clock *clock)
{
    converter to = {.outbox = outbox, .clock = clock};
    nsp__clock_segment_at(clock, clock->latest_tick, &to.segment);
    return to;
}

static bool put_span(converter *to, const nsp__record *record, const nsp__piece *piece)
{
    nsp_span_view view;
    nsp__span_view_make(&view, record, to->clock, &to->segment);
    view.end_ns = nsp__later(view.end_ns, to->end_min_ns);
    to->end_max_ns = nsp__later(view.end_ns, to->end_max_ns);
    return nsp__outbox_put(to->outbox, &view, piece);
}

// A record of the session, which may be a path's.
static bool put(converter *to, nsp_recovery *recovery, const nsp__record *record, const nsp__piece *piece)
{
    const nsp__outbox_path path = {
        .plans = &recovery->paths,
        .record = record,
        .unfinished = piece->kind == NSP__PIECE_FRAME ? recovery->names.unfinished : 0,
        .clock = to->clock,
        .segment = &to->segment,
        .end_min_ns = to->end_min_ns,
        .end_max_ns = &to->end_max_ns,
    };
    return NSP__LIKELY(!nsp__record_is_path(record)) ? put_span(to, record, piece)
                                                     : nsp__outbox_put_path(to->outbox, &path, *piece);
}

// ---- batches ----

typedef struct batch_walk {
    converter *to;
    nsp__recovery_names *names;
    nsp__piece piece;
    uint64_t seen, skip; // the first ones were settled by an earlier recovery
    bool stopped;
} batch_walk;

static nsp_name intern(void *argument, const char *text, size_t length)
{
    return nsp__recovery_intern(((batch_walk *)argument)->names, text, length);
}

static bool put_decoded(void *argument, const nsp__record *record)
{
    batch_walk *walk = argument;
    if (walk->seen++ < walk->skip)
        return true;
    walk->stopped = !put_span(walk->to, record, &walk->piece);
    return !walk->stopped;
}

// What is damaged is not settled: it stays as it is.
static void unreadable(nsp_recovery *recovery, uint64_t spans)
{
    recovery->unreadable += spans;
    recovery->damaged = recovery->damaged || spans != 0;
}

// Spans behind damaged bytes of the batch are invalid.
static bool export_batch(nsp_recovery *recovery, converter *to, uint32_t number)
{
    const nsp__found_batch *found = &recovery->batches[number];
    const nsp__batch_header header = found->header; // settling changes the original meanwhile
    nsp__batch_header whole = header;
    if (nsp__batch_encoding(&header) == NSP_ENCODING_LIST)
        whole.length = header.capacity; // its parts lie anywhere
    whole.length = nsp__session_copy_batch_there(&recovery->copy, &whole);
    uint8_t *bytes = malloc(whole.length + 1);
    if (bytes == NULL)
        return false;
    batch_walk walk = {
        .to = to,
        .names = &recovery->names,
        .piece = {.kind = NSP__PIECE_BATCH, .index = number, .spans = 1},
        .skip = header.settled,
    };
    const nsp__batch_decoding decoding = {
        .encoding = nsp__batch_encoding(&header),
        .closed = !nsp__batch_unclosed(&header),
        .bytes = bytes,
        .size = whole.length,
        .head = header.head,
        .length = nsp__least(header.length, whole.length),
        .spans = header.spans,
        .intern = intern,
        .visit = put_decoded,
        .argument = &walk,
    };
    if (nsp__session_copy_batch_bytes(&recovery->copy, &whole, bytes))
        nsp__batch_decode(&decoding);
    free(bytes);
    if (walk.stopped)
        return false;
    uint64_t done = walk.seen > walk.skip ? walk.seen : walk.skip, damaged = header.spans - done;
    unreadable(recovery, damaged);
    return true;
}

// *end_ns: the latest end of a span in them.
static bool export_batches(nsp_recovery *recovery, nsp__outbox *outbox, nsp_in_doubt in_doubt,
                           uint64_t *end_ns)
{
    // Decoded spans have their times in nanoseconds.
    converter to = converter_of(outbox, &nsp__clock_of_nanoseconds);
    for (uint32_t i = 0; i < recovery->batch_count; i++) {
        const nsp__found_batch *found = &recovery->batches[i];
        const nsp__piece piece = {.kind = NSP__PIECE_BATCH,
                                  .fate = NSP__PIECE_SKIPPED,
                                  .index = i,
                                  .spans = found->header.spans - found->header.settled};
        bool skipped = found->header.in_doubt != 0 && in_doubt == NSP_IN_DOUBT_SKIP;
        if (skipped ? !nsp__outbox_note(outbox, &piece) : !found->foreign && !export_batch(recovery, &to, i))
            return false;
    }
    *end_ns = to.end_max_ns;
    return true;
}

// ---- rings ----

static bool export_ring(nsp_recovery *recovery, converter *to, uint32_t index)
{
    const nsp__slot *slot = nsp__session_copy_slot(&recovery->copy, index);
    const nsp__found_ring *found = &recovery->rings[index];
    if (slot == NULL)
        return true;
    unreadable(recovery, found->lost);
    if (found->from == slot->published)
        return true;
    nsp__ring_copy ring;
    bool put_all = nsp__ring_copy_begin(&ring, &recovery->copy, index, found->from, slot->published);
    nsp__piece piece = {.kind = NSP__PIECE_RING, .index = index, .spans = 1};
    for (const nsp__record *record; put_all && (record = nsp__ring_copy_next(&ring)) != NULL;) {
        piece.position = ring.at;
        put_all = put(to, recovery, record, &piece);
    }
    nsp__ring_copy_end(&ring);
    return put_all;
}

// ---- traces that were not decided ----

// Room for nanospan.kept behind a record.
static void put_marked(const nsp_recovery *recovery, const nsp__record *record, nsp__record *copy)
{
    memcpy(copy, record, record->bytes);
    nsp__recovery_mark_kept(recovery, copy);
}

static bool put_speculative(nsp_recovery *recovery, converter *to, uint32_t index, uint64_t at,
                            const nsp__record *record, nsp__record *room)
{
    const nsp__found_buffer *found = &recovery->buffers[index];
    const bool ended = at <= found->copy.history_end;
    const nsp__piece piece = {
        .kind = ended ? NSP__PIECE_HISTORY : NSP__PIECE_OPEN, .index = index, .position = at, .spans = 1};
    if (!ended && record->local_root_id != found->open_root)
        return true;
    if (!ended || record->span_id != record->local_root_id)
        return put(to, recovery, record, &piece);
    put_marked(recovery, record, room);
    return put(to, recovery, room, &piece);
}

static bool export_buffer(nsp_recovery *recovery, converter *to, uint32_t index)
{
    const nsp__buffer_copy buffer = recovery->buffers[index].copy; // settling changes the original meanwhile
    if (!buffer.sane || buffer.from == buffer.to)
        return true;
    nsp__ring_copy ring;
    nsp__record *room = aligned_alloc(_Alignof(nsp__record), NSP__FRAME_COPY_MAX + NSP__UNFINISHED_ROOM);
    bool put_all = nsp__ring_copy_begin_buffer(&ring, &recovery->copy, index, &buffer) && room != NULL;
    for (const nsp__record *record; put_all && (record = nsp__ring_copy_next(&ring)) != NULL;)
        put_all = put_speculative(recovery, to, index, ring.at, record, room);
    nsp__ring_copy_end(&ring);
    free(room);
    return put_all;
}

// ---- unfinished spans ----

static bool export_frames(nsp_recovery *recovery, converter *to)
{
    nsp__frame *frame = aligned_alloc(_Alignof(nsp__frame), NSP__FRAME_COPY_MAX + NSP__UNFINISHED_ROOM);
    bool put_all = frame != NULL;
    for (uint32_t i = 0; put_all && i < recovery->frame_count; i++) {
        const nsp__piece piece = {.kind = NSP__PIECE_FRAME, .index = i, .spans = 1};
        const nsp__record *record = nsp__recovery_unfinished(recovery, &recovery->frames[i], frame);
        if (record != NULL)
            put_all = put(to, recovery, record, &piece);
        else
            unreadable(recovery, nsp__found_frame_spans(&recovery->frames[i]));
    }
    free(frame);
    return put_all;
}

static bool export_all(nsp_recovery *recovery, nsp__outbox *outbox, nsp_in_doubt in_doubt)
{
    uint64_t end_ns;
    unreadable(recovery, recovery->hidden);
    if (!export_batches(recovery, outbox, in_doubt, &end_ns))
        return false;
    converter to = converter_of(outbox, &recovery->copy.control->clock);
    for (uint32_t i = 0; i < recovery->copy.slot_count; i++)
        if (!export_ring(recovery, &to, i))
            return false;
    for (uint32_t i = 0; i < recovery->copy.slot_count && recovery->buffers != NULL; i++)
        if (!export_buffer(recovery, &to, i))
            return false;
    // The clock's last reading may be older than the last spans that a batch was given.
    to.end_min_ns = end_ns;
    return export_frames(recovery, &to);
}

nsp_status nsp_recovery_export(nsp_recovery *recovery, const nsp_recovery_options *given)
{
    NSP__NO_CANCEL;
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    if (recovery == NULL || (given != NULL && given->size < sizeof options.size))
        return nsp__fail(NSP_ERR_INVALID, "nsp_recovery_export: no recovery, or options without a size");
    if (recovery->export_begun)
        return nsp__fail(NSP_ERR_INVALID, "nsp_recovery_export: called twice for one recovery");
    if (given != NULL)
        memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
    if (recovery->empty)
        return NSP_OK;
    if (options.speculative && !nsp__recovery_find_speculative(recovery))
        return nsp__fail(NSP_ERR_NO_MEMORY, "no memory for a recovery");
    if (options.speculative)
        recovery->account.left_out_speculative = recovery->account.left_out_history = 0;
    nsp__outbox *outbox;
    nsp_status status = nsp__outbox_open(&outbox, recovery, &options);
    if (status != NSP_OK)
        return status;
    recovery->export_begun = true;
    // If this process dies, the next one finds that an attempt began and did not end.
    nsp__attempts_note(recovery->copy.directory, recovery->copy.name, recovery->attempts + 1);
    if (nsp__sending_interrupted(recovery->copy.directory))
        nsp__log(NSP_LOG_WARN, "",
                 "an earlier recovery of the session %s was killed, or ended, before its last request was "
                 "answered: the spans of that one may arrive twice",
                 recovery->copy.name);
    if (!options.settle_later)
        nsp__sending_begin(recovery->copy.directory);
    bool put_all = export_all(recovery, outbox, options.in_doubt);
    nsp__recovery_tell_paths(recovery);
    status = nsp__outbox_close(outbox);
    recovery->account.invalid += recovery->unreadable;
    if (status == NSP_OK && !put_all)
        status = nsp__fail(NSP_ERR_NO_MEMORY, "no memory for a recovery");
    if (!options.settle_later && !recovery->request_in_doubt)
        nsp__sending_end(recovery->copy.directory);
    nsp__recovery_end_attempt(recovery);
    return status;
}

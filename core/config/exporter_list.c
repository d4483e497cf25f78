// SPDX-License-Identifier: Apache-2.0
#include "config/exporter_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/slice.h"
#include "common/time.h"
#include "config/config.h"
#include "config/exporter_set.h"
#include "shm/batches.h"
#include <nanospan/path.h>

enum { PARTS_MAX = NSP__BATCH_PARTS_MAX, ALIGNMENT = 64 };

// The beginning of a batch: where each exporter's part lies, and how far it is filled. It is stored in the batch
// itself, since several batches are sent one after the other, and since a reader after a crash finds nothing else.
typedef struct filled {
    nsp__batch_part parts[PARTS_MAX];
} filled;

_Static_assert(sizeof(filled) % ALIGNMENT == 0, "the parts after it are aligned");

// As many as a path has spans.
enum { BACK_MAX = NSP_PATH_PHASES_MAX + 1 };

typedef struct before {
    size_t length; // of the batch
    uint64_t parts[PARTS_MAX];
} before;

typedef struct part {
    const nsp_exporter *exporter;
    void *state;
    // Used by the sending half for the batch that is being sent: whether this exporter is done with it, and
    // how many of its spans are settled, including the rejected and the unconfirmed ones.
    bool settled;
    uint64_t spans, rejected, unconfirmed;
    bool slow; // its last send took all the time that there was, and settled nothing
} part;

typedef struct exporter_list {
    part parts[PARTS_MAX];
    size_t count;
    int *held_back; // the context's; NULL: none
    int doubt;      // one of them has taken spans of the batch that is being sent, or may have; atomic
    filled filling; // of the batch that is being filled, where others may write: the encoding half's
    // How far it was filled before each of the last spans, by their number in the batch, since a collector may take back
    // those of a path; and the batch's length as it was left here.
    before before[BACK_MAX];
    uint32_t appended;
    size_t left;
    bool in_turn; // nsp__exporter_take_turns
    nsp__refusal refusal;
} exporter_list;

const nsp_exporter *nsp__exporter_configured(const nsp_config *config, const char *otherwise)
{
    const char *name = config->exporter != NULL ? config->exporter : otherwise;
    if (config->custom_exporter != NULL)
        return config->custom_exporter;
    return nsp__config_exporter_listed(config) ? &nsp__exporter_list
                                               : nsp__exporter_named(name, strlen(name));
}

bool nsp__exporter_complete(const nsp_exporter *exporter, const void *state, const nsp_config *config)
{
    return exporter != &nsp__exporter_list ||
           ((const exporter_list *)state)->count == nsp__config_exporter_count(config);
}

void nsp__exporter_take_turns(const nsp_exporter *exporter, void *state, nsp__refusal refusal)
{
    if (exporter != &nsp__exporter_list)
        return;
    exporter_list *list = state;
    list->in_turn = true;
    list->refusal = refusal;
}

bool nsp__exporter_begun(const nsp_exporter *exporter, const void *state)
{
    const exporter_list *list = state;
    bool begun = false;
    for (size_t i = 0; exporter == &nsp__exporter_list && i < list->count; i++)
        begun = begun || list->parts[i].settled || list->parts[i].spans != 0;
    return begun;
}

const int *nsp__exporter_doubt(const nsp_exporter *exporter, const void *state)
{
    return exporter == &nsp__exporter_list ? &((const exporter_list *)state)->doubt : NULL;
}

static void destroy(void *state)
{
    exporter_list *list = state;
    while (list->count != 0) {
        list->count--;
        list->parts[list->count].exporter->destroy(list->parts[list->count].state);
    }
    free(list);
}

static nsp_status create(void **state, const nsp_exporter_context *context)
{
    exporter_list *list = calloc(1, sizeof *list);
    if (list == NULL)
        return NSP_ERR_NO_MEMORY;
    list->held_back = context->held_back;
    nsp_status failure = NSP_ERR_CONFIG;
    nsp__slice rest = nsp__slice_of(context->config->exporter), name;
    while (nsp__slice_split(&rest, ',', &name) && list->count < PARTS_MAX) {
        part *next = &list->parts[list->count];
        next->exporter = nsp__exporter_named(name.text, name.length);
        nsp_status status =
            next->exporter != NULL ? next->exporter->create(&next->state, context) : NSP_ERR_CONFIG;
        if (status == NSP_OK) {
            list->count++;
            continue;
        }
        failure = status;
        context->log(NSP_LOG_WARN, "", "exporter %.*s cannot be used: %s; it gets no spans", (int)name.length,
                     name.text, nsp_status_str(status));
    }
    if (list->count == 0) {
        context->log(NSP_LOG_ERROR, "",
                     "none of the listed exporters (%.100s) can be used; spans are discarded",
                     context->config->exporter);
        destroy(list);
        return failure;
    }
    *state = list;
    return NSP_OK;
}

static void describe_one(const nsp_exporter *exporter, const nsp_config *config, char *text, size_t size)
{
    const nsp__exporter_set *builtin = nsp__exporters();
    if (builtin != NULL)
        builtin->describe(exporter, config, text, size);
    else
        snprintf(text, size, "exporter %s", exporter->name);
}

void nsp__exporter_describe(const nsp_exporter *exporter, const void *state, const nsp_config *config,
                            char *text, size_t size)
{
    if (exporter != &nsp__exporter_list) {
        describe_one(exporter, config, text, size);
        return;
    }
    const exporter_list *list = state;
    size_t length = 0;
    text[0] = 0;
    for (size_t i = 0; i < list->count && length + 2 < size; i++) {
        if (i != 0)
            length += (size_t)snprintf(text + length, size - length, ", ");
        describe_one(list->parts[i].exporter, config, text + length, size - length);
        length += strlen(text + length);
    }
}

// The bytes of a batch that each exporter has.
static size_t share_of(const exporter_list *list, const nsp_batch *batch)
{
    size_t share = batch->capacity > sizeof(filled) ? (batch->capacity - sizeof(filled)) / list->count : 0;
    return share - share % ALIGNMENT;
}

// An exporter's part of the batch, as a batch of its own.
static nsp_batch part_of(const exporter_list *list, const filled *fill, const nsp_batch *batch, size_t index)
{
    const size_t share = share_of(list, batch);
    nsp_batch own = *batch;
    own.data = batch->data + sizeof *fill + index * share;
    own.capacity = share;
    own.head = (size_t)fill->parts[index].head;
    own.length = (size_t)fill->parts[index].length;
    own.encoding = fill->parts[index].encoding;
    return own;
}

bool nsp__exporter_batch_sound(const nsp_exporter *exporter, const void *state, const nsp_batch *batch)
{
    if (exporter != &nsp__exporter_list)
        return true;
    const exporter_list *list = state;
    const filled *fill = (const filled *)(const void *)batch->data;
    const size_t share = share_of(list, batch);
    for (size_t i = 0; i < list->count; i++)
        if (fill->parts[i].offset != sizeof *fill + i * share ||
            fill->parts[i].head > fill->parts[i].length || fill->parts[i].length > share)
            return false;
    return batch->capacity >= sizeof *fill;
}

static void note(exporter_list *list, const nsp_batch *batch, size_t index, const nsp_batch *own)
{
    nsp__batch_part *its = &list->filling.parts[index];
    its->offset = (uint64_t)(own->data - batch->data);
    its->head = own->head;
    its->length = own->length;
    its->encoding = own->encoding;
}

// Writes the table, when the parts are written. Sets the batch's length to the total of its parts: the place of its
// last byte does not say how full it is.
static void write_table(exporter_list *list, nsp_batch *batch)
{
    const filled *fill = &list->filling;
    __atomic_signal_fence(__ATOMIC_SEQ_CST); // for a reader after a crash
    memcpy(batch->data, fill, sizeof *fill);
    batch->length = sizeof *fill;
    for (size_t i = 0; i < list->count; i++)
        batch->length += (size_t)(fill->parts[i].length - fill->parts[i].head);
    list->left = batch->length;
}

static void note_before(exporter_list *list, const nsp_batch *batch)
{
    before *it = &list->before[list->appended++ % BACK_MAX];
    it->length = batch->length;
    for (size_t i = 0; i < list->count; i++)
        it->parts[i] = list->filling.parts[i].length;
}

// The batch may be shorter than it was left: the last spans were taken back.
static void take_back(exporter_list *list, const nsp_batch *batch)
{
    for (uint32_t i = 0; batch->length != list->left && i < BACK_MAX && i < list->appended; i++) {
        const uint32_t number = list->appended - 1 - i;
        const before *it = &list->before[number % BACK_MAX];
        if (it->length != batch->length)
            continue;
        for (size_t k = 0; k < list->count; k++)
            list->filling.parts[k].length = it->parts[k];
        list->appended = number;
        list->left = batch->length;
    }
}

static void open_batch(void *state, nsp_batch *batch)
{
    exporter_list *list = state;
    batch->head = 0;
    batch->encoding = NSP_ENCODING_LIST;
    memset(&list->filling, 0, sizeof list->filling);
    for (size_t i = 0; i < list->count; i++) {
        nsp_batch own = part_of(list, &list->filling, batch, i);
        if (list->parts[i].exporter->open != NULL)
            list->parts[i].exporter->open(list->parts[i].state, &own);
        note(list, batch, i, &own);
    }
    list->appended = 0;
    write_table(list, batch);
}

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    exporter_list *list = state;
    nsp_batch parts[PARTS_MAX];
    take_back(list, batch);
    for (size_t i = 0; i < list->count; i++) {
        parts[i] = part_of(list, &list->filling, batch, i);
        // Nothing is stored yet, so that the span ends up in all of them or in none.
        if (!list->parts[i].exporter->append(list->parts[i].state, &parts[i], view))
            return false;
    }
    note_before(list, batch);
    for (size_t i = 0; i < list->count; i++)
        note(list, batch, i, &parts[i]);
    write_table(list, batch);
    return true;
}

static void close_batch(void *state, nsp_batch *batch)
{
    exporter_list *list = state;
    take_back(list, batch);
    for (size_t i = 0; i < list->count; i++) {
        nsp_batch own = part_of(list, &list->filling, batch, i);
        if (list->parts[i].exporter->close != NULL)
            list->parts[i].exporter->close(list->parts[i].state, &own);
        note(list, batch, i, &own);
    }
    write_table(list, batch);
}

static void begin_sending(exporter_list *list)
{
    __atomic_store_n(&list->doubt, 0, __ATOMIC_SEQ_CST);
    for (size_t i = 0; i < list->count; i++) {
        part *to = &list->parts[i];
        to->settled = false;
        to->spans = to->rejected = to->unconfirmed = 0;
    }
}

// Records what one exporter has done with the batch, which it may have sent in parts over several attempts.
static void settle(part *to, nsp_send_result result, const nsp_send_report *one, uint64_t batch_spans)
{
    to->spans += one->part_exported + one->part_rejected + one->part_unconfirmed;
    to->rejected += one->part_rejected;
    to->unconfirmed += one->part_unconfirmed;
    uint64_t left = batch_spans > to->spans ? batch_spans - to->spans : 0;
    to->settled = true;
    switch (result) {
    case NSP_SEND_EXPORTED: to->rejected += one->rejected < left ? one->rejected : left; break;
    case NSP_SEND_REJECTED: to->rejected += left; break;
    case NSP_SEND_UNCONFIRMED: to->unconfirmed += left; break;
    default: to->settled = false;
    }
}

// Has the receiver of one exporter some of the spans?
static bool has_taken(const part *of, uint64_t batch_spans)
{
    return (of->settled ? batch_spans : of->spans) > of->rejected;
}

// Combines the outcomes of all exporters. Nobody knows which spans were affected at each of them, so the
// worst outcome counts.
static nsp_send_result conclude(const exporter_list *list, uint64_t spans, nsp_send_report *report)
{
    uint64_t rejected = 0, unconfirmed = 0;
    for (size_t i = 0; i < list->count; i++) {
        const part *of = &list->parts[i];
        rejected = of->rejected > rejected ? of->rejected : rejected;
        unconfirmed = of->unconfirmed > unconfirmed ? of->unconfirmed : unconfirmed;
    }
    if (unconfirmed > spans - rejected)
        unconfirmed = spans - rejected;
    if (unconfirmed == spans && spans != 0)
        return NSP_SEND_UNCONFIRMED;
    report->part_unconfirmed = unconfirmed;
    report->rejected = rejected;
    return rejected != 0 && rejected == spans - unconfirmed ? NSP_SEND_REJECTED : NSP_SEND_EXPORTED;
}

// Adds one exporter's report to the combined one. The detail text says what went wrong, if anything did.
static void add_report(const part *from, nsp_send_result result, const nsp_send_report *one,
                       nsp_send_report *all)
{
    all->bytes += one->bytes;
    all->answered = all->answered || one->answered;
    all->part_answers += one->part_answers;
    all->error = one->error != 0 ? one->error : all->error;
    if (one->retry_after_ns > all->retry_after_ns)
        all->retry_after_ns = one->retry_after_ns;
    if (one->detail[0] != 0 && (all->detail[0] == 0 || result != NSP_SEND_EXPORTED))
        snprintf(all->detail, sizeof all->detail, "%s: %.140s", from->exporter->name, one->detail);
}

// Sends the batch to one exporter.
static void send_to(exporter_list *list, part *to, const nsp_batch *batch, uint64_t deadline_ns,
                    nsp_send_report *report)
{
    const filled *fill = (const filled *)(const void *)batch->data;
    nsp_batch own = part_of(list, fill, batch, (size_t)(to - list->parts));
    nsp_send_report one = {0};
    bool had_time = nsp__monotonic_ns() < deadline_ns;
    if (list->held_back != NULL) // what one exporter says does not hold for the next
        __atomic_store_n(list->held_back, 0, __ATOMIC_RELAXED);
    nsp_send_result result = to->exporter->send(to->state, &own, deadline_ns, &one);
    add_report(to, result, &one, report);
    settle(to, result, &one, batch->spans);
    // Before the next one may say that nobody has the batch (see is_held_back in sender.c).
    if (result == NSP_SEND_UNKNOWN || has_taken(to, batch->spans))
        __atomic_store_n(&list->doubt, 1, __ATOMIC_SEQ_CST);
    if (had_time || to->settled)
        to->slow = !to->settled && nsp__monotonic_ns() >= deadline_ns;
}

// One that hangs would leave no time to the others, attempt after attempt.
static bool comes_late(const exporter_list *list, const part *of)
{
    return list->in_turn ? strcmp(of->exporter->name, "otlp") != 0 : of->slow;
}

// The exporters that are not done with the batch, in the order of the list, but some later than the others.
// Returns how many there are.
static size_t find_turns(exporter_list *list, part *turns[PARTS_MAX])
{
    size_t count = 0;
    for (int late = 0; late < 2; late++)
        for (size_t i = 0; i < list->count; i++)
            if (!list->parts[i].settled && comes_late(list, &list->parts[i]) == (late == 1))
                turns[count++] = &list->parts[i];
    return count;
}

// Those after this one, which has just been asked, do not get the batch now, or not at all.
static bool ends_turns(const exporter_list *list, const part *of, uint64_t spans)
{
    if (!list->in_turn || !of->settled)
        return list->in_turn;
    const uint64_t refused = of->rejected + (list->refusal == NSP__REFUSAL_UNCONFIRMED ? of->unconfirmed : 0);
    return list->refusal != NSP__REFUSAL_NONE && refused == spans &&
           !__atomic_load_n(&list->doubt, __ATOMIC_SEQ_CST);
}

static nsp_send_result send_batch(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                  nsp_send_report *report)
{
    exporter_list *list = state;
    part *turns[PARTS_MAX];
    bool pending = false;
    if (batch->attempt == 0)
        begin_sending(list);
    size_t count = find_turns(list, turns);
    for (size_t i = 0; i < count; i++) {
        send_to(list, turns[i], batch, deadline_ns, report);
        pending = pending || !turns[i]->settled;
        if (ends_turns(list, turns[i], batch->spans))
            break;
    }
    // The others send it again; whoever sends the whole batch again, after a crash, sends some spans twice.
    if (pending)
        return __atomic_load_n(&list->doubt, __ATOMIC_SEQ_CST) ? NSP_SEND_UNKNOWN : NSP_SEND_RETRY;
    return conclude(list, batch->spans, report);
}

const nsp_exporter nsp__exporter_list = {
    .size = sizeof(nsp_exporter),
    .name = "list",
    .create = create,
    .destroy = destroy,
    .open = open_batch,
    .append = append,
    .close = close_batch,
    .send = send_batch,
};

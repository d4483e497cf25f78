// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/exporter_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/slice.h"
#include "common/time.h"
#include "lifecycle/exporters.h"

enum { PARTS_MAX = 8, ALIGNMENT = 64 };

// The beginning of a batch: how far each exporter's part is filled. It is stored in the batch itself, since
// several batches are in use at once.
typedef struct filled {
    uint64_t head[PARTS_MAX], length[PARTS_MAX];
} filled;

_Static_assert(sizeof(filled) % ALIGNMENT == 0, "the parts after it are aligned");

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
    int doubt;      // one of them may have taken the batch that is being sent, without an answer; atomic
} exporter_list;

const int *nsp__exporter_doubt(const nsp_exporter *exporter, const void *state)
{
    return exporter == &nsp__exporter_list ? &((const exporter_list *)state)->doubt : NULL;
}

const nsp_exporter *nsp__exporter_named(const char *name, size_t length)
{
    for (const nsp_exporter *const *exporter = nsp__builtin_exporters; *exporter != NULL; exporter++)
        if (strlen((*exporter)->name) == length && memcmp((*exporter)->name, name, length) == 0)
            return *exporter;
    return NULL;
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

void nsp__exporter_describe(const nsp_exporter *exporter, const void *state, const nsp_config *config,
                            char *text, size_t size)
{
    if (exporter != &nsp__exporter_list) {
        nsp__builtin_describe(exporter, config, text, size);
        return;
    }
    const exporter_list *list = state;
    size_t length = 0;
    text[0] = 0;
    for (size_t i = 0; i < list->count && length + 2 < size; i++) {
        if (i != 0)
            length += (size_t)snprintf(text + length, size - length, ", ");
        nsp__builtin_describe(list->parts[i].exporter, config, text + length, size - length);
        length += strlen(text + length);
    }
}

// An exporter's part of the batch, as a batch of its own.
static nsp_batch part_of(const exporter_list *list, const nsp_batch *batch, size_t index)
{
    const filled *fill = (const filled *)(const void *)batch->data;
    size_t share = batch->capacity > sizeof *fill ? (batch->capacity - sizeof *fill) / list->count : 0;
    share -= share % ALIGNMENT;
    nsp_batch own = *batch;
    own.data = batch->data + sizeof *fill + index * share;
    own.capacity = share;
    own.head = (size_t)fill->head[index];
    own.length = (size_t)fill->length[index];
    return own;
}

static void note(nsp_batch *batch, size_t index, const nsp_batch *own)
{
    filled *fill = (filled *)(void *)batch->data;
    fill->head[index] = own->head;
    fill->length[index] = own->length;
}

// Sets the batch's length to the total of its parts: the place of its last byte does not say how full it is.
static void sum_up(const exporter_list *list, nsp_batch *batch)
{
    const filled *fill = (const filled *)(const void *)batch->data;
    batch->length = sizeof *fill;
    for (size_t i = 0; i < list->count; i++)
        batch->length += (size_t)(fill->length[i] - fill->head[i]);
}

static void open_batch(void *state, nsp_batch *batch)
{
    const exporter_list *list = state;
    batch->head = 0;
    memset(batch->data, 0, sizeof(filled));
    for (size_t i = 0; i < list->count; i++) {
        nsp_batch own = part_of(list, batch, i);
        if (list->parts[i].exporter->open != NULL)
            list->parts[i].exporter->open(list->parts[i].state, &own);
        note(batch, i, &own);
    }
    sum_up(list, batch);
}

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    const exporter_list *list = state;
    nsp_batch parts[PARTS_MAX];
    for (size_t i = 0; i < list->count; i++) {
        parts[i] = part_of(list, batch, i);
        // Nothing is stored yet, so that the span ends up in all of them or in none.
        if (!list->parts[i].exporter->append(list->parts[i].state, &parts[i], view))
            return false;
    }
    for (size_t i = 0; i < list->count; i++)
        note(batch, i, &parts[i]);
    sum_up(list, batch);
    return true;
}

static void close_batch(void *state, nsp_batch *batch)
{
    const exporter_list *list = state;
    for (size_t i = 0; i < list->count; i++) {
        nsp_batch own = part_of(list, batch, i);
        if (list->parts[i].exporter->close != NULL)
            list->parts[i].exporter->close(list->parts[i].state, &own);
        note(batch, i, &own);
    }
    sum_up(list, batch);
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
    if (one->retry_after_ns > all->retry_after_ns)
        all->retry_after_ns = one->retry_after_ns;
    if (one->detail[0] != 0 && (all->detail[0] == 0 || result != NSP_SEND_EXPORTED))
        snprintf(all->detail, sizeof all->detail, "%s: %.140s", from->exporter->name, one->detail);
}

// Sends the batch to one exporter.
static nsp_send_result send_to(exporter_list *list, part *to, const nsp_batch *batch, uint64_t deadline_ns,
                               nsp_send_report *report)
{
    nsp_batch own = part_of(list, batch, (size_t)(to - list->parts));
    nsp_send_report one = {0};
    bool had_time = nsp__monotonic_ns() < deadline_ns;
    if (list->held_back != NULL) // what one exporter says does not hold for the next
        __atomic_store_n(list->held_back, 0, __ATOMIC_RELAXED);
    nsp_send_result result = to->exporter->send(to->state, &own, deadline_ns, &one);
    // Before the next one may say that nobody has the batch (see is_held_back in sender.c).
    if (result == NSP_SEND_UNKNOWN)
        __atomic_store_n(&list->doubt, 1, __ATOMIC_SEQ_CST);
    add_report(to, result, &one, report);
    settle(to, result, &one, batch->spans);
    if (had_time || to->settled)
        to->slow = !to->settled && nsp__monotonic_ns() >= deadline_ns;
    return result;
}

// The exporters that are not done with the batch, in the order of the list, but the slow ones last: one that
// hangs would leave no time to the others, attempt after attempt. Returns how many there are.
static size_t find_turns(exporter_list *list, part *turns[PARTS_MAX])
{
    size_t count = 0;
    for (int slow = 0; slow < 2; slow++)
        for (size_t i = 0; i < list->count; i++)
            if (!list->parts[i].settled && list->parts[i].slow == (slow == 1))
                turns[count++] = &list->parts[i];
    return count;
}

static nsp_send_result send_batch(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                  nsp_send_report *report)
{
    exporter_list *list = state;
    part *turns[PARTS_MAX];
    bool pending = false, unknown = false;
    if (batch->attempt == 0)
        begin_sending(list);
    size_t count = find_turns(list, turns);
    for (size_t i = 0; i < count; i++) {
        nsp_send_result result = send_to(list, turns[i], batch, deadline_ns, report);
        pending = pending || !turns[i]->settled;
        unknown = unknown || result == NSP_SEND_UNKNOWN;
    }
    if (pending)
        return unknown ? NSP_SEND_UNKNOWN : NSP_SEND_RETRY;
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

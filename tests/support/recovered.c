// SPDX-License-Identifier: Apache-2.0
#include "support/recovered.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/testpoint.h"
#include "support/child.h"
#include "support/session_fixture.h"

recovered_script recovered;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static recovered_span *spans;
static size_t count, room;

void recovered_reset(void)
{
    free(spans);
    spans = NULL;
    count = room = 0;
    memset(&recovered, 0, sizeof recovered);
}

int recovered_set_up(void **state)
{
    recovered_reset();
    return make_directory(state);
}

int recovered_tear_down(void **state)
{
    recovered_reset();
    return remove_directory(state);
}

size_t recovered_count(void)
{
    pthread_mutex_lock(&mutex); // a drainer's sender may be adding to them
    const size_t so_far = count;
    pthread_mutex_unlock(&mutex);
    return so_far;
}

const recovered_span *recovered_at(size_t index)
{
    assert_true(index < count);
    return &spans[index];
}

size_t recovered_named(const char *name)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += strcmp(spans[i].name, name) == 0;
    return found;
}

size_t recovered_unfinished(void)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += spans[i].unfinished;
    return found;
}

size_t recovered_kept(const char *why)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += strcmp(spans[i].kept, why) == 0;
    return found;
}

static int by_id(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

size_t recovered_distinct(void)
{
    uint64_t *ids = calloc(count + 1, sizeof *ids);
    size_t distinct = 0;
    assert_non_null(ids);
    for (size_t i = 0; i < count; i++)
        ids[i] = spans[i].span_id;
    qsort(ids, count, sizeof *ids, by_id);
    for (size_t i = 0; i < count; i++)
        distinct += i == 0 || ids[i] != ids[i - 1];
    free(ids);
    return distinct;
}

// ---- the exporter ----

static const nsp_exporter_context *context;

static nsp_status create(void **state, const nsp_exporter_context *given)
{
    *state = &recovered;
    context = given;
    size_t used = 0;
    for (size_t i = 0; i < given->resource_count && used < sizeof recovered.resource; i++)
        used += (size_t)snprintf(recovered.resource + used, sizeof recovered.resource - used, "%s=%s\n",
                                 given->resource_keys[i], given->resource_values[i]);
    return NSP_OK;
}

static void destroy(void *state)
{
    (void)state;
}

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    (void)state;
    if (batch->capacity - batch->length < sizeof(recovered_span))
        return false;
    recovered_span span = {.start_ns = view->start_ns, .end_ns = view->end_ns, .number = INT64_MIN};
    snprintf(span.name, sizeof span.name, "%s", context->name_text(context->names, view->name, NULL));
    memcpy(span.trace_id, view->trace_id, sizeof span.trace_id);
    memcpy(&span.span_id, view->span_id, sizeof span.span_id);
    memcpy(&span.parent_id, view->parent_id, sizeof span.parent_id);
    nsp_item_cursor cursor = {view->items, view->items + view->items_bytes};
    nsp_item item;
    while (nsp_item_next(&cursor, &item)) {
        const char *key = context->name_text(context->names, item.key, NULL);
        if (item.type == NSP_TYPE_BOOL && strcmp(key, "nanospan.unfinished") == 0)
            span.unfinished = item.small == 1;
        else if (item.type >= NSP_TYPE_STR && item.type <= NSP_TYPE_F64S)
            span.attributes++;
        if (item.type == NSP_TYPE_I64 && strcmp(key, "number") == 0)
            memcpy(&span.number, item.payload, sizeof span.number);
        if (item.type == NSP_TYPE_I64 && strcmp(key, "nanospan.left_out") == 0)
            memcpy(&span.left_out, item.payload, sizeof span.left_out);
        if (item.type == NSP_TYPE_STR && strcmp(key, "nanospan.kept") == 0)
            snprintf(span.kept, sizeof span.kept, "%.*s", item.length, (const char *)item.payload);
        if (item.type == NSP_TYPE_STR && strcmp(key, "text") == 0)
            snprintf(span.text, sizeof span.text, "%.*s", item.length, (const char *)item.payload);
    }
    memcpy(batch->data + batch->length, &span, sizeof span);
    batch->length += sizeof span;
    return true;
}

static void keep(const nsp_batch *batch, size_t from, size_t limit)
{
    pthread_mutex_lock(&mutex);
    size_t more = limit - from;
    if (count + more > room) {
        room = 2 * (count + more);
        spans = reallocarray(spans, room, sizeof *spans);
        if (spans == NULL)
            abort();
    }
    memcpy(spans + count, batch->data + batch->head + from * sizeof *spans, more * sizeof *spans);
    count += more;
    pthread_mutex_unlock(&mutex);
}

static nsp_send_result answer_to(const nsp_batch *batch, nsp_send_report *report)
{
    if (recovered.sending != NULL)
        recovered.sending(batch);
    nsp_send_result answer = recovered.answer;
    bool in_part = recovered.part != 0 && recovered.sends == 0;
    if (in_part || (recovered.accepted_max != 0 && recovered.sends >= recovered.accepted_max))
        answer = NSP_SEND_RETRY;
    recovered.sends++;
    report->error = recovered.error;
    snprintf(report->detail, sizeof report->detail, "scripted");
    report->answered = answer != NSP_SEND_UNKNOWN;
    report->bytes = batch->length - batch->head;
    if (answer == NSP_SEND_RETRY || answer == NSP_SEND_UNKNOWN)
        report->retry_after_ns = 1000000;
    size_t all = (batch->length - batch->head) / sizeof(recovered_span);
    if (in_part)
        keep(batch, 0, report->part_exported = recovered.part);
    else if (answer == NSP_SEND_EXPORTED || answer == NSP_SEND_UNKNOWN)
        keep(batch, all - batch->spans, all);
    return answer;
}

static nsp_send_result take(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                            nsp_send_report *report)
{
    (void)state;
    (void)deadline_ns;
    nsp_send_result answer = answer_to(batch, report);
    __atomic_fetch_add(&recovered.returned, 1, __ATOMIC_RELEASE);
    return answer;
}

const nsp_exporter recovered_exporter = {
    .size = sizeof(nsp_exporter),
    .name = "recovered",
    .create = create,
    .destroy = destroy,
    .append = append,
    .send = take,
};

// ---- engines that die ----

static const char *death;
static int visits_left;

static void die_as_planned(const char *point)
{
    if (strcmp(point, death) == 0 && __atomic_sub_fetch(&visits_left, 1, __ATOMIC_RELAXED) == 0)
        raise(SIGKILL);
}

void die_at(const char *point, int visit)
{
    death = point;
    visits_left = visit;
#ifdef NSP_TESTPOINTS
    __atomic_store_n(&nsp__testpoint_hook, die_as_planned, __ATOMIC_RELEASE);
#else
    (void)die_as_planned;
#endif
}

void engine_dies(const char *folder, void (*body)(void *), void *argument, char session[SESSION_PATH_MAX])
{
    pid_t child = child_fork();
    if (child == 0) {
        body(argument);
        _exit(0);
    }
    int status = child_wait(child, 60);
    if (status < 0 || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("the engine did not die as planned: status %x", (unsigned)status);
    assert_true(session_dir_of(folder, child, session));
}

// ---- recoveries ----

nsp_recovery *recovery_of(const char *session)
{
    nsp_recovery *recovery;
    char problem[NSP_RECOVERY_PROBLEM_MAX];
    if (nsp_recovery_open(&recovery, session, problem, sizeof problem) != NSP_OK)
        fail_msg("%s: %s", session, problem);
    return recovery;
}

uint64_t settled_of(const nsp_recovery_account *a)
{
    return a->engine_exported + a->engine_rejected + a->engine_unconfirmed + a->engine_discarded +
           a->engine_spooled + a->dropped + a->exported + a->rejected + a->unconfirmed + a->skipped +
           a->invalid + a->left;
}

static void fail_with(const nsp_recovery_account *a)
{
    fail_msg("attempted %" PRIu64 ", in all places %" PRIu64 "; found %" PRIu64 " + %" PRIu64 " + %" PRIu64
             "; exported %" PRIu64 ", rejected %" PRIu64 ", unconfirmed %" PRIu64 ", skipped %" PRIu64
             ", invalid %" PRIu64 ", left %" PRIu64 ", lost %" PRIu64 " of at most %" PRIu64,
             a->attempted, settled_of(a), a->finished, a->unfinished, a->from_batches, a->exported,
             a->rejected, a->unconfirmed, a->skipped, a->invalid, a->left, a->lost_at_crash,
             a->lost_at_crash_max);
}

nsp_recovery_account accounted(const nsp_recovery *recovery)
{
    nsp_recovery_account a = NSP_RECOVERY_ACCOUNT_INIT;
    nsp_recovery_account_get(recovery, &a);
    if (a.exported + a.rejected + a.unconfirmed + a.skipped + a.invalid + a.left !=
        a.finished + a.unfinished + a.from_batches)
        fail_with(&a);
    return a;
}

nsp_recovery_account balanced(const nsp_recovery *recovery)
{
    nsp_recovery_account a = accounted(recovery);
    if (a.attempted != settled_of(&a) + a.lost_at_crash || a.lost_at_crash > a.lost_at_crash_max)
        fail_with(&a);
    return a;
}

nsp_recovery_account recover_with(const char *session, nsp_in_doubt in_doubt)
{
    nsp_recovery *recovery = recovery_of(session);
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.exporter = &recovered_exporter;
    options.in_doubt = in_doubt;
    options.timeout_ns = 60000000000;
    if (nsp_recovery_export(recovery, &options) != NSP_OK)
        fail_msg("%s", nsp_error_detail());
    nsp_recovery_account account = balanced(recovery);
    nsp_recovery_close(recovery);
    return account;
}

nsp_recovery_account recover_all(const char *session)
{
    return recover_with(session, NSP_IN_DOUBT_SEND);
}

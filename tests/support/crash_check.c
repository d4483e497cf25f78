// SPDX-License-Identifier: Apache-2.0
#include "support/crash_check.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

typedef enum source { RECEIVED, INTERRUPTED, RECOVERED, SOURCES } source;

// Where a span of the journal was found.
typedef struct found {
    uint64_t span_id; // as in the journal, or as it was found
    uint32_t times[SOURCES];
    uint32_t batch[SOURCES]; // in which it came there
    bool finished, unfinished;
} found;

typedef struct checking {
    const journal *journal;
    uint32_t used;
    found *found;     // by number
    uint32_t *places; // numbers by span id, open addressing
    uint32_t room;    // a power of two
    uint64_t remote_trace;
    crash_sums *sums;
    char *wrong;
    size_t size;
} checking;

static __attribute__((format(printf, 2, 3))) bool wrong(checking *me, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(me->wrong, me->size, format, arguments);
    va_end(arguments);
    return false;
}

// ---- numbers by id ----

static uint32_t *place_of(const checking *me, uint64_t span_id)
{
    uint64_t at = (span_id >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (me->room - 1);
    while (me->places[at] != 0 && me->found[me->places[at]].span_id != span_id)
        at = (at + 1) & (me->room - 1);
    return &me->places[at];
}

static bool index_ids(checking *me)
{
    for (uint32_t number = 1; number <= me->used; number++) {
        uint64_t span_id = me->journal->spans[number].span_id;
        if (span_id == 0)
            continue;
        uint32_t *place = place_of(me, span_id);
        if (*place != 0)
            return wrong(me, "spans %u and %u have the same id", *place, number);
        me->found[number].span_id = span_id;
        *place = number;
    }
    return true;
}

// ---- one span ----

static bool same_text(const crash_span *span, uint32_t number, uint32_t kind, uint32_t operations)
{
    char text[JOURNAL_TEXT_MAX];
    for (int torn = 0; torn < 2; torn++) {
        if (torn && (!span->unfinished || operations == 0))
            break;
        journal_text(text, number, (nsp_kind)kind, operations, torn != 0);
        if (strcmp(text, span->text) == 0)
            return true;
    }
    return false;
}

// The id of the span's parent; 0: it is a root, or its parent is remote.
static uint64_t parent_of(const checking *me, uint32_t number)
{
    uint32_t parent = me->journal->spans[number].parent;
    return parent != 0 && parent != JOURNAL_REMOTE ? me->journal->spans[parent].span_id : 0;
}

static bool has_parent(const checking *me, const crash_span *span, uint32_t number)
{
    return me->journal->spans[number].parent == JOURNAL_REMOTE ? span->trace_id[0] == me->remote_trace
                                                               : span->parent_id == parent_of(me, number);
}

static uint32_t beginning_of_kind(const checking *me, const crash_span *span, bool set)
{
    for (uint32_t number = 1; number <= me->used; number++) {
        const journal_span *of = &me->journal->spans[number];
        if (of->state == JOURNAL_BEGINNING && me->found[number].span_id == 0 &&
            has_parent(me, span, number) &&
            same_text(span, number, set ? of->kind : (uint32_t)NSP_KIND_INTERNAL, 0))
            return number;
    }
    return 0;
}

// The span that has begun, or was about to, and whose id the engine had no time to write down. Several threads may be
// that far, with spans that look the same.
static uint32_t begun_unnoted(checking *me, const crash_span *span)
{
    uint32_t number = beginning_of_kind(me, span, true);
    if (number == 0)
        number = beginning_of_kind(me, span, false);
    if (number == 0)
        return 0;
    me->found[number].span_id = span->span_id;
    *place_of(me, span->span_id) = number;
    return number;
}

static bool has_right_place(checking *me, const crash_span *span, uint32_t number)
{
    const journal_span *of = &me->journal->spans[number];
    bool remote = of->parent == JOURNAL_REMOTE;
    if (of->span_id != 0 && memcmp(of->trace_id, span->trace_id, sizeof of->trace_id) != 0)
        return wrong(me, "span %u is in another trace", number);
    if (!remote && span->parent_id != parent_of(me, number))
        return wrong(me, "span %u has another parent", number);
    if (remote && span->parent_id == 0)
        return wrong(me, "span %u has lost its remote parent", number);
    if (span->vendor_state != (span->trace_id[0] == me->remote_trace))
        return wrong(me, "span %u has another tracestate", number);
    if (span->start_ns == 0 || span->end_ns <= span->start_ns)
        return wrong(me, "span %u ends before it begins", number);
    return true;
}

static bool is_whole(checking *me, const crash_span *span, uint32_t number)
{
    const journal_span *of = &me->journal->spans[number];
    for (uint32_t operations = of->done; operations <= of->begun; operations++) {
        if (same_text(span, number, of->kind, operations)) {
            me->sums->halfway +=
                span->unfinished && operations != 0 && operations < journal_operations(number);
            return true;
        }
    }
    if (of->state == JOURNAL_BEGINNING && same_text(span, number, NSP_KIND_INTERNAL, 0))
        return true;
    char text[JOURNAL_TEXT_MAX];
    journal_text(text, number, (nsp_kind)of->kind, of->begun, false);
    return wrong(me, "span %u (state %u, operations %u to %u)%s is\n\t%s\nand should be\n\t%s", number,
                 of->state, of->done, of->begun, span->unfinished ? ", unfinished," : "", span->text, text);
}

static bool take(checking *me, const crash_span *span, source where)
{
    uint32_t number = *place_of(me, span->span_id);
    if (number == 0 && where != RECEIVED && span->unfinished)
        number = begun_unnoted(me, span);
    if (number == 0)
        return wrong(me, "a span was never begun: %016llx, %s%s", (unsigned long long)span->span_id,
                     span->text, span->unfinished ? ", unfinished" : "");
    found *of = &me->found[number];
    of->times[where]++;
    of->batch[where] = span->batch;
    of->finished |= !span->unfinished;
    of->unfinished |= span->unfinished;
    if (span->unfinished && where == RECEIVED)
        return wrong(me, "span %u was received from the engine, and is unfinished", number);
    return has_right_place(me, span, number) && is_whole(me, span, number);
}

static bool take_all(checking *me, const crash_spans *spans, source where)
{
    if (spans->trouble[0] != 0)
        return wrong(me, "%s: %s", where == RECEIVED ? "received" : "recovered", spans->trouble);
    for (size_t i = 0; i < spans->count; i++)
        if (!take(me, &spans->spans[i], where))
            return false;
    return true;
}

// ---- all of them ----

typedef struct counted {
    uint64_t present, twice, repeated;
    uint64_t missing, missing_ending; // finished, and nowhere; those that were ending when the engine died
    uint32_t first_missing;
} counted;

static void count_missing(counted *all, uint32_t number, journal_state state)
{
    if (all->missing + all->missing_ending == 0)
        all->first_missing = number;
    all->missing += state == JOURNAL_ENDED;
    all->missing_ending += state == JOURNAL_ENDING;
}

static bool is_there_as_often_as_it_should(checking *me, uint32_t number, const crash_output *output,
                                           counted *all)
{
    const found *of = &me->found[number];
    journal_state state = (journal_state)me->journal->spans[number].state;
    bool received = of->times[RECEIVED] != 0, interrupted = of->times[INTERRUPTED] != 0,
         recovered = of->times[RECOVERED] != 0, there = received || interrupted || recovered;
    const char *what = NULL;
    if (of->times[RECEIVED] > 1 || of->times[INTERRUPTED] > 1 || of->times[RECOVERED] > 1)
        what = "is there twice in one place";
    else if (state == JOURNAL_NONE && there)
        what = "was not recorded, and is there";
    else if (state == JOURNAL_BEGUN && !there)
        what = "is missing";
    else if (of->unfinished && (state == JOURNAL_ENDED || of->finished))
        what = "is unfinished although it had ended";
    else if (of->finished && state < JOURNAL_ENDING)
        what = "is finished although it had not ended";
    else if (received && (interrupted || recovered) && !output->in_parts &&
             of->batch[RECEIVED] != output->received.batches)
        what = "is there twice, and not in the batch that was in doubt";
    else if (interrupted && recovered && output->whole)
        what = "is there twice, although the file of the recovery that was killed was complete";
    else if (interrupted && recovered && of->batch[INTERRUPTED] != output->interrupted.batches)
        what = "is there twice, and not in the request that was under way when the recovery was killed";
    if (!there)
        count_missing(all, number, state);
    all->present += there;
    all->twice += received && recovered;
    all->repeated += interrupted && recovered;
    return what == NULL ||
           wrong(me, "span %u (state %u, received %u, recovered %u and %u times) %s", number, state,
                 of->times[RECEIVED], of->times[INTERRUPTED], of->times[RECOVERED], what);
}

// Spans are nowhere if they found their ring full when they ended, and in no other case. One that the engine was
// dropping when it died may be counted as that, or be lost.
static bool missing_were_dropped(checking *me, const crash_output *output, const counted *all)
{
    if (output->dropped >= all->missing && output->dropped <= all->missing + all->missing_ending)
        return true;
    return wrong(
        me, "span %u and others are missing: %llu, and %llu that were ending; the engine has dropped %llu",
        all->first_missing, (unsigned long long)all->missing, (unsigned long long)all->missing_ending,
        (unsigned long long)output->dropped);
}

static bool account_balances(checking *me, const nsp_recovery_account *a, const crash_output *output,
                             const counted *all)
{
    const crash_spans *received = &output->received, *recovered = &output->recovered;
    // A recovery that was killed has settled what the next one does not find, and that is not in its account.
    const bool first = output->interrupted.batches == 0;
    uint64_t beginning = 0, begun = 0, unfinished = 0;
    for (uint32_t number = 1; number <= me->used; number++) {
        beginning += me->journal->spans[number].state == JOURNAL_BEGINNING;
        begun += me->journal->spans[number].state > JOURNAL_BEGINNING;
        unfinished += me->found[number].unfinished && me->found[number].times[RECOVERED] != 0;
    }
    uint64_t engine = a->engine_exported + a->engine_rejected + a->engine_unconfirmed + a->engine_discarded +
                      a->engine_spooled + a->dropped;
    uint64_t dropping = all->missing + all->missing_ending - output->dropped;
    uint64_t here = a->exported + a->rejected + a->unconfirmed + a->skipped + a->invalid + a->left;
    const char *what = NULL;
    if (a->attempted != engine + here + a->lost_at_crash)
        what = "does not balance";
    else if (a->dropped != output->dropped)
        what = "counts other spans as dropped than the engine did";
    else if (engine != a->engine_exported + a->dropped || here != a->exported)
        what = "has spans that were neither exported nor recovered";
    else if (a->exported != recovered->count || a->exported != a->finished + a->unfinished + a->from_batches)
        what = "counts other spans than were recovered";
    else if (first && a->engine_exported + all->twice != received->count)
        what = "counts other spans than were received";
    else if (a->unfinished != unfinished)
        what = "counts other unfinished spans than were recovered";
    else if (a->attempted != all->present + a->dropped + a->lost_at_crash || a->attempted < begun ||
             a->attempted > begun + beginning)
        what = "counts other spans than were begun";
    else if (a->lost_at_crash > a->lost_at_crash_max)
        what = "has lost more than it allows for";
    else if (a->lost_at_crash > beginning + dropping)
        what = "has lost more than one span of a thread";
    else if (output->in_parts ? all->twice > a->in_doubt : all->twice != 0 && all->twice != a->in_doubt)
        what = "does not say that what is there twice was in doubt";
    me->sums->lost += a->lost_at_crash;
    me->sums->in_doubt += a->in_doubt;
    me->sums->from_batches += a->from_batches;
    me->sums->unfinished += a->unfinished;
    me->sums->finished += a->finished;
    return what == NULL ||
           wrong(me,
                 "the account %s: attempted %llu; engine: exported %llu, dropped %llu, all %llu; found: "
                 "finished %llu, unfinished %llu, in batches %llu, of those in doubt %llu; exported %llu, "
                 "all %llu; lost %llu; the test "
                 "has seen begun %llu to %llu, received %zu, recovered %zu, twice %llu, unfinished %llu",
                 what, (unsigned long long)a->attempted, (unsigned long long)a->engine_exported,
                 (unsigned long long)a->dropped, (unsigned long long)engine, (unsigned long long)a->finished,
                 (unsigned long long)a->unfinished, (unsigned long long)a->from_batches,
                 (unsigned long long)a->in_doubt, (unsigned long long)a->exported, (unsigned long long)here,
                 (unsigned long long)a->lost_at_crash, (unsigned long long)begun,
                 (unsigned long long)begun + beginning, received->count, recovered->count,
                 (unsigned long long)all->twice, (unsigned long long)unfinished);
}

static bool check(checking *me, const crash_output *output, const nsp_recovery_account *account)
{
    counted all = {0};
    if (!index_ids(me) || !take_all(me, &output->received, RECEIVED) ||
        !take_all(me, &output->interrupted, INTERRUPTED) || !take_all(me, &output->recovered, RECOVERED))
        return false;
    for (uint32_t number = 1; number <= me->used; number++)
        if (!is_there_as_often_as_it_should(me, number, output, &all))
            return false;
    if (!missing_were_dropped(me, output, &all))
        return false;
    me->sums->spans += all.present;
    me->sums->dropped += output->dropped;
    me->sums->twice += all.twice;
    me->sums->repeated += all.repeated;
    return account == NULL || account_balances(me, account, output, &all);
}

bool crash_check(const journal *kept, const crash_output *output, const nsp_recovery_account *account,
                 crash_sums *sums, char *wrong, size_t size)
{
    uint32_t used = kept->used < JOURNAL_SPANS_MAX ? kept->used : JOURNAL_SPANS_MAX - 1;
    checking me = {.journal = kept, .used = used, .room = 1024, .sums = sums, .wrong = wrong, .size = size};
    while (me.room < 4 * used)
        me.room *= 2;
    me.found = calloc(used + 1, sizeof *me.found);
    me.places = calloc(me.room, sizeof *me.places);
    if (me.found == NULL || me.places == NULL)
        abort();
    nsp_context remote;
    nsp_context_parse(&remote, JOURNAL_REMOTE_PARENT, NULL);
    memcpy(&me.remote_trace, remote.trace_id, sizeof me.remote_trace);
    bool right = check(&me, output, account);
    free(me.found);
    free(me.places);
    return right;
}

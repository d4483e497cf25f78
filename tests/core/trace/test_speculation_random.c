// SPDX-License-Identifier: Apache-2.0
//
// Random programs on several threads, beside a model that says what becomes of each span: traces that are decided at
// their end, others on top of them, detached orders that any thread enters and ends, remote parents, errors, requests
// to keep, changes of the rules and of the rate, and threads that exit with spans open and leave their slot to others.
// The threads take turns, so that a program of one seed is the same each time. NSP_SPECULATION_SEED and
// NSP_SPECULATION_STEPS: another program, or a longer one.
//
// ctest: TIMEOUT 300
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <nanospan/latency.h>
#include <nanospan/outlier.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/capture.h"
#include "trace/sampler.h"
#include "trace/speculation.h"

enum { SLOW_NS = 1000000, THREADS = 3, DEPTH = 12, ORDERS = 8, NAMES = 4, SPANS_MAX = 1 << 20 };

static nsp_ticks now_ticks, slow_ticks, fast_ticks;
static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

// ---- the model ----

// What the rules say of a name.
typedef enum ruling { UNRULED, MEASURED, KEEPS } ruling;

static const struct {
    const char *text;
    ruling of_name[NAMES];
} policies[] = {
    {"*: slower=1ms, errors, asked", {KEEPS, KEEPS, KEEPS, KEEPS}},
    {"", {UNRULED, UNRULED, UNRULED, UNRULED}},
    {"*: measure", {MEASURED, MEASURED, MEASURED, MEASURED}},
    {"root0: slower=1ms, errors; root1: measure; root3: slower=1ms, errors",
     {KEEPS, MEASURED, UNRULED, KEEPS}},
    {"root1: slower=1ms, errors; *: measure", {MEASURED, KEEPS, MEASURED, MEASURED}},
};
static size_t policy;

typedef struct trace {
    bool sampled, speculative, apart, abandoned;
    ruling rule; // of its root; UNRULED also where the head alone decides
    bool ended, kept, slow, asked;
    int errors;
    uint32_t name, left_out, spans;
    uint32_t root;
} trace;

typedef struct span {
    nsp_span *handle;
    uint32_t trace; // 0: inert
    bool open, detached, recording, error, root;
    bool closed_to_children;
    bool remote;
} span;

typedef struct entry {
    uint32_t span;
    bool entered;
} entry;

typedef struct worker {
    pthread_t thread;
    sem_t turn;
    bool running, exits;
    uint64_t seed;
    entry stack[DEPTH + 2];
    uint32_t depth;
    uint32_t ruled; // the trace of the open ruled root; 0: none
} worker;

static span spans[SPANS_MAX];
static trace traces[SPANS_MAX];
static uint32_t span_count, trace_count;
static uint32_t orders[ORDERS], order_count;
static uint64_t measured[NAMES];
static nsp_name root_names[NAMES];
static sem_t done;
static worker workers[THREADS];
static nsp_context sampled_parent, unsampled_parent;
static bool changes; // the rules change, and threads exit
static bool collided;

static const char *fault;

static void expect(bool right, const char *what)
{
    if (!right && fault == NULL)
        fault = what;
}

static uint32_t new_trace(uint32_t name)
{
    traces[++trace_count] = (trace){.name = name};
    return trace_count;
}

// An entry of an order that was ended elsewhere stays until its thread does something. If an order that is begun in the
// same place meanwhile has the same handle (their ids agree in seven bits), the entry is taken for its. The model does
// not follow that: the program ends there.
static bool taken_for_another(const nsp_span *handle)
{
    for (int i = 0; i < THREADS; i++)
        for (uint32_t k = 0; k < workers[i].depth; k++) {
            const entry *one = &workers[i].stack[k];
            if (one->entered && !spans[one->span].open && spans[one->span].handle == handle)
                return true;
        }
    return false;
}

static uint32_t new_span(nsp_span *handle, uint32_t of)
{
    collided = collided || taken_for_another(handle);
    spans[++span_count] = (span){.handle = handle, .trace = of, .open = true};
    spans[span_count].recording = nsp_span_recording(handle);
    if (of != 0 && spans[span_count].recording) {
        traces[of].spans++;
        nsp_span_set_i64(handle, NSP_NAME("number"), span_count);
    }
    return span_count;
}

static bool is_sampled(const nsp_span *handle)
{
    nsp_context context;
    nsp_span_context(handle, &context);
    return (context.flags & NSP_TRACE_FLAG_SAMPLED) != 0;
}

// What is current on the thread; 0: nothing.
static uint32_t current(worker *me)
{
    while (me->depth != 0 && !spans[me->stack[me->depth - 1].span].open)
        me->depth--;
    return me->depth != 0 ? me->stack[me->depth - 1].span : 0;
}

// The same without taking anything off.
static uint32_t current_now(const worker *me)
{
    uint32_t depth = me->depth;
    while (depth != 0 && !spans[me->stack[depth - 1].span].open)
        depth--;
    return depth != 0 ? me->stack[depth - 1].span : 0;
}

static void push(worker *me, uint32_t number, bool entered)
{
    me->stack[me->depth++] = (entry){number, entered};
}

// A local root has begun: what it has to be, given what its context says.
static uint32_t root_begun(worker *me, nsp_span *handle, uint32_t name, bool apart)
{
    const uint32_t of = new_trace(name);
    trace *its = &traces[of];
    its->apart = apart;
    its->rule = apart || me->ruled == 0 ? policies[policy].of_name[name] : UNRULED;
    its->sampled = is_sampled(handle);
    its->speculative = !its->sampled && its->rule == KEEPS;
    const bool records = its->sampled || its->speculative;
    expect(nsp_span_recording(handle) == records, "a root records, or does not, against its rule");
    const uint32_t number = new_span(handle, of);
    its->root = number;
    spans[number].root = true;
    spans[number].detached = apart;
    spans[number].closed_to_children = apart && its->speculative;
    if (!apart && its->rule != UNRULED)
        me->ruled = of;
    return number;
}

// ---- steps ----

static nsp_span_options at_start(void)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.start = now_ticks;
    return options;
}

static void set_of_root(nsp_span_options *options)
{
    options->new_root = true;
    if (draw(4) == 0) {
        options->new_root = false;
        options->parent = draw(2) == 0 ? &sampled_parent : &unsampled_parent;
    }
}

static void begin_plain(worker *me)
{
    const uint32_t on = current(me);
    if (on == 0) {
        const uint32_t name = draw(NAMES);
        nsp_span *handle = nsp_span_begin_at(root_names[name], now_ticks);
        if (nsp__has_frame(handle)) {
            push(me, root_begun(me, handle, name, false), false);
        } else { // no rule concerns it, and it has no identity: it is not on the model's stack
            expect(policies[policy].of_name[name] == UNRULED, "a ruled root has no identity");
            nsp_span_end(handle);
        }
        return;
    }
    nsp_span *handle = nsp_span_begin_at(NSP_NAME("child"), now_ticks);
    if (!spans[on].recording || spans[on].closed_to_children) {
        expect(!nsp_span_recording(handle), "a child of a span that does not record records");
        if (spans[on].closed_to_children)
            traces[spans[on].trace].left_out++;
        nsp_span_end(handle);
        return;
    }
    expect(nsp_span_recording(handle), "a child does not record");
    push(me, new_span(handle, spans[on].trace), false);
    if (draw(3) == 0)
        nsp_span_set_str(handle, NSP_NAME("text"), "a text that takes some room in the buffer");
}

static void begin_root_apart(worker *me)
{
    const uint32_t name = draw(NAMES);
    nsp_span_options options = at_start();
    set_of_root(&options);
    current(me);
    nsp_span *handle = nsp_span_begin_with(root_names[name], &options);
    push(me, root_begun(me, handle, name, false), false);
    spans[span_count].remote = options.parent != NULL;
}

static void root_ended(worker *me, uint32_t number, bool slow)
{
    trace *its = &traces[spans[number].trace];
    its->ended = true;
    its->slow = slow;
    const ruling rule = its->apart && its->rule != UNRULED ? policies[policy].of_name[its->name] : its->rule;
    if (rule != UNRULED)
        measured[its->name]++;
    const bool errors = its->apart ? spans[number].error : its->errors != 0;
    its->kept =
        its->rule != UNRULED && ((rule == KEEPS && (slow || errors)) || (rule != UNRULED && its->asked));
    if (me != NULL && !its->apart && me->ruled == spans[number].trace)
        me->ruled = 0;
}

static void end_span(worker *me, uint32_t number)
{
    const bool slow = draw(6) == 0;
    spans[number].open = false;
    if (spans[number].root)
        root_ended(me, number, slow);
    nsp_span_end_at(spans[number].handle, slow ? slow_ticks : fast_ticks);
}

static void end_top(worker *me)
{
    const uint32_t on = current(me);
    if (on == 0)
        return;
    if (me->stack[me->depth - 1].entered) {
        nsp_span_leave(spans[on].handle);
        me->depth--;
        return;
    }
    end_span(me, on);
    me->depth--;
}

static void next_top(worker *me)
{
    const uint32_t on = current(me);
    if (on == 0 || me->stack[me->depth - 1].entered || spans[on].remote)
        return;
    const bool slow = draw(6) == 0, root = spans[on].root;
    const uint32_t of = spans[on].trace, name = traces[of].name;
    spans[on].open = false;
    if (root)
        root_ended(me, on, slow);
    me->depth--;
    const uint32_t under = current(me);
    nsp_span *handle = nsp_span_next_at(spans[on].handle, root ? root_names[name] : NSP_NAME("sibling"),
                                        slow ? slow_ticks : fast_ticks);
    if (!root) {
        expect(nsp_span_recording(handle), "a sibling does not record");
        push(me, new_span(handle, of), false);
    } else if (nsp__has_frame(handle)) {
        push(me, root_begun(me, handle, name, false), false);
        nsp_span_end_at(handle, slow_ticks + (slow_ticks - now_ticks) * 2);
        spans[span_count].open = false;
        root_ended(me, span_count, true);
        me->depth--;
    } else {
        expect(under == 0 && policies[policy].of_name[name] == UNRULED,
               "the sibling of a root has no identity");
        nsp_span_end(handle);
    }
}

static void begin_order(worker *me)
{
    if (order_count == ORDERS)
        return;
    const uint32_t name = draw(NAMES);
    nsp_span_options options = at_start();
    set_of_root(&options);
    nsp_span *handle = nsp_span_begin_detached(root_names[name], &options);
    expect(nsp__has_frame(handle), "an order has no identity");
    orders[order_count++] = root_begun(me, handle, name, true);
}

// Under what is current.
static void begin_detached_child(worker *me)
{
    const uint32_t on = current(me);
    if (on == 0)
        return;
    nsp_span_options options = at_start();
    nsp_span *handle = nsp_span_begin_detached(NSP_NAME("detached child"), &options);
    const trace *its = &traces[spans[on].trace];
    const bool records = spans[on].recording && its->sampled;
    expect(nsp_span_recording(handle) == records, "a detached child records, or does not, against its trace");
    if (spans[on].recording && !its->sampled)
        traces[spans[on].trace].left_out++;
    const uint32_t number = new_span(handle, records ? spans[on].trace : 0);
    spans[number].open = false;
    nsp_span_end_at(handle, fast_ticks);
}

static void end_order(worker *me)
{
    if (order_count == 0)
        return;
    const uint32_t which = draw(order_count), number = orders[which];
    orders[which] = orders[--order_count];
    end_span(me, number);
}

static void enter_order(worker *me)
{
    if (order_count == 0)
        return;
    const uint32_t number = orders[draw(order_count)];
    current(me);
    for (uint32_t i = 0; i < me->depth; i++)
        if (me->stack[i].span == number)
            return;
    nsp_span_enter(spans[number].handle);
    push(me, number, true);
}

static void set_error(worker *me)
{
    if (me->depth == 0)
        return;
    const uint32_t number = me->stack[draw(me->depth)].span;
    span *its = &spans[number];
    if (!its->open || !its->recording)
        return;
    nsp_span_set_status(its->handle, NSP_SPAN_STATUS_ERROR, "failed");
    if (!its->error && !its->detached)
        traces[its->trace].errors++;
    its->error = true;
}

// What is said to be current may be an order that was ended elsewhere; the next span takes it off.
static bool is_order(const nsp_span *handle)
{
    return nsp__has_frame(handle) && nsp__frame_of(handle)->detached != 0;
}

static void ask(worker *me)
{
    const uint32_t on = current_now(me);
    if (is_order(nsp_span_current()) && (on == 0 || !spans[on].detached))
        return; // it was ended elsewhere
    const bool kept = nsp_trace_keep();
    bool expected = false;
    if (on != 0 && spans[on].recording) {
        trace *its = &traces[spans[on].trace];
        expected = its->rule == KEEPS && (its->apart ? spans[on].root : me->ruled == spans[on].trace);
        its->asked = its->asked || expected;
    }
    if (on != 0 && spans[on].detached && traces[spans[on].trace].rule != UNRULED && spans[on].recording) {
        traces[spans[on].trace].asked = kept; // a sampled order of a rule that only measures
        return;
    }
    expect(kept == expected, "nsp_trace_keep says something else");
}

static void change(void)
{
    static const double rates[] = {0, 0.3, 1};
    policy = draw(sizeof policies / sizeof policies[0]);
    expect(nsp_outlier_set_rules(policies[policy].text) == NSP_OK, "the rules are not accepted");
    if (draw(2) == 0)
        expect(nsp_sampler_set_rate(rates[draw(3)]) == NSP_OK, "the rate is not accepted");
}

static void check_pen(void)
{
    nsp__producer *producer = nsp__producer_self();
    if (producer == NULL)
        return;
    const nsp_span *top = (const nsp_span *)producer->hot.top->current;
    const bool buffer = nsp__has_frame(top) && nsp_span_recording(top) && nsp__span_open(top) &&
                        nsp__frame_of(top)->detached == 0 && nsp__frame_speculative(nsp__frame_of(top));
    expect(buffer != nsp__pen_is_home(producer), "the pen is not where it belongs");
}

static void check_current(worker *me)
{
    check_pen();
    const nsp_span *there = nsp_span_current();
    const uint32_t on = current_now(me);
    expect(is_order(there) || there == (on != 0 ? spans[on].handle : NULL), "something else is current");
}

static void step(worker *me)
{
    const bool room = me->depth < DEPTH;
    switch (draw(changes ? 33 : 30)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
        if (room)
            begin_plain(me);
        break;
    case 8:
    case 9:
        if (room)
            begin_root_apart(me);
        break;
    case 10:
    case 11:
    case 12:
    case 13:
    case 14:
    case 15:
    case 16:
    case 17: end_top(me); break;
    case 18:
    case 19: next_top(me); break;
    case 20:
    case 21: begin_order(me); break;
    case 22:
    case 23: end_order(me); break;
    case 24:
    case 25:
        if (room)
            enter_order(me);
        break;
    case 26: set_error(me); break;
    case 27: ask(me); break;
    case 28:
    case 29: begin_detached_child(me); break;
    case 30:
        if (draw(10) == 0)
            change();
        break;
    default: __atomic_store_n(&me->exits, draw(40) == 0, __ATOMIC_RELEASE);
    }
    check_current(me);
}

// ---- threads ----

static void *work(void *argument)
{
    worker *me = argument;
    nsp_thread_attach(NULL);
    nsp__producer *producer = nsp__producer_self();
    // An entry of an order that has ended is taken for one of the next in its place if their handles are the same, by
    // seven bits of their ids: so the ids are those of the program too.
    producer->random = me->seed;
    producer->id_base = me->seed | 1;
    producer->id_step = (me->seed >> 7 | 1) << 1;
    producer->hot.generation = NSP__GENERATION_NONE; // so that everything is drawn again
    for (bool exits = false; !exits;) {
        while (sem_wait(&me->turn) != 0)
            ;
        if (!me->exits)
            step(me);
        exits = me->exits;
        if (!exits)
            sem_post(&done);
    }
    return NULL;
}

static void abandon(worker *me)
{
    while (me->depth != 0) {
        const entry *top = &me->stack[--me->depth];
        span *its = &spans[top->span];
        if (top->entered || !its->open)
            continue;
        its->open = false;
        trace *of = &traces[its->trace];
        if (its->trace != 0 && its->root && !of->apart) {
            of->ended = of->abandoned = true;
            if (of->rule != UNRULED && !of->speculative)
                measured[of->name]++;
        }
    }
    me->ruled = 0;
}

static void take_turn(void)
{
    worker *me = &workers[draw(THREADS)];
    if (!me->running) {
        me->exits = false;
        me->seed = random_state;
        assert_int_equal(pthread_create(&me->thread, NULL, work, me), 0);
        me->running = true;
    }
    sem_post(&me->turn);
    while (sem_trywait(&done) != 0) {
        if (__atomic_load_n(&me->exits, __ATOMIC_ACQUIRE)) {
            pthread_join(me->thread, NULL);
            me->running = false;
            abandon(me);
            me->exits = false;
            return;
        }
        sched_yield();
    }
}

static void stop_all(void)
{
    for (int i = 0; i < THREADS; i++) {
        worker *me = &workers[i];
        if (!me->running)
            continue;
        __atomic_store_n(&me->exits, true, __ATOMIC_RELEASE);
        sem_post(&me->turn);
        pthread_join(me->thread, NULL);
        me->running = false;
        abandon(me);
        me->exits = false;
    }
}

// ---- what has to be there ----

static void check(uint32_t seed)
{
    static uint32_t seen[SPANS_MAX], of_trace[SPANS_MAX];
    memset(seen, 0, (span_count + 1) * sizeof seen[0]);
    memset(of_trace, 0, (trace_count + 1) * sizeof of_trace[0]);
    uint32_t incomplete = 0;
    for (size_t i = 0; i < capture_count(); i++) {
        const captured_span *got = capture_at(i);
        const char *text = captured_text(got, "number");
        const uint32_t number = text != NULL ? (uint32_t)strtoul(text, NULL, 10) : 0;
        if (number == 0 || number > span_count)
            fail_msg("seed %u: a span of no number: %s", seed, got->name);
        seen[number]++;
        of_trace[spans[number].trace]++;
        const trace *its = &traces[spans[number].trace];
        if (!its->sampled && (!its->speculative || !its->kept))
            fail_msg("seed %u: span %u (%s) of trace %u is there, which was not to be kept: apart %d "
                     "speculative %d rule %d ended %d abandoned %d slow %d errors %d asked %d root %u",
                     seed, number, got->name, spans[number].trace, its->apart, its->speculative, its->rule,
                     its->ended, its->abandoned, its->slow, its->errors, its->asked, its->root);
        const char *why = captured_text(got, "nanospan.kept");
        const bool marked = its->kept && spans[number].root;
        if (!its->abandoned && (why != NULL) != marked)
            fail_msg("seed %u: span %u (%s): nanospan.kept is %s, trace %u (apart %d sampled %d rule %d slow "
                     "%d errors %d)",
                     seed, number, got->name, why != NULL ? why : "not there", spans[number].trace,
                     its->apart, its->sampled, its->rule, its->slow, its->errors);
        if (spans[number].root && its->speculative) {
            const char *left = captured_text(got, "nanospan.left_out");
            const uint32_t left_out = left != NULL ? (uint32_t)strtoul(left, NULL, 10) : 0;
            incomplete += left_out != 0;
            if (left_out != its->left_out && left_out != its->left_out + its->spans - 1)
                fail_msg("seed %u: trace %u: %u spans left out, not %u (of %u)", seed, spans[number].trace,
                         left_out, its->left_out, its->spans);
            if (left_out != its->left_out)
                traces[spans[number].trace].spans = 1; // outgrown
        }
    }
    for (uint32_t i = 1; i <= span_count; i++)
        if (seen[i] > 1)
            fail_msg("seed %u: span %u came %u times", seed, i, seen[i]);
    for (uint32_t i = 1; i <= trace_count; i++) {
        const trace *its = &traces[i];
        const bool wanted = its->sampled || (its->speculative && its->kept && !its->abandoned);
        if (its->ended && of_trace[i] != (wanted ? its->spans : 0))
            fail_msg("seed %u: trace %u: %u spans came of %u, wanted: %d (apart %d sampled %d speculative %d "
                     "rule %d)",
                     seed, i, of_trace[i], its->spans, wanted, its->apart, its->sampled, its->speculative,
                     its->rule);
    }
    const nsp_stats now = capture_balance();
    assert_int_equal(now.open + now.speculating, 0);
    assert_int_equal(now.speculated, now.taken_back + now.kept);
    assert_int_equal(now.dropped, 0);
    assert_int_equal(now.kept_incomplete, incomplete);
    for (uint32_t i = 0; i < NAMES; i++) {
        nsp_latency latency = NSP_LATENCY_INIT;
        size_t length;
        nsp_latency_get(nsp_name_text(root_names[i], &length), &latency);
        if (latency.count != measured[i])
            fail_msg("seed %u: %llu roots of name %u were measured, of %llu", seed,
                     (unsigned long long)latency.count, i, (unsigned long long)measured[i]);
    }
}

static void run(uint32_t seed, uint32_t steps, size_t outlier_bytes, bool with_changes)
{
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    span_count = trace_count = order_count = 0;
    memset(measured, 0, sizeof measured);
    memset(workers, 0, sizeof workers);
    fault = NULL;
    collided = false;
    policy = 0;
    changes = with_changes;
    nsp_config config;
    capture_config(&config);
    config.collector = NSP_COLLECTOR_THREAD;
    config.sample_rate = 0.3;
    config.ring_bytes = 8 << 20;
    config.outlier_bytes = outlier_bytes;
    config.outliers = policies[0].text;
    capture_start(&config);
    now_ticks = nsp_now();
    slow_ticks = nsp_ticks_from_unix_ns(nsp_ticks_to_unix_ns(now_ticks) + SLOW_NS + 10000);
    fast_ticks = nsp_ticks_from_unix_ns(nsp_ticks_to_unix_ns(now_ticks) + SLOW_NS / 2);
    for (uint32_t i = 0; i < NAMES; i++) {
        char text[8];
        snprintf(text, sizeof text, "root%u", i);
        root_names[i] = nsp_intern(text, strlen(text));
    }
    sem_init(&done, 0, 0);
    for (int i = 0; i < THREADS; i++)
        sem_init(&workers[i].turn, 0, 0);
    for (uint32_t i = 0; i < steps && fault == NULL && !collided && span_count < SPANS_MAX - 8; i++)
        take_turn();
    while (order_count != 0 && fault == NULL) {
        nsp_span *handle = spans[orders[--order_count]].handle;
        span *its = &spans[orders[order_count]];
        its->open = false;
        root_ended(NULL, orders[order_count], true);
        nsp_span_end_at(handle, slow_ticks);
    }
    stop_all();
    if (fault != NULL)
        fail_msg("seed %u: %s (span %u)", seed, fault, span_count);
    capture_settle();
    check(seed);
    capture_end();
}

static uint32_t setting(const char *name, uint32_t usual)
{
    const char *text = getenv(name);
    return text != NULL ? (uint32_t)strtoul(text, NULL, 10) : usual;
}

static void programs(bool with_changes)
{
    const uint32_t first = setting("NSP_SPECULATION_SEED", 100),
                   steps = setting("NSP_SPECULATION_STEPS", 3000);
    char text[] = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00";
    assert_int_equal(nsp_context_parse(&unsampled_parent, text, NULL), NSP_OK);
    text[sizeof text - 2] = '1';
    assert_int_equal(nsp_context_parse(&sampled_parent, text, NULL), NSP_OK);
    for (uint32_t i = 0; i < setting("NSP_SPECULATION_RUNS", 12); i++)
        run(first + i, steps, i % 3 == 0 ? 4096 : 65536, with_changes);
}

static void one_policy(void **state)
{
    (void)state;
    programs(false);
}

static void changing_policies(void **state)
{
    (void)state;
    programs(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(one_policy, capture_teardown),
        cmocka_unit_test_teardown(changing_policies, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

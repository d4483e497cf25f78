// SPDX-License-Identifier: Apache-2.0
//
// An engine for tests that kill it: several threads with nested, following and detached spans, setters of all
// kinds, short-lived threads, policies that change, flushes. It writes into a journal what it intends to do
// and has done (support/crash_journal.h).
//
//     crash_engine JOURNAL SHM_DIR SERVICE SEED EXPORTER TARGET PROTOCOL [TESTPOINT VISIT]
//
// EXPORTER: file (TARGET: its path) or otlp (TARGET: an endpoint). With a testpoint, the process kills itself
// when it comes there for the nth time. Otherwise it ends when the journal's limit is reached, in one of two
// orderly ways.
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/testpoint.h"
#include "common/seed.h"
#include "support/crash_journal.h"

enum { WORKERS = 3, PATIENCE_S = 100 };

static journal *shared;
static nsp_context remote;

// What is open at the moment. number 0: it does not record.
typedef struct opened {
    nsp_span *span;
    uint32_t number;
} opened;

static void fail(const char *what)
{
    fprintf(stderr, "crash_engine: %s: %s\n", what, nsp_error_detail());
    _exit(1);
}

static void sleep_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

// ---- the journal ----

// A number that was handed out for a span which then did not record.
static __thread uint32_t spare;

static journal_span *entry(uint32_t number)
{
    return &shared->spans[number];
}

static bool limit_reached(void)
{
    return __atomic_load_n(&shared->used, __ATOMIC_RELAXED) >= shared->limit;
}

static void set_state(uint32_t number, journal_state state)
{
    __atomic_store_n(&entry(number)->state, (uint32_t)state, __ATOMIC_RELEASE);
}

static uint32_t about_to_begin(uint32_t parent, nsp_kind kind)
{
    uint32_t number = spare;
    spare = 0;
    if (number == 0)
        number = __atomic_add_fetch(&shared->used, 1, __ATOMIC_RELAXED);
    if (number >= JOURNAL_SPANS_MAX)
        fail("the journal is full");
    *entry(number) = (journal_span){.parent = parent, .kind = (uint32_t)kind};
    set_state(number, JOURNAL_BEGINNING);
    return number;
}

static opened has_begun(nsp_span *span, uint32_t number)
{
    if (!nsp_span_recording(span)) {
        set_state(number, JOURNAL_NONE);
        spare = number;
        return (opened){span, 0};
    }
    nsp_context context;
    nsp_span_context(span, &context);
    journal_span *of = entry(number);
    memcpy(of->trace_id, context.trace_id, sizeof of->trace_id);
    memcpy(&of->span_id, context.span_id, sizeof of->span_id);
    set_state(number, JOURNAL_BEGUN);
    return (opened){span, number};
}

// The operations of the plan up to this one.
static void operate_until(opened what, uint32_t operations)
{
    if (what.number == 0)
        return;
    journal_span *of = entry(what.number);
    for (uint32_t i = of->done; i < operations; i++) {
        __atomic_store_n(&of->begun, i + 1, __ATOMIC_RELEASE);
        journal_operate(what.span, what.number, i);
        __atomic_store_n(&of->done, i + 1, __ATOMIC_RELEASE);
    }
}

static void operate(opened what)
{
    operate_until(what, journal_operations(what.number));
}

// ---- spans ----

static nsp_name name_of(uint32_t number)
{
    char text[32];
    const char *name = journal_name(number, text);
    return nsp_intern(name, strlen(name));
}

static opened begin(uint32_t parent)
{
    uint32_t number = about_to_begin(parent, NSP_KIND_INTERNAL);
    return has_begun(nsp_span_begin(name_of(number)), number);
}

static opened begin_root(bool has_remote_parent)
{
    uint32_t parent = has_remote_parent ? JOURNAL_REMOTE : 0;
    uint32_t number = about_to_begin(parent, journal_kind(__atomic_load_n(&shared->used, __ATOMIC_RELAXED)));
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.kind = (nsp_kind)entry(number)->kind;
    options.parent = has_remote_parent ? &remote : NULL;
    options.new_root = !has_remote_parent; // also where the main thread's own root is current
    return has_begun(nsp_span_begin_with(name_of(number), &options), number);
}

static opened begin_detached(uint32_t parent)
{
    uint32_t number = about_to_begin(parent, NSP_KIND_INTERNAL);
    return has_begun(nsp_span_begin_detached(name_of(number), NULL), number);
}

static opened next(opened what)
{
    uint32_t number = about_to_begin(entry(what.number)->parent, NSP_KIND_INTERNAL);
    set_state(what.number, JOURNAL_ENDING);
    opened sibling = has_begun(nsp_span_next(what.span, name_of(number)), number);
    set_state(what.number, JOURNAL_ENDED);
    return sibling;
}

static void end(opened what)
{
    if (what.number != 0)
        set_state(what.number, JOURNAL_ENDING);
    nsp_span_end(what.span);
    if (what.number != 0)
        set_state(what.number, JOURNAL_ENDED);
}

// ---- traces ----

// Detached spans on their way from one worker to the next: numbers, and their handles.
static uint32_t mailboxes[WORKERS];
static nsp_span *handles[JOURNAL_SPANS_MAX];

static void finish_handed_over(uint32_t number)
{
    if (number == 0)
        return;
    opened detached = {handles[number], number};
    operate(detached);
    end(detached);
}

static void hand_over(opened detached, int worker)
{
    handles[detached.number] = detached.span;
    finish_handed_over(__atomic_exchange_n(&mailboxes[worker], detached.number, __ATOMIC_ACQ_REL));
}

static void trace_children(opened root, int worker, uint64_t *random)
{
    opened child = begin(root.number);
    operate(child);
    if (nsp__random_splitmix(random) % 2) {
        opened phase = begin(child.number);
        for (int i = 0; i < 2; i++) {
            operate(phase);
            phase = next(phase);
        }
        end(phase);
    }
    opened detached = begin_detached(child.number);
    operate_until(detached, 1);
    bool within = nsp__random_splitmix(random) % 4 == 0;
    if (within && detached.number != 0) {
        nsp_span_enter(detached.span);
        end(begin(detached.number));
        nsp_span_leave(detached.span);
    }
    end(child);
    if (detached.number != 0)
        hand_over(detached, (worker + 1) % WORKERS);
}

// ---- paths ----

// Each span has its number, as a field. Their names are among those that numbers stand for.
#define ORDER(PHASE, I64, F64, STR, BOOL)                                                                    \
    I64(number, "number")                                                                                    \
    PHASE(check, "check")                                                                                    \
    I64(check_number, "number")                                                                              \
    PHASE(route, "route")                                                                                    \
    I64(route_number, "number")                                                                              \
    PHASE(send, "send")                                                                                      \
    I64(send_number, "number")
NSP_PATH_DECLARE(order_path, "order", ORDER)

static uint32_t about_to_begin_named(uint32_t parent, const char *name)
{
    for (;;) {
        char text[32];
        const uint32_t number = about_to_begin(parent, NSP_KIND_INTERNAL);
        if (strcmp(journal_name(number, text), name) == 0)
            return number;
        set_state(number, JOURNAL_NONE);
    }
}

static void set_number(int64_t *field, uint32_t number)
{
    __atomic_store_n(&entry(number)->begun, 1, __ATOMIC_RELEASE);
    *field = number;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&entry(number)->done, 1, __ATOMIC_RELEASE);
}

// Marks a phase, which ends the one before. Its id is known before it begins.
static uint32_t mark(order_path *path, uint32_t own, uint32_t before, uint32_t phase)
{
    static const char *const names[] = {"check", "route", "send"};
    int64_t *const fields[] = {&path->check_number, &path->route_number, &path->send_number};
    const uint32_t number = about_to_begin_named(own, names[phase - 1]);
    memcpy(entry(number)->trace_id, entry(own)->trace_id, sizeof entry(own)->trace_id);
    entry(number)->span_id = nsp__path_phase_id(entry(own)->span_id, phase);
    if (before != 0)
        set_state(before, JOURNAL_ENDING);
    switch (phase) {
    case 1: NSP_PATH_MARK(path, check); break;
    case 2: NSP_PATH_MARK(path, route); break;
    default: NSP_PATH_MARK(path, send);
    }
    if (before != 0)
        set_state(before, JOURNAL_ENDED);
    set_state(number, JOURNAL_BEGUN);
    set_number(fields[phase - 1], number);
    return number;
}

static void end_path(order_path *path, uint32_t own, uint32_t open)
{
    set_state(own, JOURNAL_ENDING);
    if (open != 0)
        set_state(open, JOURNAL_ENDING);
    order_path_end(path);
    set_state(own, JOURNAL_ENDED);
    if (open != 0)
        set_state(open, JOURNAL_ENDED);
}

static void trace_path(uint64_t *random)
{
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.new_root = true;
    options.detached = nsp__random_splitmix(random) % 4 == 0;
    const bool plain = !options.detached && nsp__random_splitmix(random) % 2 == 0;
    const uint32_t own = about_to_begin_named(0, "order");
    order_path *path = plain ? order_path_begin() : order_path_begin_with(&options);
    const opened root = has_begun(nsp_path_span(path), own);
    if (root.number == 0) {
        order_path_end(path);
        return;
    }
    set_number(&path->number, own);
    uint32_t open = 0;
    for (uint32_t phase = 1; phase <= 3; phase++) {
        if (nsp__random_splitmix(random) % 4 == 0)
            continue;
        open = mark(path, own, open, phase);
        if (!options.detached && nsp__random_splitmix(random) % 2 == 0) {
            const opened child = begin(open);
            operate(child);
            end(child);
        }
    }
    operate(root);
    end_path(path, own, open);
}

// A trace of which an outlier rule decides at its end, and never keeps it; nothing of it may be found. Half of them are
// open while the thread records what is in the journal.
static nsp_span *begin_beside(void)
{
    nsp_span *root = nsp_span_begin(NSP_NAME("beside"));
    nsp_span_end(nsp_span_begin(NSP_NAME("beside too")));
    return root;
}

static void trace_one(int worker, uint64_t *random)
{
    nsp_span *beside = begin_beside();
    const bool around = nsp__random_splitmix(random) % 2 == 0;
    if (!around)
        nsp_span_end(beside);
    opened root = begin_root(nsp__random_splitmix(random) % 4 == 0);
    operate_until(root, 1);
    if (root.number != 0)
        trace_children(root, worker, random);
    else
        sleep_us(200); // the ring is too full
    operate(root);
    if (root.number != 0 && nsp__random_splitmix(random) % 8 == 0) {
        opened again = begin(root.number); // one that ends its thread's trace by a sibling
        end(again.number != 0 ? next(again) : again);
    }
    end(root);
    if (around)
        nsp_span_end(beside);
    finish_handed_over(__atomic_exchange_n(&mailboxes[worker], 0, __ATOMIC_ACQ_REL));
    if (nsp__random_splitmix(random) % 4 == 0)
        trace_path(random);
}

static void *work(void *argument)
{
    int worker = (int)(intptr_t)argument;
    uint64_t random = shared->limit + (uint64_t)worker;
    while (!limit_reached())
        trace_one(worker, &random);
    return NULL;
}

static void *work_briefly(void *argument)
{
    uint64_t random = (uint64_t)(intptr_t)argument;
    if (random % 2 != 0)
        nsp_thread_attach(NULL);
    trace_one((int)(random % WORKERS), &random);
    return NULL;
}

// ---- the process ----

static void run(void)
{
    opened life = begin_detached(0);
    opened root = begin_root(false);
    operate(life);
    operate(root);
    pthread_t workers[WORKERS], brief;
    for (int i = 0; i < WORKERS; i++)
        if (pthread_create(&workers[i], NULL, work, (void *)(intptr_t)i) != 0)
            fail("no thread");
    intptr_t rounds = 0;
    do {
        if (pthread_create(&brief, NULL, work_briefly, (void *)rounds) != 0)
            fail("no thread");
        pthread_join(brief, NULL);
        nsp_sampler_set_rule("unused name", (double)(rounds % 2));
        if (rounds % 16 == 0)
            nsp_flush(1000000);
        sleep_us(300);
        rounds++;
    } while (!limit_reached());
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    for (int i = 0; i < WORKERS; i++)
        finish_handed_over(mailboxes[i]);
    end(root);
    for (uint64_t random = 1; random < 20; random++)
        trace_path(&random);
    // However few roots the other threads began: this one meets, in every run, that the rules have changed, and
    // overwrites history.
    end(begin_root(false));
    for (int i = 0; i < 100; i++)
        nsp_span_end(begin_beside());
    end(life);
}

static void configure(nsp_config *config, char **argv, uint64_t random)
{
    nsp_config_init(config);
    config->shm_dir = argv[2];
    config->service_name = argv[3];
    config->exporter = argv[5];
    if (strcmp(argv[5], "file") == 0)
        config->file = argv[6];
    else
        config->endpoint = argv[6];
    config->protocol = argv[7];
    config->compression = random % 2 ? "gzip" : "none";
    config->log_level = NSP_LOG_ERROR;
    config->record_bytes = 2048;
    config->ring_bytes = 64 * 1024;
    config->outlier_bytes = 4096;                        // history is given up soon
    config->watermark = random / 64 % 4 == 0 ? 1 : 0.75; // 1: it drops what ends while the ring is full
    config->open_spans = 8;
    config->threads = 16;
    config->detached_spans = 64;
    config->batch_bytes = 64 * 1024;
    config->batch_spans = 16u << random / 2 % 5;
    config->batches = 2u << random / 16 % 2;
    config->schedule_delay_ns = 20 * 1000000;
    config->poll_min_ns = 50 * 1000;
    config->poll_max_ns = 1000 * 1000;
    config->retry_min_ns = 1000 * 1000;
    config->retry_max_ns = 10 * 1000 * 1000;
    config->export_timeout_ns = (uint64_t)PATIENCE_S * 1000000000;
    config->exit_timeout_ns = (uint64_t)PATIENCE_S * 1000000000;
}

#ifdef NSP_TESTPOINTS
static const char *planned;
static uint32_t planned_visit;

static void visit(const char *point)
{
    if (strncmp(point, "speculation: ", 13) == 0 || strncmp(point, "drop: ", 6) == 0)
        return; // test_recover_speculative.c and test_recover_paths.c
    for (uint32_t i = 0; i < shared->point_count; i++) {
        if (strcmp(point, shared->points[i].name) != 0)
            continue;
        uint32_t visits = __atomic_add_fetch(&shared->points[i].visits, 1, __ATOMIC_RELAXED);
        if (planned != NULL && visits == planned_visit && strcmp(point, planned) == 0)
            kill(getpid(), SIGKILL);
        return;
    }
    fprintf(stderr, "crash_engine: the testpoint \"%s\" is not in the journal\n", point);
    _exit(1);
}
#endif

int main(int argc, char **argv)
{
    if (argc < 8)
        return 2;
    shared = journal_map(argv[1], false);
    if (shared == NULL)
        fail(argv[1]);
#ifdef NSP_TESTPOINTS
    if (argc > 9) {
        planned = argv[8];
        planned_visit = (uint32_t)strtoul(argv[9], NULL, 10);
    }
    if (shared->point_count != 0)
        __atomic_store_n(&nsp__testpoint_hook, visit, __ATOMIC_RELEASE); // TP1
#endif
    uint64_t random = nsp__random_mix(strtoull(argv[4], NULL, 10));
    nsp_context_parse(&remote, JOURNAL_REMOTE_PARENT, JOURNAL_REMOTE_STATE);
    nsp_config config;
    configure(&config, argv, random);
    if (nsp_init(&config) != NSP_OK)
        fail("nsp_init");
    if (nsp_sampler_set_rule("beside*", 0) != NSP_OK ||
        nsp_outlier_set_rules("beside*: slower=1000s, history=1ms") != NSP_OK)
        fail("rules");
    __atomic_store_n(&shared->phase, JOURNAL_RUNNING, __ATOMIC_RELEASE);
    run();
    nsp_stats stats = NSP_STATS_INIT;
    nsp_stats_get(&stats);
    shared->dropped = stats.dropped_ring_full;
    __atomic_store_n(&shared->phase, JOURNAL_STOPPING, __ATOMIC_RELEASE);
    if (random / 32 % 2 && nsp_shutdown(config.exit_timeout_ns) != NSP_OK)
        fail("nsp_shutdown");
    return 0; // in the other case the library's exit handler does it
}

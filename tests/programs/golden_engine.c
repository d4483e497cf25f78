// SPDX-License-Identifier: Apache-2.0
//
// The engine of the golden sessions (test_golden_sessions.py): leaves spans with everything that a span can have
// in every place where a session keeps them, says so, and then waits to be killed.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "every_span.h"
#include "expectation.h"

static const char usage[] =
    "usage: golden_engine FILE\n"
    "\n"
    "Sends one batch, then leaves spans in batches, in the rings of several threads, and open. Writes to\n"
    "FILE, as JSON, what a recovery must find (support/expected.py; an open span ends there when it\n"
    "begins), prints \"ready\" and waits. The receiver, the size of the session and of its batches are the\n"
    "environment's.\n";

static void must(bool done, const char *what)
{
    if (done)
        return;
    fprintf(stderr, "golden_engine: %s: %s\n", what, nsp_error_detail());
    exit(1);
}

static noted begin(const noted *parent, const char *name)
{
    nsp_ticks start = nsp_now();
    nsp_span *span = nsp_span_begin_at(nsp_intern(name, strlen(name)), start);
    return note_begun(span, name, NSP_KIND_INTERNAL, (place){parent, NULL, ""}, start);
}

#define PATH(PHASE, I64, F64, STR, BOOL)                                                                     \
    STR(text, 20, "text")                                                                                    \
    I64(unset, "unset")                                                                                      \
    PHASE(first, "first phase")                                                                              \
    BOOL(yes, "yes")                                                                                         \
    PHASE(skipped, "phase that did not happen")                                                              \
    I64(never, "never")                                                                                      \
    PHASE(last, "last phase")                                                                                \
    F64(half, "half")                                                                                        \
    I64(thread, "thread")
NSP_PATH_DECLARE(ended_path, "path", PATH)

#define OPEN_PATH(PHASE, I64, F64, STR, BOOL)                                                                \
    I64(thread, "thread")                                                                                    \
    PHASE(first, "finished phase")                                                                           \
    I64(one, "one")                                                                                          \
    PHASE(last, "unfinished phase")                                                                          \
    STR(text, 8, "text")                                                                                     \
    PHASE(never, "phase that did not happen")
NSP_PATH_DECLARE(open_path, "unfinished path", OPEN_PATH)

// Notes a path or, while one is open, its phase. What is set on the result is noted, and nothing else.
static noted note_path(nsp_span *span, const char *name, const noted *parent, nsp_ticks start)
{
    noted note = note_begun(span, name, NSP_KIND_INTERNAL, (place){parent, NULL, ""}, start);
    note.span = NULL;
    return note;
}

static void emit_path(int64_t thread)
{
    const nsp_ticks start = nsp_now();
    ended_path *path = ended_path_begin_at(start);
    noted own = note_path(nsp_path_span(path), "path", NULL, start);
    NSP_PATH_STR(path, text, "a text", 6);
    set_str(own, "text", "a text");
    const nsp_ticks first = nsp_now();
    NSP_PATH_MARK_AT(path, first, first);
    noted phase = note_path(nsp_path_span(path), "first phase", &own, first);
    path->yes = 1;
    set_bool(phase, "yes", true);
    const nsp_ticks last = nsp_now();
    note_end(phase, last);
    NSP_PATH_MARK_AT(path, last, last);
    phase = note_path(nsp_path_span(path), "last phase", &own, last);
    path->half = 0.5;
    path->thread = thread;
    set_f64(phase, "half", 0.5);
    set_i64(phase, "thread", thread);
    const nsp_ticks end = nsp_now();
    note_end(phase, end);
    note_end(own, end);
    ended_path_end_at(path, end);
}

static void leave_path_open(int64_t thread, bool detached)
{
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.start = nsp_now();
    options.detached = detached;
    options.new_root = true;
    open_path *path = open_path_begin_with(&options);
    noted own = note_path(nsp_path_span(path), "unfinished path", NULL, options.start);
    path->thread = thread;
    set_i64(own, "thread", thread);
    const nsp_ticks first = nsp_now();
    NSP_PATH_MARK_AT(path, first, first);
    noted phase = note_path(nsp_path_span(path), "finished phase", &own, first);
    path->one = 1;
    set_i64(phase, "one", 1);
    const nsp_ticks last = nsp_now();
    note_end(phase, last);
    NSP_PATH_MARK_AT(path, last, last);
    phase = note_path(nsp_path_span(path), "unfinished phase", &own, last);
    NSP_PATH_STR(path, text, "open", 4);
    set_str(phase, "text", "open");
}

// Open spans of all kinds of items, within a trace that another process began, on the calling thread; and a
// detached one.
static void leave_open(int64_t thread)
{
    static const char state[] = "vendor=abc,ot=th:c;rv:d29d6a7215ced0";
    static const char *const texts[] = {"one", "", "three"};
    nsp_context caller = context_of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", state);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.kind = NSP_KIND_SERVER;
    options.parent = &caller;
    options.start = nsp_now();
    nsp_span *span = nsp_span_begin_with(NSP_NAME("unfinished"), &options);
    noted outer = note_begun(span, "unfinished", options.kind, (place){NULL, &caller, state}, options.start);
    set_i64(outer, "thread", thread);
    set_str(outer, "text", "a text of more than sixteen bytes");
    set_bytes(outer, "bytes", "\x00\xff", 2);
    noted inner = begin(&outer, "unfinished child");
    set_bool(inner, "yes", true);
    set_f64(inner, "half", 0.5);
    set_strs(inner, "texts", texts, 3);
    set_status(inner, NSP_SPAN_STATUS_ERROR, "interrupted");
    noted_attr why[] = {{"why", nsp_attr_str(0, "a reason")}};
    add_event(inner, "before the end", nsp_now(), why, 1);
    add_link(inner, &caller, state, why, 1, false);
    options = (nsp_span_options)NSP_SPAN_OPTIONS_INIT;
    options.start = nsp_now();
    span = nsp_span_begin_detached(NSP_NAME("unfinished, detached"), &options);
    noted detached =
        note_begun(span, "unfinished, detached", options.kind, (place){&inner, NULL, ""}, options.start);
    set_i64(detached, "thread", thread);
    add_event(detached, "of a detached span", nsp_now(), NULL, 0);
}

// What lies in this thread's ring stays there, because nobody drains any more.
static void *second_thread(void *done)
{
    emit_set(2);
    emit_path(2);
    leave_open(2);
    leave_path_open(2, false);
    leave_path_open(2, true);
    pthread_barrier_wait(done);
    for (;;)
        pause();
    return NULL;
}

// Waits for the receiver to accept it. These spans are not noted, because no recovery finds them.
static void send_a_batch(uint32_t spans)
{
    nsp_stats stats = NSP_STATS_INIT;
    for (uint32_t i = 0; i < spans; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("sent by the engine")));
    while (nsp_do_work(1000) != 0)
        ;
    while (stats.exported != spans) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        nsp_stats_get(&stats);
    }
}

// Returns the number of spans in a full batch.
static uint32_t start(void)
{
    nsp_config config;
    nsp_config_init(&config);
    config.collector = NSP_COLLECTOR_INVOKER; // so that it is known what is drained
    config.schedule_delay_ns = 3600000000000; // no batch is closed before it is full
    config.sample_rate = 1;
    config.parent_policy = NSP_PARENT_FOLLOW;
    config.attribute_count_limit = LIMIT_ATTRIBUTES;
    config.event_count_limit = LIMIT_EVENTS;
    config.link_count_limit = LIMIT_LINKS;
    config.event_attribute_count_limit = config.link_attribute_count_limit = LIMIT_OWN_ATTRIBUTES;
    config.attribute_value_length_limit = LIMIT_TEXT;
    must(nsp_init(&config) == NSP_OK, "nsp_init");
    return (uint32_t)config.batch_spans;
}

int main(int argc, char **argv)
{
    if (argc != 2 || argv[1][0] == '-') {
        fputs(usage, argc == 2 ? stdout : stderr);
        return argc == 2 ? 0 : 1;
    }
    send_a_batch(start());
    noted first = begin(NULL, "only in a batch");
    set_str(first, "a key that is only in a batch", "with its value");
    nsp_ticks end = nsp_now();
    note_end(first, end);
    nsp_span_end_at(first.span, end);
    emit_set(1);
    emit_path(1);
    while (nsp_do_work(1000) != 0)
        ;
    pthread_t thread;
    pthread_barrier_t done;
    pthread_barrier_init(&done, NULL, 2);
    must(pthread_create(&thread, NULL, second_thread, &done) == 0, "pthread_create");
    pthread_barrier_wait(&done); // the notes are not for two threads at a time
    leave_path_open(1, true);
    leave_open(1);
    must(unrecorded == 0, "a span was not recorded");
    nsp_stats stats = NSP_STATS_INIT;
    nsp_stats_get(&stats);
    expectation_date();
    must(expectation_write(argv[1], &stats), "cannot write");
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}

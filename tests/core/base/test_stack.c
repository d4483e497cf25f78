// SPDX-License-Identifier: Apache-2.0
//
// How much of its caller's stack each function needs. The stack is filled with a pattern before a call; the
// function needs what the call has overwritten. Everything that a header allows on threads and in signal
// handlers also runs with no more stack than promised: on a thread of 16 KiB, and in a signal handler on an
// alternate stack of 8 KiB. Like the shared library, this program is linked with -z now, because binding a
// name lazily would take more stack than any call.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/capture.h"
#include "support/headers.h"
#include "support/sanitizer.h"

#define MINUTE 60000000000u
#define TRACE "5c1e8a90b7d34f26a1c09d7e63f2b845"
#define SPAN "3f8d20c6e91b7a54"

// The limits from nanospan's headers. Frames are larger under a sanitizer, so there only an overrun fails.
enum { PROMISED = 4096, PROMISED_COLD = 16384, THREAD_STACK = 16384, SIGNAL_STACK = 8192, PAINT = 0x5a };

static bool exact(void)
{
#ifdef __OPTIMIZE__
    return !TEST_UNDER_ASAN && !TEST_UNDER_TSAN;
#else
    return false;
#endif
}

// ---- what is called ----

// Nothing here may be on the caller's stack.
static headers request;

// A carrier that needs hardly any stack, so that only the library's use is measured.
static bool get(void *fields, const char *name, size_t index, const char **value, size_t *length)
{
    const headers *all = fields;
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->fields[i].name, name) == 0 && index-- == 0) {
            *value = all->fields[i].value;
            *length = all->fields[i].length;
            return true;
        }
    return false;
}

static bool set(void *fields, const char *name, const char *value, size_t length)
{
    (void)name;
    (void)value;
    *(size_t *)fields += length;
    return true;
}

static size_t written;
static nsp_carrier from = {&request, get, NULL}, to = {&written, NULL, set};
static nsp_incoming incoming;
static nsp_baggage list;
static nsp_context context;
static nsp_span *span;
static char text[NSP_BAGGAGE_MAX + 1], traceparent[NSP_TRACEPARENT_SIZE];
static uint8_t packed[NSP_CONTEXT_PACKED_SIZE];
static nsp_stats stats = NSP_STATS_INIT;
static nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
static nsp_link links[2];
static nsp_attr attributes[3];

static void extract(void)
{
    nsp_extract(&incoming, &from);
}
static void inject(void)
{
    nsp_inject(&incoming.context, &incoming.baggage, &to);
}
static void inject_span(void)
{
    nsp_inject_span(NULL, &to);
}
static void inject_field(void)
{
    nsp_inject_field(3);
}
static void enter_incoming(void)
{
    nsp_incoming_enter(nsp_incoming_enter(&incoming));
}
static void context_parse(void)
{
    nsp_context_parse(&context, "00-" TRACE "-" SPAN "-01", "a=1,ot=th:8;x:1;foo");
}
static void context_format(void)
{
    nsp_context_format(&incoming.context, traceparent);
}
static void context_state(void)
{
    nsp_context_format_state(&incoming.context, text, sizeof text);
}
static void context_pack(void)
{
    nsp_context_pack(&incoming.context, packed);
}
static void context_size(void)
{
    nsp_context_packed_size(&incoming.context);
}
static void context_unpack(void)
{
    nsp_context_unpack(&context, packed, sizeof packed);
}
static void baggage_parse(void)
{
    nsp_baggage_parsen(&list, "a=1,b=2;p=q, c = %20,,bad", 25);
}
static void baggage_set(void)
{
    nsp_baggage_set(&list, "key", "a value; with \"all\" in it");
}
static void baggage_with(void)
{
    nsp_baggage_set_with(&list, "key", "2", 1, "p=q;r");
}
static void baggage_get(void)
{
    nsp_baggage_get(&list, "key", text, sizeof text, NULL);
}
static void baggage_remove(void)
{
    nsp_baggage_remove(&list, "a");
}

static nsp_environment environment;
static void environment_set(void)
{
    nsp_environment_set(&environment, "traceparent", "value", 5);
}
static void environment_get(void)
{
    const char *value;
    size_t length;
    nsp_environment_get(&environment, "traceparent", 0, &value, &length);
    nsp_environment_get(NULL, "traceparent", 0, &value, &length);
}
static void environment_copy(void)
{
    nsp_environment_free(&environment);
    nsp_environment_copy(&environment, NULL);
}

static void begin(void)
{
    nsp_span_end(nsp_span_begin(NSP_NAME("begin")));
}
static void begin_with(void)
{
    nsp_span_end(nsp_span_begin_with(NSP_NAME("with"), &options));
}
static void begin_detached(void)
{
    nsp_span_end(nsp_span_begin_detached(NSP_NAME("detached"), &options));
}
static void begin_copy(void)
{
    nsp_span_end(nsp_span_begin_detached(NSP_NAME("detached"), NULL));
}
static void span_next(void)
{
    nsp_span_end(nsp_span_next(nsp_span_begin(NSP_NAME("one")), NSP_NAME("two")));
}
static void span_context(void)
{
    nsp_span_context(NULL, &context);
}
static void set_long(void)
{
    nsp_span_set_str(span, NSP_KEY("text"), "a text of more than sixteen bytes, and then some");
}
static void set_array(void)
{
    nsp_span_set_i64s(span, NSP_KEY("array"), (const int64_t[]){1, 2, 3}, 3);
}
static void add_event(void)
{
    nsp_span_add_event_with(span, NSP_NAME("event"), 0, attributes, 3);
}
static void add_link(void)
{
    nsp_span_add_link_with(span, &incoming.context, attributes, 3);
}
static void set_status(void)
{
    nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, "what went wrong");
}
static void end_twice(void)
{
    nsp_span *once = nsp_span_begin(NSP_NAME("twice"));
    nsp_span_end(once);
    nsp_span_end(once);
}

static void intern(void)
{
    nsp_intern("a name that is new", 18);
}
static void name_text(void)
{
    nsp_name_text(NSP_NAME("begin"), NULL);
}
static void ticks(void)
{
    nsp_ticks_from_unix_ns(nsp_ticks_to_unix_ns(nsp_now()));
}
static void detail(void)
{
    nsp_error_detail();
}
static void set_rate(void)
{
    nsp_sampler_set_rate(1);
}
static void set_bad_rate(void)
{
    nsp_sampler_set_rate(-1);
}
static void set_rule(void)
{
    nsp_sampler_set_rule("rule.*", 0.5);
}
static void set_bad_rule(void)
{
    nsp_sampler_set_rule("", 0.5);
}
static void remove_rule(void)
{
    nsp_sampler_remove_rule("rule.*");
}
static void remove_no_rule(void)
{
    nsp_sampler_remove_rule("none");
}
static void set_policy(void)
{
    nsp_sampler_set_parent_policy(NSP_PARENT_FOLLOW);
}
static void thread_attach(void)
{
    nsp_thread_attach(NULL);
}
static void thread_reset(void)
{
    nsp_thread_reset();
}
static void stats_get(void)
{
    nsp_stats_get(&stats);
}
static void flush(void)
{
    nsp_flush(MINUTE);
}

#define CALL(function)                                                                                       \
    {                                                                                                        \
#function, function                                                                                  \
    }
static const struct call {
    const char *name;
    void (*function)(void);
} signal_safe[] =
    {
        CALL(extract),       CALL(inject),         CALL(inject_field),    CALL(enter_incoming),
        CALL(context_parse), CALL(context_format), CALL(context_state),   CALL(context_pack),
        CALL(context_size),  CALL(context_unpack), CALL(baggage_parse),   CALL(baggage_set),
        CALL(baggage_with),  CALL(baggage_get),    CALL(baggage_remove),  CALL(begin),
        CALL(begin_with),    CALL(begin_detached), CALL(begin_copy),      CALL(span_next),
        CALL(set_long),      CALL(set_array),      CALL(add_event),       CALL(add_link),
        CALL(set_status),    CALL(end_twice),      CALL(environment_set), CALL(environment_get),
        CALL(span_context),  CALL(intern),         CALL(name_text),       CALL(ticks),
},
  others[] = {
      CALL(inject_span),  CALL(detail),           CALL(set_rate),       CALL(set_bad_rate),  CALL(set_rule),
      CALL(set_bad_rule), CALL(remove_rule),      CALL(remove_no_rule), CALL(set_policy),    CALL(stats_get),
      CALL(flush),        CALL(environment_copy), CALL(thread_reset),   CALL(thread_attach),
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// ---- measuring ----

// Fills the stack below this function's frame with a pattern. The deepest byte that a call changes shows its
// depth.
static __attribute__((noinline)) size_t need_of(void (*function)(void), size_t room)
{
    volatile uint8_t *top = (volatile uint8_t *)__builtin_frame_address(0) - 512;
    for (size_t i = 1; i <= room; i++)
        top[-(ptrdiff_t)i] = PAINT;
    function();
    for (size_t i = room; i > 0; i--)
        if (top[-(ptrdiff_t)i] != PAINT)
            return i + 512;
    return 512;
}

typedef struct measuring {
    const struct call *calls;
    size_t count, room, most;
    const char *deepest;
} measuring;

static void *measure(void *argument)
{
    measuring *all = argument;
    span = nsp_span_begin(NSP_NAME("open")); // the thread is attached, and names are known
    for (size_t i = 0; i < all->count; i++) {
        all->calls[i]
            .function(); // an unmeasured call first, in which the dynamic linker binds this program's names
        size_t need = need_of(all->calls[i].function, all->room);
        if (need > all->most) {
            all->most = need;
            all->deepest = all->calls[i].name;
        }
        if (exact() && need > PROMISED) {
            print_error("%s: %zu bytes of stack\n", all->calls[i].name, need);
            all->deepest = NULL;
        }
    }
    nsp_span_end(span);
    nsp_thread_reset();
    return NULL;
}

// On a stack of exactly this size, with an inaccessible page below it.
static void run_on_stack(size_t bytes, void *(*function)(void *), void *argument)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), least = (size_t)sysconf(_SC_THREAD_STACK_MIN);
    if (bytes < least)
        bytes = least;
    if (!exact())
        bytes *= 16;
    uint8_t *memory = mmap(NULL, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    assert_int_equal(mprotect(memory, page, PROT_NONE), 0);
    pthread_attr_t attr;
    pthread_t thread;
    pthread_attr_init(&attr);
    assert_int_equal(pthread_attr_setstack(&attr, memory + page, bytes), 0);
    assert_int_equal(pthread_create(&thread, &attr, function, argument), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
    munmap(memory, bytes + page);
}

static int begin_session(void **state)
{
    (void)state;
    nsp_config config;
    capture_config(&config);
    config.propagators = "tracecontext,baggage,b3,b3multi";
    config.sample_rate = 1;
    capture_start(&config);
    // Fields that cause much work: a list of 32 members in several fields, one of them with malformed parts,
    // much baggage, all of B3.
    headers_read(&request,
                 "traceparent: 00-" TRACE "-" SPAN "-01\ntracestate: ot=th:8;x:1;foo,a=1\ntracestate: b=2"
                 "\nbaggage: k=v,key=%41%C3%A9\nb3: " TRACE "-" SPAN "-d\nx-b3-traceid: " TRACE
                 "\nx-b3-spanid: " SPAN "\nx-b3-flags: 1");
    for (int i = 0; i < 29; i++)
        headers_add(&request, "tracestate", "member=with a value of some length");
    assert_int_equal(nsp_extract(&incoming, &from), NSP_OK);
    assert_true(incoming.context.tracestate_length > 400);
    links[0].context = links[1].context = incoming.context;
    attributes[0] = nsp_attr_str(NSP_KEY("text"), "value");
    attributes[1] = nsp_attr_i64(NSP_KEY("number"), 1);
    attributes[2] = nsp_attr_bool(NSP_KEY("truth"), true);
    options.parent = &incoming.context;
    options.links = links;
    options.link_count = 2;
    return 0;
}

static int end_session(void **state)
{
    headers_clear(&request);
    nsp_environment_free(&environment);
    return capture_teardown(state);
}

static void calls_keep_within_what_is_promised(void **state)
{
    (void)state;
    if (!exact())
        SKIP_BECAUSE("frames are larger in this build");
    static const struct {
        const struct call *calls;
        size_t count;
    } groups[] = {{signal_safe, COUNT(signal_safe)}, {others, COUNT(others)}};
    for (size_t i = 0; i < COUNT(groups); i++) {
        measuring all = {groups[i].calls, groups[i].count, 64 * 1024, 0, ""};
        run_on_stack(256 * 1024, measure, &all);
        assert_non_null(all.deepest);
        printf("deepest: %s, %zu bytes\n", all.deepest, all.most);
        assert_true(all.most > 600); // something was measured
    }
}

// ---- with exactly that much stack ----

static void *call_all(void *argument)
{
    size_t *calls = argument;
    span = nsp_span_begin(NSP_NAME("open"));
    for (size_t i = 0; i < COUNT(signal_safe); i++, ++*calls)
        signal_safe[i].function();
    for (size_t i = 0; i < COUNT(others); i++, ++*calls)
        others[i].function();
    nsp_span_end(span);
    return NULL;
}

static void a_thread_of_16_KiB_may_call_everything(void **state)
{
    (void)state;
    if (TEST_UNDER_TSAN)
        SKIP_BECAUSE("the thread sanitizer's own thread-local memory does not fit into such a stack");
    size_t calls = 0;
    run_on_stack(THREAD_STACK, call_all, &calls);
    assert_int_equal(calls, COUNT(signal_safe) + COUNT(others));
    capture_settle();
    assert_true(capture_count_named("with") == 1);
}

static size_t handled;

static void handler(int number)
{
    (void)number;
    for (size_t i = 0; i < COUNT(signal_safe); i++, handled++)
        signal_safe[i].function();
}

static void *be_interrupted(void *argument)
{
    span = nsp_span_begin(NSP_NAME("open"));
    stack_t stack = {.ss_sp = argument, .ss_size = SIGNAL_STACK}, none = {.ss_flags = SS_DISABLE};
    // How much the kernel itself puts there depends on the processor.
    size_t least = (size_t)sysconf(_SC_MINSIGSTKSZ) + PROMISED;
    if (stack.ss_size < least)
        stack.ss_size = least;
    if (!exact())
        stack.ss_size *= 8;
    stack.ss_sp = (uint8_t *)argument + 256 * 1024 - stack.ss_size; // the top of the block
    memset(argument, PAINT, 256 * 1024);
    sigaltstack(&stack, NULL);
    pthread_kill(pthread_self(), SIGUSR1);
    sigaltstack(&none, NULL);
    size_t below = 256 * 1024 - stack.ss_size;
    for (size_t i = 0; i < below; i++)
        if (((uint8_t *)argument)[i] != PAINT)
            handled = 0; // the handler ran over the end
    nsp_span_end(span);
    return NULL;
}

static void a_handler_on_8_KiB_may_record_and_propagate(void **state)
{
    (void)state;
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK}, before;
    uint8_t *memory = malloc(256 * 1024);
    assert_non_null(memory);
    assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
    handled = 0;
    run_on_stack(256 * 1024, be_interrupted, memory);
    assert_int_equal(handled, COUNT(signal_safe));
    sigaction(SIGUSR1, &before, NULL);
    free(memory);
}

// ---- cold calls ----

static void cold_end(void)
{
    nsp_shutdown(MINUTE);
}

static void cold_start(void)
{
    static nsp_config config;
    capture_config(&config);
    nsp_init(&config);
}

// Over TLS, and with the exporter's work done here.
static void cold_otlp(void)
{
    static nsp_config config;
    nsp_config_init(&config);
    config.exporter = "otlp";
    config.endpoint = "https://127.0.0.1:9";
    config.collector = NSP_COLLECTOR_INVOKER;
    config.exit_timeout_ns = 0;
    nsp_init(&config);
}
static void cold_work(void)
{
    nsp_span_end(nsp_span_begin(NSP_NAME("work")));
    nsp_do_work(100);
    nsp_flush(300000000);
}
static void cold_stop(void)
{
    nsp_shutdown(1000000);
}

static bool see_setting(void *argument, const nsp_setting *setting)
{
    (void)argument;
    (void)setting;
    return true;
}
static void cold_settings(void)
{
    nsp_settings_each(see_setting, NULL);
}

static bool see_session(void *argument, const nsp_session *session)
{
    (void)argument;
    (void)session;
    return true;
}
static void cold_sessions(void)
{
    nsp_sessions_each(NULL, see_session, NULL);
}

static const struct call cold[] = {CALL(cold_end), CALL(cold_start), CALL(cold_settings), CALL(cold_sessions),
                                   CALL(cold_end), CALL(cold_otlp),  CALL(cold_work),     CALL(cold_stop)};

static void *measure_cold(void *argument)
{
    size_t *most = argument;
    for (size_t i = 0; i < COUNT(cold); i++) {
        most[i] = need_of(cold[i].function, 128 * 1024);
        printf("%s: %zu bytes\n", cold[i].name, most[i]);
    }
    return NULL;
}

static void cold_calls_say_what_they_need(void **state)
{
    (void)state;
    if (!exact())
        SKIP_BECAUSE("frames are larger in this build");
    size_t most[COUNT(cold)];
    run_on_stack(512 * 1024, measure_cold, most);
    for (size_t i = 0; i < COUNT(cold); i++)
        assert_true(most[i] <= PROMISED_COLD);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_session, end_session)
    const struct CMUnitTest tests[] = {
        TEST(calls_keep_within_what_is_promised),
        TEST(a_thread_of_16_KiB_may_call_everything),
        TEST(a_handler_on_8_KiB_may_record_and_propagate),
        TEST(cold_calls_say_what_they_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

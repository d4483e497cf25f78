// SPDX-License-Identifier: Apache-2.0
//
// Contexts and baggage in the environment of processes. The tests start real children, which report what they
// found.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "propagation/propagators.h"
#include "support/capture.h"
#include "support/child.h"
#include "support/emulator.h"

#define TRACE "5c1e8a90b7d34f26a1c09d7e63f2b845"
#define SPAN "3f8d20c6e91b7a54"
#define PARENT "00-" TRACE "-" SPAN "-01"

static char said[NSP_BAGGAGE_MAX + 2048];

// What the kernel would report for a set-user-id program.
static bool secure;

unsigned long getauxval(unsigned long type)
{
    unsigned long (*real)(unsigned long);
    *(void **)&real = dlsym(RTLD_NEXT, "getauxval");
    return type == AT_SECURE && secure ? 1 : real(type);
}

// This program started as a child: prints the context from its environment.
static int be_child(void)
{
    static nsp_incoming incoming;
    char parent[NSP_TRACEPARENT_SIZE], list[NSP_TRACESTATE_MAX + 1];
    nsp_carrier carrier = {NULL, nsp_environment_get, NULL};
    nsp_status status = nsp_extract(&incoming, &carrier);
    nsp_context_format(&incoming.context, parent);
    nsp_context_format_state(&incoming.context, list, sizeof list);
    printf("%d %s %s %s", (int)status, parent, list, incoming.baggage.text);
    printf(" %s", getenv("OTHER") != NULL ? getenv("OTHER") : "-");
    return 0;
}

// Starts the child with this environment. Its output goes to `said`.
static void start_child(char **entries)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 1);
        close(ends[0]);
        program_exec("/proc/self/exe", entries, "child", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    size_t length = 0;
    for (ssize_t got; (got = read(ends[0], said + length, sizeof said - 1 - length)) > 0;)
        length += (size_t)got;
    said[length] = '\0';
    close(ends[0]);
    assert_int_equal(child_wait(child, 60), 0);
}

static const char *entry_of(const nsp_environment *environment, const char *name)
{
    const char *found = NULL;
    size_t length = strlen(name);
    for (size_t i = 0; i < environment->count; i++)
        if (strncmp(environment->entries[i], name, length) == 0 && environment->entries[i][length] == '=') {
            assert_null(found); // the environment has it once
            found = environment->entries[i] + length + 1;
        }
    assert_null(environment->entries[environment->count]);
    return found;
}

static nsp_status copy_of(nsp_environment *environment, const char *const *entries)
{
    return nsp_environment_copy(environment, (char *const *)(uintptr_t)entries);
}

static nsp_incoming incoming_of(const char *list, const char *baggage)
{
    nsp_incoming incoming = {0};
    assert_int_equal(nsp_context_parse(&incoming.context, PARENT, list), NSP_OK);
    assert_int_equal(nsp_baggage_parsen(&incoming.baggage, baggage, strlen(baggage)), NSP_OK);
    return incoming;
}

static int begin(void **state)
{
    (void)state;
    nsp__propagators_choose("tracecontext,baggage");
    return 0;
}

static void a_child_finds_the_context(void **state)
{
    (void)state;
    const char *const given[] = {"OTHER=1",
                                 "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                 "TRACESTATE=old=1", "BAGGAGE=old=2", NULL};
    nsp_environment environment;
    nsp_incoming incoming = incoming_of("a=1,ot=th:8", "k=v,account=1%202");
    assert_int_equal(copy_of(&environment, given), NSP_OK);
    nsp_carrier carrier = {&environment, nsp_environment_get, nsp_environment_set};
    assert_int_equal(nsp_inject(&incoming.context, &incoming.baggage, &carrier), NSP_OK);
    start_child(environment.entries);
    assert_string_equal(said, "0 " PARENT " a=1,ot=th:8 k=v,account=1%202 1");
    // This process reads the same from the copy, and the original is unchanged.
    nsp_incoming back;
    assert_int_equal(nsp_extract(&back, &carrier), NSP_OK);
    assert_memory_equal(&back.context, &incoming.context, sizeof back.context);
    assert_string_equal(given[2], "TRACESTATE=old=1");
    nsp_environment_free(&environment);
    assert_null(environment.entries);
    nsp_environment_free(&environment);
}

// The previous span's tracestate and baggage do not accompany a new traceparent. Without a new one,
// everything is passed on.
static void what_was_inherited_goes_whole_or_stays_whole(void **state)
{
    (void)state;
    const char *const given[] = {"TRACESTATE=old=1",
                                 "BAGGAGE=old=2",
                                 "X_B3_SAMPLED=0",
                                 "B3=1",
                                 "OTHER=1",
                                 "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                                 NULL};
    nsp_environment environment;
    nsp_incoming incoming = incoming_of(NULL, "");
    assert_int_equal(copy_of(&environment, given), NSP_OK);
    nsp_carrier carrier = {&environment, nsp_environment_get, nsp_environment_set};
    assert_int_equal(nsp_inject(NULL, NULL, &carrier), NSP_OK);
    start_child(environment.entries);
    assert_string_equal(said, "0 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 old=1 old=2 1");
    assert_int_equal(environment.count, 6);
    assert_int_equal(nsp_inject(&incoming.context, &incoming.baggage, &carrier), NSP_OK);
    start_child(environment.entries);
    assert_string_equal(said, "0 " PARENT "   1");
    assert_int_equal(environment.count, 2);
    nsp_environment_free(&environment);
}

static void names_are_those_of_variables(void **state)
{
    (void)state;
    nsp__propagators_choose("b3multi,b3");
    const char *const given[] = {
        "X_B3_TRACEID_=x", "_X_B3_SPANID=x", "b3=x", "no equals sign", "=", "", NULL};
    nsp_environment environment;
    nsp_incoming incoming = incoming_of(NULL, "");
    assert_int_equal(copy_of(&environment, given), NSP_OK);
    nsp_carrier carrier = {&environment, nsp_environment_get, nsp_environment_set};
    assert_int_equal(nsp_inject(&incoming.context, NULL, &carrier), NSP_OK);
    assert_string_equal(entry_of(&environment, "X_B3_TRACEID"), TRACE);
    assert_string_equal(entry_of(&environment, "X_B3_SPANID"), SPAN);
    assert_string_equal(entry_of(&environment, "X_B3_SAMPLED"), "1");
    assert_string_equal(entry_of(&environment, "B3"), TRACE "-" SPAN "-1");
    assert_int_equal(environment.count, 6 + 4);
    // Any name works, and it is found again in every spelling.
    const char *value;
    size_t length;
    assert_true(nsp_environment_set(&environment, "2nd.nämé-x", "v", 1));
    assert_string_equal(entry_of(&environment, "_2ND_N__M___X"), "v");
    assert_true(nsp_environment_get(&environment, "2ND-N__m__.X", 0, &value, &length));
    assert_int_equal(length, 1);
    assert_false(nsp_environment_get(&environment, "2ND-N__m__.X", 1, &value, &length));
    assert_false(nsp_environment_get(&environment, "nd", 0, &value, &length));
    nsp_environment_free(&environment);
}

static void values_are_replaced_and_bounded(void **state)
{
    (void)state;
    nsp__propagators_choose("tracecontext,baggage,b3,b3multi");
    static char list[NSP_TRACESTATE_MAX + 1], baggage[NSP_BAGGAGE_MAX + 1];
    for (size_t i = 0; i < NSP_TRACESTATE_MAX; i++)
        list[i] = i % 64 == 0 ? 'a' : i % 64 == 1 ? '=' : i % 64 == 63 ? ',' : 'v';
    list[NSP_TRACESTATE_MAX - 1] = 'v';
    memset(baggage, 'v', NSP_BAGGAGE_MAX);
    memcpy(baggage, "k=", 2);
    nsp_incoming incoming = incoming_of(list, baggage);
    assert_int_equal(incoming.context.tracestate_length, NSP_TRACESTATE_MAX);
    nsp_environment environment;
    const char *const nothing[] = {NULL};
    assert_int_equal(copy_of(&environment, nothing), NSP_OK);
    nsp_carrier carrier = {&environment, nsp_environment_get, nsp_environment_set};
    for (int round = 0; round < 3; round++) { // values of the largest size, repeatedly
        assert_int_equal(nsp_inject(&incoming.context, &incoming.baggage, &carrier), NSP_OK);
        assert_string_equal(entry_of(&environment, "TRACESTATE"), list);
        assert_string_equal(entry_of(&environment, "BAGGAGE"), baggage);
        assert_string_equal(entry_of(&environment, "TRACEPARENT"), PARENT);
        assert_int_equal(environment.count, 7);
    }
    start_child(environment.entries);
    assert_int_equal(strlen(said), strlen("0 " PARENT "  ") + NSP_TRACESTATE_MAX + NSP_BAGGAGE_MAX + 2);
    // Without room the value keeps its old content, and so do the others.
    static char huge[16384];
    memset(huge, 'h', sizeof huge);
    assert_false(nsp_environment_set(&environment, "traceparent", huge, sizeof huge));
    assert_false(nsp_environment_set(&environment, "traceparent", "a\0b", 3));
    assert_string_equal(entry_of(&environment, "TRACEPARENT"), PARENT);
    assert_true(nsp_environment_set(&environment, "baggage", "", 0));
    assert_string_equal(entry_of(&environment, "BAGGAGE"), "");
    assert_string_equal(entry_of(&environment, "TRACESTATE"), list);
    int more = 0;
    for (char name[] = "a"; nsp_environment_set(&environment, name, "1", 1); name[0]++)
        more++;
    assert_int_equal(more, 1); // there is room for eight fields
    assert_int_equal(environment.count, 8);
    nsp_environment_free(&environment);
    assert_false(nsp_environment_set(&environment, "a", "1", 1));
    assert_false(nsp_environment_set(NULL, "a", "1", 1));
}

static void the_processes_own_environment(void **state)
{
    (void)state;
    nsp_carrier own = {NULL, nsp_environment_get, NULL};
    nsp_incoming incoming;
    setenv("TRACEPARENT", " " PARENT " ", 1);
    setenv("TRACESTATE", "a=1", 1);
    setenv("OTHER", "mine", 1);
    assert_int_equal(nsp_extract(&incoming, &own), NSP_OK);
    assert_int_equal(incoming.context.tracestate_length, 3);
    nsp_environment environment;
    assert_int_equal(nsp_environment_copy(&environment, NULL), NSP_OK);
    assert_string_equal(entry_of(&environment, "OTHER"), "mine");
    start_child(environment.entries);
    assert_string_equal(said, "0 " PARENT " a=1  mine");
    nsp_environment_free(&environment);
    secure = true; // whoever started this program has fewer rights than it has
    assert_int_equal(nsp_extract(&incoming, &own), NSP_ERR_NOT_FOUND);
    secure = false;
    unsetenv("TRACEPARENT");
    unsetenv("TRACESTATE");
    unsetenv("OTHER");
}

static void a_span_in_a_child(void **state)
{
    (void)state;
    capture_begin(1);
    nsp_span *span = nsp_span_begin(NSP_NAME("start"));
    nsp_environment environment;
    nsp_context context;
    char expected[NSP_TRACEPARENT_SIZE];
    assert_int_equal(nsp_environment_copy(&environment, NULL), NSP_OK);
    nsp_carrier carrier = {&environment, nsp_environment_get, nsp_environment_set};
    assert_int_equal(nsp_inject_span(span, &carrier), NSP_OK);
    start_child(environment.entries);
    nsp_span_context(span, &context);
    nsp_context_format(&context, expected);
    assert_memory_equal(said + 2, expected, NSP_TRACEPARENT_SIZE - 1);
    nsp_environment_free(&environment);
    nsp_span_end(span);
    capture_end();
}

int main(int count, char **arguments)
{
    if (count == 1 && strcmp(arguments[0], "child") == 0)
        return be_child();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_child_finds_the_context, begin),
        cmocka_unit_test_setup(what_was_inherited_goes_whole_or_stays_whole, begin),
        cmocka_unit_test_setup(names_are_those_of_variables, begin),
        cmocka_unit_test_setup(values_are_replaced_and_bounded, begin),
        cmocka_unit_test_setup(the_processes_own_environment, begin),
        cmocka_unit_test_setup_teardown(a_span_in_a_child, begin, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

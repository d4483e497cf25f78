// SPDX-License-Identifier: Apache-2.0
#include "support/tuned_engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/testpoint.h"
#include "support/capture.h"
#include "support/child.h"
#include "trace/trace_state.h"

char tuned_directory[sizeof((nsp__session *)NULL)->directory];
static nsp_collector_mode collector;

// A flush does not wait for the collector's thread while that calls the log callback: many of them can pass
// before a busy machine lets the thread go on.
enum { MOMENTS = 30000 };

static void wait_a_moment(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

void tuned_begin_with(const nsp_config *config)
{
    collector = config->collector;
    nsp_thread_reset();
    capture_start(config);
    snprintf(tuned_directory, sizeof tuned_directory, "%s", nsp__trace_state.session->directory);
}

void tuned_begin(nsp_collector_mode mode)
{
    nsp_config config;
    capture_config(&config);
    config.collector = mode;
    tuned_begin_with(&config);
}

void tuned_end(void)
{
    nsp_thread_reset();
    if (collector == NSP_COLLECTOR_INVOKER)
        nsp_do_work(SIZE_MAX);
    capture_end();
}

nsp_tune *tuned_open(void)
{
    nsp_tune *tune;
    char problem[200];
    nsp_status status = nsp_tune_open(&tune, tuned_directory, problem, sizeof problem);
    if (status != NSP_OK)
        fail_msg("%s: %s", nsp_status_str(status), problem);
    return tune;
}

nsp_status tuned_set_rate(nsp_tune *tune, double rate)
{
    const nsp_tune_change change = {.kind = NSP_TUNE_RATE, .value = rate};
    return nsp_tune_apply(tune, &change, 1, NULL);
}

nsp_status tuned_set_rule(nsp_tune *tune, const char *pattern, double rate)
{
    const nsp_tune_change change = {.kind = NSP_TUNE_RULE, .pattern = pattern, .value = rate};
    return nsp_tune_apply(tune, &change, 1, NULL);
}

nsp_status tuned_remove_rule(nsp_tune *tune, const char *pattern)
{
    const nsp_tune_change change = {.kind = NSP_TUNE_REMOVE_RULE, .pattern = pattern};
    return nsp_tune_apply(tune, &change, 1, NULL);
}

nsp_status tuned_set_parent_policy(nsp_tune *tune, nsp_parent_policy policy)
{
    const nsp_tune_change change = {.kind = NSP_TUNE_PARENT_POLICY, .parent_policy = policy};
    return nsp_tune_apply(tune, &change, 1, NULL);
}

bool tuned_recorded(const char *name)
{
    nsp_span *root = nsp_span_begin(nsp_intern(name, strlen(name)));
    bool recording = nsp_span_recording(root);
    nsp_span_end(root);
    return recording;
}

nsp_tune_change tuned_rule(const char *pattern, double rate)
{
    return (nsp_tune_change){.kind = NSP_TUNE_RULE, .pattern = pattern, .value = rate};
}

const char *tuned_logged(const char *text)
{
    for (int tries = 0; capture_lines_with(text) == 0; tries++) {
        if (tries == MOMENTS) {
            for (size_t i = 0; i < capture_lines(); i++)
                print_error("logged: %s\n", capture_line(i));
            fail_msg("nobody has logged \"%s\"", text);
        }
        capture_settle();
        wait_a_moment();
    }
    for (size_t i = capture_lines(); i-- > 0;)
        if (strstr(capture_line(i), text) != NULL)
            return capture_line(i);
    return NULL;
}

void tuned_pass(void)
{
    const uint32_t *told = &nsp__producer_self()->slot->skips.generation;
    int tries = 0;
    do {
        if (tries != 0)
            wait_a_moment();
        capture_settle();
        assert_true(++tries < MOMENTS);
    } while (__atomic_load_n(told, __ATOMIC_ACQUIRE) != nsp__trace_state.control->policy_generation);
    capture_settle();
}

#ifdef NSP_TESTPOINTS
const tuned_death tuned_deaths[TUNED_DEATHS] = {
    {"policy: without its classes", false},
    {"policy: without its outlier rules", false},
    {"policy: before it is published", false},
    {"tune: published", true},
    {"tune: slots told", true},
    {"policy: a name has its class", true},
    {"tune: names replayed", true},
};

static const char *last_point;

static void die_there(const char *point)
{
    if (strcmp(point, last_point) == 0)
        raise(SIGKILL);
}

void tuned_kill_writer(const char *point, const nsp_tune_change *changes, size_t count)
{
    pid_t child = child_fork();
    if (child == 0) {
        nsp_tune *tune;
        last_point = point;
        CHILD_CHECK(nsp_tune_open(&tune, tuned_directory, NULL, 0) == NSP_OK);
        __atomic_store_n(&nsp__testpoint_hook, die_there, __ATOMIC_RELEASE);
        nsp_tune_apply(tune, changes, count, NULL);
        _exit(7); // it was to die before
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    if (!WIFSIGNALED(how))
        fail_msg("the writer did not come to \"%s\"", point);
}
#endif

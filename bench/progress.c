// SPDX-License-Identifier: Apache-2.0
#include "progress.h"

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/time.h"

enum { EXPECTED_MAX = 512 };

static struct {
    const char *name;
    double seconds; // taken, or expected; 0: unknown
} expected[EXPECTED_MAX];
static size_t expected_count, current; // current: the one that is being measured, or the next one
static double began, shown, taken;
static json_t *earlier_results;
static bench_setup *the_setup;
static volatile sig_atomic_t stop_signal;

static double seconds_now(void)
{
    return (double)nsp__monotonic_ns() / 1e9;
}

static bool terminal(void)
{
    static int is = -1;
    if (is < 0)
        is = isatty(STDERR_FILENO);
    return is != 0;
}

static void stop(int number)
{
    stop_signal = number;
}

int progress_stopped(void)
{
    return stop_signal;
}

void progress_start(bench_setup *setup, const char *earlier)
{
    struct sigaction action = {.sa_handler = stop, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    the_setup = setup;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    json_t *root = earlier != NULL ? json_load_file(earlier, 0, NULL) : NULL;
    // The times of a quick run say nothing about a long run, and the other way round.
    if (root != NULL && json_is_true(json_object_get(root, "quick")) == setup->quick)
        earlier_results = json_incref(json_object_get(root, "results"));
    json_decref(root);
}

void progress_expect(const char *name)
{
    if (expected_count == EXPECTED_MAX)
        return;
    double seconds = 0;
    size_t i;
    const json_t *item;
    json_array_foreach(earlier_results, i, item)
    {
        const char *text = json_string_value(json_object_get(item, "name"));
        if (text != NULL && strcmp(text, name) == 0)
            seconds = json_number_value(json_object_get(item, "seconds"));
    }
    expected[expected_count].name = name;
    expected[expected_count++].seconds = seconds;
}

// Seconds until the end; 0: unknown. Benchmarks that no earlier run has measured are expected to take the
// mean of those that are done, once a quarter of all are done.
static double seconds_left(void)
{
    double mean = current * 4 > expected_count ? taken / (double)current : 0, left = 0;
    for (size_t i = current; i < expected_count; i++) {
        double seconds = expected[i].seconds != 0 ? expected[i].seconds : mean;
        if (seconds == 0)
            return 0;
        left += seconds;
    }
    return left;
}

static const char *left_text(double already)
{
    static char text[48];
    double left = seconds_left() - already;
    if (left <= 0)
        text[0] = '\0';
    else if (left < 90)
        snprintf(text, sizeof text, ", about %.0f s left", left);
    else
        snprintf(text, sizeof text, ", about %.0f min left", left / 60);
    return text;
}

void progress_begin(void)
{
    began = seconds_now();
    const char *name = current < expected_count ? expected[current].name : "another benchmark";
    if (terminal())
        fprintf(stderr, "\r\033[K%zu of %zu: %s%s", current + 1, expected_count, name, left_text(0));
    else
        fprintf(stderr, "nanospan-bench: %zu of %zu: %s%s\n", current + 1, expected_count, name,
                left_text(0));
}

double progress_end(void)
{
    double seconds = seconds_now() - began;
    if (terminal())
        fputs("\r\033[K", stderr);
    if (current < expected_count)
        expected[current++].seconds = seconds;
    taken += seconds;
    return seconds;
}

void progress(const bench_result *in, unsigned done, unsigned of)
{
    if (stop_signal != 0 && the_setup != NULL)
        the_setup->rounds = 0;
    double now = seconds_now();
    if (!terminal() || expected_count == 0 || now - shown < 0.1)
        return;
    shown = now;
    fprintf(stderr, "\r\033[K%zu of %zu: %s, round %u of %u%s", current + 1, expected_count, in->name, done,
            of, left_text(now - began));
}

// SPDX-License-Identifier: Apache-2.0
#include "user/child.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/cpus.h"
#include "harness/receiver.h"
#include "harness/wait.h"

enum { PATIENCE_S = 120, SPANS_EXPECTED = 4 << 20 };

static user_page *page_get(int *descriptor)
{
    static user_page *page;
    static int of_page = -1;
    if (page == NULL) {
        of_page = memfd_create("nanospan-bench-user", 0);
        void *memory = MAP_FAILED;
        if (of_page >= 0 && ftruncate(of_page, sizeof *page) == 0)
            memory = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, of_page, 0);
        page = memory != MAP_FAILED ? memory : NULL;
    }
    *descriptor = of_page;
    return page;
}

// The program lies beside this one.
static bool program_path(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    if (length <= 0)
        return false;
    path[length] = '\0';
    size_t folder = (size_t)(strrchr(path, '/') + 1 - path);
    int written = snprintf(path + folder, size - folder, "nanospan-bench-user");
    return written > 0 && (size_t)written < size - folder;
}

static void set_environment(const user_setting settings[USER_SETTINGS], const char *endpoint)
{
    static const char *const prefixes[] = {"OTEL_",    "NSP_",           "TRACE_",   "OTLP_",
                                           "SERVICE_", "ENABLE_TRACING", "LOG_LEVEL"};
    extern char **environ;
    for (char **at = environ; *at != NULL;) {
        char name[128];
        bool ours = false;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*at, "="), *at);
        for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
            ours |= strncmp(name, prefixes[i], strlen(prefixes[i])) == 0;
        if (ours)
            unsetenv(name);
        else
            at++;
    }
    setenv("SERVICE_NAME", "nanospan-bench-user", 1);
    setenv("OTLP_ENDPOINT", endpoint, 1);
    setenv("OTEL_LOG_LEVEL", "error", 1);
    for (size_t i = 0; i < USER_SETTINGS && settings[i].name != NULL; i++)
        setenv(settings[i].name, settings[i].value, 1);
}

static void become_program(const user_setting settings[USER_SETTINGS], const char *endpoint, int descriptor)
{
    char path[512], number[16];
    unpin(); // the program starts on all CPUs, as a program does
    signal(SIGINT, SIG_IGN);
    set_environment(settings, endpoint);
    snprintf(number, sizeof number, "%d", descriptor);
    if (program_path(path, sizeof path))
        execl(path, path, number, (char *)NULL);
    _exit(127);
}

static bool run(user_page *page, int descriptor, const user_setting settings[USER_SETTINGS],
                const bench_setup *setup, const char *endpoint, bench_result *out)
{
    fflush(NULL);
    pid_t process = fork();
    if (process == 0)
        become_program(settings, endpoint, descriptor);
    if (process < 0) {
        result_fail(out, "cannot fork");
        return false;
    }
    if (setup->collector_cpu >= 0)
        pin_to(setup->collector_cpu); // the waiting must not disturb the program
    bool ended = wait_for_child(process, PATIENCE_S, &page->done, &page->task.rounds, out);
    pin_to(setup->hot_cpu);
    if (!ended)
        result_fail(out, "nanospan-bench-user did not finish within %d s", PATIENCE_S);
    else if (!page->finished)
        result_fail(out, "%s", page->problem[0] != '\0' ? page->problem : "nanospan-bench-user failed");
    return ended && page->finished;
}

// Every span must have arrived, once.
static void account(const user_page *page, const receiver_counts *seen, bench_result *out)
{
    const nsp_stats *stats = &page->stats;
    out->stats = *stats;
    if (stats->size != 0 && (seen->distinct != stats->exported || seen->spans != stats->exported))
        result_fail(out, "%llu spans were exported, but %llu were received, %llu of them distinct",
                    (unsigned long long)stats->exported, (unsigned long long)seen->spans,
                    (unsigned long long)seen->distinct);
}

user_page *user_run(const user_task *task, const user_setting settings[USER_SETTINGS],
                    const bench_setup *setup, bench_result *out)
{
    int descriptor;
    user_page *page = page_get(&descriptor);
    receiver sink;
    receiver_options options = {.cpu = setup->collector_cpu, .spans_expected = SPANS_EXPECTED};
    char problem[100], path[512];
    if (!program_path(path, sizeof path) || access(path, X_OK) != 0) {
        result_skip(out,
                    "nanospan-bench-user is not built, which needs the shared library (NSP_BUILD_SHARED=ON)");
        return NULL;
    }
    if (page == NULL) {
        result_fail(out, "out of memory");
        return NULL;
    }
    if (!receiver_start(&sink, &options, problem, sizeof problem)) {
        result_fail(out, "%s", problem);
        return NULL;
    }
    memset(page, 0, offsetof(user_page, subject)); // the samples are cleared by the program
    memset(&page->stats, 0, sizeof page->stats);
    page->problem[0] = '\0';
    page->finished = false;
    page->task = *task;
    page->task.best = noise_best_seen();
    bool fine = run(page, descriptor, settings, setup, sink.url, out);
    receiver_counts seen = receiver_stop(&sink);
    if (!fine)
        return NULL;
    noise_remember(page->best);
    account(page, &seen, out);
    return page;
}

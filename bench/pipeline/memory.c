// SPDX-License-Identifier: Apache-2.0
//
// The memory of a process that traces, by the number of recording threads: attached and idle, and after its
// rings have overflowed. Each number of threads is measured in its own process.
#include "pipeline/memory.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nanospan/nanospan.h>

#include "harness/session.h"
#include "hot_path/operations.h"

enum { THREADS_MOST = 32, SPANS = 100000 };

// The memory of this process in kilobytes, as reported by the kernel.
typedef struct occupied {
    long resident, shared; // shared: the part of resident that is shared memory, which contains the session
} occupied;

static occupied occupied_now(void)
{
    occupied out = {-1, -1};
    char line[128];
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        sscanf(line, "VmRSS: %ld", &out.resident);
        sscanf(line, "RssShmem: %ld", &out.shared);
    }
    if (file != NULL)
        fclose(file);
    return out;
}

// ---- the process ----

static pthread_barrier_t stage; // passed four times: attached, start of the load, end of the load, end

static void *record(void *argument)
{
    const bench_operation *operation = argument;
    nsp_thread_attach(NULL);
    pthread_barrier_wait(&stage);
    pthread_barrier_wait(&stage);
    operation->run(SPANS);
    pthread_barrier_wait(&stage);
    pthread_barrier_wait(&stage);
    return NULL;
}

// threads is a number; "0" means without tracing.
int memory_main(const char *threads)
{
    static pthread_t started[THREADS_MOST];
    unsigned count = (unsigned)strtoul(threads, NULL, 10);
    bench_setup setup = {.collector_cpu = -1};
    nsp_config config;
    session_configure(&setup, &config);
    if (count > THREADS_MOST || (count != 0 && nsp_init(&config) != NSP_OK))
        return 1;
    pthread_barrier_init(&stage, NULL, count + 1);
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&started[i], NULL, record, (void *)(uintptr_t)operation_find("span3")) != 0)
            return 1;
    pthread_barrier_wait(&stage);
    occupied idle = occupied_now();
    pthread_barrier_wait(&stage);
    pthread_barrier_wait(&stage);
    if (count != 0)
        nsp_flush(UINT64_C(5) * 1000 * 1000 * 1000);
    occupied loaded = occupied_now();
    pthread_barrier_wait(&stage);
    for (unsigned i = 0; i < count; i++)
        pthread_join(started[i], NULL);
    if (count != 0)
        nsp_shutdown(UINT64_C(5) * 1000 * 1000 * 1000);
    printf("%ld %ld %ld %ld\n", idle.resident, idle.shared, loaded.resident, loaded.shared);
    return 0;
}

// ---- the benchmark ----

extern char **environ;

typedef struct reading {
    occupied idle, loaded;
} reading;

static bool read_child(unsigned threads, reading *out)
{
    static char name[] = "nanospan-bench", option[] = "--memory";
    char number[16], line[128] = "";
    char *arguments[] = {name, option, number, NULL};
    int ends[2], status = -1;
    pid_t child;
    snprintf(number, sizeof number, "%u", threads);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    bool started = posix_spawn(&child, "/proc/self/exe", &actions, NULL, arguments, environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    FILE *from = fdopen(ends[0], "r");
    bool fine = from != NULL && fgets(line, sizeof line, from) != NULL &&
                sscanf(line, "%ld %ld %ld %ld", &out->idle.resident, &out->idle.shared, &out->loaded.resident,
                       &out->loaded.shared) == 4;
    if (from != NULL)
        fclose(from);
    return started && waitpid(child, &status, 0) == child && status == 0 && fine;
}

static double bytes(long kilobytes)
{
    return (double)kilobytes * 1024;
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static const unsigned counts[] = {1, 2, 4, 8, 16, THREADS_MOST};
    enum { COUNTS = sizeof counts / sizeof counts[0] };
    static const char x[] = "recording threads", y[] = "MiB resident";
    (void)index;
    reading bare, one = {{0, 0}, {0, 0}}, now = one;
    if (!read_child(0, &bare)) {
        result_fail(out, "the child process failed");
        return;
    }
    bench_series *idle = result_add_series(out, "memory", "idle", x, y);
    bench_series *loaded = result_add_series(out, "memory", "after its rings overflowed", x, y);
    bench_series *without = result_add_series(out, "memory", "without tracing", x, y);
    for (size_t i = 0; i < COUNTS && setup->rounds != 0; i++) {
        progress(out, (unsigned)i, COUNTS);
        if (!read_child(counts[i], &now)) {
            result_fail(out, "the child process with %u threads failed", counts[i]);
            return;
        }
        const double mib = 1 << 20;
        series_add(idle, counts[i], (estimate){bytes(now.idle.resident) / mib, NAN, NAN});
        series_add(loaded, counts[i], (estimate){bytes(now.loaded.resident) / mib, NAN, NAN});
        series_add(without, counts[i], (estimate){bytes(bare.idle.resident) / mib, NAN, NAN});
        one = i == 0 ? now : one;
        out->rounds++;
    }
    progress(out, COUNTS, COUNTS);
    result_add(out, "bare_bytes", bytes(bare.idle.resident));
    result_add(out, "idle_bytes", bytes(one.idle.resident - bare.idle.resident));
    result_add(out, "loaded_bytes", bytes(one.loaded.resident - bare.idle.resident));
    result_add(out, "shared_bytes", bytes(one.loaded.shared));
    result_add(out, "thread_bytes", bytes(now.loaded.resident - one.loaded.resident) / (THREADS_MOST - 1));
}

static bool describe(size_t index, bench_result *out)
{
    out->name = "resident";
    out->what = "resident memory of a process without tracing; added by tracing with one thread (idle; "
                "loaded; the part in shared memory) and by each further thread";
    return index == 0;
}

const bench_group group_memory = {
    .name = "memory",
    .method = "a new process for each number of threads, 1 to 32; resident memory as the kernel counts it, "
              "including the shared memory of the session",
    .describe = describe,
    .measure = measure,
};

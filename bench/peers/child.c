// SPDX-License-Identifier: Apache-2.0
#include "peers/child.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <nanospan/stats.h>

#include "harness/cpus.h"
#include "harness/folder.h"
#include "harness/wait.h"

enum { PATIENCE_S = 150 };

// ---- the shared object ----

// The path build/peers/NAME.EXTENSION, relative to this program, which is in build/bin.
static bool file_of(const peer *which, const char *extension, char *path, size_t size)
{
    char program[512];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    for (int level = 0; level < 2 && length > 0; level++)
        while (length > 0 && program[--length] != '/')
            ;
    int written = snprintf(path, size, "%.*s/peers/%s.%s", (int)length, program, which->name, extension);
    return written > 0 && (size_t)written < size;
}

static bool first_line(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    bool fine = file != NULL && fgets(text, (int)size, file) != NULL;
    if (file != NULL)
        fclose(file);
    if (fine)
        text[strcspn(text, "\n")] = '\0';
    return fine;
}

bool peer_about(const peer *which, char *text, size_t size)
{
    char path[640];
    snprintf(text, size, "%s", which->absent != NULL ? which->absent : "");
    if (which->absent != NULL || which->calls != NULL)
        return which->absent == NULL;
    if (file_of(which, "skipped", path, sizeof path) && first_line(path, text, size))
        return false;
    if (file_of(which, "about", path, sizeof path) && first_line(path, text, size))
        return true;
    snprintf(text, size, "it is not built; ./run bench --peers builds it");
    return false;
}

static bool load(const peer *which, peer_calls *out)
{
    char path[640];
    void *library = file_of(which, "so", path, sizeof path) ? dlopen(path, RTLD_NOW) : NULL;
    if (library == NULL)
        return false;
    *(void **)&out->start = dlsym(library, "peer_start");
    *(void **)&out->run = dlsym(library, "peer_run");
    *(void **)&out->sample = dlsym(library, "peer_sample");
    *(void **)&out->stop = dlsym(library, "peer_stop");
    *(void **)&out->count = dlsym(library, "peer_count");
    *(void **)&out->drained = dlsym(library, "peer_drained");
    return out->start != NULL && out->run != NULL && out->sample != NULL && out->stop != NULL &&
           out->count != NULL;
}

// ---- the child ----

// Removes variables that would change a peer's defaults, and sets GOMAXPROCS, because Go's run-time would
// derive a wrong number from the CPU on which it starts.
static void set_environment(const bench_setup *setup)
{
    extern char **environ;
    for (char **at = environ; *at != NULL;) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*at, "="), *at);
        if (strncmp(name, "OTEL_", 5) == 0 || strncmp(name, "NSP_", 4) == 0 ||
            strncmp(name, "LTTNG_", 6) == 0 || strncmp(name, "TRACY_", 6) == 0 || strncmp(name, "GO", 2) == 0)
            unsetenv(name);
        else
            at++;
    }
    setenv("GOMAXPROCS", setup->collector_cpu >= 0 ? "2" : "1", 1);
}

// Sets the CPUs on which the peer's threads, and the daemons that it starts, begin to run.
static void take_cpus(const peer_page *page)
{
    const bench_setup *setup = page->setup;
    cpu_set_t both;
    CPU_ZERO(&both);
    CPU_SET((size_t)setup->hot_cpu, &both);
    if (setup->collector_cpu >= 0)
        CPU_SET((size_t)setup->collector_cpu, &both);
    if (!page->pinned)
        sched_setaffinity(0, sizeof both, &both);
    else if (setup->collector_cpu >= 0)
        pin_to(setup->collector_cpu);
}

void peer_settle(const peer_page *page)
{
    const bench_setup *setup = page->setup;
    DIR *threads = page->pinned && setup->collector_cpu >= 0 ? opendir("/proc/self/task") : NULL;
    cpu_set_t there;
    CPU_ZERO(&there);
    CPU_SET((size_t)(setup->collector_cpu >= 0 ? setup->collector_cpu : 0), &there);
    for (struct dirent *entry; threads != NULL && (entry = readdir(threads)) != NULL;) {
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
        if (thread > 0 && thread != getpid())
            sched_setaffinity(thread, sizeof there, &there);
    }
    if (threads != NULL)
        closedir(threads);
}

static void complain(peer_page *page, const char *text)
{
    snprintf(page->problem, sizeof page->problem, "%s", text);
}

static void work(const peer *which, peer_job job, peer_page *page)
{
    const bench_setup *setup = page->setup;
    peer_calls calls = {0};
    set_environment(setup);
    take_cpus(page);
    if (which->calls != NULL) {
        calls = *which->calls;
    } else if (!load(which, &calls)) {
        const char *why = dlerror();
        complain(page, why != NULL ? why : "the shared object lacks some of the functions");
        return;
    }
    const char *problem = calls.start(page->endpoint[0] != '\0' ? page->endpoint : NULL, (int)page->mode);
    if (problem != NULL) {
        complain(page, problem);
        return;
    }
    if (page->pinned)
        pin_to(setup->hot_cpu);
    peer_settle(page);
    job(&calls, page);
    calls.stop();
    calls.count(&page->counts);
    if (which->calls == &peer_nanospan && page->mode != PEER_DISABLED) {
        nsp_stats stats = NSP_STATS_INIT;
        nsp_stats_get(&stats);
        page->stats = stats;
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    page->memory_kib = (uint64_t)usage.ru_maxrss;
    page->best = noise_best_seen();
}

static void become_child(const peer *which, peer_job job, const char *folder, peer_page *page)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir(folder) != 0)
        _exit(1);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    int nowhere = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3 && nowhere >= 0; fd++)
        dup2(nowhere, fd);
    work(which, job, page);
    __atomic_store_n(&page->finished, true, __ATOMIC_RELEASE);
    _exit(0);
}

// ---- the parent ----

static peer_page *page_get(void)
{
    static peer_page *page;
    if (page == NULL) {
        void *memory = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        page = memory != MAP_FAILED ? memory : NULL;
    }
    if (page != NULL)
        memset(page, 0, sizeof *page);
    return page;
}

const peer_page *peer_work(const peer *which, const peer_task *task, const bench_setup *setup,
                           bench_result *out)
{
    peer_page *page = page_get();
    char folder[FOLDER_PATH]; // the child runs in it; removed when the child has ended, in whatever way
    if (page == NULL || !folder_make(folder)) {
        result_fail(out, page == NULL ? "out of memory" : "cannot make a temporary folder");
        return NULL;
    }
    page->setup = setup;
    page->mode = task->mode;
    page->pinned = task->pinned;
    snprintf(page->endpoint, sizeof page->endpoint, "%s", task->endpoint != NULL ? task->endpoint : "");
    fflush(NULL);
    pid_t process = fork();
    if (process == 0)
        become_child(which, task->job, folder, page);
    if (process < 0) {
        result_fail(out, "cannot fork");
        folder_remove(folder);
        return NULL;
    }
    // The waiting must not disturb the child.
    if (setup->collector_cpu >= 0)
        pin_to(setup->collector_cpu);
    bool ended = wait_for_child(process, PATIENCE_S, &page->done, &page->of, out);
    pin_to(setup->hot_cpu);
    folder_remove(folder);
    bool finished = __atomic_load_n(&page->finished, __ATOMIC_ACQUIRE);
    if (finished && page->best.two_reads != 0)
        noise_remember(page->best);
    if (!ended)
        result_fail(out, "the peer did not finish within %d s", PATIENCE_S);
    else if (!finished)
        result_fail(out, "the process of the peer died");
    else if (page->problem[0] != '\0')
        result_skip(out, "%s", page->problem);
    return finished && page->problem[0] == '\0' ? page : NULL;
}

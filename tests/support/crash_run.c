// SPDX-License-Identifier: Apache-2.0
#include "support/crash_run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <nanospan/exporters.h>
#include <nanospan/inspect.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/testpoint.h"
#include "common/seed.h"
#include "support/child.h"
#include "support/crash_receiver.h"
#include "support/emulator.h"
#include "support/session_fixture.h"

enum { PATIENCE_S = 100, MS = 1000000, WORKERS = 3 };

#define ENGINE NSP_TESTS_BUILD_DIR "/crash_engine"

typedef struct run {
    const crash_plan *plan;
    uint64_t random;
    char directory[SESSION_PATH_MAX], session[SESSION_PATH_MAX];
    char service[32];
    journal *journal;
    char *wrong;
    size_t size;
    crash_receiver *receiver;
    crash_output output;
} run;

static bool dies_in_recovery(const crash_plan *plan)
{
    return plan->point != NULL &&
           (strncmp(plan->point, "recover: ", 9) == 0 || strncmp(plan->point, "reader: ", 8) == 0);
}

static uint64_t draw(run *me, uint64_t below)
{
    return nsp__random_splitmix(&me->random) % below;
}

static void pause_ns(uint64_t ns)
{
    nanosleep(&(struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)}, NULL);
}

static bool failed(run *me, const char *what)
{
    snprintf(me->wrong, me->size, "%s: %s", what, strerror(errno));
    return false;
}

// ---- the engine ----

extern char **environ;

static pid_t engine_start(run *me, const char *journal_path)
{
    const crash_plan *plan = me->plan;
    char seed[32], visit[32];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)plan->seed);
    snprintf(visit, sizeof visit, "%u", plan->visit);
    pid_t child = child_fork();
    if (child == 0) {
        program_exec(ENGINE, environ, ENGINE, journal_path, me->directory, me->service, seed,
                     crash_receiver_exporter(me->receiver), crash_receiver_endpoint(me->receiver),
                     crash_receiver_protocol(me->receiver), dies_in_recovery(plan) ? NULL : plan->point,
                     visit, NULL);
        _exit(127);
    }
    return child;
}

static bool has_ended(pid_t child)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == child;
}

// Waits for the instant that the seed has chosen: early, when the engine has got somewhere, or late.
static void wait_for_instant(run *me, pid_t child)
{
    uint64_t kind = draw(me, 8), part = draw(me, 1000), moment = draw(me, 3 * MS);
    uint32_t wanted = (uint32_t)(me->journal->limit * part / 1000);
    if (me->plan->point != NULL) { // there has to be something to recover
        kind = 2;
        wanted = (uint32_t)(10 + part);
    }
    if (kind == 0) {
        pause_ns(20 * moment);
        return;
    }
    for (uint64_t waited = 0; waited < (uint64_t)PATIENCE_S * 1000 * MS && !has_ended(child);
         waited += MS / 4) {
        bool there = kind == 1 ? __atomic_load_n(&me->journal->phase, __ATOMIC_ACQUIRE) == JOURNAL_STOPPING
                               : __atomic_load_n(&me->journal->used, __ATOMIC_RELAXED) >= wanted;
        if (there)
            break;
        pause_ns(MS / 4);
    }
    pause_ns(kind == 1 ? 10 * moment : moment);
}

// False if it ended in a way that is not planned. *ended: by itself, in order.
static bool engine_end(run *me, pid_t child, bool *ended)
{
    if (!me->plan->spared && (me->plan->point == NULL || dies_in_recovery(me->plan))) {
        wait_for_instant(me, child);
        kill(child, SIGKILL);
    }
    int status = child_wait(child, PATIENCE_S);
    *ended = status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (*ended || (status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
        return true;
    snprintf(me->wrong, me->size, "the engine ended with status %d", status);
    return false;
}

// ---- recovery ----

static bool recovery_failed(run *me, const char *what, nsp_status status, const char *detail)
{
    snprintf(me->wrong, me->size, "%s: %s: %s", what, nsp_status_str(status), detail);
    return false;
}

// Takes the whole lines of the file.
static bool read_lines(run *me, const char *path, crash_spans *to)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return errno == ENOENT || failed(me, path);
    char *line = NULL;
    size_t room = 0;
    for (ssize_t length; (length = getline(&line, &room, file)) > 0;)
        if (line[length - 1] == '\n')
            crash_spans_add_json(to, line, (size_t)length, me->service);
    free(line);
    fclose(file);
    return true;
}

static nsp_status export_to(nsp_recovery *recovery, const char *path, bool settle_later)
{
    nsp_config config;
    nsp_config_init(&config);
    config.file = path;
    config.log_level = NSP_LOG_ERROR;
    config.batch_spans = 64; // several requests
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.config = &config;
    options.exporter = nsp_exporter_builtin("file");
    options.settle_later = settle_later;
    options.timeout_ns = (uint64_t)PATIENCE_S * 1000 * MS;
    return nsp_recovery_export(recovery, &options);
}

// Into a file that has its name when it is complete, as `nanospan recover --output` does.
static nsp_status export_whole(nsp_recovery *recovery, const char *path)
{
    char part[SESSION_PATH_MAX + 32], place[PATH_MAX];
    snprintf(part, sizeof part, "%s.part", path);
    nsp_status status = export_to(recovery, part, true);
    int fd = open(part, O_RDONLY | O_CREAT, 0600);
    if (status == NSP_OK && (fd < 0 || realpath(part, place) == NULL))
        status = NSP_ERR_SYSTEM;
    if (status == NSP_OK) {
        place[strlen(place) - strlen(".part")] = 0;
        status = nsp_recovery_note_file(recovery, place, fd);
    }
    if (fd >= 0)
        close(fd);
    if (status == NSP_OK && rename(part, path) != 0)
        status = NSP_ERR_SYSTEM;
    return status == NSP_OK ? nsp_recovery_settle(recovery) : status;
}

// In a process of its own, which is killed.
static void be_interrupted(const run *me, const char *path, bool whole)
{
    nsp_recovery *recovery;
    if (nsp_recovery_open(&recovery, me->session, NULL, 0) == NSP_OK)
        whole ? export_whole(recovery, path) : export_to(recovery, path, false);
    _exit(0);
}

#ifdef NSP_TESTPOINTS
static const run *visited; // by the process that recovers
static bool may_die;

static void visit(const char *point)
{
    for (uint32_t i = 0; i < visited->journal->point_count; i++) {
        struct journal_point *at = &visited->journal->points[i];
        if (strcmp(point, at->name) == 0 &&
            __atomic_add_fetch(&at->visits, 1, __ATOMIC_RELAXED) == visited->plan->visit && may_die &&
            strcmp(point, visited->plan->point) == 0)
            kill(getpid(), SIGKILL);
    }
}
#endif

static void count_visits(const run *me, bool dying)
{
#ifdef NSP_TESTPOINTS
    visited = me;
    may_die = dying;
    __atomic_store_n(&nsp__testpoint_hook, me != NULL && me->journal->point_count != 0 ? visit : NULL,
                     __ATOMIC_RELEASE); // TP1
#else
    (void)me;
    (void)dying;
#endif
}

// A recovery that is killed, at a testpoint or soon after its start.
static bool recover_interrupted(run *me, crash_sums *sums)
{
    char path[SESSION_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/interrupted", me->directory);
    uint64_t moment = draw(me, 8 * MS);
    // The other testpoints of a recovery are in the way of both.
    bool whole = draw(me, 2) != 0;
    if (me->plan->point != NULL)
        whole = me->plan->visit % 2 == 0 || strncmp(me->plan->point, "recover: file", 13) == 0;
    me->output.whole = whole;
    count_visits(me, me->plan->point != NULL);
    pid_t child = child_fork();
    if (child == 0)
        be_interrupted(me, path, whole);
    count_visits(NULL, false);
    if (me->plan->point == NULL) {
        pause_ns(moment);
        kill(child, SIGKILL);
    }
    int status = child_wait(child, PATIENCE_S);
    bool died = status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    sums->interrupted += died;
    if (!died && status != 0) {
        snprintf(me->wrong, me->size, "a recovery ended with status %d", status);
        return false;
    }
    if (!died && me->plan->point != NULL && me->plan->visit == 1) {
        snprintf(me->wrong, me->size, "the testpoint was not reached");
        return false;
    }
    return read_lines(me, path, &me->output.interrupted);
}

static bool export_and_remove(run *me, nsp_recovery *recovery, nsp_recovery_account *account)
{
    char path[SESSION_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/recovered", me->directory);
    bool whole = draw(me, 2) != 0 || dies_in_recovery(me->plan);
    nsp_status status = whole ? export_whole(recovery, path) : export_to(recovery, path, false);
    if (status != NSP_OK)
        return recovery_failed(me, "the export failed", status, nsp_error_detail());
    nsp_recovery_account_get(recovery, account);
    status = nsp_recovery_remove(recovery, false);
    if (status != NSP_OK)
        return recovery_failed(me, "the session cannot be removed", status, nsp_error_detail());
    if (access(me->session, F_OK) == 0)
        return failed(me, "the session was removed, but is still there");
    return read_lines(me, path, &me->output.recovered);
}

// *recoverable: false if the session says that it cannot be recovered. Whether that is right is seen from the
// spans: none may be missing.
static bool recover(run *me, nsp_recovery_account *account, bool *recoverable)
{
    nsp_recovery *recovery;
    char problem[NSP_RECOVERY_PROBLEM_MAX];
    nsp_status status = nsp_recovery_open(&recovery, me->session, problem, sizeof problem);
    *recoverable = status == NSP_OK;
    if (!*recoverable && me->journal->phase == JOURNAL_RUNNING)
        return recovery_failed(me, "the session cannot be opened", status, problem);
    count_visits(me, false);
    bool exported = !*recoverable || export_and_remove(me, recovery, account);
    count_visits(NULL, false);
    nsp_recovery_close(recovery);
    return exported;
}

// ---- what the session says before ----

static bool take_dropped(void *argument, const nsp_session *session)
{
    if (session->problem == NULL)
        *(uint64_t *)argument += session->stats.dropped_ring_full;
    return true;
}

// An engine that came so far has written it down, because its session may be gone.
static uint64_t dropped_by_engine(const run *me)
{
    uint64_t dropped = 0;
    if (__atomic_load_n(&me->journal->phase, __ATOMIC_ACQUIRE) == JOURNAL_STOPPING)
        return me->journal->dropped;
    nsp_sessions_each(me->directory, take_dropped, &dropped);
    return dropped;
}

// For somebody who wants to know why it failed: what happens in an engine does not follow from the seed alone.
static void keep_copy(const run *me)
{
    char copy[SESSION_PATH_MAX + 16];
    snprintf(copy, sizeof copy, "%s/session", me->directory);
    pid_t child = child_fork();
    if (child == 0) {
        execlp("cp", "cp", "-R", me->session, copy, NULL);
        _exit(127);
    }
    if (child_wait(child, PATIENCE_S) != 0)
        fprintf(stderr, "%s cannot be copied\n", me->session);
}

// ---- all of it ----

static void receiver_stop(run *me)
{
    crash_receiver_stop(me->receiver, &me->output.received);
    me->receiver = NULL;
}

static bool run_until_checked(run *me, crash_sums *sums)
{
    char journal_path[SESSION_PATH_MAX + 16];
    snprintf(journal_path, sizeof journal_path, "%s/engine", me->directory);
    pid_t child = engine_start(me, journal_path);
    if (child < 0)
        return failed(me, "fork");
    bool ended, recoverable = false;
    bool right = engine_end(me, child, &ended);
    if (!right)
        return false;
    receiver_stop(me);
    nsp_recovery_account account = NSP_RECOVERY_ACCOUNT_INIT;
    bool left = session_dir_of(me->directory, child, me->session);
    if (ended && me->plan->point != NULL && me->plan->visit == 1 && !dies_in_recovery(me->plan)) {
        snprintf(me->wrong, me->size, "the testpoint was not reached");
        return false;
    }
    if (left && ended) {
        snprintf(me->wrong, me->size, "the engine ended in order and left its session behind");
        return false;
    }
    me->output.dropped = dropped_by_engine(me);
    if (left && getenv("NSP_CRASH_KEEP") != NULL)
        keep_copy(me);
    bool interrupted = dies_in_recovery(me->plan) || (me->plan->point == NULL && draw(me, 4) == 0);
    if (left && interrupted && !recover_interrupted(me, sums))
        return false;
    if (left && !recover(me, &account, &recoverable))
        return false;
    sums->engines++;
    sums->ended += ended;
    sums->recoveries += recoverable;
    return crash_check(me->journal, &me->output, recoverable ? &account : NULL, sums, me->wrong, me->size);
}

static bool receiver_start(run *me)
{
    static const unsigned delays_ms[] = {0, 5, 10, 20};
    crash_target target = (crash_target)draw(me, CRASH_TARGETS);
    size_t limit = SIZE_MAX;
    me->output.in_parts = me->plan->seed % 4 == 1;
    if (me->output.in_parts) {
        target = draw(me, 2) != 0 ? CRASH_TO_PROTOBUF : CRASH_TO_JSON;
        limit = target == CRASH_TO_JSON ? 16 * 1024 : 4 * 1024; // of the largest span
    }
    unsigned delay_ms = delays_ms[draw(me, me->output.in_parts ? 2 : 4)]; // before each part
    me->receiver = crash_receiver_start(target, delay_ms, limit, me->directory, me->service);
    return me->receiver != NULL || failed(me, "the receiver cannot be started");
}

static bool journal_start(run *me, const crash_points *points)
{
    char path[SESSION_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/engine", me->directory);
    me->journal = journal_map(path, true);
    if (me->journal == NULL)
        return failed(me, path);
    bool slow = TEST_UNDER_ASAN || TEST_UNDER_TSAN;
    me->journal->limit = (uint32_t)(100 + draw(me, slow ? 600 : 2400));
    if (dies_in_recovery(me->plan)) // ends in the middle, however late it is killed
        me->journal->limit = JOURNAL_SPANS_MAX / 2;
    if (points == NULL)
        return true;
    me->journal->point_count = points->count;
    for (uint32_t i = 0; i < points->count; i++)
        memcpy(me->journal->points[i].name, points->names[i], JOURNAL_POINT_NAME);
    return true;
}

static void keep(const run *me)
{
    char kept[SESSION_PATH_MAX + 32];
    snprintf(kept, sizeof kept, "%s-kept-%llu", directory, (unsigned long long)me->plan->seed);
    if (rename(me->directory, kept) == 0)
        fprintf(stderr, "kept: %s\n", kept);
}

bool crash_run(const crash_plan *plan, crash_points *points, crash_sums *sums, char *wrong, size_t size)
{
    run me = {.plan = plan, .random = plan->seed, .wrong = wrong, .size = size};
    snprintf(me.service, sizeof me.service, "crash %llu", (unsigned long long)plan->seed);
    snprintf(me.directory, sizeof me.directory, "%.500s/run-XXXXXX", directory);
    bool right = (mkdtemp(me.directory) != NULL || failed(&me, me.directory)) && journal_start(&me, points) &&
                 receiver_start(&me) && run_until_checked(&me, sums);
    receiver_stop(&me);
    for (uint32_t i = 0; me.journal != NULL && points != NULL && i < points->count; i++)
        points->visits[i] += me.journal->points[i].visits;
    journal_unmap(me.journal);
    crash_spans_free(&me.output.received);
    crash_spans_free(&me.output.interrupted);
    crash_spans_free(&me.output.recovered);
    if (!right && getenv("NSP_CRASH_KEEP") != NULL)
        keep(&me);
    session_dir_remove(me.directory);
    return right;
}

// ---- many of them ----

// What the processes share.
typedef struct shared {
    uint32_t next;
    bool failed;
    crash_sums sums[WORKERS];
} shared;

static void run_some(crash_planner *planner, const void *context, uint32_t count, const crash_points *points,
                     shared *all, crash_sums *sums)
{
    static crash_points own;
    static char wrong[4 * JOURNAL_TEXT_MAX];
    if (points != NULL)
        own = *points;
    for (uint32_t number; !__atomic_load_n(&all->failed, __ATOMIC_RELAXED) &&
                          (number = __atomic_fetch_add(&all->next, 1, __ATOMIC_RELAXED)) < count;) {
        crash_plan plan = planner(context, number);
        if (crash_run(&plan, points != NULL ? &own : NULL, sums, wrong, sizeof wrong))
            continue;
        __atomic_store_n(&all->failed, true, __ATOMIC_RELAXED);
        fprintf(stderr, "run %u, seed %llu%s%s: %s\n", number, (unsigned long long)plan.seed,
                plan.point != NULL ? ", killed at " : "", plan.point != NULL ? plan.point : "", wrong);
        if (plan.point != NULL)
            fprintf(stderr, "at visit %u\n", plan.visit);
    }
}

bool crash_run_all(crash_planner *planner, const void *context, uint32_t count, const crash_points *points,
                   crash_sums *sums)
{
    shared *all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        return false;
    pid_t children[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        children[i] = child_fork();
        if (children[i] != 0)
            continue;
        for (const int *fault = (const int[]){SIGSEGV, SIGBUS, SIGILL, SIGFPE, 0}; *fault != 0; fault++)
            signal(*fault, SIG_DFL); // cmocka has handlers, which would go on in this process
        run_some(planner, context, count, points, all, &all->sums[i]);
        exit(0); // not _exit: a sanitizer looks for leaks
    }
    bool right = true;
    for (int i = 0; i < WORKERS; i++) {
        int status = -1;
        if (children[i] < 0 || waitpid(children[i], &status, 0) != children[i] || status != 0) {
            fprintf(stderr, "a process of the test itself ended with status %d\n", status);
            right = false;
        }
        const uint64_t *from = (const uint64_t *)(const void *)&all->sums[i];
        for (size_t k = 0; k < sizeof *sums / sizeof *from; k++)
            ((uint64_t *)(void *)sums)[k] += from[k];
    }
    right = right && !all->failed;
    munmap(all, sizeof *all);
    return right;
}

// SPDX-License-Identifier: Apache-2.0
#include "support/drained.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/time.h"
#include "support/child.h"
#include "support/recovered.h"

drained_world *world;
char drained_folder[SESSION_PATH_MAX];

static nsp_drainer *open_one; // of this process
static pid_t children[64];
static size_t child_count;

static pid_t start_child(void (*body)(void *), void *argument)
{
    pid_t child = child_fork();
    if (child == 0) {
        body(argument);
        _exit(0);
    }
    assert_true(child > 0 && child_count < 64);
    children[child_count++] = child;
    return child;
}

static int end_child(pid_t child)
{
    for (size_t i = 0; i < child_count; i++)
        if (children[i] == child)
            children[i] = children[--child_count];
    return child_wait(child, 200);
}

int drained_setup(void **state)
{
    (void)state;
    session_dir_make(drained_folder);
    world =
        mmap(NULL, sizeof *world, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return world == MAP_FAILED ? -1 : 0;
}

int drained_teardown(void **state)
{
    (void)state;
    drained_close(open_one, 0);
    while (child_count != 0) {
        pid_t child = children[--child_count];
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    munmap(world, sizeof *world);
    session_dir_remove(drained_folder);
    return 0;
}

// ---- engines ----

static void engine_config(nsp_config *config, const drained_engine *engine)
{
    static char service[32];
    nsp_config_init(config);
    snprintf(service, sizeof service, "drained-%u", engine->index);
    config->service_name = service;
    config->shm_dir = drained_folder;
    config->collector = NSP_COLLECTOR_EXTERNAL;
    config->ring_bytes = engine->ring_bytes != 0 ? engine->ring_bytes : 64 * 1024;
    config->record_bytes = 512;
    config->batches = 4;
    config->batch_bytes = 64 * 1024;
    config->threads = 8;
    config->log_level = NSP_LOG_NONE;
    config->exit_timeout_ns = 60 * NSP__SECOND;
    config->watermark = engine->ahead != 0 || engine->ring_bytes != 0 ? 1 : 0.5;
}

// Waits for room, so that no span is lost: the receiver may be away.
static void wait_for_room(const drained_engine *engine, uint32_t recorded)
{
    const uint32_t ahead = engine->ahead != 0 ? engine->ahead : 150;
    while (recorded - world_get(&world->arrived_of[engine->index]) >= ahead &&
           world_get(&world->engine_stop) == 0 && recorded >= world_get(&world->arrived_of[engine->index])) {
        if (engine->ahead == 0)
            return;
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
}

nsp_span *drained_begin(const drained_engine *engine, uint32_t number)
{
    char text[64];
    int length = snprintf(text, sizeof text, "span %u of engine %u", number % 500, engine->index);
    nsp_span *span = nsp_span_begin(nsp_intern(text, (size_t)length));
    nsp_span_set_i64(span, NSP_KEY("number"), number);
    nsp_span_set_str(span, NSP_KEY("text"), "what makes the record larger");
    return span;
}

static void record(const drained_engine *engine)
{
    for (uint32_t i = 0; engine->spans != 0 ? i < engine->spans : world_get(&world->engine_stop) == 0; i++) {
        nsp_span_end(drained_begin(engine, i));
        world_set(&world->recorded[engine->index], i + 1);
        wait_for_room(engine, i + 1);
        if (engine->flush_each != 0 && (i + 1) % engine->flush_each == 0) {
            CHILD_CHECK(nsp_flush(100 * NSP__SECOND) == NSP_OK);
            CHILD_CHECK(world_get(&world->arrived_of[engine->index]) >= i + 1);
            __atomic_fetch_add(&world->flushed[engine->index], 1, __ATOMIC_RELAXED);
        }
    }
}

static void engine_body(void *argument)
{
    const drained_engine *engine = argument;
    nsp_config config;
    engine_config(&config, engine);
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    while (world_get(&world->found[engine->index]) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    if (engine->body != NULL)
        engine->body(engine);
    else
        record(engine);
    if (engine->dies) {
        nsp_span *open = nsp_span_begin(NSP_NAME("open"));
        nsp_span_set_i64(open, NSP_KEY("number"), DRAINED_SPANS);
        raise(SIGKILL);
    }
    if (engine->exits)
        exit(0);
    CHILD_CHECK(nsp_shutdown(150 * NSP__SECOND) == NSP_OK);
}

void drained_engine_start(drained_engine *engine)
{
    world_set(&world->found[engine->index], 0);
    engine->pid = start_child(engine_body, engine);
    DRAINED_UNTIL(session_dir_of(drained_folder, engine->pid, engine->session));
    world_set(&world->found[engine->index], 1);
    DRAINED_UNTIL(world_get(&world->recorded[engine->index]) != 0);
}

void drained_engine_end(drained_engine *engine)
{
    int status = end_child(engine->pid);
    if (engine->dies ? !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL
                     : !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("engine %u did not end as planned: status %x", engine->index, (unsigned)status);
}

void drained_engine_kill(drained_engine *engine)
{
    engine->dies = true;
    kill(engine->pid, SIGKILL);
    drained_engine_end(engine);
}

// ---- drainers ----

void drained_config(nsp_config *config, const drained_plan *plan)
{
    nsp_config_init(config);
    config->shm_dir = drained_folder;
    config->endpoint = "http://127.0.0.1:9";
    config->protocol = plan->protocol != NULL ? plan->protocol : "http/protobuf";
    config->batch_spans = plan->batch_spans != 0 ? plan->batch_spans : 100;
    config->schedule_delay_ns = NSP__MILLISECOND;
    config->retry_min_ns = config->retry_max_ns = NSP__MILLISECOND;
    config->log_level = plan->log != NULL ? NSP_LOG_WARN : NSP_LOG_NONE;
    config->log = plan->log;
}

static void open_own(void *state, nsp_batch *batch)
{
    (void)state;
    batch->encoding = NSP_ENCODING_OWN;
}

nsp_drainer *drained_open(const drained_plan *plan)
{
    nsp_config config;
    drained_config(&config, plan);
    nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
    options.config = &config;
    static nsp_exporter own;
    own = *drained_exporter();
    own.open = open_own;
    own.close = NULL;
    options.exporter = plan->own_encoding ? &own : drained_exporter();
    options.in_doubt = plan->in_doubt;
    CHILD_CHECK(nsp_drainer_open(&open_one, &options) == NSP_OK);
    return open_one;
}

nsp_status drained_close(nsp_drainer *drainer, uint64_t timeout_ns)
{
    open_one = NULL;
    return nsp_drainer_close(drainer, timeout_ns);
}

static size_t each_session(void (*visit)(void *, const char *), void *argument)
{
    char folder[SESSION_PATH_MAX + 40], path[2 * SESSION_PATH_MAX];
    snprintf(folder, sizeof folder, "%s/nanospan-%u", drained_folder, (unsigned)geteuid());
    DIR *stream = opendir(folder);
    struct dirent *entry;
    size_t count = 0;
    while (stream != NULL && (entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (visit != NULL)
            visit(argument, path);
        count++;
    }
    if (stream != NULL)
        closedir(stream);
    return count;
}

size_t drained_sessions(void)
{
    return each_session(NULL, NULL);
}

nsp_drained drained_work(nsp_drainer *drainer)
{
    size_t at = 0;
    nsp_drained drained = NSP_DRAINED_INIT;
    nsp_drainer_work(drainer, NULL);
    assert_true(nsp_drainer_each(drainer, &at, &drained));
    return drained;
}

static void add(void *drainer, const char *path)
{
    nsp_drainer_add(drainer, path, NULL, 0);
}

size_t drained_add_all(nsp_drainer *drainer)
{
    each_session(add, drainer);
    size_t at = 0, count = 0;
    nsp_drained drained = NSP_DRAINED_INIT;
    while (nsp_drainer_each(drainer, &at, &drained))
        count++;
    return count;
}

static void drainer_body(void *argument)
{
    const drained_plan *plan = argument;
    if (plan->point != NULL)
        die_at(plan->point, plan->visit);
    nsp_drainer *drainer = drained_open(plan);
    nsp_drained drained = NSP_DRAINED_INIT;
    uint64_t looked_ns = 0;
    while (world_get(&world->drainer_stop) == 0) {
        uint64_t pause_ns, now = nsp__monotonic_ns();
        if (now - looked_ns > 20 * NSP__MILLISECOND) {
            drained_add_all(drainer);
            looked_ns = now;
        }
        nsp_drainer_work(drainer, &pause_ns);
        for (size_t at = 0; plan->removes && nsp_drainer_each(drainer, &at, &drained);)
            if (drained.state == NSP_DRAINED_ENDED) {
                __atomic_fetch_add(&world->resent, (uint32_t)drained.in_doubt_resent, __ATOMIC_RELAXED);
                CHILD_CHECK(nsp_drainer_remove(drainer, drained.directory, true) == NSP_OK);
            }
        nanosleep(&(struct timespec){.tv_nsec = (long)(pause_ns < 2000000 ? pause_ns : 2000000)}, NULL);
    }
    for (size_t at = 0; nsp_drainer_each(drainer, &at, &drained);)
        __atomic_fetch_add(&world->resent, (uint32_t)drained.in_doubt_resent, __ATOMIC_RELAXED);
    drained_close(drainer, plan->close_ns != 0 ? plan->close_ns : 60 * NSP__SECOND);
}

pid_t drained_start(const drained_plan *plan)
{
    return start_child(drainer_body, (void *)plan);
}

void drained_stop(pid_t drainer)
{
    world_set(&world->drainer_stop, 1);
    int status = end_child(drainer);
    world_set(&world->drainer_stop, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the drainer did not end in order: status %x", (unsigned)status);
}

void drained_dead(pid_t drainer)
{
    int status = end_child(drainer);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("the drainer did not die as planned: status %x", (unsigned)status);
}

// ---- looking ----

drained_sum drained_sum_of(uint32_t engine, uint32_t spans)
{
    drained_sum sum = {0};
    uint8_t *seen = calloc(spans + 1, 1);
    assert_non_null(seen);
    const uint32_t arrived = world_get(&world->arrived);
    for (uint32_t i = 0; i < arrived; i++) {
        if (world->arrivals[i].engine != engine)
            continue;
        if (world->arrivals[i].number >= spans) {
            sum.beyond++;
            continue;
        }
        sum.distinct += !seen[world->arrivals[i].number];
        sum.doubles += seen[world->arrivals[i].number];
        seen[world->arrivals[i].number] = 1;
    }
    free(seen);
    return sum;
}

typedef struct looking {
    const char *session;
    nsp_stats stats;
    bool found;
} looking;

static bool look(void *argument, const nsp_session *session)
{
    looking *me = argument;
    if (strcmp(session->directory, me->session) == 0 && session->problem == NULL) {
        me->stats = session->stats;
        me->found = true;
    }
    return !me->found;
}

nsp_stats drained_stats(const char *session)
{
    looking me = {.session = session};
    assert_int_equal(nsp_sessions_each(drained_folder, look, &me), NSP_OK);
    assert_true(me.found);
    return me.stats;
}

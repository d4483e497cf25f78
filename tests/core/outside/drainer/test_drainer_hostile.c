// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 600
//
// Sessions in which anything may be written at any moment, and whose files may be cut short, next to a healthy one:
// whatever the drainer finds, it goes on, and the healthy session loses nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/seed.h"
#include "common/time.h"
#include "shm/slot.h"
#include "support/child.h"
#include "support/drained.h"
#include "support/sanitizer.h"
#include "support/sections.h"

enum { ROUNDS = TEST_UNDER_ASAN || TEST_UNDER_TSAN ? 150 : 600, FILES = 4 };
static const char *const files[FILES] = {"control", "threads", "detached", "batches"};
static const uint64_t values[] = {0, 1, 7, 8, 0xff, 0xffff, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};

// ---- a session that an engine and a drainer have left, and copies of it ----

static struct {
    uint8_t *bytes;
    size_t size;
} left[FILES];

static int open_file(const char *session, const char *file, int flags)
{
    char path[SESSION_PATH_MAX + 20];
    snprintf(path, sizeof path, "%s/%s", session, file);
    return open(path, flags | O_CLOEXEC, 0600);
}

// With spans in its ring, in a batch that was being filled, in closed ones, and in one that was being sent.
static void leave_a_session(drained_engine *engine)
{
    *engine = (drained_engine){.index = 1, .spans = 150, .dies = true};
    drained_engine_start(engine);
    drained_engine_end(engine);
#ifdef NSP_TESTPOINTS
    const drained_plan death = {.point = "collector: before release", .visit = 3, .batch_spans = 20};
    world_set(&world->away, 1);
    drained_dead(drained_start(&death));
    world_set(&world->away, 0);
#endif
    for (size_t i = 0; i < FILES; i++) {
        struct stat status;
        int fd = open_file(engine->session, files[i], O_RDONLY);
        assert_int_equal(fstat(fd, &status), 0);
        left[i].size = (size_t)status.st_size;
        left[i].bytes = malloc(left[i].size);
        assert_non_null(left[i].bytes);
        assert_int_equal(pread(fd, left[i].bytes, left[i].size, 0), left[i].size);
        close(fd);
    }
}

static void forget(void)
{
    for (size_t i = 0; i < FILES; i++)
        free(left[i].bytes);
}

// In the drainer's process.
static void copy_session(const drained_engine *engine, int number, char session[SESSION_PATH_MAX])
{
    snprintf(session, SESSION_PATH_MAX, "%.*s.%08x", (int)strlen(engine->session) - 9, engine->session,
             (unsigned)number);
    CHILD_CHECK(mkdir(session, 0700) == 0);
    close(open_file(session, "consumer", O_CREAT | O_RDWR));
    close(open_file(session, "alive", O_CREAT | O_RDWR));
    for (size_t i = 0; i < FILES; i++) {
        int fd = open_file(session, files[i], O_CREAT | O_RDWR);
        CHILD_CHECK(write(fd, left[i].bytes, left[i].size) == (ssize_t)left[i].size);
        close(fd);
    }
}

static void remove_copy(const char *session)
{
    static const char *const all[] = {"control", "threads", "detached", "batches", "alive", "consumer"};
    char path[SESSION_PATH_MAX + 20];
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", session, all[i]);
        unlink(path);
    }
    CHILD_CHECK(rmdir(session) == 0);
}

// ---- whoever writes there ----

typedef struct vandal {
    char session[SESSION_PATH_MAX];
    uint64_t seed;
    bool cuts;
    int changes;
    uint32_t begun, over; // atomic
} vandal;

static uint64_t draw(uint64_t *seed, uint64_t below)
{
    return nsp__random_splitmix(seed) % below;
}

// Most of what a drainer looks at lies at the beginning of the files.
static void scribble(vandal *me)
{
    size_t file = draw(&me->seed, FILES);
    int fd = open_file(me->session, files[file], O_RDWR);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0 || status.st_size < 16) {
        close(fd);
        return;
    }
    uint64_t size = (uint64_t)status.st_size;
    uint64_t within = draw(&me->seed, 2) != 0 ? 4096 : draw(&me->seed, 2) != 0 ? 32768 : size;
    within = within < size ? within : size;
    off_t at = (off_t)(draw(&me->seed, within / 8) * 8);
    uint64_t value = draw(&me->seed, 2) != 0 ? nsp__random_splitmix(&me->seed) >> draw(&me->seed, 64)
                                             : values[draw(&me->seed, sizeof values / sizeof values[0])];
    size_t length = draw(&me->seed, 2) != 0 ? 8 : 4;
    if (at + (off_t)length <= status.st_size)
        (void)!pwrite(fd, &value, length, at);
    close(fd);
}

static void cut(vandal *me)
{
    size_t file = draw(&me->seed, FILES);
    int fd = open_file(me->session, files[file], O_RDWR);
    if (fd >= 0)
        (void)!ftruncate(fd, (off_t)draw(&me->seed, left[file].size));
    close(fd);
}

static void *wreck(void *argument)
{
    vandal *me = argument;
    while (world_get(&me->begun) + world_get(&me->over) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    for (int i = 0; world_get(&me->over) == 0 && i < me->changes; i++) {
        scribble(me);
        if (me->cuts && i == 3)
            cut(me);
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    }
    return NULL;
}

// ---- the drainer ----

static nsp_drained of(nsp_drainer *drainer, const char *session)
{
    nsp_drained drained = NSP_DRAINED_INIT;
    for (size_t at = 0; nsp_drainer_each(drainer, &at, &drained);)
        if (strcmp(drained.directory, session) == 0)
            return drained;
    CHILD_CHECK(!"it is there");
    return drained;
}

static struct {
    uint32_t refused, failed, drained;
} * outcomes; // shared

static void drain_a_hostile_one(nsp_drainer *drainer, const drained_engine *engine, int number)
{
    // How far a drainer gets must not depend on who is faster here: every second session is not written to before it
    // is open, and of these every second one is hardly written to at all.
    vandal me = {.seed = 1000 + (uint64_t)number,
                 .cuts = number % 3 == 0,
                 .changes = number % 4 == 1 ? 2 : 400,
                 .begun = number % 2 == 0};
    uint64_t before = 1 + draw(&me.seed, 4);
    copy_session(engine, number, me.session);
    for (uint64_t i = 1; i < before; i++) // some are damaged from the beginning
        scribble(&me);
    pthread_t thread;
    CHILD_CHECK(pthread_create(&thread, NULL, wreck, &me) == 0);
    if (nsp_drainer_add(drainer, me.session, NULL, 0) == NSP_OK) {
        world_set(&me.begun, 1);
        nsp_drained drained;
        int passes = 0;
        do {
            nsp_drainer_work(drainer, NULL);
            drained = of(drainer, me.session);
        } while (drained.state == NSP_DRAINED_LIVING && ++passes < 3000);
        outcomes->failed += drained.state == NSP_DRAINED_FAILED;
        outcomes->drained += drained.state == NSP_DRAINED_DIED || drained.state == NSP_DRAINED_ENDED;
        CHILD_CHECK((drained.state == NSP_DRAINED_FAILED) == (drained.problem[0] != 0));
        CHILD_CHECK(nsp_drainer_remove(drainer, me.session, false) == NSP_OK);
    } else {
        outcomes->refused++;
    }
    world_set(&me.over, 1);
    pthread_join(thread, NULL);
    // Until the sender is done with it, somebody holds its lock.
    while (nsp_drainer_add(drainer, me.session, NULL, 0) == NSP_ERR_BUSY)
        nsp_drainer_work(drainer, NULL);
    nsp_drainer_remove(drainer, me.session, false);
    remove_copy(me.session);
}

typedef struct hostile_run {
    const drained_engine *healthy, *engine;
} hostile_run;

static void hostile_drainer(void *argument)
{
    const hostile_run *run = argument;
    const drained_plan plan = {.batch_spans = 20};
    nsp_drainer *drainer = drained_open(&plan);
    CHILD_CHECK(nsp_drainer_add(drainer, run->healthy->session, NULL, 0) == NSP_OK);
    for (int i = 0; i < ROUNDS; i++)
        drain_a_hostile_one(drainer, run->engine, i);
    world_set(&world->engine_stop, 1);
    while (of(drainer, run->healthy->session).state == NSP_DRAINED_LIVING)
        nsp_drainer_work(drainer, NULL);
    CHILD_CHECK(of(drainer, run->healthy->session).state == NSP_DRAINED_ENDED);
    drained_close(drainer, 1000000000);
}

static void hostile_sessions_harm_nobody(void **state)
{
    (void)state;
    drained_engine healthy = {.index = 0, .ahead = 100}, engine;
    outcomes = (void *)&world->arrivals[DRAINED_ARRIVALS - 2]; // nothing arrives there
    leave_a_session(&engine);
    drained_engine_start(&healthy);
    hostile_run run = {&healthy, &engine};
    int status = child_run(hostile_drainer, &run, 500);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the drainer ended with status %x", (unsigned)status);
    drained_engine_end(&healthy);
    const uint32_t recorded = world_get(&world->recorded[0]);
    const drained_sum sum = drained_sum_of(0, recorded);
    assert_int_equal(sum.distinct, recorded);
    assert_int_equal(sum.doubles + sum.beyond, 0);
    assert_int_equal(world_get(&world->wrong_of[0]), 0);
    print_message("%u refused, %u failed, %u drained; the healthy one had %u spans\n", outcomes->refused,
                  outcomes->failed, outcomes->drained, recorded);
    assert_true(outcomes->refused > ROUNDS / 50 && outcomes->failed > ROUNDS / 50 &&
                outcomes->drained > ROUNDS / 50);
    forget();
}

// ---- batches that change while they are filled and sent ----

// Nothing but the bytes of the batches: all else of the session is sound, and must stay so.
typedef struct batch_vandal {
    int fd;
    uint64_t offset, bytes, seed;
    uint32_t rounds, over; // atomic
} batch_vandal;

static void *wreck_batches(void *argument)
{
    batch_vandal *me = argument;
    uint8_t *bytes = malloc(me->bytes);
    CHILD_CHECK(bytes != NULL);
    while (world_get(&me->over) == 0) {
        const uint64_t how = draw(&me->seed, 3);
        for (uint64_t i = 0; i < me->bytes; i++)
            bytes[i] = how == 0 ? 0 : how == 1 ? 0xff : (uint8_t)nsp__random_splitmix(&me->seed);
        CHILD_CHECK(pwrite(me->fd, bytes, me->bytes, (off_t)me->offset) == (ssize_t)me->bytes);
        __atomic_fetch_add(&me->rounds, 1, __ATOMIC_RELEASE);
    }
    free(bytes);
    return NULL;
}

static batch_vandal batch_vandal_of(const drained_engine *engine)
{
    static nsp__control control;
    int fd = open_file(engine->session, "control", O_RDONLY);
    CHILD_CHECK(pread(fd, &control, sizeof control, 0) == (ssize_t)sizeof control);
    close(fd);
    const nsp__section *data = find_section(&control, NSP__SECTION_BATCH_DATA);
    CHILD_CHECK(data != NULL && data->count != 0);
    return (batch_vandal){.fd = open_file(engine->session, "batches", O_RDWR),
                          .offset = data->offset,
                          .bytes = data->stride * data->count,
                          .seed = 77};
}

static void drainer_of_changing_batches(void *argument)
{
    enum { SPANS_LEAST = 20000, WRONG_LEAST = 100 };
    const hostile_run *run = argument;
    const drained_plan plan = {.batch_spans = 40};
    nsp_drainer *drainer = drained_open(&plan);
    batch_vandal me = batch_vandal_of(run->engine);
    CHILD_CHECK(nsp_drainer_add(drainer, run->healthy->session, NULL, 0) == NSP_OK);
    CHILD_CHECK(nsp_drainer_add(drainer, run->engine->session, NULL, 0) == NSP_OK);
    pthread_t thread;
    CHILD_CHECK(pthread_create(&thread, NULL, wreck_batches, &me) == 0);
    while (of(drainer, run->engine->session).drained < SPANS_LEAST || world_get(&me.rounds) < 100 ||
           world_get(&world->wrong_of[1]) + world_get(&world->foreign) < WRONG_LEAST)
        nsp_drainer_work(drainer, NULL);
    world_set(&world->engine_stop, 1);
    // The session's own figures are none of what was overwritten: everything is settled, and both end in order.
    while (of(drainer, run->healthy->session).state == NSP_DRAINED_LIVING ||
           of(drainer, run->engine->session).state == NSP_DRAINED_LIVING)
        nsp_drainer_work(drainer, NULL);
    world_set(&me.over, 1);
    pthread_join(thread, NULL);
    const nsp_drained wrecked = of(drainer, run->engine->session);
    CHILD_CHECK(wrecked.state == NSP_DRAINED_ENDED && wrecked.in_rings + wrecked.in_batches == 0);
    CHILD_CHECK(wrecked.exported + wrecked.rejected + wrecked.unconfirmed == wrecked.drained);
    CHILD_CHECK(of(drainer, run->healthy->session).state == NSP_DRAINED_ENDED);
    drained_close(drainer, 1000000000);
    close(me.fd);
}

static void batches_that_change_harm_their_session_alone(void **state)
{
    (void)state;
    drained_engine healthy = {.index = 0, .ahead = 100}, engine = {.index = 1};
    drained_engine_start(&healthy);
    drained_engine_start(&engine);
    hostile_run run = {&healthy, &engine};
    int status = child_run(drainer_of_changing_batches, &run, 200);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the drainer ended with status %x", (unsigned)status);
    drained_engine_end(&healthy);
    drained_engine_end(&engine);
    const uint32_t recorded = world_get(&world->recorded[0]);
    const drained_sum sum = drained_sum_of(0, recorded);
    assert_int_equal(sum.distinct, recorded);
    assert_int_equal(sum.doubles + sum.beyond, 0);
    assert_int_equal(world_get(&world->wrong_of[0]), 0);
    print_message("%u spans of the other one were wrong, %u could not be told from whom they were\n",
                  world_get(&world->wrong_of[1]), world_get(&world->foreign));
}

// ---- one by one ----

// What stands in the files after a session has failed is not changed any more.
static void a_session_that_failed_is_let_alone(void *argument)
{
    const drained_engine *engine = argument;
    const drained_plan plan = {.batch_spans = 20};
    char session[SESSION_PATH_MAX];
    copy_session(engine, 1, session);
    nsp_drainer *drainer = drained_open(&plan);
    world_set(&world->away, 1); // so that batches wait
    CHILD_CHECK(nsp_drainer_add(drainer, session, NULL, 0) == NSP_OK);
    nsp_drainer_work(drainer, NULL);
    int fd = open_file(session, "threads", O_RDWR);
    const uint64_t impossible = (uint64_t)1 << 40;
    CHILD_CHECK(pwrite(fd, &impossible, 8, offsetof(nsp__slot, published)) == 8);
    nsp_drainer_work(drainer, NULL);
    const nsp_drained drained = of(drainer, session);
    CHILD_CHECK(drained.state == NSP_DRAINED_FAILED);
    CHILD_CHECK(strcmp(drained.problem, "the positions of a ring are impossible") == 0);
    CHILD_CHECK(drained.drained != 0);
    uint8_t *before[FILES];
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < FILES; i++) {
            uint8_t *bytes = malloc(left[i].size);
            int file = open_file(session, files[i], O_RDONLY);
            CHILD_CHECK(pread(file, bytes, left[i].size, 0) == (ssize_t)left[i].size);
            close(file);
            if (pass == 0)
                before[i] = bytes;
            else
                CHILD_CHECK(memcmp(bytes, before[i], left[i].size) == 0);
        }
        world_set(&world->away, 0); // now the sender could send them
        for (int i = 0; i < 100; i++) {
            nsp_drainer_work(drainer, NULL);
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        }
    }
    drained_close(drainer, 0);
    close(fd);
    remove_copy(session);
}

// The sender's thread finds it, in a batch that waits, or nobody does until the drainer looks.
static void a_file_that_is_cut_short(void *argument)
{
    const drained_engine *engine = argument;
    const drained_plan plan = {.batch_spans = 20};
    for (size_t file = 0; file < FILES; file++) {
        char session[SESSION_PATH_MAX];
        if (file == 2) // nobody drains what is not finished
            continue;
        copy_session(engine, 10 + (int)file, session);
        nsp_drainer *drainer = drained_open(&plan);
        world_set(&world->away, 1);
        CHILD_CHECK(nsp_drainer_add(drainer, session, NULL, 0) == NSP_OK);
        nsp_drainer_work(drainer, NULL);
        int fd = open_file(session, files[file], O_RDWR);
        CHILD_CHECK(ftruncate(fd, 0) == 0);
        close(fd);
        world_set(&world->away, 0);
        const uint64_t give_up = nsp__monotonic_ns() + 20 * NSP__SECOND; // the thread may come late
        while (of(drainer, session).state == NSP_DRAINED_LIVING && nsp__monotonic_ns() < give_up)
            nsp_drainer_work(drainer, NULL);
        CHILD_CHECK(of(drainer, session).state == NSP_DRAINED_FAILED);
        CHILD_CHECK(strstr(of(drainer, session).problem, "cut short") != NULL);
        drained_close(drainer, 0);
        remove_copy(session);
    }
}

static void overwrite(const char *session, const char *file, uint64_t at, const void *bytes, size_t length)
{
    int fd = open_file(session, file, O_RDWR);
    CHILD_CHECK(pwrite(fd, bytes, length, (off_t)at) == (ssize_t)length);
    close(fd);
}

// Each of these would be worked with otherwise.
static void what_is_impossible(void *argument)
{
    const drained_engine *engine = argument;
    const drained_plan plan = {.batch_spans = 20};
    const uint64_t zero = 0, far = (uint64_t)1 << 40;
    char session[SESSION_PATH_MAX], problem[NSP_DRAINED_PROBLEM_MAX];
    nsp_drainer *drainer = drained_open(&plan);

    copy_session(engine, 20, session);
    overwrite(session, "control", offsetof(nsp__control, clock.rate), &zero, sizeof zero);
    CHILD_CHECK(nsp_drainer_add(drainer, session, problem, sizeof problem) == NSP_ERR_DAMAGED);
    CHILD_CHECK(strcmp(problem, "its map of the clock is damaged") == 0);
    remove_copy(session);

#ifdef NSP_TESTPOINTS // there are batches
    copy_session(engine, 21, session);
    nsp__control *control = (nsp__control *)(void *)left[0].bytes;
    const nsp__section *coverage = find_section(control, NSP__SECTION_COVERAGE);
    for (uint64_t i = 0; i < coverage->count; i++)
        overwrite(session, "batches", coverage->offset + i * coverage->stride, &far, sizeof far);
    CHILD_CHECK(nsp_drainer_add(drainer, session, problem, sizeof problem) == NSP_ERR_DAMAGED);
    CHILD_CHECK(strcmp(problem, "a batch that an earlier drainer left is damaged") == 0);
    remove_copy(session);
#endif

    // A thread that seems to come, in the place of another.
    copy_session(engine, 22, session);
    CHILD_CHECK(nsp_drainer_add(drainer, session, problem, sizeof problem) == NSP_OK);
    const nsp__slot_place *place = (const void *)(left[0].bytes + offsetof(nsp__control, places));
    const uint32_t two = 2;
    overwrite(session, "control", offsetof(nsp__control, places[1]), place, sizeof *place);
    overwrite(session, "control", offsetof(nsp__control, slot_count), &two, sizeof two);
    nsp_drainer_work(drainer, NULL);
    CHILD_CHECK(of(drainer, session).state == NSP_DRAINED_FAILED);
    CHILD_CHECK(strcmp(of(drainer, session).problem, "the slot of thread 1 is damaged") == 0);
    drained_close(drainer, 0);
    remove_copy(session);
}

static void run_with_a_session(void (*body)(void *))
{
    drained_engine engine;
    leave_a_session(&engine);
    int status = child_run(body, &engine, 100);
    forget();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the drainer ended with status %x", (unsigned)status);
}

static void what_failed_is_let_alone(void **state)
{
    (void)state;
    run_with_a_session(a_session_that_failed_is_let_alone);
}

static void what_is_cut_short_fails(void **state)
{
    (void)state;
    run_with_a_session(a_file_that_is_cut_short);
}

static void what_is_impossible_is_refused(void **state)
{
    (void)state;
    run_with_a_session(what_is_impossible);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, drained_setup, drained_teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_failed_is_let_alone),     TEST(what_is_impossible_is_refused),
        TEST(what_is_cut_short_fails),      TEST(batches_that_change_harm_their_session_alone),
        TEST(hostile_sessions_harm_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

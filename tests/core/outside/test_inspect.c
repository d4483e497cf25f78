// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 120
//
// Sessions as nanospan/inspect.h reports them: counters that agree with the engine's own, and corrupt files.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/testpoint.h"
#include "shm/control.h"
#include "shm/slot.h"
#include "trace/trace_state.h"
#include "support/child.h"
#include "support/session_fixture.h"

// ---- engines ----

typedef struct view {
    size_t count;
    nsp_session session; // the last session, with its texts:
    char name[64], path[SESSION_PATH_MAX], service[64], problem[200];
    nsp_session_rule rules[4];
} view;

static bool keep_session(void *argument, const nsp_session *session)
{
    view *v = argument;
    v->count++;
    v->session = *session;
    assert_int_equal(session->size, sizeof *session);
    snprintf(v->name, sizeof v->name, "%s", session->name);
    snprintf(v->path, sizeof v->path, "%s", session->directory);
    snprintf(v->service, sizeof v->service, "%s", session->service);
    snprintf(v->problem, sizeof v->problem, "%s", session->problem ? session->problem : "");
    for (size_t i = 0; session->problem == NULL && i < session->rule_count && i < 4; i++)
        v->rules[i] = session->rules[i];
    return true;
}

static view look(void)
{
    view v = {0};
    assert_int_equal(nsp_sessions_each(directory, keep_session, &v), NSP_OK);
    return v;
}

static void configure(nsp_config *config)
{
    small_sessions(config);
    config->service_name = "an engine";
}

static void record(unsigned spans)
{
    for (unsigned i = 0; i < spans; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
}

static void leave_open(unsigned spans)
{
    for (unsigned i = 0; i < spans; i++)
        nsp_span_begin(NSP_NAME("open"));
}

// Compares the members that both report; inspect.h explains the others.
static void assert_same_accounting(nsp_stats a, nsp_stats b)
{
    a.clock_error_ns = b.clock_error_ns = 0;
    a.names_overflowed = b.names_overflowed = 0;
    a.pass_ns = b.pass_ns = a.lag_ns = b.lag_ns = 0; // passes go on
    assert_int_equal(a.attempted, b.attempted);
    assert_int_equal(a.open, b.open);
    assert_int_equal(a.dropped, b.dropped);
    assert_int_equal(a.in_rings, b.in_rings);
    assert_int_equal(a.in_batches, b.in_batches);
    assert_int_equal(a.exported, b.exported);
    assert_memory_equal(&a, &b, sizeof a);
}

static void look_in_child(void *argument)
{
    const nsp_stats *expected = argument;
    view v = {0};
    CHILD_CHECK(nsp_sessions_each(directory, keep_session, &v) == NSP_OK);
    CHILD_CHECK(v.count == 1);
    CHILD_CHECK(v.session.problem == NULL);
    CHILD_CHECK(v.session.alive);
    CHILD_CHECK(v.session.stats.exported == expected->exported);
}

static void own_books_at_rest_are_those_of_stats_get(void **state)
{
    (void)state;
    nsp_config config;
    configure(&config);
    capture_start(&config);
    for (int i = 0; i < 10; i++) {
        record(100);
        assert_int_equal(nsp_flush(10000000000u), NSP_OK); // because the ring is small
    }
    leave_open(6); // two of them are too deep
    nsp_span *detached[20];
    for (unsigned i = 0; i < 20; i++) // four of them are too many
        detached[i] = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    for (unsigned i = 0; i < 10; i++)
        nsp_span_end(detached[i]);
    assert_int_equal(nsp_sampler_set_rate(0.25), NSP_OK);
    assert_int_equal(nsp_sampler_set_rule("order.*", 0.5), NSP_OK);
    assert_int_equal(nsp_flush(10000000000u), NSP_OK);
    nsp_stats own = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&own), NSP_OK);
    view v = look();
    assert_int_equal(v.count, 1);
    assert_string_equal(v.problem, "");
    assert_true(v.session.alive);
    assert_int_equal(v.session.pid, getpid());
    assert_string_equal(v.name, "an_engine");
    assert_string_equal(v.service, "an engine");
    assert_true(v.session.bytes >= 64 * 1024 && v.session.start_unix_ns > UINT64_C(1600000000000000000));
    assert_true(v.session.rate == 0.25 && v.session.rule_count == 1);
    assert_string_equal(v.rules[0].pattern, "order.*");
    assert_true(v.rules[0].rate == 0.5);
    assert_true(own.exported == 1010 && own.dropped_too_deep == 2 && own.dropped_detached_full == 4);
    assert_int_equal(own.open, 4 + 6);
    assert_same_accounting(v.session.stats, own);
    // Inspecting has not released the lock that shows that this process is alive.
    assert_int_equal(child_run(look_in_child, &own, 20), 0);
    for (unsigned i = 10; i < 16; i++)
        nsp_span_end(detached[i]);
    nsp_thread_reset();
    capture_end();
    assert_int_equal(look().count, 0);
}

// Until a draw has left more roots to be left out than there were.
static void roots_until_drawn(const char *where)
{
    static bool within;
    if (strcmp(where, "reader: between counters") != 0 || within)
        return;
    within = true;
    const int64_t *left = &nsp__slot_at(0)->skips.left[0], before = *left;
    while (*left <= before + 1)
        record(1);
    within = false;
}

static void draws_go_with_what_was_left_out(void **state)
{
    (void)state;
    nsp_config config;
    configure(&config);
    config.sample_rate = 0.01;
    capture_start(&config);
    do // so that some roots are left out before the next draw
        record(1);
    while (nsp__slot_at(0)->skips.left[0] == 0);
    nsp_stats before = NSP_STATS_INIT, after = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&before), NSP_OK);
    __atomic_store_n(&nsp__testpoint_hook, roots_until_drawn, __ATOMIC_RELEASE);
    view v = look();
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    assert_int_equal(nsp_stats_get(&after), NSP_OK);
    assert_int_equal(v.count, 1);
    assert_true(v.session.stats.roots_unsampled > before.roots_unsampled);
    assert_true(v.session.stats.roots_unsampled <= after.roots_unsampled);
    nsp_thread_reset();
    capture_end();
}

// A child that records and then waits to be killed. A byte in the pipe means that it has recorded.
static pid_t engine_that_waits(unsigned finished, unsigned open, nsp_stats *seen)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = child_fork();
    if (child == 0) {
        nsp_config config;
        configure(&config);
        config.collector = NSP_COLLECTOR_INVOKER; // nothing drains
        CHILD_CHECK(nsp_init(&config) == NSP_OK);
        record(finished);
        leave_open(open);
        nsp_span_begin_detached(NSP_NAME("detached"), NULL);
        nsp_stats stats = NSP_STATS_INIT;
        CHILD_CHECK(nsp_stats_get(&stats) == NSP_OK);
        CHILD_CHECK(write(ends[1], &stats, sizeof stats) == (ssize_t)sizeof stats);
        while (true)
            pause();
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], seen, sizeof *seen), sizeof *seen);
    close(ends[0]);
    return child;
}

static void kill_engine(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void another_engine_lives_and_dies(void **state)
{
    (void)state;
    nsp_stats stats;
    pid_t child = engine_that_waits(100, 3, &stats);
    view v = look();
    assert_true(v.count == 1 && v.session.alive && v.session.pid == (uint32_t)child);
    assert_string_equal(v.problem, "");
    assert_int_equal(v.session.stats.in_rings, 100);
    assert_int_equal(v.session.stats.open, 4);
    assert_same_accounting(v.session.stats, stats);
    assert_true(v.session.rate == 1 && v.session.rule_count == 0);
    kill_engine(child);
    v = look();
    assert_true(v.count == 1 && !v.session.alive && v.session.pid == (uint32_t)child);
    assert_string_equal(v.problem, "");
    assert_same_accounting(v.session.stats, stats);
}

static void books_of_a_busy_engine_hold(void **state)
{
    (void)state;
    pid_t child = child_fork();
    if (child == 0) {
        nsp_config config;
        configure(&config);
        CHILD_CHECK(nsp_init(&config) == NSP_OK);
        while (true) {
            nsp_span *root = nsp_span_begin(NSP_NAME("root"));
            record(2);
            nsp_span *detached = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
            nsp_span_end(root);
            nsp_span_end(detached);
        }
    }
    uint64_t last = 0;
    size_t seen = 0;
    for (int i = 0; i < 20000 && seen < 300; i++) {
        view v = look();
        if (v.count == 0 || v.problem[0] != 0) { // it is still starting
            assert_int_equal(seen, 0);
            nanosleep(&(struct timespec){0, 1000000}, NULL);
            continue;
        }
        const nsp_stats *s = &v.session.stats;
        uint64_t sum = s->open + s->dropped + s->discarded + s->in_rings + s->in_batches + s->unconfirmed +
                       s->rejected + s->exported + s->spooled;
        assert_true(v.session.alive);
        assert_true(s->attempted >= sum);
        assert_true(s->attempted >= last);
        last = s->attempted;
        seen++;
    }
    kill_engine(child);
    assert_int_equal(seen, 300);
    assert_true(last > 0);
}

// ---- corrupt files ----

static int open_file(const view *v, const char *name)
{
    char path[2 * SESSION_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", v->path, name);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    return fd;
}

static void overwrite(int fd, uint64_t offset, const void *bytes, size_t length)
{
    assert_int_equal(pwrite(fd, bytes, length, (off_t)offset), length);
}

static view dead_session(void)
{
    nsp_stats stats;
    kill_engine(engine_that_waits(100, 3, &stats));
    view v = look();
    assert_int_equal(v.count, 1);
    assert_string_equal(v.problem, "");
    return v;
}

// Overwrites a value, inspects, and restores the old value.
static view with_value(int fd, uint64_t offset, const void *value, size_t length)
{
    uint8_t before[64];
    assert_int_equal(pread(fd, before, length, (off_t)offset), length);
    overwrite(fd, offset, value, length);
    view v = look();
    overwrite(fd, offset, before, length);
    return v;
}

static void headers_are_checked(void **state)
{
    (void)state;
    view v = dead_session();
    int control = open_file(&v, "control");
    uint64_t zero = 0, wild = UINT64_MAX;
    uint32_t other = NSP__SESSION_VERSION + 1, many = UINT32_MAX, odd = 3;
#define AT(member) offsetof(nsp__control, member)
    assert_non_null(strstr(with_value(control, AT(magic), &wild, 8).problem, "not written by nanospan"));
    assert_non_null(strstr(with_value(control, AT(magic), &zero, 8).problem, "beginning is overwritten"));
    assert_non_null(strstr(with_value(control, AT(version), &other, 4).problem, "another version"));
    assert_non_null(strstr(with_value(control, AT(control_bytes), &wild, 8).problem, "cut short"));
    assert_non_null(strstr(with_value(control, AT(slot_count), &many, 4).problem, "damaged"));
    assert_non_null(strstr(with_value(control, AT(detached_count), &many, 4).problem, "damaged"));
    assert_non_null(strstr(with_value(control, AT(resource_bytes), &many, 4).problem, "damaged"));
    assert_non_null(strstr(with_value(control, AT(detached_stride), &odd, 4).problem, "damaged"));
    assert_non_null(strstr(with_value(control, AT(places[0].offset), &wild, 8).problem, "slot of thread 0"));
    assert_non_null(strstr(with_value(control, AT(places[0].bytes), &wild, 8).problem, "slot of thread 0"));
    for (int i = 0; i < 2; i++) // one of the two is in force, and the other does not matter
        v.count += with_value(control, AT(policies[i].thresholds[0]), &wild, 8).problem[0] != 0;
    assert_int_equal(v.count, 2);
#undef AT
    int threads = open_file(&v, "threads");
#define AT(member) offsetof(nsp__slot, member)
    assert_non_null(strstr(with_value(threads, AT(index), &many, 4).problem, "slot of thread 0"));
    assert_non_null(strstr(with_value(threads, AT(frame_count), &many, 4).problem, "slot of thread 0"));
    assert_non_null(strstr(with_value(threads, AT(frame_stride), &many, 4).problem, "slot of thread 0"));
    assert_non_null(strstr(with_value(threads, AT(frames_offset), &wild, 8).problem, "slot of thread 0"));
    assert_non_null(strstr(with_value(threads, AT(ring_offset), &wild, 8).problem, "slot of thread 0"));
    assert_non_null(strstr(with_value(threads, AT(ring_bytes), &wild, 8).problem, "slot of thread 0"));
#undef AT
    assert_string_equal(look().problem, "");
    close(control);
    close(threads);
}

static void cut_files_are_refused(void **state)
{
    (void)state;
    view v = dead_session();
    static const char *const names[] = {"threads", "detached", "control"};
    for (size_t i = 0; i < 3; i++) {
        int fd = open_file(&v, names[i]);
        off_t size = lseek(fd, 0, SEEK_END);
        for (off_t keep_bytes = size - 1; keep_bytes > 0; keep_bytes /= 3) {
            assert_int_equal(ftruncate(fd, keep_bytes), 0);
            assert_true(look().problem[0] != 0);
        }
        assert_int_equal(ftruncate(fd, 0), 0);
        view seen = look();
        assert_true(seen.count == 1 && seen.problem[0] != 0);
        close(fd);
    }
}

// Arbitrary bytes cause no crash, no hang and no sanitizer report.
static void garbage_is_survived(void **state)
{
    (void)state;
    view v = dead_session();
    static const char *const names[] = {"control", "threads", "detached"};
    static const size_t heads[] = {offsetof(nsp__control, names), sizeof(nsp__slot) + 4096, 16 * 2304};
    uint64_t random = 88172645463325252u;
    for (int round = 0; round < 600; round++) {
        size_t file = (size_t)round % 3;
        int fd = open_file(&v, names[file]);
        uint8_t bytes[32];
        for (size_t i = 0; i < sizeof bytes; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            bytes[i] = round % 2 ? 0xff : (uint8_t)random;
        }
        // Half of them near the beginning, where all the counts are.
        uint64_t reach = round % 4 < 2 ? 256 : heads[file] - sizeof bytes;
        size_t length = 1 + random % sizeof bytes;
        view seen = with_value(fd, random / 7 % reach, bytes, length);
        assert_int_equal(seen.count, 1);
        close(fd);
    }
    assert_string_equal(look().problem, "");
}

static void strange_files_are_refused(void **state)
{
    (void)state;
    view v = dead_session();
    char path[2 * SESSION_PATH_MAX], away[2 * SESSION_PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/control", v.path);
    snprintf(away, sizeof away, "%s.away", path);
    assert_int_equal(rename(path, away), 0);
    assert_true(look().problem[0] != 0);
    assert_int_equal(symlink(away, path), 0);
    assert_true(look().problem[0] != 0);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0); // opening one would wait for a writer
    assert_true(look().problem[0] != 0);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_true(look().problem[0] != 0);
    rmdir(path);
    assert_int_equal(rename(away, path), 0);
    assert_string_equal(look().problem, "");
    unlink(away);
}

static void folders_of_others_are_refused(void **state)
{
    (void)state;
    char path[SESSION_PATH_MAX + 32];
    view v = {0};
    snprintf(path, sizeof path, "%s/nanospan-%u", directory, (unsigned)geteuid());
    assert_int_equal(look().count, 0); // no folder
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(look().count, 0); // an empty folder
    assert_int_equal(chmod(path, 0770), 0);
    assert_int_equal(nsp_sessions_each(directory, keep_session, &v), NSP_ERR_SYSTEM);
    assert_int_equal(nsp_sessions_each("none", keep_session, &v), NSP_OK);
    setenv("NSP_SHM_DIR", directory, 1);
    assert_int_equal(nsp_sessions_each(NULL, keep_session, &v), NSP_ERR_SYSTEM);
    assert_int_equal(chmod(path, 0700), 0);
    assert_int_equal(nsp_sessions_each(NULL, keep_session, &v), NSP_OK);
    unsetenv("NSP_SHM_DIR");
    assert_int_equal(v.count, 0);
}

int main(void)
{
#define SESSION(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
    const struct CMUnitTest tests[] = {
        SESSION(own_books_at_rest_are_those_of_stats_get),
        SESSION(draws_go_with_what_was_left_out),
        SESSION(another_engine_lives_and_dies),
        SESSION(books_of_a_busy_engine_hold),
        SESSION(headers_are_checked),
        SESSION(cut_files_are_refused),
        SESSION(garbage_is_survived),
        SESSION(strange_files_are_refused),
        SESSION(folders_of_others_are_refused),
    };
    return cmocka_run_group_tests_name("inspect", tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Sessions that change while they are read: another process writes into them and cuts them short, or their
// engine is killed. Reading ends, and what is read of a dead one is exact.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/testpoint.h"
#include "outside/session/session_stats.h"
#include "support/child.h"
#include "support/recovered.h"
#include "support/session_fixture.h"

enum { LOOKS = 1500, ENGINES = 12, LOOKS_BEFORE_DEATH = 12 };

static int open_folder(void)
{
    char folder[SESSION_PATH_MAX + 32];
    snprintf(folder, sizeof folder, "%s/nanospan-%u", directory, (unsigned)geteuid());
    int fd = open(folder, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    return fd;
}

// Reads everything that the copy can reach.
static void read_all(nsp__session_copy *copy)
{
    static union {
        nsp__frame frame;
        uint8_t room[NSP__FRAME_COPY_MAX];
    } open;
    nsp_stats stats;
    (void)nsp__session_stats(copy, &stats, NULL);
    const nsp__tuning *tuning;
    const nsp__outliers *outliers;
    (void)nsp__session_copy_policy(copy, &tuning, &outliers);
    for (uint32_t i = 0; i < copy->slot_count; i++) {
        const nsp__slot *slot = nsp__session_copy_slot(copy, i);
        nsp__ring_copy ring;
        if (slot == NULL)
            continue;
        assert_true(nsp__ring_copy_begin(&ring, copy, i, slot->consumed, slot->published));
        while (nsp__ring_copy_next(&ring) != NULL)
            assert_true(ring.at <= slot->published);
        assert_true(ring.damaged == (ring.at != slot->published));
        nsp__ring_copy_end(&ring);
        for (uint32_t depth = 0; depth < slot->frame_count; depth++)
            (void)nsp__session_copy_frame(copy, i, depth, &open.frame, sizeof open);
    }
    for (uint32_t i = 0; i < nsp__session_copy_detached_count(copy); i++)
        (void)nsp__session_copy_detached(copy, i, &open.frame, sizeof open);
    for (uint32_t i = 0; i < copy->control->batch_count; i++) {
        nsp__batch_header header;
        uint8_t *bytes = NULL;
        if (nsp__session_copy_batch(copy, i, &header) && (bytes = malloc(header.length + 1)) != NULL)
            (void)nsp__session_copy_batch_bytes(copy, &header, bytes);
        free(bytes);
    }
}

// ---- another process writes ----

static void still_engine(void *nobody)
{
    (void)nobody;
    nsp_config config;
    small_sessions(&config);
    config.collector = NSP_COLLECTOR_INVOKER;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    for (int i = 0; i < 200; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
    nsp_span_begin(NSP_NAME("open"));
    nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    raise(SIGKILL);
}

typedef struct original {
    int fd;
    size_t size;
    uint8_t *bytes;
} original;

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

// Cuts, fills, and writes numbers where counts and positions are, until it is killed. Mostly the files are as
// they were, so that readers come far.
static void disturb(const char *session)
{
    static const char *const names[] = {"control", "threads", "detached", "batches"};
    original files[4];
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < 4; i++) {
        char path[SESSION_PATH_MAX + 16];
        struct stat status;
        snprintf(path, sizeof path, "%s/%s", session, names[i]);
        files[i].fd = open(path, O_RDWR);
        CHILD_CHECK(files[i].fd >= 0 && fstat(files[i].fd, &status) == 0);
        files[i].size = (size_t)status.st_size;
        files[i].bytes = malloc(files[i].size);
        CHILD_CHECK(pread(files[i].fd, files[i].bytes, files[i].size, 0) == status.st_size);
    }
    for (;;) {
        const original *file = &files[draw(&random) % 4];
        if (draw(&random) % 2 == 0) {
            CHILD_CHECK(ftruncate(file->fd, (off_t)(draw(&random) % file->size)) == 0);
        } else {
            uint64_t value = draw(&random) % 3 == 0 ? UINT64_MAX : draw(&random) >> draw(&random) % 64;
            CHILD_CHECK(pwrite(file->fd, &value, 8, (off_t)(draw(&random) % 2048 / 8 * 8)) == 8);
        }
        nanosleep(&(struct timespec){0, (long)(draw(&random) % 300000)}, NULL);
        CHILD_CHECK(pwrite(file->fd, file->bytes, file->size, 0) == (ssize_t)file->size);
        nanosleep(&(struct timespec){0, (long)(draw(&random) % 600000)}, NULL);
    }
}

static void a_session_that_another_process_changes(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, still_engine, NULL, session);
    int folder = open_folder();
    pid_t writer = child_fork();
    if (writer == 0)
        disturb(session);
    unsigned readable = 0, refused = 0;
    for (unsigned i = 0; i < LOOKS || (i < 100 * LOOKS && (readable == 0 || refused == 0)); i++) {
        nsp__session_copy copy;
        if (nsp__session_copy_open(&copy, folder, strrchr(session, '/') + 1, false)) {
            readable++;
            read_all(&copy);
        } else {
            refused++;
            assert_true(copy.problem[0] != 0);
        }
        nsp__session_copy_close(&copy);
    }
    assert_int_equal(waitpid(writer, NULL, WNOHANG), 0); // it has not failed
    kill(writer, SIGKILL);
    waitpid(writer, NULL, 0);
    close(folder);
    assert_true(readable != 0 && refused != 0);
}

// ---- the engine is killed ----

static void busy_engine(void)
{
    nsp_config config;
    small_sessions(&config);
    config.keep_sessions = 1000;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    for (int64_t i = 0;; i++) {
        nsp_span *root = nsp_span_begin(NSP_NAME("root"));
        nsp_span *life = nsp_span_begin_detached(NSP_NAME("life"), NULL);
        nsp_span_set_i64(root, NSP_KEY("number"), i);
        nsp_span_end(nsp_span_begin(NSP_NAME("child")));
        nsp_span_end(life);
        nsp_span_end(root);
    }
}

// At most the span that a thread is beginning or ending is in no counter, or in two.
static void assert_exact(int folder, const char *session)
{
    nsp__session_copy copy;
    nsp_stats s;
    if (!nsp__session_copy_open(&copy, folder, strrchr(session, '/') + 1, false))
        fail_msg("%s", copy.problem);
    assert_false(copy.alive);
    assert_true(nsp__session_stats(&copy, &s, NULL));
    uint64_t sum = s.open + s.dropped + s.discarded + s.in_rings + s.in_batches + s.unconfirmed + s.rejected +
                   s.exported + s.spooled;
    assert_true(s.attempted >= sum && s.attempted - sum <= 1);
    read_all(&copy);
    nsp__session_copy_close(&copy);
}

static void an_engine_that_is_killed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ENGINES; i++) {
        char session[SESSION_PATH_MAX];
        pid_t child = child_fork();
        if (child == 0)
            busy_engine();
        for (int tries = 0; !session_dir_of(directory, child, session) && tries < 100000; tries++)
            nanosleep(&(struct timespec){0, 1000000}, NULL);
        int folder = open_folder();
        for (unsigned looks = 0, tries = 0; looks < LOOKS_BEFORE_DEATH + i && tries < 100000; tries++) {
            nsp__session_copy copy;
            if (nsp__session_copy_open(&copy, folder, strrchr(session, '/') + 1, false)) {
                looks++;
                read_all(&copy);
                if (looks == LOOKS_BEFORE_DEATH)
                    kill(child, SIGKILL); // the last looks meet it on its way out
            } else {
                if (copy.state != NSP__SESSION_NOT_STARTED)
                    fail_msg("look %u: %s", looks, copy.problem);
                nanosleep(&(struct timespec){0, 1000000}, NULL);
            }
            nsp__session_copy_close(&copy);
        }
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_exact(folder, session);
        close(folder);
        session_dir_remove(session);
    }
}

// ---- the engine records meanwhile ----

#ifdef NSP_TESTPOINTS

static void record(unsigned spans)
{
    for (unsigned i = 0; i < spans; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
}

static void *first_span(void *nobody)
{
    record(1);
    return nobody;
}

static int stalls_left;
static const char *stalls_at;

// While the reader stands still, a thread makes its first span, or the ring is drained and filled anew.
static void meanwhile(const char *point)
{
    if (strcmp(point, stalls_at) != 0 || stalls_left == 0)
        return;
    stalls_left--;
    if (strcmp(point, "reader: files open") == 0) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, first_span, NULL), 0);
        pthread_join(thread, NULL);
        return;
    }
    for (int i = 0; i < 8; i++) {
        record(200);
        assert_int_equal(nsp_flush(10000000000u), NSP_OK);
    }
}

static void assert_readable_while(const char *point, int stalls)
{
    nsp_config config;
    small_sessions(&config);
    config.collector = NSP_COLLECTOR_INVOKER;
    assert_int_equal(nsp_init(&config), NSP_OK);
    record(1);
    char session[SESSION_PATH_MAX];
    assert_true(session_dir_of(directory, getpid(), session));
    int folder = open_folder();
    stalls_at = point;
    stalls_left = stalls;
    __atomic_store_n(&nsp__testpoint_hook, meanwhile, __ATOMIC_RELEASE);
    nsp__session_copy copy;
    bool readable = nsp__session_copy_open(&copy, folder, strrchr(session, '/') + 1, false);
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    if (!readable)
        fail_msg("%s: %s", point, copy.problem);
    assert_int_equal(stalls_left, 0);
    read_all(&copy);
    nsp__session_copy_close(&copy);
    close(folder);
    assert_int_equal(nsp_shutdown(10000000000u), NSP_OK);
    nsp_thread_reset();
}

static void a_reader_that_is_slower_than_its_engine(void **state)
{
    (void)state;
    assert_readable_while("reader: files open", 1);
    assert_readable_while("reader: between positions", 1);
    assert_readable_while("reader: between positions", 50);
}

#endif

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
    const struct CMUnitTest tests[] = {
        TEST(a_session_that_another_process_changes),
        TEST(an_engine_that_is_killed),
#ifdef NSP_TESTPOINTS
        TEST(a_reader_that_is_slower_than_its_engine),
#endif
    };
    return cmocka_run_group_tests_name("session_changing", tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include "support/copied_session.h"

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
#include <unistd.h>

#include "outside/session/session_stats.h"
#include "support/child.h"
#include "support/recovered.h"
#include "support/session_fixture.h"

enum { SPANS = 7 };

char copied_session[SESSION_PATH_MAX];
static int folder_fd = -1;

static void engine(void *nobody)
{
    (void)nobody;
    nsp_config config;
    small_sessions(&config);
    config.service_name = "an engine";
    config.collector = NSP_COLLECTOR_INVOKER; // nothing drains by itself
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    capture_answer(NSP_SEND_RETRY); // the batch stays
    nsp_span_end(nsp_span_begin(NSP_NAME("in a batch")));
    (void)nsp_do_work(10);
    for (int64_t i = 0; i < SPANS; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("in the ring"));
        nsp_span_set_i64(span, NSP_KEY("number"), i);
        nsp_span_end(span);
    }
    nsp_span_set_i64(nsp_span_begin(NSP_NAME("open")), NSP_KEY("number"), 1);
    nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    raise(SIGKILL);
}

int copied_session_make(void **state)
{
    char folder[SESSION_PATH_MAX + 32];
    make_directory(state);
    engine_dies(directory, engine, NULL, copied_session);
    snprintf(folder, sizeof folder, "%s/nanospan-%u", directory, (unsigned)geteuid());
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY);
    return folder_fd >= 0 ? 0 : -1;
}

int copied_session_remove(void **state)
{
    close(folder_fd);
    return remove_directory(state);
}

static const char *name_of_session(void)
{
    return strrchr(copied_session, '/') + 1;
}

nsp__session_state copied_look(char problem[160])
{
    nsp__session_copy copy;
    bool readable = nsp__session_copy_open(&copy, folder_fd, name_of_session(), false);
    assert_true(readable == (copy.state == NSP__SESSION_READABLE));
    assert_true(readable == (copy.problem[0] == 0));
    snprintf(problem, 160, "%s", copy.problem);
    nsp__session_copy_close(&copy);
    return copy.state;
}

void copied_assert_look(nsp__session_state state, const char *text)
{
    char problem[160];
    nsp__session_state seen = copied_look(problem);
    if (seen != state || strstr(problem, text) == NULL)
        fail_msg("state %d: \"%s\", not %d: \"%s\"", (int)seen, problem, (int)state, text);
}

nsp__session_copy copied_open(void)
{
    nsp__session_copy copy;
    if (!nsp__session_copy_open(&copy, folder_fd, name_of_session(), false))
        fail_msg("%s", copy.problem);
    return copy;
}

const char *copied_path(const char *file)
{
    static char path[SESSION_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", copied_session, file);
    return path;
}

void copied_write(const char *file, uint64_t at, const void *bytes, size_t length)
{
    int fd = open(copied_path(file), O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, length, (off_t)at), length);
    close(fd);
}

uint64_t copied_size(const char *file)
{
    struct stat status;
    assert_int_equal(stat(copied_path(file), &status), 0);
    return (uint64_t)status.st_size;
}

static const char *text_of(const nsp__session_copy *copy, nsp_name name)
{
    size_t length;
    const char *text = nsp__session_copy_name(copy, name, &length);
    assert_non_null(text);
    assert_int_equal(strlen(text), length);
    return text;
}

void copied_assert_number(const nsp__session_copy *copy, const nsp__record *record, int64_t number)
{
    nsp_item_cursor cursor = {(const uint8_t *)(record + 1), (const uint8_t *)record + record->bytes};
    nsp_item item = {0};
    int64_t value;
    assert_true(nsp_item_next(&cursor, &item));
    assert_string_equal(text_of(copy, item.key), "number");
    memcpy(&value, item.payload, sizeof value);
    assert_int_equal(value, number);
}

void copied_assert_whole(void)
{
    nsp__session_copy copy = copied_open();
    nsp__ring_copy ring;
    const nsp__slot *slot = nsp__session_copy_slot(&copy, 0);
    const nsp__record *record;
    int64_t count = 0;
    assert_false(copy.alive);
    assert_true(nsp__ring_copy_begin(&ring, &copy, 0, slot->consumed, slot->published));
    for (; (record = nsp__ring_copy_next(&ring)) != NULL; count++) {
        assert_string_equal(text_of(&copy, record->name), "in the ring");
        copied_assert_number(&copy, record, count);
    }
    assert_false(ring.damaged);
    assert_int_equal(count, SPANS);
    nsp__ring_copy_end(&ring);
    static union {
        nsp__frame frame;
        uint8_t room[NSP__FRAME_COPY_MAX];
    } open;
    assert_true(nsp__session_copy_frame(&copy, 0, 0, &open.frame, sizeof open));
    assert_string_equal(text_of(&copy, open.frame.record.name), "open");
    copied_assert_number(&copy, &open.frame.record, 1);
    assert_int_equal(nsp__session_copy_detached_count(&copy), 1);
    assert_true(nsp__session_copy_detached(&copy, 0, &open.frame, sizeof open));
    assert_string_equal(text_of(&copy, open.frame.record.name), "detached");
    assert_false(nsp__session_copy_detached(&copy, 1, &open.frame, sizeof open));
    nsp_stats stats;
    assert_true(nsp__session_stats(&copy, &stats, NULL));
    assert_int_equal(stats.attempted, SPANS + 3);
    assert_int_equal(stats.in_rings, SPANS);
    assert_int_equal(stats.in_batches, 1);
    assert_int_equal(nsp__stats_unsent(&stats), SPANS + 3);
    nsp__resource_entry entry;
    bool found = false;
    for (size_t at = 0; nsp__session_copy_resource(&copy, &at, &entry);)
        found = found || (strcmp(entry.key, "service.name") == 0 && strcmp(entry.value, "an engine") == 0 &&
                          entry.type == NSP_TYPE_STR);
    assert_true(found);
    nsp__session_copy_close(&copy);
}

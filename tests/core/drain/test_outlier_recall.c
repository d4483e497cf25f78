// SPDX-License-Identifier: Apache-2.0
//
// What `slower=` keeps of very many roots, judged by the readings with which they began and ended: exactly those that
// took so long, and none else. And what whoever drains has to do meanwhile, which is next to nothing.
//
//     test_outlier_recall [ROOTS]     a million roots, or so many; prints what came
//
// ctest: TIMEOUT 300
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <nanospan/exporter.h>
#include <nanospan/nanospan.h>

#include "base/random.h"
#include "common/time.h"
#include "support/sanitizer.h"

enum { BOUND_NS = 2000 };

static uint64_t roots = 1000000;

// ---- what arrives ----

typedef struct list {
    uint64_t *numbers;
    size_t count, room;
} list;

static void add(list *to, uint64_t number)
{
    if (to->count == to->room) {
        to->room = to->room != 0 ? 2 * to->room : 4096;
        uint64_t *larger = realloc(to->numbers, to->room * sizeof *larger);
        if (larger == NULL)
            abort();
        to->numbers = larger;
    }
    to->numbers[to->count++] = number;
}

static list received; // by the collector
static uint64_t too_fast, unmarked;

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    (void)state;
    if (batch->capacity - batch->length < 8)
        return false;
    batch->length += 8;
    nsp_item_cursor cursor = {view->items, view->items + view->items_bytes};
    bool marked = false;
    nsp_item item;
    while (nsp_item_next(&cursor, &item)) {
        const char *key = nsp_name_text(item.key, NULL);
        int64_t number;
        if (strcmp(key, "number") == 0 && item.length == sizeof number) {
            memcpy(&number, item.payload, sizeof number);
            add(&received, (uint64_t)number);
        }
        marked = marked || strcmp(key, "nanospan.kept") == 0;
    }
    unmarked += !marked;
    too_fast += view->end_ns - view->start_ns < BOUND_NS;
    return true;
}

static nsp_send_result receive(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                               nsp_send_report *report)
{
    (void)state;
    (void)batch;
    (void)deadline_ns;
    memset(report, 0, sizeof *report);
    report->answered = true;
    return NSP_SEND_EXPORTED;
}

static nsp_status create(void **state, const nsp_exporter_context *context)
{
    (void)context;
    *state = NULL;
    return NSP_OK;
}

static void destroy(void *state)
{
    (void)state;
}

static const nsp_exporter exporter = {
    .size = sizeof exporter,
    .name = "recall",
    .create = create,
    .destroy = destroy,
    .append = append,
    .send = receive,
};

static void start(const char *rules, uint64_t poll_ns)
{
    nsp_config config;
    nsp_config_init(&config);
    config.service_name = "recall";
    config.custom_exporter = &exporter;
    config.sample_rate = 0;
    config.log_level = NSP_LOG_ERROR;
    config.outliers = rules;
    if (poll_ns != 0)
        config.poll_min_ns = config.poll_max_ns = poll_ns;
    assert_int_equal(nsp_init(&config), NSP_OK);
}

// ---- every slow one, and no other ----

static int ascending(const void *a, const void *b)
{
    const uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
    return one < other ? -1 : one > other;
}

// Numbers of the first list that are not in the second.
static uint64_t missing(const list *first, const list *second)
{
    uint64_t found = 0;
    size_t k = 0;
    for (size_t i = 0; i < first->count; i++) {
        while (k < second->count && second->numbers[k] < first->numbers[i])
            k++;
        found += k == second->count || second->numbers[k] != first->numbers[i];
    }
    return found;
}

static void exactly_the_slow_ones_arrive(void **state)
{
    (void)state;
    list slow = {NULL, 0, 0};
    uint64_t random = 1;
    start("order: slower=2us", 0);
    const nsp_ticks now = nsp_now(),
                    bound = nsp_ticks_from_unix_ns(nsp_ticks_to_unix_ns(now) + BOUND_NS) - now;
    for (uint64_t i = 0; i < roots; i++) {
        const uint64_t draw = nsp__random_next(&random);
        nsp_ticks begin = nsp_now(), end;
        nsp_span *root = nsp_span_begin_at(NSP_NAME("order"), begin);
        nsp_span_set_i64(root, NSP_KEY("number"), (int64_t)i);
        do // now and then it takes about as long as the bound, a little more or less
            end = nsp_now();
        while (draw % 256 == 0 && end - begin < bound / 2 + draw / 256 % bound);
        nsp_span_end_at(root, end);
        // By the same readings, and the session's map from ticks to time.
        if (end - begin >= bound / 2 && nsp_ticks_to_unix_ns(end) - nsp_ticks_to_unix_ns(begin) >= BOUND_NS)
            add(&slow, i);
    }
    assert_int_equal(nsp_flush(UINT64_C(60000000000)), NSP_OK);
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    assert_int_equal(nsp_shutdown(UINT64_C(60000000000)), NSP_OK);
    qsort(received.numbers, received.count, sizeof received.numbers[0], ascending);
    const uint64_t lost = missing(&slow, &received), wrong = missing(&received, &slow);
    printf("%" PRIu64 " roots, of which %zu took %d ns or longer; %zu were received: %" PRIu64
           " are missing, %" PRIu64 " are too many; recall %.4f %%, precision %.4f %%\n",
           roots, slow.count, BOUND_NS, received.count, lost, wrong,
           slow.count != 0 ? 100 - 100 * (double)lost / (double)slow.count : 100,
           received.count != 0 ? 100 - 100 * (double)wrong / (double)received.count : 100);
    assert_true(slow.count >= roots / 2000);
    assert_int_equal(lost, 0);
    assert_int_equal(wrong, 0);
    assert_int_equal(received.count, slow.count);
    assert_int_equal(too_fast, 0);
    assert_int_equal(unmarked, 0);
    assert_int_equal(stats.speculated, roots);
    assert_int_equal(stats.kept, slow.count);
    assert_int_equal(stats.taken_back, roots - slow.count);
    assert_int_equal(stats.kept_incomplete, 0);
    free(slow.numbers);
    free(received.numbers);
}

// ---- whoever drains has nothing to do ----

// The nanoseconds that the thread of this name has run; 0: not known.
static uint64_t run_ns(const char *name)
{
    DIR *tasks = opendir("/proc/self/task");
    uint64_t found = 0;
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        char path[320], text[64] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        const bool its =
            file != NULL && fgets(text, sizeof text, file) != NULL && strncmp(text, name, strlen(name)) == 0;
        if (file != NULL)
            fclose(file);
        struct timespec now;
        const clockid_t clock =
            (clockid_t)(~(unsigned)atoi(entry->d_name) << 3 | 6); // as pthread_getcpuclockid
        if (its && clock_gettime(clock, &now) == 0)
            found = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    }
    closedir(tasks);
    return found;
}

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void draining_takes_next_to_nothing(void **state)
{
    (void)state;
    if (TEST_UNDER_ASAN || TEST_UNDER_TSAN)
        SKIP_BECAUSE("sanitizers make the collector slower");
    static const struct {
        const char *rules;
        uint64_t poll_ns, spans_a_us;
    } cases[] = {{"order: slower=1s", 0, 0}, // what it takes to look that there is nothing
                 {"order: slower=1s", 0, 1},
                 {"order: slower=1s, history=10ms", 0, 1},
                 {"order: slower=1s", 1000000000, 1}};
    uint64_t idle = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        start(cases[i].rules, cases[i].poll_ns);
        uint64_t before = 0;
        for (int tries = 0; before == 0 && tries < 5000; tries++) { // until it has begun
            usleep(1000);
            before = run_ns("nsp-collector");
        }
        const uint64_t begin = monotonic_ns();
        if (before == 0) {
            nsp_shutdown(UINT64_C(60000000000));
            SKIP_BECAUSE("nobody says how long threads have run");
        }
        uint64_t spans = 0, now;
        while ((now = monotonic_ns()) - begin < UINT64_C(2000000000))
            for (; spans < (now - begin) / 1000 * cases[i].spans_a_us; spans++) // a million a second
                nsp_span_end(nsp_span_begin(NSP_NAME("order")));
        const uint64_t its = run_ns("nsp-collector") - before;
        nsp_stats stats = NSP_STATS_INIT;
        assert_int_equal(nsp_stats_get(&stats), NSP_OK);
        printf("%s, poll %s: %.0f spans/s, of which %" PRIu64 " were recorded and %" PRIu64
               " kept; the collector ran %.3f %% of the time\n",
               cases[i].rules, cases[i].poll_ns != 0 ? "1 s" : "as by default",
               (double)spans * 1e9 / (double)(now - begin), stats.speculated, stats.kept,
               100 * (double)its / (double)(now - begin));
        assert_int_equal(stats.speculated, spans);
        assert_int_equal(stats.attempted, 0);
        idle = i == 0 ? its : idle;
        assert_true(its < (cases[i].poll_ns != 0 ? (now - begin) / 100 : 2 * idle + (now - begin) / 500));
        assert_int_equal(nsp_shutdown(UINT64_C(60000000000)), NSP_OK);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1)
        roots = strtoull(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exactly_the_slow_ones_arrive),
        cmocka_unit_test(draining_takes_next_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

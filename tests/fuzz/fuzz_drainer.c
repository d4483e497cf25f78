// SPDX-License-Identifier: Apache-2.0
// ctest: COST 30 ENVIRONMENT_MODIFICATION NSP_FUZZ_RUNS=unset:
//
// Input: what the drainer and its receiver do (the bits below), then changes to a small session as in
// fuzz_session. Its engine seems to run, unless they say otherwise, and is drained from outside; an earlier
// drainer has left batches. What comes after the number LATER changes while the session is taken over and
// drained, in the middle of a pass: the last byte of LATER says how much later. Next to it, this process's
// own engine is drained. Whatever stands in the session's files, and however they change or shrink, the drainer
// ends, opens nothing that it does not close, and hands to the exporter only what is sound, and everything that
// the other engine has recorded arrives once.
#include "fuzz.h"

#include <nanospan/drainer.h>
#include <nanospan/exporters.h>

#include "killed_session.h"
#include "outside/session/batch_decode.h"
#include "support/sanitizer.h"
#include "support/session_dir.h"

enum { JSON = 1, SKIP_IN_DOUBT = 2, RECEIVER_AWAY = 4, RECEIVER_TAKES_PART = 8, RECEIVER_REJECTS = 16 };
enum { PASSES = 6, SPANS = 40 };

// ctest does not say how many, because what it says for all tests is too many here: each starts an engine.
const long fuzz_runs = TEST_UNDER_ASAN ? 60 : 200;

static const killed_session *killed;
static char own_folder[SESSION_PATH_MAX], own_session[SESSION_PATH_MAX];
static nsp_exporter exporter, otlp;

static void quiet(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    MUST(fuzz_is_line(line, strlen(line)));
}

// ---- what happens later ----

static struct {
    const uint8_t *bytes;
    size_t size;
    uint32_t wait; // so many steps
} later;
static __thread bool is_drainer; // not the sender's thread

static void change(const uint8_t *bytes, size_t size)
{
    const size_t used = killed_session_change(bytes, size);
    later.bytes = bytes + used;
    later.size = size - used;
    later.wait = used != 0 ? bytes[used - 1] % 128u : 0;
}

// Comes between any two spans that are drained, and in the middle of taking the session over.
static void step(void)
{
    if (!is_drainer || later.size == 0)
        return;
    if (later.wait != 0)
        later.wait--;
    else
        change(later.bytes, later.size);
}

// ---- the exporter ----

static uint32_t sum_of(const uint8_t *items, const uint8_t *end)
{
    nsp_item_cursor cursor = {items, end};
    nsp_item item;
    uint32_t sum = 0;
    while (nsp_item_next(&cursor, &item)) {
        MUST(item.payload + item.length <= end);
        for (uint32_t i = 0; i < item.length; i++)
            sum += item.payload[i];
    }
    return sum;
}

static __thread volatile uint32_t looked_at; // so that everything is read

static nsp_status create(void **state, const nsp_exporter_context *context)
{
    step();
    return otlp.create(state, context);
}

static void open_batch(void *state, nsp_batch *batch)
{
    step();
    otlp.open(state, batch);
}

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    looked_at += sum_of(view->items, view->items + view->items_bytes);
    MUST(view->end_ns > view->start_ns);
    step();
    return otlp.append(state, batch, view);
}

static void close_batch(void *state, nsp_batch *batch)
{
    step();
    otlp.close(state, batch);
}

// ---- the receiver, on the sender's thread ----

static uint8_t behaviour;
static uint32_t attempts;
// Of this process's engine. They are new for each input, so the other session cannot have them.
static uint64_t ids[SPANS];
static bool arrived[SPANS];

static nsp_name intern(void *argument, const char *text, size_t length)
{
    (void)argument;
    looked_at += (uint8_t)text[length - 1];
    return 2;
}

// numbers: of our own spans, SPANS for another one.
typedef struct looking {
    uint32_t own, numbers[SPANS];
} looking;

static bool look(void *argument, const nsp__record *record)
{
    looking *me = argument;
    const uint8_t *items = (const uint8_t *)(record + 1);
    looked_at += sum_of(items, (const uint8_t *)record + record->bytes);
    for (uint32_t i = 0; i < SPANS; i++)
        if (record->span_id == ids[i]) {
            MUST(me->own < SPANS);
            me->numbers[me->own++] = i;
        }
    return true;
}

static void take_own(const nsp_batch *batch, const looking *found)
{
    MUST(found->own == batch->spans);
    for (uint32_t i = 0; i < found->own; i++) {
        MUST(!arrived[found->numbers[i]]);
        arrived[found->numbers[i]] = true;
    }
}

static nsp_send_result receive(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                               nsp_send_report *report)
{
    (void)state;
    (void)deadline_ns;
    looking found = {0};
    const nsp__batch_decoding decoding = {.encoding = batch->encoding,
                                          .closed = true,
                                          .bytes = batch->data,
                                          .size = batch->capacity,
                                          .head = batch->head,
                                          .length = batch->length,
                                          .spans = batch->spans,
                                          .intern = intern,
                                          .visit = look,
                                          .argument = &found};
    report->answered = true;
    report->retry_after_ns = 1000;
    if ((behaviour & RECEIVER_AWAY) != 0 && attempts++ % 4 != 0)
        return NSP_SEND_RETRY;
    // One of the other session may have been overwritten since it was closed.
    MUST(nsp__batch_decode(&decoding) <= batch->spans);
    if (found.own != 0) {
        take_own(batch, &found);
        return NSP_SEND_EXPORTED;
    }
    if ((behaviour & RECEIVER_TAKES_PART) != 0 && batch->attempt == 0 && batch->spans > 1) {
        report->part_exported = 1;
        return NSP_SEND_RETRY;
    }
    return (behaviour & RECEIVER_REJECTS) != 0 ? NSP_SEND_REJECTED : NSP_SEND_EXPORTED;
}

// ---- the other engine ----

static void remove_own(void)
{
    nsp_shutdown(0);
    session_dir_remove(own_folder);
}

static void start_own(void)
{
    nsp_config config;
    session_dir_make(own_folder);
    nsp_config_init(&config);
    config.service_name = "the other engine";
    config.shm_dir = own_folder;
    config.collector = NSP_COLLECTOR_EXTERNAL;
    config.ring_bytes = config.batch_bytes = 64 * 1024;
    config.record_bytes = 512;
    config.batches = 2;
    config.threads = 4;
    config.exit_timeout_ns = 0;
    config.log = quiet;
    MUST(nsp_init(&config) == NSP_OK && session_dir_of(own_folder, getpid(), own_session));
    atexit(remove_own);
}

static void record(void)
{
    memset(arrived, 0, sizeof arrived);
    for (int i = 0; i < SPANS; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("own"));
        nsp_context context;
        nsp_span_context(span, &context);
        memcpy(&ids[i], context.span_id, sizeof ids[i]);
        nsp_span_end(span);
    }
}

// ---- the property ----

static nsp_drainer *open_drainer(void)
{
    nsp_config config;
    nsp_drainer *drainer;
    nsp_config_init(&config);
    config.endpoint = "http://127.0.0.1:9";
    config.protocol = (behaviour & JSON) != 0 ? "http/json" : "http/protobuf";
    config.batch_spans = 30;
    config.schedule_delay_ns = 0;
    config.retry_min_ns = config.retry_max_ns = 1000000;
    config.log = quiet;
    nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
    options.config = &config;
    options.exporter = &exporter;
    options.in_doubt = (behaviour & SKIP_IN_DOUBT) != 0 ? NSP_IN_DOUBT_SKIP : NSP_IN_DOUBT_SEND;
    options.sessions_max = 2;
    MUST(nsp_drainer_open(&drainer, &options) == NSP_OK);
    return drainer;
}

static void check_figures(nsp_drainer *drainer)
{
    nsp_drained drained = NSP_DRAINED_INIT;
    for (size_t at = 0; nsp_drainer_each(drainer, &at, &drained);) {
        const bool failed = drained.state == NSP_DRAINED_FAILED;
        MUST(failed == (drained.problem[0] != 0) && fuzz_is_line(drained.problem, strlen(drained.problem)));
        MUST(strcmp(drained.directory, own_session) != 0 || drained.state == NSP_DRAINED_LIVING);
    }
}

static void drain(const char *session)
{
    char problem[NSP_DRAINED_PROBLEM_MAX] = "";
    nsp_drainer *drainer = open_drainer();
    MUST(nsp_drainer_add(drainer, own_session, NULL, 0) == NSP_OK);
    if (nsp_drainer_add(drainer, session, problem, sizeof problem) == NSP_OK)
        MUST(problem[0] == 0);
    else
        MUST(problem[0] != 0 && fuzz_is_line(problem, strlen(problem)));
    for (int i = 0; i < PASSES; i++) {
        nsp_drainer_work(drainer, NULL);
        check_figures(drainer);
        step();
    }
    MUST(nsp_drainer_close(drainer, 100000000000) == NSP_OK);
    for (int i = 0; i < SPANS; i++)
        MUST(arrived[i]);
}

static int lowest_descriptor(void)
{
    int fd = dup(STDERR_FILENO);
    close(fd);
    return fd;
}

static void prepare(void)
{
    killed = killed_session_make(killed_engine_outside);
    start_own();
    otlp = exporter = *nsp_exporter_builtin("otlp");
    exporter.create = create;
    exporter.open = open_batch;
    exporter.append = append;
    exporter.close = close_batch;
    exporter.send = receive;
    is_drainer = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const uint8_t alive[] = {0xf7, 1, 0, 0, 0};
    char session[sizeof killed->user + sizeof killed->name];
    if (killed == NULL)
        prepare();
    if (size == 0)
        return 0;
    const int descriptor = lowest_descriptor();
    behaviour = bytes[0];
    attempts = 0;
    killed_session_written();
    killed_session_change(alive, sizeof alive);
    record();
    snprintf(session, sizeof session, "%s/%s", killed->user, killed->name);
    change(bytes + 1, size - 1);
    drain(session);
    later.size = 0;
    killed_session_restore();
    MUST(lowest_descriptor() == descriptor);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// How fast a session is recovered whose engine was killed: a process fills a ring and dies, and its spans are
// exported again and again, each time as if it were the first (nothing is settled). From nsp_recovery_open to
// the end of nsp_recovery_export.
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nanospan/exporters.h>
#include <nanospan/inspect.h>
#include <nanospan/nanospan.h>
#include <nanospan/recover.h>

#include "common/time.h"
#include "harness/cpus.h"
#include "harness/folder.h"
#include "harness/receiver.h"
#include "harness/session.h"
#include "hot_path/operations.h"

// A span with three attributes takes 120 bytes, and roots are refused before the ring is full.
enum { SPANS = 2000000, SPANS_QUICK = 200000, RUNS_MAX = 7, BYTES_FOR_SPAN = 200 };

typedef enum target { TO_JSON, TO_NOWHERE, TO_WALKER, TO_SINK } target;

static const struct {
    const char *name, *what;
    target target;
} subjects[] = {
    {"recover_json", "into a file of JSON lines", TO_JSON},
    {"recover_encode", "encoded as OTLP, and sent nowhere", TO_NOWHERE},
    {"recover_otlp", "as OTLP over loopback HTTP to a receiver that walks every field", TO_WALKER},
    {"recover_sink", "the same to a receiver that only reads, in turn with recover_encode", TO_SINK},
};

// ---- an engine that is killed ----

// Sessions lie in shared memory, or in the folder for temporary files if there is too little of it.
static bool make_folder(uint64_t bytes, char path[FOLDER_PATH])
{
    struct statvfs space;
    if (statvfs("/dev/shm", &space) == 0 && (uint64_t)space.f_bavail * space.f_frsize > 2 * bytes &&
        folder_make_in_memory(path))
        return true;
    return folder_make(path);
}

static void fill_and_die(const bench_setup *setup, const char *folder, uint64_t spans)
{
    nsp_config config;
    session_configure(setup, &config);
    config.collector = NSP_COLLECTOR_INVOKER; // and nobody invokes it
    config.shm_dir = folder;
    config.ring_bytes = (size_t)spans * BYTES_FOR_SPAN;
    if (nsp_init(&config) != NSP_OK || nsp_thread_attach(NULL) != NSP_OK)
        _exit(1);
    operation_find("span3")->run((size_t)spans);
    kill(getpid(), SIGKILL);
}

static bool make_session(const bench_setup *setup, const char *folder, uint64_t spans, bench_result *out)
{
    int status = 0;
    fflush(NULL);
    pid_t engine = fork();
    if (engine == 0) {
        fill_and_die(setup, folder, spans);
        _exit(1);
    }
    if (engine < 0 || waitpid(engine, &status, 0) != engine || !WIFSIGNALED(status)) {
        result_fail(out, "no session of %llu spans could be made", (unsigned long long)spans);
        return false;
    }
    return true;
}

static bool keep_directory(void *argument, const nsp_session *session)
{
    snprintf(argument, FOLDER_PATH, "%s", session->directory);
    return false;
}

// ---- its recovery ----

typedef struct job {
    nsp_config config;
    nsp_recovery_options options;
    char directory[FOLDER_PATH], file[FOLDER_PATH + 16];
    uint64_t spans;
} job;

// Millions of spans a second; 0 with a problem in out.
static double run(const job *the, bench_result *out)
{
    nsp_recovery *recovery;
    char problem[NSP_RECOVERY_PROBLEM_MAX];
    nsp_recovery_account account = NSP_RECOVERY_ACCOUNT_INIT;
    uint64_t start = nsp__monotonic_ns();
    if (nsp_recovery_open(&recovery, the->directory, problem, sizeof problem) != NSP_OK) {
        result_fail(out, "%s", problem);
        return 0;
    }
    nsp_status status = nsp_recovery_export(recovery, &the->options);
    uint64_t end = nsp__monotonic_ns();
    nsp_recovery_account_get(recovery, &account);
    nsp_recovery_close(recovery);
    if (status != NSP_OK || account.exported != the->spans) {
        result_fail(out, "%s: %llu of %llu spans were exported", nsp_status_str(status),
                    (unsigned long long)account.exported, (unsigned long long)the->spans);
        return 0;
    }
    return (double)the->spans * 1000 / (double)(end - start);
}

static double run_into(job *the, target to, const char *url, bench_result *out)
{
    the->config.endpoint = url;
    the->config.file = the->file;
    the->options.exporter = to == TO_JSON      ? nsp_exporter_builtin("file")
                            : to == TO_NOWHERE ? &exporter_nowhere
                                               : nsp_exporter_builtin("otlp");
    double rate = run(the, out);
    unlink(the->file);
    return rate;
}

static void measure_target(job *the, target to, const bench_setup *setup, bench_result *out)
{
    double rates[RUNS_MAX], shares[RUNS_MAX];
    receiver sink = {.alive = -1};
    unsigned count = setup->quick ? 3 : RUNS_MAX, done = 0;
    receiver_options wanted = {.cpu = -1,
                               .mode = to == TO_SINK ? RECEIVER_DISCARDS : RECEIVER_TAKES,
                               .spans_expected = to == TO_SINK ? 0 : the->spans};
    char problem[100];
    if (to >= TO_WALKER && !receiver_start(&sink, &wanted, problem, sizeof problem)) {
        result_fail(out, "%s", problem);
        return;
    }
    for (; done < count && setup->rounds != 0 && out->problem[0] == 0; done++) {
        progress(out, done, count);
        double encoded = to == TO_SINK ? run_into(the, TO_NOWHERE, NULL, out) : NAN;
        rates[done] = run_into(the, to, sink.url, out);
        shares[done] = rates[done] / encoded;
    }
    progress(out, count, count);
    if (to >= TO_WALKER)
        receiver_stop(&sink);
    out->rounds = done;
    if (done == 0 || out->problem[0] != 0)
        return;
    result_add_estimate(out, "spans_per_s_millions", estimate_median(rates, done));
    if (to == TO_SINK)
        result_add_estimate(out, "to_encode", estimate_median(shares, done));
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static job the;
    char folder[FOLDER_PATH], files[FOLDER_PATH];
    the = (job){.options = NSP_RECOVERY_OPTIONS_INIT, .spans = setup->quick ? SPANS_QUICK : SPANS};
    if (!make_folder(the.spans * BYTES_FOR_SPAN, folder)) {
        result_fail(out, "cannot make a folder for a session");
        return;
    }
    if (!folder_make(files)) {
        result_fail(out, "cannot make a folder for a file");
    } else {
        snprintf(the.file, sizeof the.file, "%s/spans", files);
        nsp_config_init(&the.config);
        the.config.log_level = NSP_LOG_ERROR;
        the.options.config = &the.config;
        the.options.settle_later = true;
        unpin(); // a recovery runs wherever the system schedules its threads
        if (make_session(setup, folder, the.spans, out) &&
            nsp_sessions_each(folder, keep_directory, the.directory) == NSP_OK)
            measure_target(&the, subjects[index].target, setup, out);
        pin_to(setup->hot_cpu);
        folder_remove(files);
    }
    folder_remove(folder);
}

BENCH_DESCRIBE(subjects, sizeof subjects / sizeof subjects[0])

const bench_group group_recover = {
    .name = "recover",
    .method =
        "2 million spans with 3 attributes (--quick: 200,000) that an engine left when it was killed, "
        "exported by nsp_recovery_export; medians of 7 runs (3); to_encode: the share of the speed without "
        "sending",
    .describe = describe,
    .measure = measure,
};

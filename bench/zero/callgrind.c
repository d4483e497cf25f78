// SPDX-License-Identifier: Apache-2.0
//
// The instructions of each operation. Unlike times, they are the same in each run and on each machine. This
// program runs itself under valgrind twice, and the two runs must agree. callgrind counts only inside the
// function counted_run, which runs an operation N times and then 2 N times (hot_path/instructions.c); the
// difference divided by N is one operation. For what tracing adds to an order, N orders are processed without
// tracing and then with it (order_path/count.c).
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/folder.h"
#include "harness/select.h"
#include "hot_path/operations.h"
#include "order_path/count.h"
#include "order_path/pair.h"
#include "zero/watch.h"

enum { RUNS = 2, ROWS_MAX = 64 };

// A row is one operation, or what tracing adds to an order.
typedef struct row {
    char name[40];
    const char *what;
    unsigned spans;
    double counted[RUNS]; // per operation; NAN: not yet
} row;

static row rows[ROWS_MAX];
static size_t row_count;
static bench_result outcome; // a problem, or the reason to skip, that applies to all operations

static void add_row(const char *prefix, const char *name, const char *what, unsigned spans)
{
    if (row_count == ROWS_MAX)
        return;
    row *one = &rows[row_count++];
    snprintf(one->name, sizeof one->name, "instructions_%s%s", prefix, name);
    one->what = what;
    one->spans = spans;
    for (int i = 0; i < RUNS; i++)
        one->counted[i] = NAN;
}

static void fill_rows(void)
{
    if (row_count != 0)
        return;
    for (size_t i = 0; i < operation_count; i++)
        add_row("", operations[i].name, operations[i].what, operations[i].spans);
    for (size_t i = 0; i < ORDER_CONDITIONS; i++)
        if (order_countable(i))
            add_row("order_", order_conditions[i].name, order_conditions[i].what, 1);
}

static row *find_row(const char *name)
{
    for (size_t i = 0; i < row_count; i++)
        if (strcmp(rows[i].name + strlen("instructions_"), name) == 0)
            return &rows[i];
    return NULL;
}

// The names of the selected rows, as --instructions takes them: what nobody asked for would take most of the time.
static void list_wanted(const bench_setup *setup, char *list, size_t size)
{
    size_t length = 0;
    list[0] = '\0';
    for (size_t i = 0; i < row_count; i++)
        if (setup->only == NULL || selected(setup->only, rows[i].name) ||
            selected(setup->only, "instructions"))
            length +=
                (size_t)snprintf(list + length, size - length, "%s,", rows[i].name + strlen("instructions_"));
}

static const char *const *arguments_of(const bench_setup *setup, const char *folder)
{
    static char out[FOLDER_PATH + 32], self[512], wanted[ROWS_MAX * sizeof rows[0].name];
    static const char *const arguments[] = {"valgrind",
                                            "--tool=callgrind",
                                            "--quiet",
                                            "--collect-atstart=no",
                                            "--toggle-collect=counted_run",
                                            "--dump-after=counted_run",
                                            out,
                                            self,
                                            "--instructions",
                                            wanted,
                                            NULL};
    snprintf(out, sizeof out, "--callgrind-out-file=%s/counts", folder);
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    list_wanted(setup, wanted, sizeof wanted);
    return arguments;
}

// Runs valgrind, with a minimal environment, because variables could change the counts. False with a problem,
// or skipped, in outcome.
static bool run_valgrind(const bench_setup *setup, const char *folder)
{
    char calls[FOLDER_PATH + 16], errors[FOLDER_PATH + 16], path[512], home[FOLDER_PATH + 16],
        temporary[FOLDER_PATH + 16];
    snprintf(calls, sizeof calls, "%s/calls", folder);
    snprintf(errors, sizeof errors, "%s/errors", folder);
    snprintf(home, sizeof home, "HOME=%s", folder);
    snprintf(temporary, sizeof temporary, "TMPDIR=%s", folder);
    snprintf(path, sizeof path, "PATH=%s", getenv("PATH") != NULL ? getenv("PATH") : "/usr/bin:/bin");
    char memory[] = "NSP_SHM_DIR=none", *environment[] = {path, home, temporary, memory, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, calls, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t child;
    char *const *arguments = (char *const *)(uintptr_t)arguments_of(setup, folder); // not modified
    int status = posix_spawnp(&child, "valgrind", &actions, NULL, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    if (status != 0) {
        if (status == ENOENT)
            result_skip(&outcome, "valgrind is not installed");
        else
            result_fail(&outcome, "cannot run valgrind: %s", strerror(status));
        return false;
    }
    while (waitpid(child, &status, 0) != child)
        ;
    if (status == 0)
        return true;
    char line[160] = "";
    FILE *file = fopen(errors, "re");
    if (file != NULL) {
        while (fgets(line, sizeof line, file) != NULL) // keeps the last line
            line[strcspn(line, "\n")] = '\0';
        fclose(file);
    }
    result_fail(&outcome, "valgrind failed: %.80s", line);
    return false;
}

// The total of the dump with this number; 0 if there is none.
static double read_dump(const char *folder, unsigned number)
{
    char path[FOLDER_PATH + 32], line[512];
    double total = 0;
    snprintf(path, sizeof path, "%s/counts.%u", folder, number);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "totals: %lf", &total) == 1 || sscanf(line, "summary: %lf", &total) == 1)
            break;
    fclose(file);
    return total;
}

// Reads one line NAME SPANS TIMES for each dump; there are two lines for each row.
static void read_counts(const char *folder, int run)
{
    char path[FOLDER_PATH + 16], name[64], before[64] = "";
    snprintf(path, sizeof path, "%s/calls", folder);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    double count_before = 0, times_before = 0, times;
    for (unsigned number = 1; fscanf(file, "%63s %*u %lf", name, &times) == 2; number++) {
        double count = read_dump(folder, number);
        row *one = find_row(name);
        if (strcmp(name, before) == 0 && one != NULL)
            one->counted[run] = (count - count_before) / (times - times_before);
        count_before = count;
        times_before = times;
        memcpy(before, name, sizeof before);
    }
    fclose(file);
}

static void count_all(const bench_setup *setup, bench_result *in)
{
    for (int run = 0; run < RUNS && outcome.problem[0] == '\0' && outcome.skipped[0] == '\0'; run++) {
        char folder[FOLDER_PATH];
        if (!folder_make(folder)) {
            result_fail(&outcome, "cannot make a temporary folder: %s", strerror(errno));
            return;
        }
        if (run_valgrind(setup, folder))
            read_counts(folder, run);
        folder_remove(folder);
        progress(in, (unsigned)run + 1, RUNS);
    }
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static bool done;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    result_skip(out, "an instrumented build does not run under valgrind");
    return;
#endif
    if (!done)
        count_all(setup, out);
    done = true;
    if (outcome.skipped[0] != '\0')
        result_skip(out, "%s", outcome.skipped);
    if (outcome.problem[0] != '\0')
        result_fail(out, "%s", outcome.problem);
    if (outcome.skipped[0] != '\0' || outcome.problem[0] != '\0')
        return;
    double first = rows[index].counted[0], second = rows[index].counted[1];
    out->rounds = RUNS;
    if (isnan(first) || isnan(second)) {
        result_fail(out, "nothing was counted");
        return;
    }
    if (first != second)
        result_fail(out, "the runs disagree: %.2f instructions in one, %.2f in the other", first, second);
    result_add(out, "instructions_count", first);
    result_add(out, "instructions_per_span_count", first / rows[index].spans);
}

static bool describe(size_t index, bench_result *out)
{
    fill_rows();
    if (index >= row_count)
        return false;
    out->name = rows[index].name;
    out->what = rows[index].what;
    return true;
}

const bench_group group_instructions = {
    .name = "instructions",
    .method = "instructions of an operation, counted by callgrind in two runs that must agree",
    .describe = describe,
    .measure = measure,
};

// SPDX-License-Identifier: Apache-2.0
#include "harness/machine.h"

#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <bench_commit.h> // made by each build: BENCH_COMMIT

#include <nanospan/clock.h>
#include <nanospan/version.h>

#include "harness/noise.h"
#include "harness/ticks.h"

#define CPUS "/sys/devices/system/cpu"

static __attribute__((format(printf, 3, 4))) void add(bench_machine *out, const char *key, const char *format,
                                                      ...)
{
    if (out->count == FACTS_MAX)
        return;
    bench_fact *fact = &out->facts[out->count++];
    fact->key = key;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fact->text, sizeof fact->text, format, arguments);
    va_end(arguments);
}

// Reads the first line of a file that begins with a word, without that word. False, and "unknown", if there
// is none.
static bool read_line(char *out, size_t size, const char *path, const char *word)
{
    char line[4096];
    bool found = false;
    snprintf(out, size, "unknown");
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, word, strlen(word)) != 0)
            continue;
        const char *text = line + strlen(word) + strspn(line + strlen(word), " \t:\"");
        snprintf(out, size, "%.*s", (int)strcspn(text, "\n\""), text);
        found = true;
    }
    fclose(file);
    return found;
}

static void add_file(bench_machine *out, const char *key, const char *path, const char *word)
{
    char text[400];
    read_line(text, sizeof text, path, word);
    add(out, key, "%s", text[0] != '\0' ? text : "none");
}

// Appends a word to a text, after a separator if the text is not empty.
static void append(char *text, size_t size, const char *separator, const char *word)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", used != 0 ? separator : "", word);
}

// Adds those words of a line of a file that are on the list. A word on the list that ends with '=' matches
// all words that begin with it.
static void add_words(bench_machine *out, const char *key, const char *path, const char *word,
                      const char *const *list)
{
    char line[4096], found[400] = "", *rest = NULL;
    read_line(line, sizeof line, path, word);
    for (char *next = strtok_r(line, " ", &rest); next != NULL; next = strtok_r(NULL, " ", &rest)) {
        for (size_t i = 0; list[i] != NULL; i++) {
            size_t length = strlen(list[i]);
            bool prefix = list[i][length - 1] == '=';
            if (prefix ? strncmp(next, list[i], length) == 0 : strcmp(next, list[i]) == 0)
                append(found, sizeof found, " ", next);
        }
    }
    add(out, key, "%s", found[0] != '\0' ? found : "none");
}

// ---- the processor ----

static void add_hypervisor(bench_machine *out)
{
    char vendor[80] = "", product[80] = "";
#if defined(__x86_64__)
    unsigned a, b, c, d;
    char signature[13] = "";
    if (__get_cpuid(1, &a, &b, &c, &d) && (c >> 31) != 0) {
        __cpuid(0x40000000, a, b, c, d);
        memcpy(signature, &b, 4);
        memcpy(signature + 4, &c, 4);
        memcpy(signature + 8, &d, 4);
        append(vendor, sizeof vendor, " ", signature[0] != '\0' ? signature : "unnamed");
    }
#endif
    char text[60];
    if (read_line(text, sizeof text, "/sys/hypervisor/type", ""))
        append(vendor, sizeof vendor, ", ", text);
    if (read_line(text, sizeof text, "/sys/class/dmi/id/product_name", ""))
        append(product, sizeof product, " ", text);
    add(out, "hypervisor", "%s%s%s", vendor[0] != '\0' ? vendor : "none found",
        product[0] != '\0' ? "; " : "", product);
}

static void add_caches(bench_machine *out, int cpu)
{
    char text[200] = "";
    for (int i = 0; i < 8; i++) {
        char path[96], level[8], type[24], size[24], one[64];
        snprintf(path, sizeof path, CPUS "/cpu%d/cache/index%d/level", cpu, i);
        if (!read_line(level, sizeof level, path, ""))
            continue;
        snprintf(path, sizeof path, CPUS "/cpu%d/cache/index%d/type", cpu, i);
        read_line(type, sizeof type, path, "");
        snprintf(path, sizeof path, CPUS "/cpu%d/cache/index%d/size", cpu, i);
        read_line(size, sizeof size, path, "");
        snprintf(one, sizeof one, "L%s%s %s", level,
                 strcmp(type, "Data") == 0          ? "d"
                 : strcmp(type, "Instruction") == 0 ? "i"
                                                    : "",
                 size);
        append(text, sizeof text, ", ", one);
    }
    if (text[0] == '\0')
        read_line(text, sizeof text, "/proc/cpuinfo", "cache size");
    add(out, "caches", "%s", text);
}

// The kernel's mitigations for flaws of this processor, without the flaws that it does not have.
static void add_mitigations(bench_machine *out)
{
    glob_t files;
    char text[440] = "";
    if (glob(CPUS "/vulnerabilities/*", 0, NULL, &files) != 0) {
        add(out, "mitigations", "unknown");
        return;
    }
    for (size_t i = 0; i < files.gl_pathc; i++) {
        char state[120], one[200];
        read_line(state, sizeof state, files.gl_pathv[i], "");
        if (strcmp(state, "Not affected") == 0)
            continue;
        state[strcspn(state, ";")] = '\0';
        const char *what = strncmp(state, "Mitigation: ", 12) == 0 ? state + 12 : state;
        snprintf(one, sizeof one, "%s (%s)", strrchr(files.gl_pathv[i], '/') + 1, what);
        append(text, sizeof text, ", ", one);
    }
    globfree(&files);
    add(out, "mitigations", "%s", text[0] != '\0' ? text : "none needed");
}

static void describe_processor(bench_machine *out, const bench_setup *setup)
{
    static const char *const tsc[] = {"tsc",        "constant_tsc", "nonstop_tsc", "tsc_known_freq",
                                      "tsc_adjust", "tsc_reliable", "rdtscp",      NULL};
    char path[96];
    add_file(out, "cpu", "/proc/cpuinfo", "model name");
    add_file(out, "microcode", "/proc/cpuinfo", "microcode");
    add(out, "cpus", "%ld online of %ld", sysconf(_SC_NPROCESSORS_ONLN), sysconf(_SC_NPROCESSORS_CONF));
    add_caches(out, setup->hot_cpu);
    add(out, "hot_cpu", "%d", setup->hot_cpu);
    if (setup->collector_cpu >= 0)
        add(out, "collector_cpu", "%d", setup->collector_cpu);
    else
        add(out, "collector_cpu", "any");
    snprintf(path, sizeof path, CPUS "/cpu%d/topology/thread_siblings_list", setup->hot_cpu);
    add_file(out, "hot_cpu_siblings", path, "");
    add_file(out, "smt", CPUS "/smt/control", "");
    add_file(out, "isolated_cpus", CPUS "/isolated", "");
    add_file(out, "nohz_full_cpus", CPUS "/nohz_full", "");
    snprintf(path, sizeof path, CPUS "/cpu%d/cpufreq/scaling_governor", setup->hot_cpu);
    add_file(out, "governor", path, "");
    add_file(out, "boost", CPUS "/cpufreq/boost", "");
    add_words(out, "tsc_flags", "/proc/cpuinfo", "flags", tsc);
    add_hypervisor(out);
    add_mitigations(out);
}

// ---- the system ----

static void describe_system(bench_machine *out)
{
    // The kernel options that influence figures like ours.
    static const char *const options[] = {"isolcpus=",
                                          "nohz_full=",
                                          "rcu_nocbs=",
                                          "irqaffinity=",
                                          "mitigations=",
                                          "nosmt",
                                          "nosmt=",
                                          "idle=",
                                          "intel_idle.max_cstate=",
                                          "processor.max_cstate=",
                                          "intel_pstate=",
                                          "amd_pstate=",
                                          "tsc=",
                                          "clocksource=",
                                          "skew_tick=",
                                          "transparent_hugepage=",
                                          "preempt=",
                                          "nowatchdog",
                                          NULL};
    struct utsname kernel;
    uname(&kernel);
    add(out, "kernel", "%s %s %s", kernel.sysname, kernel.release, kernel.machine);
    add_file(out, "system", "/etc/os-release", "PRETTY_NAME=");
    add_words(out, "kernel_options", "/proc/cmdline", "", options);
    add_file(out, "clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource", "");
    add(out, "clock", "%s", nsp__clock_is_counter ? "counter" : "CLOCK_MONOTONIC");
    add(out, "tick_ns", "%.4f", ticks_ns());
    add_file(out, "huge_pages", "/sys/kernel/mm/transparent_hugepage/enabled", "");
    add(out, "memory", "%.1f GiB, pages of %ld bytes",
        (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / 1073741824, sysconf(_SC_PAGESIZE));
    add_file(out, "cpu_quota", "/sys/fs/cgroup/cpu.max", "");
}

static void describe_build(bench_machine *out)
{
    add(out, "nanospan", "%s", NSP_VERSION);
    add(out, "commit", "%s", BENCH_COMMIT);
#if defined(__clang__)
    add(out, "compiler", "%s", __VERSION__);
#else
    add(out, "compiler", "gcc %s", __VERSION__);
#endif
    add(out, "flags", "%s", BENCH_FLAGS);
#ifdef NDEBUG
    add(out, "assertions", "off");
#else
    add(out, "assertions", "on");
#endif
}

// Milliseconds since boot that the hypervisor gave to others.
static double stolen_ms(void)
{
    char text[160];
    unsigned long long steal = 0;
    read_line(text, sizeof text, "/proc/stat", "cpu");
    if (sscanf(text, "%*u %*u %*u %*u %*u %*u %*u %llu", &steal) != 1)
        return 0;
    return (double)steal * 1000 / (double)sysconf(_SC_CLK_TCK);
}

static double stolen_before;

void machine_describe(bench_machine *out, const bench_setup *setup)
{
    time_t now = time(NULL);
    struct tm utc;
    char when[32];
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    add(out, "date", "%s", when);
    describe_build(out);
    describe_processor(out, setup);
    describe_system(out);
    add_file(out, "load_before", "/proc/loadavg", "");
    stolen_before = stolen_ms();
}

void machine_describe_noise(bench_machine *out)
{
    add_file(out, "load_after", "/proc/loadavg", "");
    add(out, "stolen_ms", "%.0f", stolen_ms() - stolen_before);
    add(out, "least_2T_ns", "%.2f", noise_best_seen().two_reads);
    add(out, "least_additions_ns", "%.3f", noise_best_seen().additions);
}

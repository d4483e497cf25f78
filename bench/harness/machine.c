// SPDX-License-Identifier: Apache-2.0
#include "harness/machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <nanospan/clock.h>
#include <nanospan/version.h>

#include "harness/noise.h"
#include "harness/ticks.h"

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

// The first line of a file that begins with a word, without that word; "unknown" where there is none.
static void read_line(char *out, size_t size, const char *path, const char *word)
{
    char line[512];
    snprintf(out, size, "unknown");
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, word, strlen(word)) != 0)
            continue;
        const char *text = line + strlen(word) + strspn(line + strlen(word), " \t:");
        snprintf(out, size, "%.*s", (int)strcspn(text, "\n"), text);
        break;
    }
    fclose(file);
}

static void add_file(bench_machine *out, const char *key, const char *path, const char *word)
{
    char text[160];
    read_line(text, sizeof text, path, word);
    add(out, key, "%s", text);
}

// Jiffies that the hypervisor gave to others, since boot.
static unsigned long long stolen(void)
{
    char text[160];
    unsigned long long steal = 0;
    read_line(text, sizeof text, "/proc/stat", "cpu");
    if (sscanf(text, "%*u %*u %*u %*u %*u %*u %*u %llu", &steal) != 1)
        return 0;
    return steal;
}

static unsigned long long stolen_before;

void machine_describe(bench_machine *out, const bench_setup *setup)
{
    struct utsname kernel;
    uname(&kernel);
    time_t now = time(NULL);
    struct tm utc;
    char when[32];
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    add(out, "date", "%s", when);
    add(out, "nanospan", "%s", NSP_VERSION);
    add(out, "compiler", "%s", __VERSION__);
    add_file(out, "cpu", "/proc/cpuinfo", "model name");
    add(out, "cpus", "%ld online", sysconf(_SC_NPROCESSORS_ONLN));
    add(out, "hot_cpu", "%d", setup->hot_cpu);
    if (setup->collector_cpu >= 0)
        add(out, "collector_cpu", "%d", setup->collector_cpu);
    else
        add(out, "collector_cpu", "any");
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
             setup->hot_cpu);
    add_file(out, "hot_cpu_siblings", path, "");
    add(out, "kernel", "%s %s", kernel.sysname, kernel.release);
    add_file(out, "clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource", "");
    add(out, "clock", "%s", nsp__clock_is_counter ? "counter" : "CLOCK_MONOTONIC");
    add_file(out, "governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "");
    add_file(out, "huge_pages", "/sys/kernel/mm/transparent_hugepage/enabled", "");
    add_file(out, "hypervisor", "/sys/hypervisor/type", "");
    add(out, "tick_ns", "%.4f", ticks_ns());
    add_file(out, "load_before", "/proc/loadavg", "");
    stolen_before = stolen();
}

void machine_describe_noise(bench_machine *out)
{
    add_file(out, "load_after", "/proc/loadavg", "");
    add(out, "stolen_jiffies", "%llu", stolen() - stolen_before);
    add(out, "least_2T_ns", "%.2f", noise_best_seen().two_reads);
    add(out, "least_additions_ns", "%.3f", noise_best_seen().additions);
}

// SPDX-License-Identifier: Apache-2.0
//
// Are this machine's clocks, shared memory and processors in order?
#include "doctor.h"

#include "support/units.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

enum { YEAR_LEAST = 2024, YEAR_MOST = 2100, SKEW_MOST = 2 };

static bool read_line(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    out[0] = '\0';
    if (file == NULL)
        return false;
    bool got = fgets(out, (int)size, file) != NULL;
    fclose(file);
    out[strcspn(out, "\n")] = '\0';
    return got && out[0];
}

// ---- the clock that spans read ----

// Which clock do spans read? If it is CLOCK_MONOTONIC, nsp_now lies between two readings of that clock.
static bool reads_monotonic(void)
{
    uint64_t before = doctor_now(), ticks = nsp_now();
    return ticks >= before && ticks <= doctor_now();
}

// Says whether the counter runs at a constant rate, in words that fit after "the counter is".
static const char *counter_promise(bool *invariant)
{
#if defined(__x86_64__)
    unsigned a, b, c, d;
    *invariant = __get_cpuid(0x80000007, &a, &b, &c, &d) && (d >> 8 & 1);
    int access = 0;
    if (prctl(PR_GET_TSC, &access) == 0 && access == PR_TSC_SIGSEGV) {
        *invariant = false;
        return "not readable by this process";
    }
    return *invariant ? "invariant" : "not invariant";
#elif defined(__aarch64__)
    *invariant = true;
    return "constant by architecture";
#else
    *invariant = false;
    return "of an unknown kind";
#endif
}

static void check_counter(doctor *d)
{
    char source[64];
    bool invariant, monotonic = reads_monotonic();
    const char *promise = counter_promise(&invariant);
    bool known =
        read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", source, sizeof source);
    bool forced = d->config.clock == NSP_CLOCK_COUNTER,
         chosen_monotonic = d->config.clock == NSP_CLOCK_MONOTONIC;
    doctor_level level = monotonic && !chosen_monotonic ? DOCTOR_WARN : DOCTOR_OK;
    doctor_say(d, level, "machine.clock",
               "spans read %s; the counter is %s, and the kernel's clock source is %s",
               (monotonic && !forced) || chosen_monotonic ? "CLOCK_MONOTONIC" : "the processor's counter",
               promise, known ? source : "unknown");
    if (level == DOCTOR_WARN && !forced)
        doctor_advise(
            d, "each reading costs about twice as much as the counter's: `dmesg | grep -i tsc` shows why the "
               "kernel does not trust the counter; NSP_CLOCK=counter uses it anyway");
    if (forced && !invariant) {
        doctor_say(d, DOCTOR_WARN, "machine.clock_forced", "NSP_CLOCK=counter is set, but the counter is %s",
                   promise);
        doctor_advise(d, "timestamps may drift or differ between processors: unset NSP_CLOCK");
    }
}

// ---- wall clocks ----

static void check_year(doctor *d)
{
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    int year = parts.tm_year + 1900;
    if (year >= YEAR_LEAST && year <= YEAR_MOST)
        return;
    doctor_say(d, DOCTOR_FAIL, "machine.date", "this machine's clock says that the year is %d", year);
    doctor_advise(d, "set the clock: backends drop spans with such a date, or searches do not find them");
}

static void check_skew(doctor *d)
{
    const doctor_target *t = &d->target;
    if (!t->clock_skew_known)
        return;
    bool far = llabs((long long)t->clock_skew) > SKEW_MOST;
    if (!far) {
        doctor_say(d, DOCTOR_OK, "machine.skew", "the receiver's clock and this machine's agree");
        return;
    }
    doctor_say(d, DOCTOR_WARN, "machine.skew", "the receiver's clock is %" PRId64 " s %s this machine's",
               t->clock_skew < 0 ? -t->clock_skew : t->clock_skew, t->clock_skew < 0 ? "behind" : "ahead of");
    doctor_advise(
        d,
        "synchronise both clocks (chrony or another NTP client): spans of different machines will not line "
        "up, and searches by time miss them");
}

static void check_synchronised(doctor *d)
{
    struct timex state = {0};
    int result = adjtimex(&state);
    if (result < 0)
        return;
    if (result == TIME_ERROR || (state.status & STA_UNSYNC)) {
        doctor_say(d, DOCTOR_NOTE, "machine.ntp",
                   "the kernel does not report this machine's clock as synchronised");
        doctor_advise(d,
                      "for one machine that does not matter; for several, run chrony or another NTP client");
        return;
    }
    char bound[UNITS_SIZE];
    units_duration(bound, (uint64_t)(state.maxerror > 0 ? state.maxerror : 0) * 1000);
    doctor_say(d, DOCTOR_OK, "machine.ntp", "the clock is synchronised to within %s", bound);
}

// ---- shared memory ----

// With huge pages, each part of a session consists of whole ones.
static uint64_t part_bytes(const nsp_config *config, uint64_t bytes)
{
    const uint64_t huge = UINT64_C(2) << 20;
    return config->huge_pages ? (bytes + huge - 1) / huge * huge : bytes;
}

// How many bytes a session takes before its first thread, and how many each thread adds. Frames and headers
// are rounded up.
static uint64_t session_bytes(const nsp_config *config)
{
    const uint64_t control = UINT64_C(1) << 20, frame = 2304, margin = 68 * 1024;
    uint64_t batches = config->batches * (uint64_t)(config->batch_bytes + config->threads * sizeof(uint64_t)),
             detached = config->detached_spans != 0 ? config->detached_spans * frame + margin : 0;
    return part_bytes(config, control) + part_bytes(config, batches + 4096) + part_bytes(config, detached);
}

static uint64_t thread_bytes(const nsp_config *config)
{
    const uint64_t frame = config->record_bytes + 512, header = 8192,
                   speculation =
                       config->outlier_bytes != 0 ? config->outlier_bytes + config->record_bytes : 0;
    return part_bytes(config, header + config->ring_bytes + config->record_bytes + speculation +
                                  (config->open_spans + 1) * frame);
}

static bool can_write(const char *folder)
{
    char path[400];
    snprintf(path, sizeof path, "%s/nanospan-doctor-XXXXXX", folder);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return false;
    close(fd);
    unlink(path);
    return true;
}

static void check_shared_memory(doctor *d)
{
    const nsp_config *config = &d->config;
    const char *folder = config->shm_dir;
    struct statvfs room;
    if (folder == NULL || strcmp(folder, "none") == 0) {
        doctor_say(d, DOCTOR_NOTE, "machine.shm",
                   "NSP_SHM_DIR is none: what an engine has recorded is lost if it crashes, and its counters "
                   "cannot be "
                   "read from outside");
        return;
    }
    if (statvfs(folder, &room) != 0 || !can_write(folder)) {
        doctor_say(d, DOCTOR_WARN, "machine.shm", "%s cannot be written: %s", folder, strerror(errno));
        doctor_advise(
            d,
            "engines use private memory instead, and what they have recorded is lost if they crash: mount a "
            "tmpfs there, or name another folder in NSP_SHM_DIR");
        return;
    }
    uint64_t free_bytes = (uint64_t)room.f_bavail * room.f_frsize, base = session_bytes(config);
    uint64_t threads = free_bytes > base ? (free_bytes - base) / thread_bytes(config) : 0;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t wanted = processors > 4 ? (uint64_t)processors * 4 : 16;
    wanted = wanted < config->threads ? wanted : config->threads;
    char left[UNITS_SIZE], first[UNITS_SIZE], each[UNITS_SIZE];
    units_bytes(left, (double)free_bytes);
    units_bytes(first, (double)base);
    units_bytes(each, (double)thread_bytes(config));
    if (threads >= wanted) {
        doctor_say(d, DOCTOR_OK, "machine.shm", "%s has %s free: an engine takes %s, and %s for each thread",
                   folder, left, first, each);
        return;
    }
    if (threads == 0)
        doctor_say(d, DOCTOR_WARN, "machine.shm",
                   "%s has %s free: not enough for an engine with one thread (%s and %s)", folder, left,
                   first, each);
    else
        doctor_say(d, DOCTOR_WARN, "machine.shm",
                   "%s has %s free: an engine (%s) has room for only %" PRIu64 " threads of %s each", folder,
                   left, first, threads, each);
    doctor_advise(
        d, "make it larger: shm_size: 1gb in compose, --shm-size 1g with docker (the default is 64 MiB)");
    doctor_advise(d, "or reduce NSP_RING_BYTES, NSP_BATCHES, NSP_BATCH_BYTES or NSP_DETACHED_SPANS");
}

// True if RLIMIT_MEMLOCK does not apply to this process, or to what it starts.
static bool may_lock_anything(void)
{
    const uint64_t ipc_lock = UINT64_C(1) << 14; // CAP_IPC_LOCK
    uint64_t effective = 0;
    char line[200];
    FILE *file = fopen("/proc/self/status", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL &&
           sscanf(line, "CapEff: %" SCNx64, &effective) != 1)
        ;
    if (file != NULL)
        fclose(file);
    return (effective & ipc_lock) != 0;
}

// Private memory is locked too: what detached spans that are not sampled need, and the process's half of each
// thread. Rounded up.
static uint64_t private_session_bytes(const nsp_config *config)
{
    const uint64_t unsampled = 1024;
    return part_bytes(config, config->detached_spans * unsampled);
}

static void check_locks(doctor *d)
{
    const uint64_t private_thread_bytes = 32 * 1024;
    struct rlimit limit;
    uint64_t each_bytes = thread_bytes(&d->config) + private_thread_bytes;
    uint64_t needed = session_bytes(&d->config) + private_session_bytes(&d->config) + each_bytes;
    if (!d->config.lock_memory || may_lock_anything() || getrlimit(RLIMIT_MEMLOCK, &limit) != 0 ||
        limit.rlim_cur == RLIM_INFINITY)
        return;
    char most[UNITS_SIZE], wanted[UNITS_SIZE], each[UNITS_SIZE];
    units_bytes(most, (double)limit.rlim_cur);
    units_bytes(wanted, (double)needed);
    units_bytes(each, (double)each_bytes);
    bool enough = limit.rlim_cur >= needed;
    doctor_say(
        d, enough ? DOCTOR_OK : DOCTOR_WARN, "machine.lock",
        "this process may lock %s of memory (RLIMIT_MEMLOCK): NSP_LOCK_MEMORY takes %s for one thread, "
        "and %s for each further one",
        most, wanted, each);
    if (!enough)
        doctor_advise(d,
                      "raise it with ulimit -l or LimitMEMLOCK= of a systemd service, or give CAP_IPC_LOCK; "
                      "engines trace all the same, but what does not fit may be swapped out");
}

// ---- processors ----

// Reads "0,2-3".
static void read_cpus(const char *list, cpu_set_t *out)
{
    CPU_ZERO(out);
    while (*list) {
        char *end;
        unsigned long from = strtoul(list, &end, 10), to = from;
        if (end == list)
            return;
        if (*end == '-')
            to = strtoul(end + 1, &end, 10);
        for (; from <= to && from < CPU_SETSIZE; from++)
            CPU_SET(from, out);
        list = end + (*end == ',');
    }
}

// Isolated processors are reserved for trading threads, so nanospan's threads must not run there.
static void check_processors(doctor *d)
{
    char line[512];
    if (!read_line("/sys/devices/system/cpu/isolated", line, sizeof line))
        return;
    cpu_set_t isolated, ours, both;
    read_cpus(line, &isolated);
    read_cpus(d->config.collector_cpus != NULL ? d->config.collector_cpus : "", &ours);
    CPU_AND(&both, &isolated, &ours);
    if (CPU_COUNT(&both) == 0)
        return;
    doctor_say(d, DOCTOR_WARN, "machine.cpus", "NSP_COLLECTOR_CPUS=%s names isolated processors (%s)",
               d->config.collector_cpus, line);
    doctor_advise(
        d, "nanospan's threads would disturb the work that they are isolated for: name other processors");
}

void doctor_machine(doctor *d)
{
    check_counter(d);
    check_year(d);
    check_skew(d);
    check_synchronised(d);
    check_shared_memory(d);
    doctor_logout(d);
    check_locks(d);
    check_processors(d);
    doctor_switches(d);
}

// SPDX-License-Identifier: Apache-2.0
#include "harness/receiver.h"

#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/time.h"
#include "harness/cpus.h"
#include "harness/id_set.h"
#include "harness/otlp_walk.h"

enum { BODY_MOST = 64 << 20, BUFFER = 2 << 20, CONNECTIONS = 64 };
// The descriptors of the process: standard input, which ends when the parent does, and the shared page.
enum { PAGE_FD = 3 };

// Shared between the two processes.
struct receiver_page {
    receiver_options options;
    cpu_set_t cpus; // on which it may run
    uint32_t state; // one of those below; written last
    uint32_t port;
    receiver_counts counts; // written by the only thread of the receiver
};
enum { STARTING, LISTENING, FAILED };

// ---- the process: requests ----

// A request in progress. When it is done, it is kept with its memory for the next one.
typedef struct exchange {
    struct exchange *next;
    uint8_t *body;
    size_t length, room;
    unsigned status; // 0: no error so far
    bool gzip;
} exchange;

typedef struct process {
    struct receiver_page *page;
    exchange *spare;
    otlp_walk walk;
    id_set ids;
    struct libdeflate_decompressor *decompressor;
    uint8_t *unpacked;
    size_t unpacked_room;
    struct MHD_Response *empty;
} process;

static void count(uint64_t *counter, uint64_t value)
{
    __atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

static bool grow(uint8_t **bytes, size_t *room, size_t wanted)
{
    if (wanted <= *room)
        return true;
    if (wanted > BODY_MOST)
        return false;
    size_t size = *room != 0 ? *room : BUFFER;
    while (size < wanted)
        size *= 2;
    uint8_t *larger = realloc(*bytes, size);
    if (larger == NULL)
        return false;
    *bytes = larger;
    *room = size;
    return true;
}

static exchange *exchange_begin(process *me, struct MHD_Connection *connection, const char *path,
                                const char *method)
{
    exchange *x = me->spare;
    if (x != NULL)
        me->spare = x->next;
    else if ((x = calloc(1, sizeof *x)) == NULL)
        return NULL;
    x->length = 0;
    x->status = strcmp(path, "/v1/traces") != 0 ? 404 : strcmp(method, "POST") != 0 ? 405 : 0;
    const char *encoding = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Encoding");
    x->gzip = encoding != NULL && strcmp(encoding, "gzip") == 0;
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    if (length != NULL && me->page->options.mode != RECEIVER_DISCARDS &&
        !grow(&x->body, &x->room, strtoull(length, NULL, 10)))
        x->status = 413;
    receiver_counts *counts = &me->page->counts;
    if (counts->first_ns == 0)
        count(&counts->first_ns, nsp__clock_ns(CLOCK_MONOTONIC));
    return x;
}

static void receive(const process *me, exchange *x, const char *bytes, size_t length)
{
    if (me->page->options.mode == RECEIVER_DISCARDS) {
        x->length += length;
        return;
    }
    if (x->status == 0 && !grow(&x->body, &x->room, x->length + length))
        x->status = 413;
    if (x->status != 0)
        return;
    memcpy(x->body + x->length, bytes, length);
    x->length += length;
}

// Decompresses the body to me->unpacked and returns its length; SIZE_MAX: not gzip.
static size_t unpack(process *me, const exchange *x)
{
    uint32_t size; // at the end of the body
    size_t length;
    if (x->length < 18)
        return SIZE_MAX;
    memcpy(&size, x->body + x->length - sizeof size, sizeof size);
    if (!grow(&me->unpacked, &me->unpacked_room, size) ||
        libdeflate_gzip_decompress(me->decompressor, x->body, x->length, me->unpacked, me->unpacked_room,
                                   &length) != LIBDEFLATE_SUCCESS)
        return SIZE_MAX;
    return length;
}

// Counts the contents of a complete request. Returns the status of the answer.
static unsigned take(process *me, const exchange *x)
{
    receiver_counts *counts = &me->page->counts;
    count(&counts->wire_bytes, counts->wire_bytes + x->length);
    if (me->page->options.mode == RECEIVER_DISCARDS)
        return 200;
    size_t length = x->gzip ? unpack(me, x) : x->length;
    bool fine = length != SIZE_MAX && otlp_walk_request(&me->walk, x->gzip ? me->unpacked : x->body, length);
    if (!fine) {
        count(&counts->malformed, counts->malformed + 1);
        return 400;
    }
    if (!id_set_add(&me->ids, me->walk.ids, me->walk.ids_count))
        return 500;
    count(&counts->body_bytes, counts->body_bytes + length);
    count(&counts->fields, me->walk.fields);
    count(&counts->spans, me->walk.spans);
    count(&counts->distinct, me->ids.count);
    count(&counts->attributes, me->walk.attributes);
    count(&counts->events, me->walk.events);
    count(&counts->links, me->walk.links);
    return 200;
}

static enum MHD_Result answer(process *me, exchange *x, struct MHD_Connection *connection)
{
    const receiver_options *options = &me->page->options;
    receiver_counts *counts = &me->page->counts;
    unsigned status = x->status != 0 ? x->status : options->mode == RECEIVER_REFUSES ? 503 : take(me, x);
    struct timespec delay = {.tv_sec = options->delay_ms / 1000,
                             .tv_nsec = options->delay_ms % 1000 * 1000000L};
    if (options->delay_ms != 0)
        nanosleep(&delay, NULL);
    enum MHD_Result result = MHD_queue_response(connection, status, me->empty);
    count(&counts->requests, counts->requests + 1);
    count(&counts->refused, counts->refused + (status != 200));
    count(&counts->cpu_ns, nsp__clock_ns(CLOCK_THREAD_CPUTIME_ID));
    count(&counts->last_ns, nsp__clock_ns(CLOCK_MONOTONIC));
    return result;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *bytes, size_t *length,
                              void **state)
{
    process *me = context;
    (void)version;
    if (*state == NULL) {
        *state = exchange_begin(me, connection, path, method);
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*length == 0)
        return answer(me, *state, connection);
    receive(me, *state, bytes, *length);
    *length = 0;
    return MHD_YES;
}

static void completed(void *context, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode code)
{
    process *me = context;
    exchange *x = *state;
    (void)connection, (void)code;
    if (x == NULL)
        return;
    x->next = me->spare;
    me->spare = x;
    *state = NULL;
}

// ---- the process: start and end ----

static int listen_on_loopback(uint32_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
        listen(listener, CONNECTIONS) != 0 || getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        return -1;
    *port = ntohs(address.sin_port);
    return listener;
}

static bool serve(process *me, int listener)
{
    if (!id_set_make(&me->ids, me->page->options.spans_expected))
        return false;
    me->decompressor = libdeflate_alloc_decompressor();
    me->empty = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (me->decompressor == NULL || me->empty == NULL ||
        MHD_add_response_header(me->empty, "Content-Type", "application/x-protobuf") != MHD_YES)
        return false;
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO | MHD_USE_SUPPRESS_DATE_NO_CLOCK, 0,
                            NULL, NULL, handle, me, MHD_OPTION_LISTEN_SOCKET, listener,
                            MHD_OPTION_NOTIFY_COMPLETED, completed, me, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)BUFFER,
                            MHD_OPTION_END) != NULL;
}

int receiver_main(void)
{
    process me = {
        .page = mmap(NULL, sizeof *me.page, PROT_READ | PROT_WRITE, MAP_SHARED, PAGE_FD, 0),
    };
    if (me.page == MAP_FAILED) {
        fputs("nanospan-bench: --receiver is only for nanospan-bench's own use\n", stderr);
        return 2;
    }
    signal(SIGINT, SIG_IGN); // Ctrl-C on the terminal is for the parent, which then ends this process
    const receiver_options *options = &me.page->options;
    if (options->cpu >= 0)
        pin_to(options->cpu);
    else // not only on the CPU to which the parent is pinned
        sched_setaffinity(0, sizeof me.page->cpus, &me.page->cpus);
    int listener = listen_on_loopback(&me.page->port);
    bool fine = listener >= 0 && (options->mode == RECEIVER_SILENT || serve(&me, listener));
    __atomic_store_n(&me.page->state, fine ? LISTENING : FAILED, __ATOMIC_RELEASE);
    char byte;
    while (fine && (read(STDIN_FILENO, &byte, 1) > 0 || errno == EINTR))
        errno = 0;
    return fine ? 0 : 1; // the memory and the daemon's thread end with the process
}

// ---- the parent ----

extern char **environ;

static bool fail(char *problem, size_t size, const char *what, int error)
{
    snprintf(problem, size, "the receiver %s: %s", what, strerror(error));
    return false;
}

// Starts the process with the pipe as its standard input and the page as its descriptor 3.
static int spawn(pid_t *out, int input, int page)
{
    static char name[] = "nanospan-bench", option[] = "--receiver";
    char *arguments[] = {name, option, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, page, PAGE_FD);
    int error = posix_spawn(out, "/proc/self/exe", &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static bool wait_until_ready(const receiver *which)
{
    enum { TRIES = 10000 };
    const struct timespec step = {.tv_nsec = 1000000};
    for (int i = 0; i < TRIES; i++) {
        siginfo_t ended = {.si_pid = 0};
        waitid(P_PID, (id_t)which->process, &ended, WEXITED | WNOHANG | WNOWAIT);
        uint32_t state = __atomic_load_n(&which->page->state, __ATOMIC_ACQUIRE);
        if (state != STARTING || ended.si_pid != 0)
            return state == LISTENING;
        nanosleep(&step, NULL);
    }
    return false;
}

bool receiver_start(receiver *out, const receiver_options *options, char *problem, size_t size)
{
    int ends[2] = {-1, -1}, error = 0;
    *out = (receiver){.alive = -1};
    int file = memfd_create("nanospan-bench-receiver", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, sizeof *out->page) != 0 || pipe2(ends, O_CLOEXEC) != 0 ||
        (out->page = mmap(NULL, sizeof *out->page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)) ==
            MAP_FAILED) {
        error = errno;
        out->page = NULL;
    } else {
        out->page->options = *options;
        out->page->cpus = *cpus_given();
        // Numbers above the target numbers: a descriptor that is duplicated onto itself would still be closed
        // at exec.
        int high = fcntl(file, F_DUPFD_CLOEXEC, PAGE_FD + 1),
            input = fcntl(ends[0], F_DUPFD_CLOEXEC, PAGE_FD + 1);
        error = high < 0 || input < 0 ? errno : spawn(&out->process, input, high);
        close(high);
        close(input);
        out->alive = ends[1];
        ends[1] = -1;
    }
    close(file);
    close(ends[0]);
    close(ends[1]);
    if (error != 0 || !wait_until_ready(out)) {
        receiver_stop(out);
        return fail(problem, size, error != 0 ? "cannot be started" : "does not listen",
                    error != 0 ? error : ETIMEDOUT);
    }
    snprintf(out->url, sizeof out->url, "http://127.0.0.1:%u", out->page->port);
    snprintf(out->traces_url, sizeof out->traces_url, "%s/v1/traces", out->url);
    return true;
}

receiver_counts receiver_read(const receiver *from)
{
    receiver_counts out;
    const uint64_t *counters = (const uint64_t *)&from->page->counts;
    for (size_t i = 0; i < sizeof out / sizeof *counters; i++)
        ((uint64_t *)&out)[i] = __atomic_load_n(&counters[i], __ATOMIC_RELAXED);
    return out;
}

receiver_counts receiver_stop(receiver *which)
{
    receiver_counts last = {0};
    if (which->alive >= 0)
        close(which->alive);
    if (which->process > 0)
        waitpid(which->process, NULL, 0);
    if (which->page != NULL) {
        last = receiver_read(which);
        munmap(which->page, sizeof *which->page);
    }
    *which = (receiver){.alive = -1};
    return last;
}

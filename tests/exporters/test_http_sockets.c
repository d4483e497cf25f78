// SPDX-License-Identifier: Apache-2.0
//
// The descriptors of the transports, which belong to libcurl. None is a standard one, and what the
// application does to its own descriptors harms neither the application nor the library.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "support/certificates.h"
#include "support/child.h"
#include "support/h2_server.h"
#include "support/http_server.h"
#include "support/otlp_sender.h"

enum { FIRST = 3, LAST = 64 };

typedef struct target {
    unsigned port;
    const char *protocol;
    int listener; // -1: in the parent alone
} target;

static otlp_sender *start(const target *at)
{
    static otlp_sender sender;
    otlp_sender_prepare(&sender, at->port);
    sender.config.protocol = at->protocol;
    CHILD_CHECK(otlp_sender_create(&sender) == NSP_OK);
    return &sender;
}

static void send_one(otlp_sender *sender)
{
    CHILD_CHECK(otlp_sender_send(sender, 1000, PATIENCE_MS) == NSP_SEND_EXPORTED);
}

// ---- descriptors that the application closes ----

static const char entry[] = "an order that must not get lost\n";

static int move_up(int fd)
{
    int higher = fcntl(fd, F_DUPFD_CLOEXEC, 2 * LAST);
    CHILD_CHECK(fd >= 0 && higher >= 0);
    close(fd);
    return higher;
}

// Replaces every descriptor that there was by a file or a connection of the application. Each number changes
// hands at once, because other threads open descriptors meanwhile. It is done by a direct system call,
// because the thread sanitizer would report what this test is about: descriptors that another thread still
// uses.
static void take_all(int peers[LAST])
{
    for (int fd = FIRST; fd < LAST; fd++) {
        int ends[2], own;
        peers[fd] = -1;
        if (fd % 2 == 0) {
            own = move_up(open("/dev/shm", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600));
            CHILD_CHECK(write(own, entry, strlen(entry)) == (ssize_t)strlen(entry));
            CHILD_CHECK(lseek(own, 0, SEEK_SET) == 0);
        } else {
            CHILD_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
            own = move_up(ends[0]);
            peers[fd] = move_up(ends[1]);
            CHILD_CHECK(write(peers[fd], entry, strlen(entry)) == (ssize_t)strlen(entry));
        }
        CHILD_CHECK(syscall(SYS_dup3, own, fd, O_CLOEXEC) == fd);
        close(own);
    }
}

// Nothing was read from them, nothing was written to them, and all are still open.
static void check_all(const int peers[LAST])
{
    for (int fd = FIRST; fd < LAST; fd++) {
        char text[2 * sizeof entry] = "";
        CHILD_CHECK(peers[fd] >= 0 || lseek(fd, 0, SEEK_CUR) == 0);
        CHILD_CHECK(read(fd, text, sizeof text) == (ssize_t)strlen(entry));
        CHILD_CHECK(strcmp(text, entry) == 0);
        if (peers[fd] >= 0)
            CHILD_CHECK(read(peers[fd], text, sizeof text) < 0 && errno == EAGAIN);
    }
}

static void engine_that_closes_all(void *argument)
{
    int peers[LAST];
    otlp_sender *sender = start(argument);
    send_one(sender);
    take_all(peers);
    send_one(sender);
    send_one(sender);
    otlp_sender_destroy(sender);
    check_all(peers);
}

// Nothing is sent in between.
static void engine_that_closes_all_and_ends(void *argument)
{
    int peers[LAST];
    otlp_sender *sender = start(argument);
    send_one(sender);
    take_all(peers);
    otlp_sender_destroy(sender);
    check_all(peers);
}

// ---- descriptors that the application closes in the middle of a handshake ----

typedef struct closing {
    int listener;
    bool takes; // the numbers of the descriptors as well
    int peers[LAST];
} closing;

// The sender is the child's first thread, whose state /proc/self/stat shows.
static bool sender_sleeps(void)
{
    char text[512];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, text, sizeof text - 1);
    CHILD_CHECK(length > 0);
    close(fd);
    text[length] = 0;
    const char *state = strrchr(text, ')');
    return state != NULL && state[2] == 'S';
}

// Until it sleeps for longer than it would for a lock, it opens and reads files.
static void wait_until_sender_waits(void)
{
    for (int in_a_row = 0; in_a_row < 20; in_a_row = sender_sleeps() ? in_a_row + 1 : 0)
        nanosleep(&(struct timespec){.tv_nsec = MS}, NULL);
}

// As soon as the client has said its first word and waits for an answer.
static void *close_in_time(void *argument)
{
    closing *how = argument;
    char byte;
    int connection = accept(how->listener, NULL, NULL);
    CHILD_CHECK(recv(connection, &byte, 1, MSG_PEEK) == 1);
    CHILD_CHECK(fcntl(connection, F_DUPFD_CLOEXEC, 2 * LAST) >= 0); // the connection itself stays
    wait_until_sender_waits();
    if (how->takes)
        take_all(how->peers);
    else
        CHILD_CHECK(syscall(SYS_close_range, FIRST, LAST - 1, 0) == 0);
    return NULL;
}

// A short file, because libcurl reads it after its first word.
static char authority[] = "/tmp/nanospan-sockets-XXXXXX";

static void shake_hands_and_close(const target *at, bool takes)
{
    static otlp_sender sender;
    static closing how;
    pthread_t thread;
    how.listener = at->listener;
    how.takes = takes;
    otlp_sender_prepare(&sender, at->port);
    snprintf(sender.endpoint, sizeof sender.endpoint, "https://127.0.0.1:%u", at->port);
    sender.config.protocol = at->protocol;
    sender.config.certificate = authority;
    CHILD_CHECK(otlp_sender_create(&sender) == NSP_OK);
    CHILD_CHECK(pthread_create(&thread, NULL, close_in_time, &how) == 0);
    uint64_t begin = now_ns();
    CHILD_CHECK(otlp_sender_send(&sender, 1000, 40000) == NSP_SEND_RETRY);
    CHILD_CHECK(now_ns() - begin < 20000 * MS); // not only at its deadline
    CHILD_CHECK(pthread_join(thread, NULL) == 0);
    CHILD_CHECK(strstr(sender.report.detail, "the application closed the descriptors") != NULL);
    CHILD_CHECK(sender.lines == 0); // it has nothing to do with TLS
    // The next one has descriptors of its own again.
    CHILD_CHECK(otlp_sender_send(&sender, 1000, 100) == NSP_SEND_RETRY);
    CHILD_CHECK(strstr(sender.report.detail, "timed out") != NULL);
    otlp_sender_destroy(&sender);
    if (takes)
        check_all(how.peers);
}

static void engine_that_closes_while_it_connects(void *argument)
{
    shake_hands_and_close(argument, false);
}

static void engine_that_takes_while_it_connects(void *argument)
{
    shake_hands_and_close(argument, true);
}

// Each engine has a server of its own, which accepts the connection and never says a word.
static void run_in_a_handshake(void (*engine)(void *), const char *protocol)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
    target where = {ntohs(at.sin_port), protocol, listener};
    assert_int_equal(child_run(engine, &where, 60), 0);
    close(listener);
}

static void in_a_handshake(void **state)
{
    (void)state;
    static const char *const protocols[] = {"http/protobuf", "grpc"};
    int file = mkstemp(authority);
    assert_int_equal(write(file, test_authority, strlen(test_authority)), strlen(test_authority));
    close(file);
    for (int i = 0; i < 2; i++) {
        run_in_a_handshake(engine_that_closes_while_it_connects, protocols[i]);
        run_in_a_handshake(engine_that_takes_while_it_connects, protocols[i]);
    }
    unlink(authority);
}

// ---- standard descriptors that are closed ----

static void check_standard(void)
{
    for (int fd = 0; fd < FIRST; fd++)
        if (fcntl(fd, F_GETFD) != -1)
            _exit(97); // no descriptor is left to report it on
}

static void engine_without_standard_descriptors(void *argument)
{
    for (int fd = 0; fd < FIRST; fd++)
        close(fd);
    otlp_sender *sender = start(argument);
    check_standard();
    send_one(sender);
    check_standard();
    otlp_sender_destroy(sender);
    check_standard();
}

static void run(const target *at)
{
    assert_int_equal(child_run(engine_that_closes_all, (void *)at, 60), 0);
    assert_int_equal(child_run(engine_that_closes_all_and_ends, (void *)at, 60), 0);
    assert_int_equal(child_run(engine_without_standard_descriptors, (void *)at, 60), 0);
}

static void over_http(void **state)
{
    (void)state;
    http_server *server = http_server_start(NULL);
    const http_reply reply = {.status = 200, .body = ""};
    http_server_plan(server, &reply);
    const target where = {http_server_port(server), "http/protobuf", -1};
    run(&where);
    assert_int_equal(http_server_requests(server), 5);
    http_server_stop(server);
}

static void over_grpc(void **state)
{
    (void)state;
    h2_server *server = h2_server_start(NULL);
    assert_non_null(server);
    const target where = {h2_server_port(server), "grpc", -1};
    run(&where);
    assert_int_equal(h2_server_requests(server), 5);
    h2_server_stop(server);
}

// ---- connections that are never made ----

// A port whose queue of connections is full: the kernel does not answer further ones, like a firewall that
// drops packets.
static unsigned silent_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHILD_CHECK(bind(listener, (struct sockaddr *)&at, size) == 0 && listen(listener, 0) == 0);
    CHILD_CHECK(getsockname(listener, (struct sockaddr *)&at, &size) == 0);
    for (int i = 0; i < 4; i++) {
        int filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHILD_CHECK(connect(filler, (struct sockaddr *)&at, size) == 0 || errno == EINPROGRESS);
    }
    return ntohs(at.sin_port);
}

static int descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

// libcurl closes those sockets without telling us. That must not be taken for an application that closes our
// descriptors.
static void engine_that_never_connects(void *argument)
{
    const target at = {silent_port(), argument, -1};
    int before = descriptors();
    otlp_sender *sender = start(&at);
    CHILD_CHECK(otlp_sender_send(sender, 1000, 100) == NSP_SEND_RETRY);
    int waiting = descriptors();
    for (int i = 0; i < 5; i++) {
        CHILD_CHECK(otlp_sender_send(sender, 1000, 100) == NSP_SEND_RETRY);
        CHILD_CHECK(descriptors() == waiting);
    }
    otlp_sender_destroy(sender);
    CHILD_CHECK(descriptors() == before);
}

static void an_unreachable_receiver_takes_no_descriptors(void **state)
{
    (void)state;
    assert_int_equal(child_run(engine_that_never_connects, (void *)"http/protobuf", 60), 0);
    assert_int_equal(child_run(engine_that_never_connects, (void *)"grpc", 60), 0);
}

// ---- no descriptors left ----

static void engine_without_any_left(void *argument)
{
    const target *at = argument;
    static otlp_sender sender;
    const struct rlimit none = {FIRST, FIRST};
    CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    otlp_sender_prepare(&sender, at->port);
    CHILD_CHECK(otlp_sender_create(&sender) == NSP_ERR_SYSTEM);
    CHILD_CHECK(strstr(sender.last_line, "RLIMIT_NOFILE") != NULL);
}

static void a_start_without_descriptors_says_so(void **state)
{
    (void)state;
    target where = {4318, "http/protobuf", -1};
    assert_int_equal(child_run(engine_without_any_left, &where, 60), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_http),
        cmocka_unit_test(over_grpc),
        cmocka_unit_test(in_a_handshake),
        cmocka_unit_test(an_unreachable_receiver_takes_no_descriptors),
        cmocka_unit_test(a_start_without_descriptors_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

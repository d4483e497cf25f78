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
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "support/child.h"
#include "support/h2_server.h"
#include "support/http_server.h"
#include "support/otlp_sender.h"

enum { FIRST = 3, LAST = 64 };

typedef struct target {
    unsigned port;
    const char *protocol;
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
    CHILD_CHECK(otlp_sender_send(sender, 1000, 5000) == NSP_SEND_EXPORTED);
}

// ---- descriptors that the application closes ----

static const char entry[] = "an order that must not get lost\n";

// Replaces every descriptor that there was by a file or a connection of the application.
static void take_all(int peers[LAST])
{
    for (int fd = FIRST; fd < LAST; fd++)
        close(fd);
    for (int fd = FIRST; fd < LAST; fd++) {
        int ends[2];
        peers[fd] = -1;
        if (fd % 2 == 0) {
            int file = open("/dev/shm", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
            CHILD_CHECK(file == fd);
            CHILD_CHECK(write(file, entry, strlen(entry)) == (ssize_t)strlen(entry));
            CHILD_CHECK(lseek(file, 0, SEEK_SET) == 0);
        } else {
            CHILD_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
            peers[fd] = fcntl(ends[1], F_DUPFD_CLOEXEC, 2 * LAST);
            close(ends[1]);
            CHILD_CHECK(ends[0] == fd && peers[fd] >= 0);
            CHILD_CHECK(write(peers[fd], entry, strlen(entry)) == (ssize_t)strlen(entry));
        }
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
    const target where = {http_server_port(server), "http/protobuf"};
    run(&where);
    assert_int_equal(http_server_requests(server), 5);
    http_server_stop(server);
}

static void over_grpc(void **state)
{
    (void)state;
    h2_server *server = h2_server_start(NULL);
    assert_non_null(server);
    const target where = {h2_server_port(server), "grpc"};
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
    const target at = {silent_port(), argument};
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
    target where = {4318, "http/protobuf"};
    assert_int_equal(child_run(engine_without_any_left, &where, 60), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_http),
        cmocka_unit_test(over_grpc),
        cmocka_unit_test(an_unreachable_receiver_takes_no_descriptors),
        cmocka_unit_test(a_start_without_descriptors_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: Apache-2.0
#include "notify.h"

#include "common/time.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    struct sockaddr_un address;
    socklen_t length;     // 0: nobody wants to know
    uint64_t interval_ns; // between two signs of life; 0: none are wanted
    uint64_t next_ns;
} manager;

// A path, or a name in the abstract namespace, which begins with @ here and with 0 in the kernel.
static void read_address(const char *name)
{
    size_t length = name != NULL ? strlen(name) : 0;
    if (length < 2 || length >= sizeof manager.address.sun_path || (*name != '/' && *name != '@'))
        return;
    manager.address.sun_family = AF_UNIX;
    memcpy(manager.address.sun_path, name, length);
    if (*name == '@')
        manager.address.sun_path[0] = '\0';
    manager.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

static void read_watchdog(const char *microseconds, const char *pid)
{
    if (microseconds == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid()))
        return;
    uint64_t allowed = strtoull(microseconds, NULL, 10);
    if (allowed != 0 && allowed < UINT64_MAX / 1000)
        manager.interval_ns = allowed * 1000 / 2;
}

void notify_open(void)
{
    memset(&manager, 0, sizeof manager);
    read_address(getenv("NOTIFY_SOCKET"));
    read_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
    // They are about this process, not about those that it starts.
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

void notify_send(const char *lines)
{
    int fd = manager.length != 0 ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    if (fd < 0)
        return;
    const struct sockaddr *to = (const struct sockaddr *)&manager.address;
    while (sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, to, manager.length) < 0 && errno == EINTR)
        continue;
    close(fd);
}

void notify_alive(uint64_t now_ns)
{
    if (manager.interval_ns == 0 || now_ns < manager.next_ns)
        return;
    manager.next_ns = nsp__after(now_ns, manager.interval_ns);
    notify_send("WATCHDOG=1");
}

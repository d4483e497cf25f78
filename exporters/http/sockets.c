// SPDX-License-Identifier: Apache-2.0
#include "http/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int make_socket(int family, int type, int protocol)
{
    return nsp__above_standard(socket(family, type | SOCK_CLOEXEC, protocol));
}

static bool is_intact(const nsp__http_socket *socket)
{
    nsp__file_id id;
    return socket->fd < 0 || (nsp__file_identify(socket->fd, &id) && id.device == socket->id.device &&
                              id.inode == socket->id.inode);
}

static bool remember(nsp__http_socket *socket, int fd)
{
    socket->fd = fd;
    if (fd < 0 || nsp__file_identify(fd, &socket->id))
        return fd >= 0;
    nsp__close(fd);
    socket->fd = -1;
    return false;
}

static nsp__http_socket *find(nsp__http_sockets *sockets, int fd)
{
    for (int i = 0; i < NSP__HTTP_SOCKETS_MAX; i++)
        if (sockets->open[i].fd == fd)
            return &sockets->open[i];
    return NULL;
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    nsp__http_sockets *sockets = context;
    int fd = make_socket(address->family, address->socktype, address->protocol);
    // Whatever had this number is gone, even if libcurl did not say so (see nsp__http_sockets_settle).
    nsp__http_socket *place = find(sockets, fd);
    if (place == NULL)
        place = find(sockets, -1);
    if (place != NULL && remember(place, fd))
        return fd;
    if (place == NULL) {
        nsp__close(fd);
        errno = EMFILE;
    }
    sockets->error = errno;
    return CURL_SOCKET_BAD;
}

static int close_socket(void *context, curl_socket_t fd)
{
    nsp__http_sockets *sockets = context;
    nsp__http_socket *place = find(sockets, fd);
    if (place != NULL && is_intact(place))
        close(fd);
    else if (place != NULL)
        sockets->closed = true;
    if (place != NULL)
        place->fd = -1;
    return 0;
}

CURLcode nsp__http_sockets_set(CURL *easy, nsp__http_sockets *sockets)
{
    CURLcode code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, sockets);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    if (code == CURLE_OK)
        code = curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, sockets);
    return code;
}

CURLM *nsp__http_sockets_begin(nsp__http_sockets *sockets)
{
    for (int i = 0; i < NSP__HTTP_SOCKETS_MAX; i++)
        sockets->open[i].fd = -1;
    nsp__http_sockets_expect(sockets);
    // A socket, because it has an inode of its own; an eventfd does not.
    if (!remember(&sockets->mark, make_socket(AF_UNIX, SOCK_DGRAM, 0)))
        return NULL;
    int held[NSP__STANDARD_DESCRIPTORS];
    nsp__standard_hold(held);
    CURLM *multi = curl_multi_init();
    nsp__standard_release(held);
    if (multi == NULL)
        close(sockets->mark.fd);
    return multi;
}

void nsp__http_sockets_expect(nsp__http_sockets *sockets)
{
    sockets->error = 0;
    sockets->closed = false;
}

bool nsp__http_sockets_held(const nsp__http_sockets *sockets)
{
    return is_intact(&sockets->mark);
}

bool nsp__http_sockets_closed(const nsp__http_sockets *sockets)
{
    return sockets->closed || !nsp__http_sockets_held(sockets);
}

bool nsp__http_sockets_intact(const nsp__http_sockets *sockets)
{
    bool intact = is_intact(&sockets->mark);
    for (int i = 0; i < NSP__HTTP_SOCKETS_MAX; i++)
        intact = intact && is_intact(&sockets->open[i]);
    return intact;
}

void nsp__http_sockets_settle(nsp__http_sockets *sockets, int kept)
{
    for (int i = 0; i < NSP__HTTP_SOCKETS_MAX; i++)
        if (sockets->open[i].fd != kept && !is_intact(&sockets->open[i]))
            sockets->open[i].fd = -1;
}

// A list, so that leak checkers see that these are kept on purpose.
typedef struct abandoned {
    struct abandoned *next;
    CURLM *multi;
    CURL *easy;
} abandoned;

static void abandon(CURLM *multi, CURL *easy)
{
    static abandoned *all;
    abandoned *these = malloc(sizeof *these);
    if (these == NULL)
        return;
    *these = (abandoned){__atomic_load_n(&all, __ATOMIC_RELAXED), multi, easy};
    // Relaxed: nobody follows the list.
    while (!__atomic_compare_exchange_n(&all, &these->next, these, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

void nsp__http_sockets_free(const nsp__http_sockets *sockets, CURL *easy)
{
    if (nsp__http_sockets_held(sockets))
        curl_easy_cleanup(easy);
    else if (easy != NULL)
        abandon(NULL, easy);
}

void nsp__http_sockets_end(nsp__http_sockets *sockets, CURLM *multi, CURL *easy)
{
    if (multi != NULL && !nsp__http_sockets_intact(sockets)) {
        abandon(multi, easy);
        for (int i = 0; i < NSP__HTTP_SOCKETS_MAX; i++)
            if (sockets->open[i].fd >= 0)
                close_socket(sockets, sockets->open[i].fd);
    } else {
        curl_easy_cleanup(easy);
        curl_multi_cleanup(multi);
    }
    if (multi != NULL && is_intact(&sockets->mark))
        close(sockets->mark.fd);
    sockets->mark.fd = -1;
}

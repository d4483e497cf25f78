// SPDX-License-Identifier: Apache-2.0
#include "web_crowd.h"

#include <sys/socket.h>

void web_crowd_init(web_crowd *crowd)
{
    crowd->events = 0;
    for (size_t i = 0; i < WEB_CROWD; i++)
        crowd->guests[i] = (web_guest){.socket = MHD_INVALID_SOCKET};
}

static MHD_socket socket_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info != NULL ? info->connect_fd : MHD_INVALID_SOCKET;
}

static web_guest *find(web_crowd *crowd, MHD_socket socket)
{
    for (size_t i = 0; i < WEB_CROWD; i++)
        if (crowd->guests[i].socket == socket)
            return &crowd->guests[i];
    return NULL;
}

static web_guest *idlest(web_crowd *crowd)
{
    web_guest *chosen = &crowd->guests[0];
    for (size_t i = 1; i < WEB_CROWD; i++)
        if (crowd->guests[i].asked < chosen->asked)
            chosen = &crowd->guests[i];
    return chosen;
}

void web_crowd_changes(void *context, struct MHD_Connection *connection, void **state,
                       enum MHD_ConnectionNotificationCode code)
{
    web_crowd *crowd = context;
    const MHD_socket socket = socket_of(connection);
    (void)state;
    if (socket == MHD_INVALID_SOCKET)
        return;
    web_guest *guest = find(crowd, socket);
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        if (guest != NULL)
            guest->socket = MHD_INVALID_SOCKET;
        return;
    }
    if (guest == NULL)
        guest = find(crowd, MHD_INVALID_SOCKET);
    if (guest == NULL) {
        guest = idlest(crowd);
        // libmicrohttpd sees the end of the connection next, and closes it.
        shutdown(guest->socket, SHUT_RDWR);
    }
    *guest = (web_guest){.socket = socket, .asked = ++crowd->events};
}

void web_crowd_asked(web_crowd *crowd, struct MHD_Connection *connection)
{
    web_guest *guest = find(crowd, socket_of(connection));
    if (guest != NULL)
        guest->asked = ++crowd->events;
}

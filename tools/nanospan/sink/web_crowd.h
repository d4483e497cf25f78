// SPDX-License-Identifier: Apache-2.0
//
// The connections to the live page. Any user of the machine can open as many as there may be, and keep them by sending a
// byte now and then. So that this shuts nobody out, a new connection is always let in, and if there are many, the one on
// which nothing was asked for longest ends. Used by the thread that answers only.
#ifndef NANOSPAN_SINK_WEB_CROWD_H
#define NANOSPAN_SINK_WEB_CROWD_H

#include <microhttpd.h>
#include <stddef.h>
#include <stdint.h>

enum { WEB_CROWD = 48 }; // more end the oldest

typedef struct web_guest {
    MHD_socket socket; // MHD_INVALID_SOCKET: a free place, or one that is ending
    uint64_t asked;    // when it came, or asked last: a count, not a time
} web_guest;

typedef struct web_crowd {
    web_guest guests[WEB_CROWD];
    uint64_t events;
} web_crowd;

void web_crowd_init(web_crowd *crowd);

// An MHD_NotifyConnectionCallback, whose context is the crowd.
void web_crowd_changes(void *crowd, struct MHD_Connection *connection, void **guest,
                       enum MHD_ConnectionNotificationCode code);

// A request has come on this connection.
void web_crowd_asked(web_crowd *crowd, struct MHD_Connection *connection);

#endif

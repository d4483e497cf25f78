// SPDX-License-Identifier: Apache-2.0
//
// Tells the service manager, systemd or another one that speaks its datagram protocol (sd_notify(3)), how the
// agent is. Without one (no NOTIFY_SOCKET) nothing happens.
#ifndef NANOSPAN_AGENT_NOTIFY_H
#define NANOSPAN_AGENT_NOTIFY_H

#include <stdint.h>

// Reads NOTIFY_SOCKET and, if they concern this process, WATCHDOG_USEC and WATCHDOG_PID.
void notify_open(void);

// Sends lines such as "READY=1\nSTATUS=draining 3 engines". Never waits; what cannot be sent is forgotten.
void notify_send(const char *lines);

// Says that the agent is not stuck, if it is time: twice in the interval that the service manager allows.
void notify_alive(uint64_t now_ns);

#endif

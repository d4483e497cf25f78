// SPDX-License-Identifier: Apache-2.0
//
// The proxy that the environment puts in front of the endpoint: is there one, does it accept connections, and
// does it let requests through?
#ifndef NANOSPAN_DOCTOR_PROXY_H
#define NANOSPAN_DOCTOR_PROXY_H

#include "doctor.h"
#include "connect.h"
#include "request.h"

typedef struct doctor_proxy {
    const char *variable; // the variable that names it
    char host[256], port[8];
} doctor_proxy;

// Is there a proxy for the endpoint? If so, adds a finding and hides the password.
bool doctor_proxy_find(doctor *d, doctor_proxy *out);

// Resolves the proxy's name and connects to it. The proxy itself resolves the endpoint's name.
bool doctor_proxy_connect(doctor *d, const doctor_proxy *proxy, connect_address *addresses, size_t *count);

// After a failed request through the proxy: if the proxy caused the failure, adds a finding and returns true.
bool doctor_proxy_refused(doctor *d, const doctor_proxy *proxy, const request_answer *answer);

#endif

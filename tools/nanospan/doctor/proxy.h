// SPDX-License-Identifier: Apache-2.0
//
// The proxy that the environment puts before the endpoint: which one, can it be connected, does it let us through?
#ifndef NANOSPAN_DOCTOR_PROXY_H
#define NANOSPAN_DOCTOR_PROXY_H

#include "doctor.h"
#include "connect.h"
#include "request.h"

typedef struct doctor_proxy {
    const char *variable; // that names it
    char host[256], port[8];
} doctor_proxy;

// Is there one for the endpoint? Says so, and hides its password.
bool doctor_proxy_find(doctor *d, doctor_proxy *out);

// Resolves and connects it; the endpoint's own name is the proxy's business.
bool doctor_proxy_connect(doctor *d, const doctor_proxy *proxy, connect_address *addresses, size_t *count);

// A request failed that went through it: says why, as far as it is the proxy's doing. False: it is not.
bool doctor_proxy_refused(doctor *d, const doctor_proxy *proxy, const request_answer *answer);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Does the endpoint speak what is configured, and if not: what else?
#ifndef NANOSPAN_DOCTOR_PROBE_EXPORT_H
#define NANOSPAN_DOCTOR_PROBE_EXPORT_H

#include "doctor.h"
#include "connect.h"
#include "proxy.h"

// addresses: those of the target that were tried.
// proxy: that stands before the endpoint, and has these addresses; NULL: none.
void doctor_speak(doctor *d, const doctor_proxy *proxy, const connect_address *addresses, size_t count);

#endif

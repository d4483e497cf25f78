// SPDX-License-Identifier: Apache-2.0
//
// Sends an export request without spans to the endpoint. Does it answer in the configured protocol?
#ifndef NANOSPAN_DOCTOR_PROBE_EXPORT_H
#define NANOSPAN_DOCTOR_PROBE_EXPORT_H

#include "doctor.h"
#include "connect.h"
#include "proxy.h"

// `addresses`: those that were tried, with their results. `proxy`: the proxy in front of the endpoint, in
// which case the addresses are the proxy's; NULL: there is none.
void doctor_probe_export(doctor *d, const doctor_proxy *proxy, const connect_address *addresses,
                         size_t count);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The endpoint does not answer in the configured protocol: which protocol does it use instead?
#ifndef NANOSPAN_DOCTOR_PROBE_PROTOCOL_H
#define NANOSPAN_DOCTOR_PROBE_PROTOCOL_H

#include "doctor.h"
#include "connect.h"
#include "request.h"

// Adds a finding. `failed` is the answer to the export without spans (see probe_export.h).
void doctor_probe_protocol(doctor *d, const connect_address *address, const request_answer *failed);

#endif

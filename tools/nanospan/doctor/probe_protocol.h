// SPDX-License-Identifier: Apache-2.0
//
// The endpoint does not answer as it should: what speaks there instead?
#ifndef NANOSPAN_DOCTOR_PROBE_PROTOCOL_H
#define NANOSPAN_DOCTOR_PROBE_PROTOCOL_H

#include "doctor.h"
#include "connect.h"
#include "request.h"

// Tells what it finds. `failed`: what came of an export without spans.
void doctor_listen_around(doctor *d, const connect_address *address, const request_answer *failed);

#endif

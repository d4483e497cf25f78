// SPDX-License-Identifier: Apache-2.0
//
// Does the endpoint speak what is configured, and if not: what else?
#ifndef NANOSPAN_DOCTOR_SPEAK_H
#define NANOSPAN_DOCTOR_SPEAK_H

#include "doctor.h"
#include "doctor_connect.h"

// addresses: those of the target that were tried.
void doctor_speak(doctor *d, const connect_address *addresses, size_t count);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The endpoint taken apart, as the exporter does it.
#ifndef NANOSPAN_DOCTOR_TARGET_H
#define NANOSPAN_DOCTOR_TARGET_H

#include "doctor.h"

// Fills in d->target; false after a finding where the endpoint can never be used.
bool doctor_target_read(doctor *d);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Splits the endpoint into its parts, in the way the exporter does.
#ifndef NANOSPAN_DOCTOR_TARGET_H
#define NANOSPAN_DOCTOR_TARGET_H

#include "doctor.h"

// Fills in d->target. False if the endpoint can never be used; a finding then says why.
bool doctor_target_read(doctor *d);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// Texts that a configuration points to and nobody owns: the texts of variables without the white space around
// them.
#ifndef NSP_CONFIG_KEPT_TEXT_H
#define NSP_CONFIG_KEPT_TEXT_H

#include "common/slice.h"

// The text, zero terminated and valid until the process ends; equal texts give the same pointer. NULL: no
// memory. The environment rarely changes, so there are few of them. Thread safe.
const char *nsp__text_keep(nsp__slice text);

#endif

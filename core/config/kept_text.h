// SPDX-License-Identifier: Apache-2.0
//
// Texts that a configuration points to and nobody owns: what a variable's text becomes without the white
// space around it.
#ifndef NSP_CONFIG_KEPT_TEXT_H
#define NSP_CONFIG_KEPT_TEXT_H

#include "common/slice.h"

// The text, zero terminated and valid until the process ends; the same pointer for the same text. NULL: no
// memory. The environment rarely changes, so there are few of them. Thread safe.
const char *nsp__text_keep(nsp__slice text);

#endif

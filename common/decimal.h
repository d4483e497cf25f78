// SPDX-License-Identifier: Apache-2.0
//
// Plain decimal numbers in texts.
#ifndef NSP_COMMON_DECIMAL_H
#define NSP_COMMON_DECIMAL_H

#include <stdbool.h>

#include "common/slice.h"

// Reads the number at the beginning of the text, with a point, whatever the locale is; NaN, infinity and hexadecimal
// are none. *rest: what follows. False: the text does not begin with a number.
bool nsp__decimal_read(nsp__slice text, double *number, nsp__slice *rest);

#endif

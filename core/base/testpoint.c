// SPDX-License-Identifier: Apache-2.0
#include "base/testpoint.h"

#ifdef NSP_TESTPOINTS
void (*nsp__testpoint_hook)(const char *name);
#else
typedef int nsp__testpoint_none; // a translation unit must not be empty
#endif

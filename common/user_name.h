// SPDX-License-Identifier: Apache-2.0
#ifndef NSP_COMMON_USER_NAME_H
#define NSP_COMMON_USER_NAME_H

#include <sys/types.h>

enum { NSP__USER_NAME_MAX = 64 };

// What sudo calls this user: the name, or the number after a '#'. Returns out, which has NSP__USER_NAME_MAX bytes.
const char *nsp__user_name(uid_t user, char *out);

#endif

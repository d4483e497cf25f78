// SPDX-License-Identifier: Apache-2.0
#include "trace/thread_state.h"

static nsp__entry nobody_stack = {NSP__OFF, NULL};
nsp__thread nsp__nobody = {.top = &nobody_stack};
__thread nsp__thread *nsp__thread_v4 __attribute__((tls_model("initial-exec"))) = &nsp__nobody;

// SPDX-License-Identifier: Apache-2.0
#include <nanospan/base.h>

const char *nsp_status_str(nsp_status status)
{
    switch (status) {
#define STATUS_TEXT(name, code, text)                                                                        \
    case NSP_##name: return text;
        NSP_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    }
    return "unknown status";
}

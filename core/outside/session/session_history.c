// SPDX-License-Identifier: Apache-2.0
#include "outside/session/session_history.h"

uint64_t nsp__session_history_bytes(const nsp__session_copy *copy)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < copy->slot_count; i++) {
        nsp__buffer_copy buffer;
        if (nsp__session_copy_buffer(copy, i, &buffer) && buffer.sane && buffer.from < buffer.history_end)
            bytes += buffer.history_end - buffer.from;
    }
    return bytes;
}

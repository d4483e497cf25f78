// SPDX-License-Identifier: Apache-2.0
#include "harness/plain.h"

#include <string.h>

#include "harness/ticks.h"

__attribute__((noinline)) void run_two_reads(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        keep(nsp__counter_read());
        keep(nsp__counter_read());
    }
}

__attribute__((noinline)) void run_empty(size_t count)
{
    for (size_t i = 0; i < count; i++)
        keep(i);
}

__attribute__((noinline)) void run_plain(size_t count)
{
    enum { BYTES = 1 << 16, RECORD = 80 }; // a ring that stays in the cache, and a record
    static char ring[BYTES + RECORD] __attribute__((aligned(64)));
    static char frame[64] __attribute__((aligned(64)));
    static size_t tail;
    size_t a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t start = nsp__counter_read();
        memset(frame, (int)i, 40);
        for (int turn = 0; turn < 16; turn++) {
            a++, b++, c++, d++;
            __asm__ __volatile__("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d));
        }
        uint64_t end = nsp__counter_read();
        memcpy(ring + tail, &start, sizeof start);
        memcpy(ring + tail + sizeof start, &end, sizeof end);
        memset(ring + tail + 16, (int)i, RECORD - 16);
        tail = (tail + RECORD) & (BYTES - 1);
        keep(a + b + c + d);
    }
}

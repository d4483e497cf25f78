// SPDX-License-Identifier: Apache-2.0
//
// Limits the lines of each subject by a token bucket, in a table of fixed size. The caller supplies the time
// and the lock.
#ifndef NSP_BASE_LOG_LIMIT_H
#define NSP_BASE_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    NSP__LOG_LIMIT_SUBJECTS = 64, // when they are used up, a new one replaces the one silent for longest
    NSP__LOG_LIMIT_BURST = 5      // lines in a row
};

#define NSP__LOG_LIMIT_REFILL_NS UINT64_C(10000000000) // one more line every 10 s

typedef struct nsp__log_limit_entry {
    uint64_t subject;   // hash of its text; 0: free
    uint64_t filled_ns; // when the bucket last gained a token
    uint64_t used_ns;   // when the subject last asked
    uint64_t held_back; // lines refused since the last one let through
    uint32_t tokens;
} nsp__log_limit_entry;

// Zeroed memory is an empty table.
typedef struct nsp__log_limit {
    nsp__log_limit_entry entries[NSP__LOG_LIMIT_SUBJECTS];
} nsp__log_limit;

// True if the subject of this entry may write a line at now_ns: for whoever has an entry of its own, takes its tokens
// itself, and keeps what may not be said yet.
bool nsp__log_limit_ready(nsp__log_limit_entry *entry, uint64_t now_ns);

// True if this subject may write a line at now_ns (on any monotonic clock). *held_back is then the number of
// lines refused since its last one. The subject "" is always admitted.
bool nsp__log_limit_admit(nsp__log_limit *limit, const char *subject, uint64_t now_ns, uint64_t *held_back);

#endif

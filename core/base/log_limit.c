// SPDX-License-Identifier: Apache-2.0
#include "base/log_limit.h"

#include <string.h>

#include "common/fnv.h"

// Never 0, which marks a free entry.
static uint64_t hash(const char *text)
{
    uint64_t value = nsp__fnv(NSP__FNV_START, text, strlen(text));
    return value ? value : 1;
}

// The subject's own entry, or else a free one, or else that of the subject that has been silent longest.
static nsp__log_limit_entry *find(nsp__log_limit *limit, uint64_t subject, uint64_t now_ns)
{
    nsp__log_limit_entry *oldest = &limit->entries[0];
    for (int i = 0; i < NSP__LOG_LIMIT_SUBJECTS; i++) {
        nsp__log_limit_entry *entry = &limit->entries[i];
        if (entry->subject == subject)
            return entry;
        // Entries are taken in order and never given back, so there is nothing after a free one.
        if (!entry->subject) {
            oldest = entry;
            break;
        }
        if (entry->used_ns < oldest->used_ns)
            oldest = entry;
    }
    *oldest = (nsp__log_limit_entry){.subject = subject, .filled_ns = now_ns, .tokens = NSP__LOG_LIMIT_BURST};
    return oldest;
}

static void refill(nsp__log_limit_entry *entry, uint64_t now_ns)
{
    uint64_t gained = now_ns > entry->filled_ns ? (now_ns - entry->filled_ns) / NSP__LOG_LIMIT_REFILL_NS : 0;
    if (entry->tokens + gained >= NSP__LOG_LIMIT_BURST) {
        entry->tokens = NSP__LOG_LIMIT_BURST;
        entry->filled_ns = now_ns;
    } else {
        entry->tokens += (uint32_t)gained;
        entry->filled_ns += gained * NSP__LOG_LIMIT_REFILL_NS;
    }
}

bool nsp__log_limit_ready(nsp__log_limit_entry *entry, uint64_t now_ns)
{
    refill(entry, now_ns);
    return entry->tokens != 0;
}

bool nsp__log_limit_admit(nsp__log_limit *limit, const char *subject, uint64_t now_ns, uint64_t *held_back)
{
    *held_back = 0;
    if (!*subject)
        return true;
    nsp__log_limit_entry *entry = find(limit, hash(subject), now_ns);
    entry->used_ns = now_ns;
    if (!nsp__log_limit_ready(entry, now_ns)) {
        entry->held_back++;
        return false;
    }
    entry->tokens--;
    *held_back = entry->held_back;
    entry->held_back = 0;
    return true;
}

// SPDX-License-Identifier: Apache-2.0
//
// The session's control file: all shared data that does not belong to one thread. It holds only numbers and
// texts, so that another process, of another build, can read it at any address.
#ifndef NSP_SHM_CONTROL_H
#define NSP_SHM_CONTROL_H

#include <nanospan/name.h>
#include <nanospan/sampler.h>

#include "shm/counters.h"
#include "shm/drainer.h"
#include "shm/figures.h"
#include "shm/outlier_bounds.h"
#include "shm/outliers.h"
#include "shm/paths.h"
#include "shm/sections.h"
#include "shm/snapshots.h"
#include "clock/clock.h"

#define NSP__SESSION_MAGIC 0x6e616e6f7370616eULL // "nanospan"

enum {
    NSP__SESSION_VERSION = 2,
    NSP__THREADS_MAX = 4096,
    NSP__RESOURCE_TEXT_MAX = 16 * 1024,
    // From one frame of the detached pool to the next: 2 KiB plus 256 bytes, so that neighbours do not alias in
    // the first-level cache.
    NSP__DETACHED_STRIDE = 2048 + 256
};

// Where a thread slot lies in the file `threads`. Written by the attaching thread before `used` is published.
typedef struct nsp__slot_place {
    uint32_t used;       // 1: the other members are valid (release S1, acquire S2)
    uint32_t is_private; // 1: in the engine's private memory, which other processes cannot see
    uint64_t offset, bytes;
} nsp__slot_place;

// One state of the sampler. The control file holds two of them; the low bit of policy_generation says which
// one is in force.
typedef struct nsp__policy {
    uint64_t thresholds[NSP__CLASSES]; // by rule, of the rates as they were set; 0 is the default
    uint32_t rules;                    // 1 to rules are in use
    uint32_t parent_policy;
    uint64_t checksum; // of the members above and the patterns
    char patterns[NSP__CLASSES][NSP_SAMPLER_PATTERN_MAX + 1] __attribute__((aligned(8)));
    // By name: its class, which is a rule here unless there are outlier rules too (outliers.h). Updated as names are
    // added, so not part of the checksum.
    uint8_t classes[NSP_NAME_MAX];
} nsp__policy;

enum { NSP__TUNER_NAME = 32 };

// What a writer adds to a state of the sampler, as many as there are of those. The threads draw by it; readers from
// outside can do without.
typedef struct nsp__tuning {
    double inverse_logs[NSP__CLASSES]; // by rule, of the thresholds in force (nsp__random_inverse_log)
    uint8_t sources[NSP__CLASSES];     // by rule: who has set its rate, an nsp_sampler_source
    // Of the last change: who has made it, its process, when, and what that process calls itself.
    uint32_t source, pid;
    uint64_t unix_ns;
    char name[NSP__TUNER_NAME];
    // By rule: the thresholds in force, those of the policy's rates times the factor.
    uint64_t thresholds[NSP__CLASSES];
    double limit;          // traces a second; 0: none
    double factor;         // more than 0, at most 1; 1 without a limit
    uint32_t limit_source; // who has set the limit, an nsp_sampler_source
    uint32_t reserved;
} nsp__tuning;

// A name in the form that outside readers need. Written by every thread that needs the name while it is new, each
// time with the same content. The length is published last (release M1, acquire M2), so a reader takes a name only
// if that is not 0.
typedef struct nsp__shared_name {
    uint32_t offset; // in name_text
    uint32_t length;
} nsp__shared_name;

typedef struct nsp__control {
    uint64_t magic;   // written last (MG1); read first, from a copy of the file (MG2)
    uint32_t version; // NSP__SESSION_VERSION
    uint32_t pid;
    uint64_t start_unix_ns;
    uint64_t control_bytes;
    uint32_t section_count; // of the entries below
    uint32_t reserved;
    nsp__section sections[NSP__SECTIONS_MAX]; // where everything else lies; see sections.h

    uint32_t threads_max;
    uint32_t slot_count;    // places ever used, counted from the front (release S3, acquire S4)
    uint64_t threads_bytes; // handed out so far of the file `threads`
    uint32_t record_bytes;
    uint32_t detached_count;
    uint32_t detached_stride;
    uint32_t batch_count;
    uint64_t batch_bytes;
    uint32_t detached_left;  // never used, at the pool's end; more than detached_count: none
    uint32_t resource_bytes; // written last (RB1), read from a copy (RB2)

    // Events on threads without a slot to count them in.
    uint64_t unattached_attempted; // begun on a thread without a slot, and dropped
    uint64_t unattached_dropped;   // detached spans that ended on such a thread
    uint64_t unattached_misused;
    uint64_t unattached_values_cut;

    uint32_t policy_generation __attribute__((aligned(128))); // release N2, acquire N1, N3; 0: no session
    nsp__policy policies[2];

    nsp__counters counters __attribute__((aligned(128)));
    nsp__clock clock __attribute__((aligned(128)));

    nsp__slot_place places[NSP__THREADS_MAX] __attribute__((aligned(128)));

    nsp__shared_name names[NSP_NAME_MAX];
    char name_text[NSP_NAME_TEXT_MAX];
    char resource[NSP__RESOURCE_TEXT_MAX]; // entries: a byte with the nsp_type, then key 0 value 0

    nsp__drainer drainer __attribute__((aligned(128)));

    nsp__tuning tunings[2] __attribute__((aligned(128)));
    nsp__figures figures __attribute__((aligned(128)));
    nsp__outliers outliers[2] __attribute__((aligned(128)));
    nsp__outlier_bounds outlier_bounds __attribute__((aligned(128)));
    nsp__snapshots snapshots __attribute__((aligned(128)));
    nsp__paths paths __attribute__((aligned(128)));
} nsp__control;

_Static_assert((int)NSP__FIGURES_RINGS == (int)NSP__THREADS_MAX, "a figure for each ring");

#endif

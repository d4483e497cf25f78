// SPDX-License-Identifier: Apache-2.0
//
// For tests of the drainer: engines that record numbered spans and are drained from outside, drainers in processes of
// their own, and what arrives, in memory that outlives all of them. There is one of each kind of memory in a process.
#ifndef NSP_TESTS_DRAINED_H
#define NSP_TESTS_DRAINED_H

#include <nanospan/exporter.h>
#include <nanospan/nanospan.h>
#include <nanospan/drainer.h>
#include <time.h>

#include "support/session_dir.h"

enum { DRAINED_ENGINES = 4, DRAINED_SPANS = 400000, DRAINED_ARRIVALS = 2 * DRAINED_SPANS };

// Shared with all children. Words are atomic.
typedef struct drained_world {
    // What the receiver does.
    uint32_t away;     // it answers that it is busy
    uint32_t part;     // it takes so many spans of the next batch, and is away then
    uint32_t delay_us; // before each answer
    uint32_t in_send;  // a drainer is inside send
    uint32_t accepted; // batches
    // What drainers do.
    uint32_t drainer_stop;
    uint32_t resent; // sum of in_doubt_resent of the drainers that have ended
    // What engines do: go on as long as they are told to.
    uint32_t engine_stop;
    uint32_t found[DRAINED_ENGINES];    // its session, by the test: only now it records, and may end
    uint32_t allowed, asked, answered;  // for engines with a body of their own
    uint32_t recorded[DRAINED_ENGINES]; // spans that have ended
    uint32_t arrived_of[DRAINED_ENGINES];
    uint32_t flushed[DRAINED_ENGINES]; // flushes that have succeeded
    uint32_t arrived;                  // entries below; stored when a whole batch is there
    struct {
        uint32_t engine, number;
    } arrivals[DRAINED_ARRIVALS];
    uint32_t wrong_of
        [DRAINED_ENGINES]; // spans with a wrong name or unreadable, in a batch with this one's resource
    uint32_t foreign;      // spans in a batch with the resource of none of them
} drained_world;

extern drained_world *world;

static inline uint32_t world_get(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void world_set(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

extern char drained_folder[SESSION_PATH_MAX]; // nsp_config.shm_dir

// A cmocka setup and teardown: the folder, and an empty world. The teardown ends all children that are left.
int drained_setup(void **state);
int drained_teardown(void **state);

// ---- engines ----

typedef struct drained_engine {
    uint32_t index;      // below DRAINED_ENGINES
    uint32_t spans;      // to record; 0: until it is told to stop
    uint32_t flush_each; // flushes after so many spans; 0: only in the end
    uint32_t ahead;      // at most so many spans that have not arrived; 0: no limit
    bool dies;           // by SIGKILL, after its last span, with one span open
    bool exits;          // without nsp_shutdown
    size_t ring_bytes;   // 0: 64 KiB
    // What it does instead of recording `spans`, before its end. NULL: nothing else.
    void (*body)(const struct drained_engine *engine);
    pid_t pid;
    char session[SESSION_PATH_MAX];
} drained_engine;

// For a body: begins the span with this number.
nsp_span *drained_begin(const drained_engine *engine, uint32_t number);

// Starts it and waits until it has recorded something, so its session can be read.
void drained_engine_start(drained_engine *engine);
// Waits for its end; fails the test unless it ended as planned.
void drained_engine_end(drained_engine *engine);
void drained_engine_kill(drained_engine *engine);

// ---- drainers ----

typedef struct drained_plan {
    const char *point;    // dies there ...
    int visit;            // ... at the nth visit; NULL: not
    const char *protocol; // NULL: http/protobuf
    nsp_in_doubt in_doubt;
    uint32_t batch_spans; // 0: 100
    bool removes;         // ended sessions
    uint64_t close_ns;    // the timeout of its close; 0: a minute
    bool own_encoding;    // its exporter's, which nobody else can read
    nsp_log_fn log;       // from warnings on; NULL: none
} drained_plan;

// The exporter and its configuration, for a drainer or recovery in this process.
extern const nsp_exporter *drained_exporter(void);
void drained_config(nsp_config *config, const drained_plan *plan);
nsp_drainer *drained_open(const drained_plan *plan);
// The teardown closes what a failed test has left open.
nsp_status drained_close(nsp_drainer *drainer, uint64_t timeout_ns);
// One pass; returns what it then has of the session that it added last. Fails the test if it has none.
nsp_drained drained_work(nsp_drainer *drainer);
// Adds every session of the folder that can be added. Returns how many the drainer has then.
size_t drained_add_all(nsp_drainer *drainer);

// Starts a process that drains everything in the folder until drainer_stop, or until it dies as planned.
pid_t drained_start(const drained_plan *plan);
// Tells it to stop and waits; fails the test unless it ended in order.
void drained_stop(pid_t drainer);
// Waits for its death as planned.
void drained_dead(pid_t drainer);

// ---- looking ----

// Polls until the condition holds; fails the test after two minutes.
#define DRAINED_UNTIL(condition)                                                                             \
    do {                                                                                                     \
        for (int tries_ = 0; !(condition); tries_++) {                                                       \
            if (tries_ > 24000)                                                                              \
                fail_msg("waited in vain for: %s", #condition);                                              \
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);                                         \
        }                                                                                                    \
    } while (0)

// How many of the engine's first `spans` have arrived, and how often more than once.
typedef struct drained_sum {
    uint64_t distinct, doubles, beyond;
} drained_sum;
drained_sum drained_sum_of(uint32_t engine, uint32_t spans);

// The figures of this session, as others see it; fails the test if it cannot be read.
nsp_stats drained_stats(const char *session);
size_t drained_sessions(void);

#endif

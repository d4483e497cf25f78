// SPDX-License-Identifier: Apache-2.0
//
// Draining the sessions of engines from outside (NSP_COLLECTOR=external). A drainer does, in another process
// of the same user, what a collector and a sender do inside an engine: it takes finished spans out of the
// engines' rings, encodes them with each engine's own resource and names, sends them through one exporter,
// and enters in each session what became of them. So nothing is lost when a drainer dies: the next one, or a
// recovery (<nanospan/recover.h>), goes on with what the session says. `nanospan agent` uses it.
//
// A drainer trusts nothing that it reads. A session that is damaged, or whose files shrink while they are
// mapped, is given up; its files stay as they are, and the other sessions are drained on. For that, the first
// drainer of a process installs a handler of SIGBUS, which passes on what does not concern it.
//
// Nothing here needs nsp_init, and nothing here belongs on a hot path: the calls allocate, make system calls,
// and use up to 16 KiB of stack in addition to what the exporter and the log callback use. None is signal
// safe. A drainer is used by one thread at a time. A process has one sender thread, so no engine, recovery or
// other drainer sends in a process while a drainer is open in it.
//
//     nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
//     nsp_drainer *drainer;
//     if (nsp_drainer_open(&drainer, &options) == NSP_OK) {
//         nsp_drainer_add(drainer, directory, NULL, 0);
//         while (!stopping) {
//             uint64_t pause_ns;
//             nsp_drainer_work(drainer, &pause_ns);
//             sleep_for(pause_ns); // and look for ended sessions with nsp_drainer_each
//         }
//         nsp_drainer_close(drainer, 5000000000);
//     }
#ifndef NANOSPAN_DRAINER_H
#define NANOSPAN_DRAINER_H

#include <nanospan/base.h>
#include <nanospan/config.h>
#include <nanospan/recover.h>

struct nsp_exporter;

typedef struct nsp_drainer nsp_drainer;

typedef struct nsp_drainer_options {
    size_t size;
    // Of the exporter: endpoint, file, retries ... and how long a span waits for its batch to fill. NULL: the
    // environment's. What an engine's memory looks like, such as the size of a batch, is the engine's own.
    const nsp_config *config;
    // One of nsp_exporter_builtin, or the program's own, which must not trust what stands in a batch (see nsp_batch).
    // NULL: what config->exporter names, as in an engine; of a list, all exporters must be usable.
    const struct nsp_exporter *exporter;
    // What becomes of a batch that an earlier drainer was just sending when it died. SKIP: it counts as
    // unconfirmed.
    nsp_in_doubt in_doubt;
    uint32_t sessions_max; // drained at once; 0: 1024
    // Refuses sessions whose engines have ended or died. What they left is better recovered, which keeps what the
    // receiver refuses.
    bool living_only;
} nsp_drainer_options;

#define NSP_DRAINER_OPTIONS_INIT                                                                             \
    {                                                                                                        \
        sizeof(nsp_drainer_options), NULL, NULL, NSP_IN_DOUBT_SEND, 0, false                                 \
    }

typedef enum nsp_drained_state {
    NSP_DRAINED_LIVING = 0, // its engine runs, or has ended and not everything is settled yet
    NSP_DRAINED_ENDED = 1,  // its engine has ended in order, and everything is settled: it can be removed
    // Its engine was killed or has crashed, and everything that it had finished is settled, except for
    // `foreign`; or it has ended in order, and these are left. Spans that were open may be left too: recover it.
    NSP_DRAINED_DIED = 2,
    NSP_DRAINED_FAILED =
        3 // it is damaged, or its files have shrunk: `problem` says so. Nothing more is done with it
} nsp_drained_state;

enum { NSP_DRAINED_DIRECTORY_MAX = 512, NSP_DRAINED_SERVICE_MAX = 256, NSP_DRAINED_PROBLEM_MAX = 200 };

// One session that a drainer has taken over. The numbers are spans. Those of a session that has failed are
// the last ones known.
typedef struct nsp_drained {
    size_t size;
    char directory[NSP_DRAINED_DIRECTORY_MAX]; // as given to nsp_drainer_add
    char service[NSP_DRAINED_SERVICE_MAX];     // service.name of its resource, cut if it is longer
    uint32_t pid; // as the engine sees it, which differs if it runs in a container
    nsp_drained_state state;
    char problem[NSP_DRAINED_PROBLEM_MAX]; // FAILED: the end of a sentence about the session; otherwise ""
    // By this drainer, since it took the session over.
    uint64_t drained; // taken out of the rings
    uint64_t exported, rejected, unconfirmed;
    uint64_t in_doubt_resent; // sent although the receiver may have had them from an earlier drainer
    // What the session says now.
    uint64_t in_rings;   // finished, not yet taken out
    uint64_t in_batches; // taken out, not yet settled
    uint64_t refused;    // traces that the engine refused because a ring was too full, since it began
    bool removed;        // its directory is gone: it is drained all the same, but cannot be recovered
    // Part of in_batches: an earlier drainer has encoded them with an exporter of its own program, and nothing
    // else can read them. They stay, and so does the session, until somebody removes it. As long as they are
    // there, the engine's flushes do not succeed. The log says so once.
    uint64_t foreign;
} nsp_drained;

#define NSP_DRAINED_INIT                                                                                     \
    {                                                                                                        \
        sizeof(nsp_drained), "", "", 0, NSP_DRAINED_LIVING, "", 0, 0, 0, 0, 0, 0, 0, 0, false, 0             \
    }

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Creates the exporter and starts the sender's thread. *out: to be closed; NULL on failure. Log lines, also
// those of the sender about a receiver that is away or back, go to config->log. Errors: NSP_ERR_BUSY (an
// engine, a recovery or another drainer sends in this process), NSP_ERR_CONFIG and others (the exporter could
// not be created: it has logged why; nsp_error_detail says more), NSP_ERR_NO_MEMORY, NSP_ERR_SYSTEM,
// NSP_ERR_INVALID.
NSP_API nsp_status nsp_drainer_open(nsp_drainer **out, const nsp_drainer_options *options);

// Takes over the session in `directory` (".../nanospan-UID/NAME.PID.RANDOM"), which has to belong to this
// user, and locks it against other drainers, recoveries and pruning. Its engine may be running, or have ended
// or died. What an earlier drainer left in its batches is sent like the rest. On failure nothing of it is
// changed, and `problem` (size: its size; may be NULL) says why, as the end of a sentence about the session.
// Errors: NSP_ERR_BUSY (another process drains or recovers it, or its engine is just starting: try again
// later), NSP_ERR_INVALID (its engine drains itself, so it is no business of a drainer; or it is gone, with
// living_only; or its path is too long), NSP_ERR_UNSUPPORTED (another version's layout), NSP_ERR_NOT_FOUND
// (there is no such session, or its engine died before there was anything in it), NSP_ERR_DAMAGED (also if
// none of its batches can be read or used), NSP_ERR_SYSTEM (it belongs to another user, or a system call
// failed), NSP_ERR_ALREADY (this drainer has it), NSP_ERR_FULL (sessions_max), NSP_ERR_NO_MEMORY.
NSP_API nsp_status nsp_drainer_add(nsp_drainer *drainer, const char *directory, char *problem, size_t size);

// One pass over all sessions: takes out and encodes what was published before, hands full or old batches to
// the sender, and looks at the engines' clocks and ends. Never waits for the receiver. Returns the number of
// spans that were taken out. *pause_ns (may be NULL) receives how long to sleep before the next pass: 100 us
// to 5 ms (config->poll_min_ns and poll_max_ns) by how full the rings are; up to 10 ms once no span and no new session
// has come for a second, and up to 50 ms once none has for ten.
NSP_API uint64_t nsp_drainer_work(nsp_drainer *drainer, uint64_t *pause_ns);

// Fills *out, up to out->size, with the next session. Begin with *at = 0. False: there is none left. In
// between, the one that it has returned may be removed, but none may be added.
NSP_API bool nsp_drainer_each(nsp_drainer *drainer, size_t *at, nsp_drained *out);

// Lets go of a session, in whatever state, and unlocks it. If the sender is about to send batches of it, that
// happens as soon as they are settled; the session is not listed any more, and until then nsp_drainer_add
// returns NSP_ERR_BUSY for it. with_files: also removes its directory, for which it has to be
// NSP_DRAINED_ENDED, else NSP_ERR_INVALID and nothing is changed. Errors: NSP_ERR_NOT_FOUND (this drainer
// does not have it), NSP_ERR_SYSTEM (some of its files could not be removed; it is let go of nevertheless).
NSP_API nsp_status nsp_drainer_remove(nsp_drainer *drainer, const char *directory, bool with_files);

// Takes out what the engines have published until now, and waits until all of it is sent or the timeout (in
// nanoseconds) has passed. Then stops the sender, lets go of all sessions and frees everything. What was not sent,
// and what engines publish meanwhile, stays in the sessions, for the next drainer. NSP_OK: everything that was
// published before the call is settled, except `foreign`. NSP_ERR_TIMEOUT: some of it is not, and is still there. NULL does nothing.
NSP_API nsp_status nsp_drainer_close(nsp_drainer *drainer, uint64_t timeout_ns);

#endif
NSP_END_DECLS
#endif

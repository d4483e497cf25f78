// SPDX-License-Identifier: Apache-2.0
//
// Recovering what an engine that died left in its session: every span that was finished, and every unfinished
// one, is exported with the engine's own resource, and settled in the session as it is confirmed. `nanospan
// recover` uses it. Nothing here needs nsp_init, and nothing here belongs on a hot path: the calls allocate,
// make system calls, and use up to 16 KiB of stack in addition to what the exporter and callbacks use. None
// is signal safe. A recovery is used by one thread at a time. A process has one sender thread, so
// nsp_recovery_export is refused while an engine or another export sends in it, and nsp_init during an
// export.
//
//     nsp_recovery *recovery;
//     char problem[NSP_RECOVERY_PROBLEM_MAX];
//     if (nsp_recovery_open(&recovery, directory, problem, sizeof problem) == NSP_OK) {
//         nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
//         options.exporter = nsp_exporter_builtin("otlp");
//         if (nsp_recovery_export(recovery, &options) == NSP_OK)
//             nsp_recovery_remove(recovery, false); // refuses if batches of a custom exporter are left
//         nsp_recovery_close(recovery);
//     }
#ifndef NANOSPAN_RECOVER_H
#define NANOSPAN_RECOVER_H

#include <nanospan/base.h>
#include <nanospan/config.h>

struct nsp_exporter;

// What becomes of a batch that the receiver may have accepted before the engine died.
typedef enum nsp_in_doubt {
    NSP_IN_DOUBT_SEND = 0, // it is sent again: nothing is missing, but the receiver may have it twice
    NSP_IN_DOUBT_SKIP = 1  // it is left out: nothing is there twice, but it may be missing
} nsp_in_doubt;

// The account of one session, in spans. It is balanced if
//     attempted = engine_exported + engine_rejected + engine_unconfirmed + engine_discarded + engine_spooled
//                 + dropped + exported + rejected + unconfirmed + skipped + invalid + left + lost_at_crash
// and lost_at_crash is at most lost_at_crash_max. Otherwise the session's memory was damaged: it holds more
// spans than were begun, or lacks more than a crash explains.
typedef struct nsp_recovery_account {
    size_t size;
    uint64_t attempted; // begun and recorded by the engine
    // What was settled before this recovery, by the engine or an earlier recovery. Spans that the session
    // says were taken out of a ring, but which are in no batch and in no other counter, are in
    // engine_unconfirmed, if a recovery has died before it had counted them, and had found no room in the session
    // for a note by which the next one does so. Otherwise damage hides them: they are in from_batches, and
    // invalid.
    uint64_t engine_exported, engine_rejected, engine_unconfirmed, engine_discarded, engine_spooled;
    uint64_t dropped; // by the engine, for any cause
    // What this recovery found: in the rings, open, and in batches.
    uint64_t finished, unfinished, from_batches;
    uint64_t in_doubt; // part of from_batches: the receiver may already have them
    // What became of that. rejected: in a request that was taken otherwise. invalid: damaged, or too large
    // for a batch.
    uint64_t exported, rejected, unconfirmed, skipped, invalid;
    uint64_t left;         // still in the session
    uint64_t left_foreign; // part of left: in batches of an exporter whose encoding only it can read
    // Lost in the crash: at most one span for each thread, which was just beginning or ending it, and one for
    // each signal handler that was just ending a detached span.
    uint64_t lost_at_crash;
    // Threads for which shared memory had no room. Their spans died with the process, and are in `attempted`
    // only as far as the engine had settled them.
    uint64_t threads_private;
    // The most that lost_at_crash may be, by the threads that were attached. UINT64_MAX with threads_private or
    // threads_lost: they take with them whatever they have ended.
    uint64_t lost_at_crash_max;
    // Threads whose memory cannot be read, because it was cut off or overwritten; at least so many. Nobody knows
    // how many spans they had. What is known, because it had left their rings, is in `attempted` and where it
    // belongs, and the account is balanced with that.
    uint64_t threads_lost;
    // Only with nsp_recovery_options.speculative, from the beginning of the export on; they count as if they had been
    // kept. speculative: part of `attempted`, and of `finished` or `unfinished`: spans of traces of which it is decided
    // at their end, and was not. history: part of `attempted` and of `finished`: spans of such traces that had ended,
    // and that their thread had not overwritten.
    uint64_t speculative, history;
    // What is left out without nsp_recovery_options.speculative, in the same two parts: known from nsp_recovery_open on,
    // and part of nothing else here. It is gone when the session is removed. 0 once an export takes it along.
    uint64_t left_out_speculative, left_out_history;
} nsp_recovery_account;

typedef struct nsp_recovery nsp_recovery;

// Called on the thread that exports, about ten times a second, also while a receiver keeps it waiting.
// account: what is known so far. Returns false to stop soon, as when the time is up.
typedef bool (*nsp_recovery_progress)(void *argument, const nsp_recovery_account *account);

typedef struct nsp_recovery_options {
    size_t size;
    const nsp_config *config; // of the exporter: endpoint, file, batches, retries ... NULL: the environment's
    // One of nsp_exporter_builtin, or the program's own. NULL: what config->exporter names, as in an engine; of a
    // list, all exporters must be usable. A request is settled once all of them have it, or have rejected spans of it.
    const struct nsp_exporter *exporter;
    nsp_in_doubt in_doubt;
    // Nothing is settled before nsp_recovery_settle: for an exporter whose output counts only when it is
    // complete, such as a file that is renamed then. Otherwise each request is settled when it is confirmed.
    bool settle_later;
    uint64_t timeout_ns;            // for the whole export; 0: none
    nsp_recovery_progress progress; // NULL: none
    void *argument;
    // Also exports the traces of which it is decided at their end (outlier.h), and was not when the engine died: what
    // was finished of them, and what was open as unfinished; and those that lie in history. Their local roots get
    // nanospan.kept = "recovered", and nanospan.left_out if spans are missing. Otherwise they are left out, and counted
    // in left_out_speculative and left_out_history.
    bool speculative;
} nsp_recovery_options;

#define NSP_RECOVERY_ACCOUNT_INIT                                                                            \
    {                                                                                                        \
        sizeof(nsp_recovery_account), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,   \
            0, 0, 0                                                                                          \
    }

#define NSP_RECOVERY_OPTIONS_INIT                                                                            \
    {                                                                                                        \
        sizeof(nsp_recovery_options), NULL, NULL, NSP_IN_DOUBT_SEND, false, 0, NULL, NULL, false             \
    }

enum { NSP_RECOVERY_PROBLEM_MAX = 200 };

// What one thread's history gave.
typedef struct nsp_history_thread {
    size_t size;
    const char *name; // valid during the call
    uint32_t slot, tid;
    uint64_t traces, spans; // that were exported
    uint64_t overtaken;     // records that the thread overwrote while they were read, about
    uint64_t reach_ns; // how long before the reading the oldest trace ended that was whole; 0: there was none
    uint64_t buffer_bytes;
} nsp_history_thread;

typedef void (*nsp_history_visit)(void *argument, const nsp_history_thread *thread);

// What a session's history gave.
typedef struct nsp_history_account {
    size_t size;
    uint64_t rules;   // outlier rules with history_ns: without one there is no history
    uint64_t threads; // that have a buffer which can be read
    uint64_t traces, spans, overtaken;
    uint64_t exported, rejected, unconfirmed, invalid; // of the spans; the others were not sent
} nsp_history_account;

#define NSP_HISTORY_ACCOUNT_INIT                                                                             \
    {                                                                                                        \
        sizeof(nsp_history_account), 0, 0, 0, 0, 0, 0, 0, 0, 0                                               \
    }

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Opens the session in `directory` (".../nanospan-UID/NAME.PID.RANDOM"), which has to belong to this user,
// and locks it against engines that prune, agents, and other recoveries. Counts what there is to recover, and
// changes nothing, except that the session remembers an attempt that crashes or finds it damaged
// (nsp_recovery_set_aside), and that what is in a noted file is settled (nsp_recovery_note_file). If its
// engine died before it could record anything, or none of the files that hold spans is left, it opens with an
// account of zeros. If another file than `control` is missing or cut short, or the memory of a thread cannot
// be read, it opens with the rest. *out: to be closed; NULL on failure. `problem` (size: its size; may be
// NULL) then says why, as the end of a sentence about the session; on success it says in the same way what of
// the session is missing, or is empty.
// Log lines go to where nsp_log_configure says, or an export before.
// Errors: NSP_ERR_BUSY (its engine is alive, or another process drains it), NSP_ERR_NOT_FOUND,
// NSP_ERR_UNSUPPORTED (another version's layout), NSP_ERR_SYSTEM (it belongs to another user, or a system
// call failed), NSP_ERR_DAMAGED (beyond reading), NSP_ERR_NO_MEMORY, NSP_ERR_INVALID.
NSP_API nsp_status nsp_recovery_open(nsp_recovery **out, const char *directory, char *problem, size_t size);

// True if two recoveries of this session crashed, or found it damaged, so that it should be left alone unless
// somebody asks for it by name. One that had settled something by then does not count, nor do those before
// it.
NSP_API bool nsp_recovery_set_aside(const nsp_recovery *recovery);

// True if something of the session's memory is damaged, as far as nsp_recovery_open and nsp_recovery_export
// have come upon it: it cannot be read, or contradicts itself, as an account that is not balanced does. What
// lies behind a damaged record in the same ring cannot be found, nor anything of a thread of which not even
// the head is there (threads_lost in the account); everything else is recovered. What is damaged is invalid in
// the account as far as it can be counted, and is not settled: it stays, as evidence, and so does the session,
// until nsp_recovery_remove is told to take it anyway.
NSP_API bool nsp_recovery_damaged(const nsp_recovery *recovery);

// True if nsp_recovery_export failed because the exporter could not be created, or has reported that it cannot write:
// a full disk, or a pipe that nobody reads. Then it is of no use to try other sessions with it.
NSP_API bool nsp_recovery_exporter_failed(const nsp_recovery *recovery);

// Exports what was found: batches in the order in which they were closed, then the rings, then the buffers of
// traces that were not decided if the options say so, then unfinished
// spans, which get the attribute nanospan.unfinished = true and end at the last reading of the clock that the
// session knows, or with the last span of those batches if that is later. What is confirmed is settled in the
// session at once, unless settle_later is set; nothing else of it is changed. If this process dies meanwhile,
// the next recovery repeats at most the request that was in flight. It does not count that one, nor one whose
// answer was lost, as in doubt: NSP_IN_DOUBT_SKIP is about what the engine has sent. Waits for the receiver
// and tries again, as an engine does, until timeout_ns has passed.
// A request that the receiver refuses as a whole (NSP_SEND_REJECTED) settles nothing, since it may be the wrong
// receiver, and is not repeated in this export. It stays in the session, with what lies behind it in the same ring
// or batch; the rest is sent, unless the first eight requests are all refused. With NSP_IN_DOUBT_SEND the same holds
// for an answer that does not say whether the spans were taken (NSP_SEND_UNCONFIRMED); otherwise they count as
// unconfirmed. Spans that are rejected in a request that was taken otherwise count as rejected, and are settled.
// NSP_OK: nothing is left, except batches that only a program's own exporter can read (left_foreign), and what is
// damaged (nsp_recovery_damaged).
// Errors: NSP_ERR_TIMEOUT (not everything was taken in time, or `progress` stopped it; the account says what
// is left), NSP_ERR_REFUSED (the receiver has refused some of it, or all), NSP_ERR_SYSTEM (the session cannot be
// written: nothing more was sent, and what was, counts as unconfirmed; or the exporter reported that it cannot
// write, such as to a full disk: nothing more was sent, and what was not written is left), NSP_ERR_BUSY (an
// engine or another export sends in this process), NSP_ERR_CONFIG and others (the exporter could not be created:
// it has logged why), NSP_ERR_NO_MEMORY, NSP_ERR_INVALID (also for a second export). nsp_error_detail says more.
NSP_API nsp_status nsp_recovery_export(nsp_recovery *recovery, const nsp_recovery_options *options);

// To be called after an export with settle_later, when everything is in the file and on the disk, and before
// the file gets its name: notes in the session that the file will be `path` (absolute, without symbolic
// links, at most 4095 bytes). file: open for it; it stays the caller's. If this process dies before
// nsp_recovery_settle has returned, the next nsp_recovery_open looks whether that file is there, unchanged
// and of this user: if so, it settles what was exported, logs that, and finds only what is not in the file.
// Does nothing if nothing was exported, or the session is damaged. Errors: NSP_ERR_SYSTEM (the session has no
// room for the note: that matters only if this process dies), NSP_ERR_INVALID (something else than
// left_foreign is left, or no such path or file).
NSP_API nsp_status nsp_recovery_note_file(nsp_recovery *recovery, const char *path, int file);

// Settles in the session what was exported with settle_later. Does nothing otherwise. NSP_ERR_SYSTEM.
NSP_API nsp_status nsp_recovery_settle(nsp_recovery *recovery);

// Fills the account, up to account->size.
NSP_API void nsp_recovery_account_get(const nsp_recovery *recovery, nsp_recovery_account *account);

// Removes the session. with_what_is_left: also if spans are still in it, or were exported and not settled,
// which are lost then, or if something of it is damaged. Otherwise that is refused: NSP_ERR_INVALID, or
// NSP_ERR_DAMAGED. NSP_ERR_SYSTEM if something of it stays.
NSP_API nsp_status nsp_recovery_remove(nsp_recovery *recovery, bool with_what_is_left);

// Unlocks and frees. NULL does nothing.
NSP_API void nsp_recovery_close(nsp_recovery *recovery);

// Reads the history in the session in `directory`, of an engine that runs, from outside, and exports it like a recovery:
// whole traces whose local roots ended in the last before_ns nanoseconds (0: all there are), which get
// nanospan.kept = "snapshot". Writes nothing into the session and locks nothing: the engine goes on, and whoever drains
// it too. So what is exported is in no account of the engine, and comes again if this is called again. Of the options,
// in_doubt, settle_later and speculative do not matter; `progress` gets an account of what is sent. visit: called for each
// thread after the reading, or NULL. problem, size: as for nsp_recovery_open.
// Errors: those of nsp_recovery_open, and of nsp_recovery_export.
NSP_API nsp_status nsp_history_export(const char *directory, uint64_t before_ns,
                                      const nsp_recovery_options *options, nsp_history_account *account,
                                      nsp_history_visit visit, void *argument, char *problem, size_t size);

#endif
NSP_END_DECLS
#endif

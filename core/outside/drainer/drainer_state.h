// SPDX-License-Identifier: Apache-2.0
//
// The inside of a drainer (<nanospan/drainer.h>): drainer.c is what others call, drainer_open.c takes a
// session over, drainer_adopt.c finds what an earlier drainer left in it, drainer_session.c passes over it
// and lets go of it, and drainer_send.c is the sender's side.
#ifndef NSP_OUTSIDE_DRAINER_STATE_H
#define NSP_OUTSIDE_DRAINER_STATE_H

#include <nanospan/drainer.h>
#include <nanospan/exporter.h>

#include "drain/collector.h"
#include "outside/drainer/live_policy.h"
#include "outside/recover/recovery.h"
#include "outside/drainer/session_live.h"

// What an earlier drainer left in the batches of a session, until it is settled.
typedef struct nsp__leftover {
    nsp_recovery found; // names that decoded batches add, and the batches in order
    nsp_exporter_context context;
    void *encoder;     // for batches that are decoded and encoded again
    bool encodes;      // there is one
    uint64_t sequence; // in the pool, of the last of them
} nsp__leftover;

// A batch that an earlier drainer left has this in its private `encoding`, which the next use of the batch
// forgets.
#define NSP__BATCH_LEFTOVER UINT32_C(0x40000000)

typedef struct nsp__drained_session {
    nsp_drainer *drainer;
    char directory[NSP_DRAINED_DIRECTORY_MAX];
    char service[NSP_DRAINED_SERVICE_MAX];
    uint32_t pid;
    char label[NSP_DRAINED_SERVICE_MAX + 24]; // for people: "execution (pid 4711)"
    int lock;                                 // nsp__session_consume
    nsp__session_live live;
    nsp_config config; // the drainer's, with the session's sizes
    nsp__live_names names;
    nsp__live_policy policy;
    char *resource;     // texts of the resource
    const char **texts; // pointers to its keys, then to its values
    nsp_type *types;
    nsp_exporter_context context;
    void *encoder;     // the exporter's state for this session
    bool encodes;      // there is one
    uint32_t encoding; // nsp_encoding, of what it encodes
    nsp__batch_pool pool;
    nsp__collector collector;
    bool collects;    // it was started
    nsp__clock clock; // private; see clock_share.h
    uint64_t clock_published;
    nsp__leftover
        *leftover; // NULL: none, or settled. The sender's thread uses it as long as it has such batches
    // Batches that only another drainer's exporter can read, and their spans: they stay as they are.
    uint32_t foreign;
    uint64_t foreign_spans;

    nsp_drained_state state;
    // What the engine said before the rings were last looked at.
    bool ended;
    uint64_t flush_wanted;
    uint64_t flush_number, flush_sequence; // a flush that waits for its batches; number 0: none
    uint64_t flush_done;
    uint64_t looked_ns;   // when the engine's lock was last looked at, and pass_ns written
    bool gone;            // the engine's lock is free
    bool elsewhere;       // it is not the process of its number here: that is of another PID namespace
    bool removed;         // the directory is removed
    nsp__counters before; // as they were when the session was taken over
    uint64_t drained;
    uint64_t in_doubt_resent; // written by the sender's thread, relaxed: a figure
    // Why the sender's thread gives the session up; a literal, or NULL (release DS1, acquire DS2)
    const char *send_problem;
    nsp_drained last; // figures of the last pass in which the session was readable
} nsp__drained_session;

// What the sender's thread sends from. A batch is copied out of its session before its first attempt, and
// stays there until it is settled, since exporters remember what they have sent of it. If another one comes between,
// it is copied again, without what is settled, and to the exporter it is a new one.
typedef struct nsp__outgoing {
    const nsp__batch *batch;
    uint64_t sequence;   // of the batch
    size_t head, length; // of what is sent, if it is not encoded again
    uint32_t attempts;   // since it was copied
    uint8_t *bytes, *encoded;
    size_t capacity, encoded_capacity;
    bool again; // it is decoded, and encoded again, in pieces
    // Of such a batch: the piece that is being sent.
    nsp_batch piece;
    uint64_t first_ns; // of the last copy or piece; no two have the same
} nsp__outgoing;

enum {
    // Of all sessions together: the queue of closed ones has room for so many.
    NSP__DRAINER_BATCHES_MAX = 65536,
    NSP__DRAINER_WINDOW = 128 * 1024 // bytes of the one window of all sessions: more than any record
};

struct nsp_drainer {
    nsp_config config; // resolved
    nsp_in_doubt in_doubt;
    uint32_t sessions_max;
    bool living_only;
    const nsp_exporter *exporter;
    void *exporter_state; // sends
    bool created;
    nsp_exporter_context context;
    int cancel, held_back;
    int doubt;  // see nsp__sender_options
    bool bound; // the same
    bool left_behind;
    nsp_exporter sending; // what the sender sees
    nsp__sender *sender;
    nsp__outgoing outgoing;
    uint8_t *window;                 // see ring_window.h
    nsp__policy_draft draft;         // of a policy with another factor
    nsp__drained_session **sessions; // sessions_max
    uint32_t session_count;
    // Let go of, but the sender has batches of them.
    nsp__drained_session **leaving; // sessions_max
    uint32_t leaving_count;
    uint32_t batches;           // of all sessions
    uint64_t pause_ns, busy_ns; // the last pause; when spans or a session came last
    nsp_drainer *next_left;     // see drainer.c
};

static inline nsp__drained_session *nsp__drained_session_of(const nsp__batch *batch)
{
    return (nsp__drained_session *)(void *)((char *)batch->pool - offsetof(nsp__drained_session, pool));
}

// True if a batch that an earlier drainer left cannot be sent as it is. That it was for a list does not say for
// which.
static inline bool nsp__leftover_again(const nsp__drained_session *session, const nsp__batch_header *header)
{
    return nsp__batch_unclosed(header) || header->settled != 0 || header->encoding != session->encoding ||
           header->encoding == NSP_ENCODING_LIST;
}

// ---- drainer_open.c ----

// Takes over the session `name` in the folder. On failure `problem` says why, and nothing is left.
nsp_status nsp__drained_session_open(nsp__drained_session **out, nsp_drainer *drainer, const char *directory,
                                     char *problem, size_t size);

// ---- drainer_session.c ----

// True if a pass would find nothing to do: no thread has come, nothing was published, nothing is being filled,
// nobody waits, and the engine runs. That is cheap to find out, and now and then false all the same.
bool nsp__drained_session_rests(const nsp__drained_session *session, uint64_t now_ns);
// One pass. Returns how many spans were taken out; *fill: of the fullest ring. closing: what is being filled
// is closed, and passes that follow take out nothing that is published later.
uint64_t nsp__drained_session_pass(nsp__drained_session *session, bool closing, double *fill);
// True if nothing of it is left to be sent, as far as the last pass knows.
bool nsp__drained_session_done(nsp__drained_session *session);
// True if the sender has a batch of it.
bool nsp__drained_session_sending(nsp__drained_session *session);
void nsp__drained_session_look(nsp__drained_session *session, nsp_drained *out);
// No sender may have a batch of it, or the sender's thread has ended.
void nsp__drained_session_close(nsp__drained_session *session);
// The sender's thread was left behind, and may be reading a batch of it: lets go of the session in shared
// memory, and keeps the rest for ever.
void nsp__drained_session_leave(nsp__drained_session *session);

// ---- drainer_adopt.c ----

// Brings the session into the state in which an earlier drainer would have left it in order, and hands its
// batches to the sender. The collector has looked at its threads. NSP_OK, or why it cannot be drained (then
// live.copy.problem).
nsp_status nsp__drained_session_adopt(nsp__drained_session *session);
void nsp__leftover_free(nsp__drained_session *session);

// ---- drainer_send.c ----

nsp_send_result nsp__drainer_send(void *drainer, const nsp_batch *exported, uint64_t deadline_ns,
                                  nsp_send_report *report);
void nsp__outgoing_free(nsp__outgoing *outgoing);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// The end of the process.
#include "base/call.h"
#include "base/exit_gate.h"
#include "base/log.h"
#include "base/testpoint.h"
#include "common/time.h"
#include "drain/sender.h"
#include "lifecycle/state.h"

// How long the exit handler waits for something that normally takes no time.
static const uint64_t exit_patience_ns = 1 * NSP__SECOND;

// Does what nsp_shutdown does. A shutdown under way on another thread gets the same time to end.
static void end_in_order(void)
{
    NSP__COLD_CALL; // lines are not written before the mutex is free
    if (!nsp__life_lock_until(nsp__monotonic_ns() + exit_patience_ns))
        return;
    if (nsp__life.current == NSP__LIFE_RUNNING || nsp__life.current == NSP__LIFE_STOPPING)
        nsp__life_shut_down(nsp__life_deadline_in(nsp__life.runtime->config.exit_timeout_ns));
    nsp__life_unlock();
}

// False if a signal handler or an exporter called exit inside a call of ours, whose locks then stay held
// forever; and on the sender's thread, because the shutdown would wait for it. Nobody waits for the
// collector's thread while it is in the log callback.
static bool may_end_in_order(void)
{
    nsp__thread_kind kind = nsp__call_thread_kind();
    bool collector_telling = kind == NSP__THREAD_COLLECTOR && nsp__log_in_callback();
    return nsp__call_depth() == 0 && (kind == NSP__THREAD_FOREIGN || collector_telling);
}

// May run several times (see start in lifecycle.c). Whatever the first run could not do, the later ones
// cannot do either.
static void at_exit(void)
{
    if (nsp__exit_closed() || nsp__life_amid_fork() != NSP_OK)
        return;
    NSP__NO_CANCEL;
    NSP__TESTPOINT("exit: begun");
    if (may_end_in_order())
        end_in_order();
    NSP__TESTPOINT("exit: in order");
    // None of our threads may be inside the libraries whose exit handlers come next.
    nsp__exit_close();
    nsp__sender_cancel();
    nsp__exit_wait(nsp__monotonic_ns() + exit_patience_ns);
}

void nsp__life_make_exit_hook(void)
{
    static bool exit_hook_made;
    if (!exit_hook_made)
        nsp__exit_hook(at_exit);
    exit_hook_made = true;
}

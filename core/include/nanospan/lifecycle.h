// SPDX-License-Identifier: Apache-2.0
//
// Start, flush and stop. These calls use up to 16 KiB of stack, in addition to what an application's own log
// function or exporter uses; nsp_flush in thread mode uses less than 4 KiB. They are not signal safe.
//
// These calls, nsp_stats_get, the sampler's functions and nsp_thread_attach are not cancellation points: a
// thread that is cancelled inside one of them ends after the call. nsp_init, nsp_flush and nsp_shutdown
// return NSP_ERR_INVALID and do nothing where they would wait for their own caller: in an exporter, in a log
// callback on one of nanospan's threads, or in a signal handler that interrupted another of these calls.
//
// When the process exits, nanospan flushes for at most nsp_config.exit_timeout_ns and stops its threads,
// before the exit handlers of the libraries that the exporter uses run. From then on nsp_init returns
// NSP_ERR_SYSTEM. If the main thread ends with pthread_exit, the process ends with its last other thread, as
// it would without nanospan: nanospan's threads notice that within half a second, and one of them calls
// exit(0).
#ifndef NANOSPAN_LIFECYCLE_H
#define NANOSPAN_LIFECYCLE_H

#include <nanospan/base.h>
#include <nanospan/config.h>

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// None of these calls waits for a fork. They return NSP_ERR_UNSUPPORTED at once (nsp_do_work returns 0) in
// another library's fork handler that runs while nanospan's handlers hold the mutexes, and in a child that
// was made without fork handlers (_Fork, clone). The same is true of nsp_stats_get and of the functions that
// change the sampler.

// Starts tracing: creates the session, calibrates the clock (about 10 ms) and starts nanospan's threads.
// NULL: only the environment configures it. If tracing is turned off by configuration, the result is NSP_OK
// and all calls are inert. It is not an error if shared memory or the backend is unavailable: that is logged
// in one line, and the engine continues; but an engine that is drained from outside (NSP_COLLECTOR_EXTERNAL)
// cannot be without shared memory: NSP_ERR_UNSUPPORTED, a line that says what to do, and all calls are inert.
// The same happens with libnanospan-core alone if the collector is another one and there is no
// custom_exporter. Logs one line at NSP_LOG_INFO that says where spans are sent and what share of traces is
// recorded, or a line that says why none are sent. Errors: NSP_ERR_ALREADY (it is already started),
// NSP_ERR_BUSY (nsp_recovery_export is running in this process), NSP_ERR_CONFIG (a value that is out of range
// or makes no sense; nsp_error_detail names it, and nothing is started), NSP_ERR_UNSUPPORTED (also in a child
// that the exporter's create has forked and that returned from it). Thread safe.
NSP_API nsp_status nsp_init(const nsp_config *config);

// Collects all spans that ended before the call, and sends them. NSP_ERR_TIMEOUT if the backend has not taken
// all of them within the timeout (in nanoseconds); nothing is lost then. In invoker mode it also does the
// invoker's work. An engine that is drained from outside waits until its drainer has settled them; if nobody
// drains it, that is until the timeout, and nsp_error_detail says so. Thread safe.
NSP_API nsp_status nsp_flush(uint64_t timeout_ns);

// Flushes, stops nanospan's threads and ends the session, within the timeout (in nanoseconds) plus at most
// 250 ms, whatever the backend does. Spans that could not be sent are counted; nsp_stats_get still works
// afterwards. It may run concurrently with any span call; spans are inert afterwards. nsp_init may follow.
// While another thread's call is in progress, a call waits for that one and returns its result, or
// NSP_ERR_TIMEOUT if its own timeout ends first. So whichever thread gets NSP_OK may exit. Errors:
// NSP_ERR_TIMEOUT (tracing has stopped, but not all spans could be sent; or, 2 s after the timeout, it has
// not stopped, because another thread's nsp_flush or nsp_do_work hangs in an exporter's encoder),
// NSP_ERR_NOT_INITIALISED (there was nothing to shut down). An engine that is drained from outside leaves its
// session, marked as ended, to its drainer: what was not settled in time stays in it, and counts as in_rings or
// in_batches in nsp_stats. Thread safe.
NSP_API nsp_status nsp_shutdown(uint64_t timeout_ns);

// In invoker mode, runs one pass of the collector on the calling thread: drains and encodes at most max_spans
// spans (rounded to whole steps). It never uses the network and never blocks. Returns the number of spans,
// and 0 in the other modes. Only one thread at a time can run it; for a second one it returns 0. Thread safe.
NSP_API size_t nsp_do_work(size_t max_spans);

#endif
NSP_END_DECLS
#endif
